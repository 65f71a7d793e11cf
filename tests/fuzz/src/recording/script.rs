//! Entries, as bytes: the kind, the track, the milliseconds since the one before and the length of the body, two bytes each, and
//! the body.

use sallyport_session_recorder::{Entry, Kind, TrackId};

use super::desk::header;

/// Any bytes are entries.
pub(super) fn entries(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut at = header().started;
    while let Some((&[what, track, m1, m0, n1, n0], rest)) = bytes.split_first_chunk() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([n1, n0]))));
        bytes = rest;
        let micros = 1000 * u64::from(u16::from_be_bytes([m1, m0]));
        at.unix_micros = at.unix_micros.saturating_add_unsigned(micros);
        at.monotonic_micros += micros;
        match KINDS.get(usize::from(what) % (KINDS.len() + 1)) {
            Some(kind) => {
                let (block, track) = (entries.len() as u64, TrackId(track.into()));
                entries.push(Entry { block, at, track, kind: *kind, body: body.to_vec() });
            }
            // The clock jumps.
            None => at.unix_micros = body.first_chunk().map_or(0, |micros| i64::from_be_bytes(*micros)),
        }
    }
    entries
}

/// By their place in a script.
const KINDS: [Kind; 14] = [
    Kind::Input,
    Kind::Output,
    Kind::ErrorOutput,
    Kind::InputDigest,
    Kind::OutputDigest,
    Kind::ErrorOutputDigest,
    Kind::InputFile,
    Kind::OutputFile,
    Kind::ErrorOutputFile,
    Kind::Opened,
    Kind::Request,
    Kind::Closed,
    Kind::Operation,
    Kind::Notice,
];
