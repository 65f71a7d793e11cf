//! The laws that hold for any bytes, one module for each target of the fuzzer. Each has a function `hold` that panics where
//! a law is broken.
//!
//! `fuzz_targets/` gives them to the fuzzer; `tests/tests/it/fuzz_regressions.rs` includes this file and holds them for every
//! file of `regressions/`, with each run of the tests.

mod line;
pub mod modbus;
pub mod plant_file;
pub mod rdp;
pub mod recording;
pub mod rfb;
mod script;

/// One target: its name, which is that of its folder of regressions, and its laws.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("modbus", modbus::hold),
    ("plant_file", plant_file::hold),
    ("rdp", rdp::hold),
    ("recording", recording::hold),
    ("rfb", rfb::hold),
];
