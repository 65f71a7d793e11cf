//! The sessions that live in this broker: where each goes, what ends it, and how it ended; and
//! what one person may take; what is asked for in them.

mod allowance;
mod end;
mod isolated;
mod operations;
mod registry;
mod target;

pub(crate) use end::End;
pub(crate) use isolated::Isolated;
pub(crate) use operations::{Asked, Operations};
pub(crate) use registry::Registry;
pub(crate) use registry::{Live, Registered, Switch, Times};
pub(crate) use target::Endpoint;
pub(crate) use target::{Form, Target};
