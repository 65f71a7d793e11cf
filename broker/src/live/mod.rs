//! The sessions that live in this broker: where each goes, what ends it, and how it ended; and
//! what one person may take.

mod allowance;
mod end;
mod registry;
mod target;

pub use end::End;
pub use registry::Registry;
pub(crate) use registry::{Live, Registered, Switch, Times};
pub(crate) use target::Endpoint;
pub use target::{Form, Target};
