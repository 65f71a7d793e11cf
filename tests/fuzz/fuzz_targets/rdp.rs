//! `cargo fuzz` target: the laws are in `src/rdp.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sallyport_fuzz::rdp::hold(bytes));
