//! Lines in a file, which somebody else may put aside at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{SendError, away};
use crate::config::Format;
use crate::outbound::message::Message;
use crate::outbound::syslog;

/// A file that lines are added to.
pub(in crate::outbound) struct Lines {
    path: PathBuf,
    format: Format,
    file: Option<File>,
}

impl Lines {
    pub(super) fn new(path: PathBuf, format: Format) -> Self {
        Self { path, format, file: None }
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        let mut text = String::new();
        for message in messages {
            text.push_str(&syslog::body(message, self.format));
            text.push('\n');
        }
        let (path, file) = (self.path.clone(), self.file.take());
        let added = tokio::task::spawn_blocking(move || {
            let mut file = current(&path, file)?;
            add(&mut file, &text)?;
            Ok::<_, io::Error>(file)
        });
        let file = added.await.map_err(io::Error::other).flatten();
        self.file = Some(file.map_err(|error| away(&format!("`{}`", self.path.display()), &error))?);
        Ok(())
    }

    pub(super) fn let_go(&mut self) {
        self.file = None;
    }

    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        let path = self.path.display();
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let written = if self.path.exists() { &self.path } else { folder };
        match rustix::fs::access(written, rustix::fs::Access::WRITE_OK) {
            Ok(()) => Ok(format!("`{path}` can be written")),
            Err(error) => Err(away(&format!("`{path}` cannot be written"), &error)),
        }
    }
}

/// The file that bears the name now: after a rotation that is another.
fn current(path: &Path, open: Option<File>) -> io::Result<File> {
    if let Some(file) = open
        && let (Ok(named), Ok(own)) = (std::fs::metadata(path), file.metadata())
        && (named.dev(), named.ino()) == (own.dev(), own.ino())
    {
        return Ok(file);
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

/// Adds whole lines, or none.
fn add(file: &mut File, text: &str) -> io::Result<()> {
    let before = file.metadata()?;
    let added = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
    if added.is_err() && before.is_file() {
        drop(file.set_len(before.len()));
    }
    // A pipe or a device cannot be synced, and need not be.
    if before.is_file() { added } else { Ok(()) }
}
