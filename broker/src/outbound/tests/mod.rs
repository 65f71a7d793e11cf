#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod alarms;
mod bed;
mod siem;
