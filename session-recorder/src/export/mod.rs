//! Exports in the ecosystem's own formats, and what a recording holds, track by track.
mod asciicast;
mod files;
mod jsonl;
mod operations;
mod pcapng;
mod text;
mod tracks;

pub use asciicast::{Played, asciicast};
pub use files::{FileEntry, files};
pub use jsonl::{Content, jsonl};
pub use operations::{Operation, Verdict, operation_lines, operations};
pub use pcapng::pcapng;
pub use text::TextStream;
pub(crate) use tracks::{LARGEST, is_opaque, refused, terminal, window_change};
pub use tracks::{Track, tracks};

use crate::ReadError;

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The recording could not be read to its end. What was written before that is sound.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The export could not be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] std::io::Error),
    /// The export could not be put into JSON.
    #[error("the export cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// There are more connections open at a time than any session has.
    #[error("more than {0} connections are open at a time")]
    Connections(usize),
}
