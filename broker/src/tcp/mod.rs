//! TCP services: the connection to the asset, and the relay between it and the person's channel.
//!
//! ```text
//! person's channel ─► queue ─► Lane::pass: received, recorded, sent ─► asset's socket
//!                 ◄── Lane::pass: received, recorded, sent ◄──────────
//! ```

mod connect;
mod hint;
mod lane;
mod relay;

pub(crate) use connect::{ConnectError, connect};
pub(crate) use hint::local_forward;
pub(crate) use lane::Track;
pub(crate) use relay::{Outcome, Relay};
