//! The sessions that live in this broker: where each goes, what ends it, and how it ended; and
//! what one person may take.

mod allowance;
mod end;
mod isolated;
mod registry;
mod target;

pub(crate) use end::End;
pub(crate) use isolated::Isolated;
pub(crate) use registry::Registry;
pub(crate) use registry::{Live, Registered, Switch, Times};
pub(crate) use target::Endpoint;
pub(crate) use target::{Form, Target};
