//! Where events of live sessions wait while the database is away: an append-only file, synced, hash-chained and signed.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use jiff::Timestamp;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::AuditError;
use super::entry::{Draft, GENESIS, canonical, sha256_hex};

/// The file of waiting events.
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    key: SigningKey,
    /// Hash of the last line.
    last: String,
    /// Length of the file up to its last whole line.
    length: u64,
    lines: u64,
    damage: Option<Damage>,
}

/// The file was not as it was written; it has been kept aside, and goes on with what stood before the damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) line: u64,
    pub(super) detail: String,
    pub(super) kept_as: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Line {
    draft: Draft,
    previous: String,
    hash: String,
    signature: String,
}

impl Spool {
    /// Opens the file, for this process alone. Waiting events may stand in it from an earlier run.
    pub(super) fn open(path: &Path, key: SigningKey) -> Result<Self, AuditError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| AuditError::Spool(format!("cannot open `{}`: {error}", path.display())))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| AuditError::Spool(format!("`{}` is used by another broker: {error}", path.display())))?;
        let last = GENESIS.to_owned();
        let mut spool = Self { path: path.to_owned(), file, key, last, length: 0, lines: 0, damage: None };
        spool.read()?;
        Ok(spool)
    }

    /// How many events wait.
    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    /// The damage that was found and is not on record yet.
    pub(super) fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Adds events; they are on disk when this returns. After a failure the file is as it was before.
    pub(super) fn append(&mut self, drafts: &[&Draft]) -> Result<(), AuditError> {
        let mut text = String::new();
        let mut last = self.last.clone();
        for draft in drafts {
            let line = self.line(draft, &last)?;
            text.push_str(&serde_json::to_string(&line).map_err(|error| AuditError::Spool(error.to_string()))?);
            text.push('\n');
            last = line.hash;
        }
        let added = count(text.len());
        if self.length.saturating_add(added) > MOST_SPOOLED {
            return Err(AuditError::Spool(format!("`{}` is full ({MOST_SPOOLED} bytes)", self.path.display())));
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What was written in part must not stand before later lines. When even this fails, so will the next append.
            let cut = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            let and = cut.err().map(|error| format!("; nor can it be cut back: {error}")).unwrap_or_default();
            return Err(AuditError::Spool(format!("cannot write `{}`: {error}{and}", self.path.display())));
        }
        self.last = last;
        self.length += added;
        self.lines += count(drafts.len());
        Ok(())
    }

    /// Reads what waits. Reading stops at the first line that is not as it was written: the file is kept aside, and cut there.
    /// A last line without its end was broken off by a crash before anybody was told that it was taken: it is dropped.
    pub(super) fn read(&mut self) -> Result<Vec<Draft>, AuditError> {
        let failed = |error: std::io::Error| AuditError::Spool(format!("cannot read the spool: {error}"));
        self.file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut bytes = Vec::new();
        (&self.file).take(MOST_SPOOLED.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        let mut drafts = Vec::new();
        let (mut last, mut length) = (GENESIS.to_owned(), 0);
        let mut fault = None;
        for text in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(whole) = text.strip_suffix(b"\n") else { break };
            match self.check(whole, &last) {
                Ok(line) => {
                    length += count(text.len());
                    last = line.hash;
                    drafts.push(line.draft);
                }
                Err(detail) => {
                    fault = Some(detail);
                    break;
                }
            }
        }
        if let Some(detail) = fault {
            let kept_as = self.keep_aside()?;
            self.damage = Some(Damage { line: count(drafts.len()) + 1, detail, kept_as });
        }
        if length < count(bytes.len()) {
            self.file.set_len(length).and_then(|()| self.file.sync_data()).map_err(failed)?;
        }
        (self.last, self.length, self.lines) = (last, length, count(drafts.len()));
        Ok(drafts)
    }

    /// Empties the file, once its events are in the chain.
    pub(super) fn clear(&mut self) -> Result<(), AuditError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| AuditError::Spool(format!("cannot empty `{}`: {error}", self.path.display())))?;
        (self.last, self.length, self.lines, self.damage) = (GENESIS.to_owned(), 0, 0, None);
        Ok(())
    }

    /// Copies the file aside, for whoever looks into its damage.
    fn keep_aside(&self) -> Result<PathBuf, AuditError> {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".damaged-{}", Timestamp::now().as_microsecond()));
        let kept = PathBuf::from(name);
        std::fs::copy(&self.path, &kept)
            .and_then(|_| File::open(&kept)?.sync_all())
            .map_err(|error| AuditError::Spool(format!("cannot keep the damaged spool: {error}")))?;
        Ok(kept)
    }

    fn line(&self, draft: &Draft, previous: &str) -> Result<Line, AuditError> {
        let hash = line_hash(draft, previous).map_err(|error| AuditError::Spool(error.to_string()))?;
        let signature = HEXLOWER.encode(&self.key.sign(format!("{SIGNED}{hash}").as_bytes()).to_bytes());
        Ok(Line { draft: draft.clone(), previous: previous.to_owned(), hash, signature })
    }

    fn check(&self, text: &[u8], previous: &str) -> Result<Line, String> {
        let line: Line = serde_json::from_slice(text).map_err(|error| format!("not a spooled event: {error}"))?;
        if line.previous != previous {
            return Err("does not continue the line before it".to_owned());
        }
        if line_hash(&line.draft, previous).map_err(|error| error.to_string())? != line.hash {
            return Err("its content does not match its hash".to_owned());
        }
        let signature = HEXLOWER.decode(line.signature.as_bytes()).ok().and_then(|b| Signature::from_slice(&b).ok());
        let signed = format!("{SIGNED}{}", line.hash);
        match signature.map(|signature| self.key.verifying_key().verify_strict(signed.as_bytes(), &signature)) {
            Some(Ok(())) => Ok(line),
            _ => Err("is not signed with the evidence key".to_owned()),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn line_hash(draft: &Draft, previous: &str) -> Result<String, serde_json::Error> {
    Ok(sha256_hex(format!("{previous}\n{}", canonical(&serde_json::to_value(draft)?)).as_bytes()))
}

/// What stands before a line's hash in the text that is signed.
const SIGNED: &str = "sallyport audit spool v1 ";

/// A spool does not fill the disk.
const MOST_SPOOLED: u64 = 64 * 1024 * 1024;
