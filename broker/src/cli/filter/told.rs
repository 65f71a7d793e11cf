//! What is told of a capture on its way through the filter, and to whom.

use jiff::Timestamp;
use sallyport_protocol_filter::modbus::Operation;
use sallyport_protocol_filter::{Malformed, Side};

use crate::capture::Connection;

/// Hears what happens.
pub(super) trait Listener {
    fn hear(&mut self, at: Timestamp, connection: &Connection, told: Told<'_>);

    /// Need it hear no more?
    fn is_done(&self) -> bool {
        false
    }
}

pub(super) enum Told<'a> {
    /// A request, or the answer to one.
    Operation(&'a Operation<'a>),
    /// The session would have ended here.
    Malformed(&'a Malformed),
    /// The connection is not followed to its end.
    Cut(Cut),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Bytes of this side are not in the capture.
    Missing(Side),
    /// Too many connections are open at once.
    Crowded,
    /// Much more is asked than is answered: the filter would make the client wait.
    Unanswered,
    /// It began before the capture, and cannot be understood without its beginning.
    Midway,
}
