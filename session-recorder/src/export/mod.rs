//! Exports in the ecosystem's own formats, and what a recording holds, track by track.
mod asciicast;
mod files;
mod jsonl;
mod text;
mod tracks;

pub use asciicast::asciicast;
pub use files::{FileEntry, files};
pub use jsonl::{Content, jsonl};
pub use text::TextStream;
pub use tracks::{Track, tracks};
pub(crate) use tracks::{refused, terminal, window_change};

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
}
