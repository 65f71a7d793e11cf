//! The ssh server towards people: it accepts, lets them log in, and hands each connection to its lobby or its session.
//!
//! ```text
//! listener ─► serve ─► handler ─┬─ outer login ─► lobby ──jump──► serve ─► handler ── jump login ─► session
//!  (limits)           (russh)   └────────────────────── direct form ──────────────────────────────► session
//! ```

mod handler;
mod jump_login;
mod listener;
mod notice;
mod outer_login;
mod serve;
mod shared;

pub(crate) use listener::listen;
pub(in crate::ssh) use shared::Server;
