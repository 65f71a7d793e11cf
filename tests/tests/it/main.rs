//! Integration tests: one binary, a module per feature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod architecture;
mod brokers;
mod browser;
mod bulk;
mod certificates;
mod commands;
mod crash;
mod demo;
mod docs;
mod evidence;
mod failures;
mod files;
mod filter_cli;
mod flood;
mod forms;
mod fuzz_regressions;
mod harness;
mod hostile;
mod identity;
mod modbus;
mod rdp;
mod recording_cli;
mod refusals;
mod revocation;
mod rows;
mod service;
mod store;
mod store_audit;
mod store_cli;
mod store_outage;
mod tampering;
mod tcp;
mod tools;
mod traces;
mod vnc;
