//! Bytes to messages to verdicts. No protocol is decoded yet, and nothing calls this crate.
