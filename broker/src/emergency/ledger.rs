//! Which envelopes were opened here: a file beside the snapshot, synced before anybody is let in, so that a code counts once even where
//! no database can tell.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    length: u64,
    entries: Vec<Spent>,
    first: BTreeMap<i64, usize>,
}

/// An envelope that was spent here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spent {
    pub(super) envelope: i64,
    pub(super) opening: String,
    pub(super) at: Timestamp,
    /// Whether the database knows of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) settled: bool,
    /// It was refused after all: nothing was opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) cancelled: bool,
}

impl Spent {
    pub(super) fn new(envelope: i64, opening: &str, at: Timestamp) -> Self {
        Self { envelope, opening: opening.to_owned(), at, settled: false, cancelled: false }
    }
}

impl Ledger {
    /// Opens the file. A last line without its end was broken off before anybody was let in by it; any other line that cannot be read
    /// is told of and left as it is.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut text = Vec::new();
        (&file).take(LARGEST).read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let length = u64::try_from(whole).unwrap_or(u64::MAX);
        if whole < text.len() {
            file.set_len(length)?;
        }
        let mut ledger = Self { file, length, entries: Vec::new(), first: BTreeMap::new() };
        for (number, line) in
            text[..whole].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty())
        {
            match serde_json::from_slice::<Spent>(line) {
                Ok(opened) => ledger.enter(opened),
                Err(error) => {
                    tracing::error!(line = number + 1, %error, path = %path.display(), "A line of opened envelopes is damaged")
                }
            }
        }
        Ok(ledger)
    }

    /// The opening that has opened this envelope here.
    pub(super) fn opening(&self, envelope: i64) -> Option<&str> {
        self.first.get(&envelope).and_then(|at| self.entries.get(*at)).map(|opened| opened.opening.as_str())
    }

    /// What was opened here and the database does not know of yet.
    pub(super) fn unsettled(&self) -> Vec<Spent> {
        let settled = |opened: &&Spent| {
            self.entries.iter().any(|other| {
                (other.settled || other.cancelled)
                    && (other.envelope, &other.opening) == (opened.envelope, &opened.opening)
            })
        };
        self.entries.iter().filter(|opened| !settled(opened)).cloned().collect()
    }

    /// Enters envelopes as opened, all or none; on disk when this returns. After a failure the file is as it was before.
    pub(super) fn add(&mut self, spent: &[Spent]) -> io::Result<()> {
        let mut lines = Vec::new();
        for spent in spent {
            serde_json::to_writer(&mut lines, spent)?;
            lines.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        spent.iter().cloned().for_each(|spent| self.enter(spent));
        Ok(())
    }

    fn enter(&mut self, opened: Spent) {
        if opened.cancelled {
            let same = |first: &usize| self.entries.get(*first).is_some_and(|entry| entry.opening == opened.opening);
            if self.first.get(&opened.envelope).is_some_and(same) {
                self.first.remove(&opened.envelope);
            }
        } else {
            self.first.entry(opened.envelope).or_insert(self.entries.len());
        }
        self.entries.push(opened);
    }
}

/// Each line is a hundred bytes; nobody opens so many envelopes.
const LARGEST: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn what_was_opened_is_known_after_a_restart_and_a_broken_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("opened");
        let opened =
            Spent { envelope: 7, opening: "a".to_owned(), at: Timestamp::UNIX_EPOCH, settled: false, cancelled: false };
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.add(&[opened.clone(), Spent { opening: "b".to_owned(), ..opened.clone() }]).unwrap();
        drop(ledger);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"envelope\":8,\"open").unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!((ledger.opening(7), ledger.opening(8)), (Some("a"), None));
        ledger.add(&[Spent { envelope: 9, ..opened.clone() }]).unwrap();
        ledger.add(&[Spent { settled: true, ..opened.clone() }]).unwrap();
        // What was refused after all is not spent.
        ledger.add(&[Spent { envelope: 10, ..opened.clone() }]).unwrap();
        ledger.add(&[Spent { envelope: 10, cancelled: true, ..opened }]).unwrap();
        let again = Ledger::open(&path).unwrap();
        let unsettled: Vec<_> = again.unsettled().into_iter().map(|opened| (opened.envelope, opened.opening)).collect();
        assert_eq!(unsettled, [(7, "b".to_owned()), (9, "a".to_owned())]);
        assert_eq!(again.opening(10), None);
    }
}
