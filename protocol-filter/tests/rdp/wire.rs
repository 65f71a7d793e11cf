//! A filter between two ends that a test plays.

use sallyport_protocol_filter::rdp::{Filter, Operation, Require, Rules};
use sallyport_protocol_filter::rfb::Mode;
use sallyport_protocol_filter::{Journal, Malformed, Now, Outbound, ProtocolFilter, Side};

pub(crate) struct Wire {
    pub(crate) filter: Filter,
    pub(crate) out: Outbound,
    pub(crate) notes: Vec<String>,
    pub(crate) malformed: Option<Malformed>,
    waiting: [Vec<u8>; 2],
    cut: usize,
}

struct Notes<'a>(&'a mut Vec<String>);

impl Journal<Filter> for Notes<'_> {
    fn note(&mut self, operation: &Operation<'_>) {
        self.0.push(format!("{}: {}: {}", operation.side, operation.message, operation.verdict.word()));
    }
}

impl Wire {
    pub(crate) fn new(require: Require) -> Self {
        Self::cut(require, Mode::Enforce, usize::MAX)
    }

    /// Bytes are offered so many at a time.
    pub(crate) fn cut(require: Require, mode: Mode, cut: usize) -> Self {
        Self {
            filter: Filter::new(Rules { require, mode }),
            out: Outbound::default(),
            notes: Vec::new(),
            malformed: None,
            waiting: [Vec::new(), Vec::new()],
            cut,
        }
    }

    pub(crate) fn client(&mut self, bytes: &[u8]) -> &mut Self {
        self.send(Side::Client, bytes)
    }

    pub(crate) fn server(&mut self, bytes: &[u8]) -> &mut Self {
        self.send(Side::Server, bytes)
    }

    pub(crate) fn send(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        self.waiting[side as usize].extend_from_slice(bytes);
        while self.offer(Side::Client) | self.offer(Side::Server) {}
        self
    }

    fn offer(&mut self, side: Side) -> bool {
        let waiting = &mut self.waiting[side as usize];
        let most = self.cut.min(waiting.len());
        if most == 0 || self.malformed.is_some() {
            return false;
        }
        let now = Now { unix_ms: 0, monotonic_ms: 0 };
        match self.filter.receive(side, &waiting[..most], now, &mut self.out, &mut Notes(&mut self.notes)) {
            Ok(taken) => {
                waiting.drain(..taken);
                taken > 0
            }
            Err(malformed) => {
                self.malformed = Some(malformed);
                false
            }
        }
    }

    /// Why the connection was refused as malformed.
    pub(crate) fn reason(&self) -> &'static str {
        self.malformed.as_ref().map_or("", |malformed| malformed.reason)
    }
}

/// A connection request: the cookie's line if any, and the protocols if any.
pub(crate) fn request(cookie: &str, protocols: Option<u32>) -> Vec<u8> {
    let negotiation = protocols.map(|protocols| [&[1, 0, 8, 0][..], &protocols.to_le_bytes()].concat());
    x224(0xe0, [0; 4], &[cookie.as_bytes(), &negotiation.unwrap_or_default()].concat())
}

/// A connection confirmation: 2 selects a protocol, 3 fails with a code.
pub(crate) fn confirm(kind: u8, number: u32) -> Vec<u8> {
    x224(0xd0, [0, 0, 0x12, 0x34], &[&[kind, 0, 8, 0][..], &number.to_le_bytes()].concat())
}

pub(crate) fn x224(kind: u8, references: [u8; 4], data: &[u8]) -> Vec<u8> {
    let length = data.len() as u8 + 6;
    [&[3, 0, 0, length + 5, length, kind][..], &references, &[0], data].concat()
}
