//! The SSH legs: towards the person and towards the asset.
//!
//! ```text
//! server: listener ─► handler ─┬─ login ─► lobby ──jump──► handler ── login ─► session: a channel each
//!                              │             └──direct-tcpip────────────────► a stream
//!                              └───────────────── direct form ──────────────► session: a channel each
//! ```
//!
//! | room | holds |
//! |---|---|
//! | `server/` | what accepts and logs in, and the handler that russh calls |
//! | `lobby/` | who is logged in without a target: the list, the choice, the fresh code, jumps and streams |
//! | `session/` | the two connections of one session |
//! | `channel/` | one channel: read, recorded, sent on; what a connection holds |
//! | `transfer/` | the file transfers in a channel: sftp, scp, and which command is which |

mod abortable;
mod algorithms;
mod backlog;
pub(crate) mod channel;
mod lobby;
mod proposal;
mod server;
pub(crate) mod session;
mod transfer;

#[cfg(test)]
pub(crate) mod tests;

pub(in crate::ssh) use channel::say_and_close;
pub(crate) use channel::{
    ChannelAnswer, ChannelContext, ChannelRequest, Flow, LOOKING_ON_ONLY, RefusedRequest, SessionChannel, pipe,
    relay_forward,
};
pub(crate) use server::listen;
pub(crate) use transfer::{FileOutcome, FileReport};
