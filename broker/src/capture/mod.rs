//! Captures of network traffic: pcap and pcapng files, and the TCP connections in them.
//!
//! ```text
//! file ─► Capture: packets ─► segments ─► Streams: both directions of each connection, in order ─► events
//! ```

mod file;
mod half;
mod packet;
mod streams;

pub(crate) use file::{Capture, CaptureError};
pub(crate) use streams::{Connection, Ending, Event, Streams, What};

#[cfg(test)]
mod tests;
