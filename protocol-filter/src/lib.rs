//! Bytes to messages to verdicts, and denials in the protocol's own words. Sans-io: bytes and a time in, bytes out.
//!
//! A [`ProtocolFilter`] stands on one connection. It takes bytes of both sides, cut anywhere, makes whole messages of
//! them, validates and judges each by its rules, tells the [`Journal`] what it decided, and sends on what it has encoded
//! anew from the decoded form: a received byte is never passed through unread. What is denied is answered in the protocol's own
//! words, so that the tool at the other end shows an error instead of hanging.
//!
//! What every filter holds:
//!
//! * The journal hears of a message before a byte of it is in [`Outbound`]: the caller can put evidence before effect.
//! * Verdicts and output do not depend on how the stream is cut.
//! * Memory is bounded, whatever either side sends; a length is believed only within the protocol's limit.
//! * [`Malformed`] is final: the caller sends what `Outbound` holds already, records the bytes, and ends the session.

mod filter;
pub mod modbus;
mod operation;
pub mod rdp;
pub mod rfb;

pub use filter::{Ended, Journal, Malformed, Now, Outbound, ProtocolFilter, Side};
pub use operation::{Cause, Kind, Mode, Phase, Verdict};
