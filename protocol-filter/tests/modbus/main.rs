//! The Modbus filter at its boundary: bytes in, bytes and operations out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bits;
mod captures;
mod evasions;
mod gate;
mod laws;
mod pairing;
mod plant;
mod tolerance;
mod values;
mod vectors;
mod words;
