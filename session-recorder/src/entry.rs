//! What one block says: when, on which track, what kind of thing, and its body.
use serde::{Deserialize, Serialize};

/// A point in time, given by the caller: the calendar and a clock that never jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Microseconds since the Unix epoch, UTC.
    pub unix_micros: i64,
    /// Microseconds of a monotonic clock with an arbitrary origin; the header's `started` gives the origin.
    pub monotonic_micros: u64,
}

impl Moment {
    /// Microseconds of the monotonic clock from `start` to this moment.
    pub fn micros_since(self, start: Moment) -> u64 {
        self.monotonic_micros.saturating_sub(start.monotonic_micros)
    }
}

/// Which part of the session: 0 is the session itself, 1 and on are its channels in order of opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(
    /// The number.
    pub u32,
);

impl TrackId {
    /// The track of the session itself.
    pub const SESSION: TrackId = TrackId(0);
}

impl std::fmt::Display for TrackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the person to the asset.
    Input,
    /// From the asset to the person.
    Output,
    /// From the asset to the person, standard error.
    ErrorOutput,
}

impl Direction {
    /// The kind that holds the bytes themselves.
    pub fn content(self) -> Kind {
        match self {
            Direction::Input => Kind::Input,
            Direction::Output => Kind::Output,
            Direction::ErrorOutput => Kind::ErrorOutput,
        }
    }

    /// The kind that holds length and hash in place of the bytes.
    pub fn digest(self) -> Kind {
        match self {
            Direction::Input => Kind::InputDigest,
            Direction::Output => Kind::OutputDigest,
            Direction::ErrorOutput => Kind::ErrorOutputDigest,
        }
    }
}

/// What an entry's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Kind {
    /// Raw bytes from the person.
    Input = 1,
    /// Raw bytes from the asset.
    Output = 2,
    /// Raw bytes from the asset's standard error.
    ErrorOutput = 3,
    /// Length and SHA-256 of bytes from the person.
    InputDigest = 4,
    /// Length and SHA-256 of bytes from the asset.
    OutputDigest = 5,
    /// Length and SHA-256 of bytes from the asset's standard error.
    ErrorOutputDigest = 6,
    /// JSON: the track begins.
    Opened = 16,
    /// JSON: something was asked for on the track (a terminal, a command), and the answer.
    Request = 17,
    /// JSON: the track ends.
    Closed = 18,
    /// JSON: one decoded act: a file, a protocol operation.
    Operation = 19,
    /// JSON: what the broker itself has to say.
    Notice = 20,
}

impl Kind {
    const ALL: [Kind; 11] = [
        Kind::Input,
        Kind::Output,
        Kind::ErrorOutput,
        Kind::InputDigest,
        Kind::OutputDigest,
        Kind::ErrorOutputDigest,
        Kind::Opened,
        Kind::Request,
        Kind::Closed,
        Kind::Operation,
        Kind::Notice,
    ];

    pub(crate) fn from_code(code: u8) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// True for kinds whose body is one JSON object.
    pub fn is_json(self) -> bool {
        match self {
            Kind::Opened | Kind::Request | Kind::Closed | Kind::Operation | Kind::Notice => true,
            Kind::Input
            | Kind::Output
            | Kind::ErrorOutput
            | Kind::InputDigest
            | Kind::OutputDigest
            | Kind::ErrorOutputDigest => false,
        }
    }

    /// The direction, for kinds that stand for bytes, in full or as a digest.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Kind::Input | Kind::InputDigest => Some(Direction::Input),
            Kind::Output | Kind::OutputDigest => Some(Direction::Output),
            Kind::ErrorOutput | Kind::ErrorOutputDigest => Some(Direction::ErrorOutput),
            Kind::Opened | Kind::Request | Kind::Closed | Kind::Operation | Kind::Notice => None,
        }
    }

    /// True for the kinds that hold length and hash in place of content.
    pub fn is_digest(self) -> bool {
        matches!(self, Kind::InputDigest | Kind::OutputDigest | Kind::ErrorOutputDigest)
    }

    /// The stable word used in exports.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Input => "input",
            Kind::Output => "output",
            Kind::ErrorOutput => "error-output",
            Kind::InputDigest => "input-digest",
            Kind::OutputDigest => "output-digest",
            Kind::ErrorOutputDigest => "error-output-digest",
            Kind::Opened => "opened",
            Kind::Request => "request",
            Kind::Closed => "closed",
            Kind::Operation => "operation",
            Kind::Notice => "notice",
        }
    }
}

/// One entry as read back from a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The number of its block in the file.
    pub block: u64,
    /// When it was recorded.
    pub at: Moment,
    /// Where it belongs.
    pub track: TrackId,
    /// What the body is.
    pub kind: Kind,
    /// Raw bytes, a digest, or JSON: see [`Kind`].
    pub body: Vec<u8>,
}

impl Entry {
    /// The body of a JSON kind.
    pub fn json(&self) -> Option<serde_json::Value> {
        if self.kind.is_json() { serde_json::from_slice(&self.body).ok() } else { None }
    }

    /// The length and SHA-256 that a digest kind holds.
    pub fn digest(&self) -> Option<(u64, [u8; 32])> {
        if !self.kind.is_digest() {
            return None;
        }
        let (length, hash) = self.body.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*length), hash.try_into().ok()?))
    }
}

/// How the body is stored inside the encrypted part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    Raw = 0,
    Zstd = 1,
}

/// Bytes of the entry head: kind, codec, track, calendar time, monotonic time.
pub(crate) const ENTRY_HEAD: usize = 1 + 1 + 4 + 8 + 8;

pub(crate) fn entry_head(kind: Kind, codec: Codec, track: TrackId, at: Moment) -> [u8; ENTRY_HEAD] {
    let mut head = [0; ENTRY_HEAD];
    head[0] = kind as u8;
    head[1] = codec as u8;
    head[2..6].copy_from_slice(&track.0.to_be_bytes());
    head[6..14].copy_from_slice(&at.unix_micros.to_be_bytes());
    head[14..22].copy_from_slice(&at.monotonic_micros.to_be_bytes());
    head
}

/// The head of a decrypted entry and what follows it; `None` when it is not one.
pub(crate) fn parse_entry_head(plain: &[u8]) -> Option<(Kind, Codec, TrackId, Moment, &[u8])> {
    let (head, rest) = plain.split_first_chunk::<ENTRY_HEAD>()?;
    let kind = Kind::from_code(head[0])?;
    let codec = match head[1] {
        0 => Codec::Raw,
        1 => Codec::Zstd,
        _ => return None,
    };
    let track = TrackId(u32::from_be_bytes(*head[2..].first_chunk()?));
    let unix_micros = i64::from_be_bytes(*head[6..].first_chunk()?);
    let monotonic_micros = u64::from_be_bytes(*head[14..].first_chunk()?);
    Some((kind, codec, track, Moment { unix_micros, monotonic_micros }, rest))
}
