//! RFB at its rim: bytes in, bytes and notes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod captures;
mod evasion;
mod handshake;
mod input;
mod laws;
mod paint;
mod pixel_formats;
mod playback;
mod screen;
mod wire;
