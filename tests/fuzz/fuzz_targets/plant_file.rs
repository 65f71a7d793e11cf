//! `cargo fuzz` target: the laws are in `src/plant_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sallyport_fuzz::plant_file::hold(bytes));
