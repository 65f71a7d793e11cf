//! One event in a queue: a checksum, the event, and the end of the line.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// Of the checksum: enough for a file that was damaged. Who may write the queue may write anything into it.
const DIGITS: usize = 16;

/// The event as a line.
pub(super) fn framed(event: &str) -> String {
    format!("{} {event}\n", checksum(event.as_bytes()))
}

/// The event of a line, which comes without its end, if it is as it was written.
pub(super) fn unframed(line: &[u8]) -> Option<String> {
    let (sum, rest) = line.split_at_checked(DIGITS)?;
    let event = rest.strip_prefix(b" ")?;
    (sum == checksum(event).as_bytes()).then(|| String::from_utf8(event.to_vec()).ok()).flatten()
}

fn checksum(event: &[u8]) -> String {
    HEXLOWER.encode(&digest::digest(&digest::SHA256, event).as_ref()[..DIGITS / 2])
}
