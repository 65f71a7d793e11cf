//! `cargo fuzz` target: the laws are in `src/recording.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sallyport_fuzz::recording::hold(bytes));
