//! What the policy promises, at its boundary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod approvals;
mod decisions;
mod documents;
mod doubts;
mod emergency;
mod filters;
mod laws;
mod oracle;
mod plant_file;
mod random;
mod reach;
mod tags;
mod windows;
mod write_windows;
