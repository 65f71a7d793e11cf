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

    /// The kind that holds a [`FileRun`] in place of the bytes.
    pub fn file(self) -> Kind {
        match self {
            Direction::Input => Kind::InputFile,
            Direction::Output => Kind::OutputFile,
            Direction::ErrorOutput => Kind::ErrorOutputFile,
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
    /// A [`FileRun`] of bytes from the person.
    InputFile = 7,
    /// A [`FileRun`] of bytes from the asset.
    OutputFile = 8,
    /// A [`FileRun`] of bytes from the asset's standard error. No protocol that is decoded has such.
    ErrorOutputFile = 9,
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
    const ALL: [Kind; 14] = [
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
            | Kind::ErrorOutputDigest
            | Kind::InputFile
            | Kind::OutputFile
            | Kind::ErrorOutputFile => false,
        }
    }

    /// The direction, for kinds that stand for bytes, in full or as a digest.
    pub fn direction(self) -> Option<Direction> {
        match self {
            Kind::Input | Kind::InputDigest | Kind::InputFile => Some(Direction::Input),
            Kind::Output | Kind::OutputDigest | Kind::OutputFile => Some(Direction::Output),
            Kind::ErrorOutput | Kind::ErrorOutputDigest | Kind::ErrorOutputFile => Some(Direction::ErrorOutput),
            Kind::Opened | Kind::Request | Kind::Closed | Kind::Operation | Kind::Notice => None,
        }
    }

    /// True for the kinds that hold length and SHA-256 in place of content.
    pub fn is_digest(self) -> bool {
        matches!(self, Kind::InputDigest | Kind::OutputDigest | Kind::ErrorOutputDigest)
    }

    /// True for the kinds that hold a [`FileRun`] in place of content.
    pub fn is_file(self) -> bool {
        matches!(self, Kind::InputFile | Kind::OutputFile | Kind::ErrorOutputFile)
    }

    /// Of a body of this kind: how many bytes passed that it does not hold. `None` where it holds them.
    pub(crate) fn unstored(self, body: &[u8]) -> Option<u64> {
        // Both begin with the length.
        (self.is_digest() || self.is_file())
            .then(|| body.first_chunk::<8>().map_or(0, |length| u64::from_be_bytes(*length)))
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
            Kind::InputFile => "input-file",
            Kind::OutputFile => "output-file",
            Kind::ErrorOutputFile => "error-output-file",
            Kind::Opened => "opened",
            Kind::Request => "request",
            Kind::Closed => "closed",
            Kind::Operation => "operation",
            Kind::Notice => "notice",
        }
    }
}

/// A run of bytes that carried the content of one file, in sequence with the runs of that file before it. None of them is
/// stored; whoever has a copy of the file can tell what passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRun {
    /// Bytes that passed, the protocol's own among them.
    pub length: u64,
    /// SHA-256 of the protocol's own: of what is not the file's content, in its order.
    pub frame: [u8; 32],
    /// Bytes of the file's content from the first that passed to the end of this run.
    pub size: u64,
    /// SHA-256 of those.
    pub content: [u8; 32],
}

impl FileRun {
    const LENGTH: usize = 8 + 32 + 8 + 32;

    pub(crate) fn to_body(self) -> [u8; Self::LENGTH] {
        let mut body = [0; Self::LENGTH];
        body[..8].copy_from_slice(&self.length.to_be_bytes());
        body[8..40].copy_from_slice(&self.frame);
        body[40..48].copy_from_slice(&self.size.to_be_bytes());
        body[48..].copy_from_slice(&self.content);
        body
    }

    fn from_body(body: &[u8]) -> Option<Self> {
        let (length, rest) = body.split_first_chunk::<8>()?;
        let (frame, rest) = rest.split_first_chunk::<32>()?;
        let (size, content) = rest.split_first_chunk::<8>()?;
        Some(Self {
            length: u64::from_be_bytes(*length),
            frame: *frame,
            size: u64::from_be_bytes(*size),
            content: content.try_into().ok()?,
        })
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

    /// How many bytes passed that this entry does not hold. `None` where it holds them, or is about none.
    pub fn unstored(&self) -> Option<u64> {
        self.kind.unstored(&self.body)
    }

    /// The run that a file kind holds.
    pub fn file_run(&self) -> Option<FileRun> {
        if self.kind.is_file() { FileRun::from_body(&self.body) } else { None }
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
