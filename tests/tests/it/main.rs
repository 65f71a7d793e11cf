//! Integration tests: one binary, a module per feature.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod architecture;
mod harness;
mod identity;
mod store;
mod store_audit;
mod store_cli;
mod store_outage;
