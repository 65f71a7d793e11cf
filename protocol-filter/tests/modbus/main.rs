//! The Modbus filter at its boundary: bytes in, bytes and operations out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod gate;
mod plant;
mod values;
