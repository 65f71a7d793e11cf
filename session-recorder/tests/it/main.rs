//! The recorder's promises, through its public surface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod bulk;
mod capture;
mod connections;
mod desk;
mod exports;
mod hostile;
mod operations;
mod recovery;
mod searching;
mod sharing;
mod tamper;
mod writing;
