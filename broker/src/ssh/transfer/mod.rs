//! Files that pass: what is said about each, in the recording and to the session.
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use sallyport_session_recorder::{FileRun, TrackId};
use serde::Serialize;
use serde_json::{Value, json};

pub(in crate::ssh) mod command;
pub(in crate::ssh) mod scp;
pub(in crate::ssh) mod sftp;

pub(crate) use command::Way;

/// By which protocol a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Via {
    /// The sftp subsystem, or sftp-server run as a command.
    Sftp,
    /// scp's own protocol (`scp -O`).
    Scp,
    /// rsync: not decoded, so only refusals are reported.
    Rsync,
}

impl Via {
    /// The stable word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Via::Sftp => "sftp",
            Via::Scp => "scp",
            Via::Rsync => "rsync",
        }
    }
}

/// One file that was transferred, wholly or in part, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileReport {
    /// The channel's track in the recording.
    pub track: TrackId,
    /// By which protocol.
    pub via: Via,
    /// The path as the client named it; bytes that are no UTF-8 are replaced.
    pub path: String,
    /// What became of it.
    pub outcome: FileOutcome,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// Its content went one way.
    Transferred(Transferred),
    /// The terms do not allow what was asked: a stable word such as `open-write`.
    Refused(&'static str),
}

/// The content that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transferred {
    /// Which way.
    pub way: Way,
    /// Bytes that went.
    pub size: u64,
    /// SHA-256 of them in hex, if they went in sequence.
    pub sha256: Option<String>,
    /// Did the whole file go, as far as the protocol tells?
    pub complete: bool,
    /// Why there is no hash, or why it is not complete.
    pub note: Option<&'static str>,
}

impl FileReport {
    /// The body of its `Operation` entry.
    pub(crate) fn operation(&self) -> Value {
        match &self.outcome {
            FileOutcome::Transferred(file) => json!({
                "op": "file",
                "direction": file.way.as_str(),
                "via": self.via.as_str(),
                "path": self.path,
                "size": file.size,
                "sha256": file.sha256,
                "complete": file.complete,
                "note": file.note,
            }),
            FileOutcome::Refused(what) => {
                json!({ "op": "file-refused", "via": self.via.as_str(), "path": self.path, "what": what })
            }
        }
    }
}

/// What a decoder wants done, in this order, with a stretch of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Record these bytes, then send them on.
    Forward(bytes::Bytes, Store),
    /// Record this act of the protocol.
    Operation(Value),
    /// Record this file and report it.
    File(Via, String, FileOutcome),
}

/// How bytes of a decoded protocol are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In full: they say what was asked and answered.
    Message,
    /// As length and hash: they are file content, and not in sequence.
    Content,
    /// As what has been hashed of them already: they are one file's content, in sequence.
    File(FileRun),
}

/// The stream is not what its protocol allows; the channel must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Hash and size of content that passes in pieces at offsets.
pub(crate) struct Content {
    context: Context,
    first: Option<u64>,
    next: u64,
    size: u64,
    sequential: bool,
}

/// What of a file's content has passed, up to some piece, all of it in sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) size: u64,
    pub(crate) sha256: [u8; 32],
}

impl Passed {
    /// The run that ends with this piece. `frame` is the hash over what else was in it.
    pub(crate) fn run(self, length: usize, frame: [u8; 32]) -> FileRun {
        FileRun { length: length as u64, frame, size: self.size, content: self.sha256 }
    }
}

/// SHA-256 as it stands.
pub(crate) fn hashed(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 has as many bytes.
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

impl Content {
    pub(crate) fn new() -> Self {
        Self { context: Context::new(&SHA256), first: None, next: 0, size: 0, sequential: true }
    }

    /// The next piece in the order in which pieces pass. As long as they pass in sequence: what has passed with it.
    ///
    /// The content is hashed here, once. What stands so far costs a block of the hash for each piece, and none of the content.
    pub(crate) fn piece(&mut self, offset: u64, bytes: &[u8]) -> Option<Passed> {
        let first = *self.first.get_or_insert(offset);
        self.size = self.size.saturating_add(bytes.len() as u64);
        if !self.sequential {
            return None;
        }
        if self.size == bytes.len() as u64 {
            self.next = first;
        }
        if offset != self.next {
            self.sequential = false;
            return None;
        }
        self.context.update(bytes);
        self.next = self.next.saturating_add(bytes.len() as u64);
        Some(Passed { size: self.size, sha256: hashed(self.context.clone()) })
    }

    /// The next piece of a stream.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Option<Passed> {
        self.piece(self.next, bytes)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where the next piece in sequence would begin.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn is_sequential(&self) -> bool {
        self.sequential
    }

    pub(crate) fn finish(self, way: Way, complete: bool, note: Option<&'static str>) -> Transferred {
        let from_start = self.first.unwrap_or(0) == 0;
        let note = match (self.sequential, from_start) {
            (false, _) => Some("content did not pass in sequence"),
            (true, false) => Some("content does not begin at the start of the file"),
            (true, true) => note,
        };
        let complete = complete && self.sequential && from_start;
        let sha256 = self.sequential.then(|| HEXLOWER.encode(self.context.finish().as_ref()));
        Transferred { way, size: self.size, sha256, complete, note }
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("size", &self.size).field("next", &self.next).finish_non_exhaustive()
    }
}
