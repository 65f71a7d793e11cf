//! The portal: pages for people, in a browser. One more door of the broker: it asks `login/` who somebody is, and owns no rule.
//!
//! ```text
//! socket ──► listen ──► serve (TLS 1.3, HTTP/1.1 or 2, bounds) ──► guard (host, path, body, origin, token) ──► pages
//!            Door, Pass    line: one connection       headers on every answer                                 │
//!                                   SignedIn ◄── by a cookie ◄── site (jars) ◄── login/ (SigningIn) ◄─────────┘
//! ```
//!
//! [`look`] is what they see. Each page is for an audience, and lies at the addresses for that alone (`audience.rs`).

mod answer;
mod assets;
mod audience;
mod ceremonies;
mod certificate;
mod cookie;
mod guard;
mod headers;
mod jar;
mod line;
mod listener;
pub mod look;
mod next;
mod notice;
mod pace;
mod pages;
mod serve;
mod served;
mod signed_in;
mod site;
mod strict;

pub use certificate::PemError;
pub(crate) use certificate::{Examined, examine, make};
pub(crate) use listener::Listening;
pub use listener::PortalError;
