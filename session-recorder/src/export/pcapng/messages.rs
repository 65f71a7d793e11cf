//! Where to cut a stream into segments. TCP does not care, dissectors do: Wireshark's for Modbus passes over a message
//! whose first segment is shorter than 8 bytes, and a client that cuts so would hide what it asked.
use std::borrow::Cow;

/// One direction of a connection.
pub(super) enum Messages {
    /// Modbus/TCP: what is not a whole message yet waits here, 260 bytes at most.
    Modbus(Vec<u8>),
    /// Cut as it was recorded.
    AsRecorded,
}

/// Transaction, protocol and length, which counts what follows it.
const HEAD: usize = 6;
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=254;

impl Messages {
    pub(super) fn of(protocol: &str) -> Self {
        if protocol == "modbus" { Messages::Modbus(Vec::new()) } else { Messages::AsRecorded }
    }

    /// The bytes that can go now: whole messages, or everything once it is no Modbus.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Messages::Modbus(waiting) = self else { return bytes.into() };
        let mut ready: Cow<'a, [u8]> = match waiting.is_empty() {
            true => bytes.into(),
            false => [std::mem::take(waiting).as_slice(), bytes].concat().into(),
        };
        match whole(&ready) {
            Some(end) if end == ready.len() => {}
            Some(end) => {
                waiting.extend(&ready[end..]);
                ready = ready[..end].to_vec().into();
            }
            None => *self = Messages::AsRecorded,
        }
        ready
    }

    /// What still waits, when nothing will complete it.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        match self {
            Messages::Modbus(waiting) => std::mem::take(waiting),
            Messages::AsRecorded => Vec::new(),
        }
    }
}

/// Where the last whole message ends; `None` when these are no messages.
fn whole(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    while let Some(head) = bytes[end..].first_chunk::<HEAD>() {
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        if head[2..4] != [0, 0] || !LENGTHS.contains(&length) {
            return None;
        }
        if bytes.len() - end < HEAD + length {
            break;
        }
        end += HEAD + length;
    }
    Some(end)
}
