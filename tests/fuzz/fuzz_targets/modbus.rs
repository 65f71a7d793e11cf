//! `cargo fuzz` target: the laws are in `src/modbus.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sallyport_fuzz::modbus::hold(bytes));
