//! `cargo fuzz` target: the laws are in `src/rfb.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sallyport_fuzz::rfb::hold(bytes));
