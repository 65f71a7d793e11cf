//! The RDP negotiation at its rim: bytes in, bytes and notes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod captures;
mod evasion;
mod negotiation;
mod wire;
