//! TCP services: the connection to the asset, and the stream between it and a person, wherever that person is.
//!
//! ```text
//! person: Hear ─► recorded ─────────────────────────────► asset's socket      relay: nobody looks into it
//! person: Speak ◄───────────────────────────── recorded ◄
//!
//! person: Hear ─► filter ─► recorded with what it decided ─► asset's socket   filtered: a decoded protocol
//! person: Speak ◄─ recorded with what it decided ◄─ filter ◄
//! ```

mod carry;
mod connect;
mod entries;
mod filtered;
pub(crate) mod journal;
mod keep_rules;
mod person;
#[cfg(any(test, feature = "bench-listener"))]
mod plain;
mod relay;
pub(crate) mod rules;
mod seldom;

#[cfg(feature = "bench-listener")]
pub(crate) mod bench;

pub(crate) use carry::{Caller, NoStream, Stream};
pub(crate) use connect::connect;
#[cfg(test)]
pub(crate) use filtered::Filtered;
#[cfg(test)]
pub(crate) use filtered::tests::{Frank, UNNOTED};
pub(crate) use person::{Gone, Hear, Heard, Person, Speak};
#[cfg(test)]
pub(crate) use relay::{Relay, StreamEnd};
