//! TCP services: the connection to the asset, and the relay between it and the person's channel.
//!
//! ```text
//! person's channel ─► queue ─► Lane::pass: received, recorded, sent ─► asset's socket
//!                 ◄── Lane::pass: received, recorded, sent ◄──────────
//! ```

mod connect;
mod filtered;
mod hint;
pub(crate) mod journal;
mod lane;
mod person;
#[cfg(any(test, feature = "bench-listener"))]
mod plain;
mod relay;
pub(crate) mod rules;
mod seldom;

pub(crate) use connect::{ConnectError, connect};
pub(crate) use filtered::Filtered;
pub(crate) use hint::local_forward;
pub(crate) use journal::Notes;
pub(crate) use lane::Track;
pub(crate) use person::Person;
pub(crate) use relay::{Outcome, Relay};
pub(crate) use seldom::seldom;
