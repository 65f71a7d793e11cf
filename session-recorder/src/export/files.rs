//! The files that went either way.
use crate::entry::{Entry, Kind};
use crate::header::Header;
use crate::read::ReadError;
use serde::{Deserialize, Serialize};

/// One file, as its operation in the recording says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// When it was finished or refused, in microseconds since the Unix epoch.
    #[serde(default)]
    pub at: i64,
    /// Microseconds from the start of the recording.
    #[serde(default)]
    pub offset_micros: u64,
    /// The track.
    #[serde(default)]
    pub track: u32,
    /// `file`, or `file-refused`.
    pub op: String,
    /// `upload` or `download`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// `sftp` or `scp`.
    #[serde(default)]
    pub via: String,
    /// The path as the client named it.
    #[serde(default)]
    pub path: String,
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the content, hex, when it passed in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// True when the whole file passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// What was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<serde_json::Value>,
}

/// The files of a recording, in the order in which they were finished.
pub fn files(
    header: &Header,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
) -> impl Iterator<Item = Result<FileEntry, ReadError>> {
    let started = header.started;
    entries.filter_map(move |entry| {
        let entry = match entry {
            Ok(entry) if entry.kind == Kind::Operation => entry,
            Ok(_) => return None,
            Err(error) => return Some(Err(error)),
        };
        let body = entry.json().filter(|body| body["op"] == "file" || body["op"] == "file-refused")?;
        let mut file: FileEntry = serde_json::from_value(body).ok()?;
        file.at = entry.at.unix_micros;
        file.offset_micros = entry.at.micros_since(started);
        file.track = entry.track.0;
        Some(Ok(file))
    })
}
