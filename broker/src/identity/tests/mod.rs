//! What tests of several rooms take.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

pub(crate) mod maker;
pub(crate) mod soft_key;
