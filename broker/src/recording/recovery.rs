//! What a broker finds at its start: recordings that its last run did not seal. Each stands alone.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use jiff::Timestamp;
use sallyport_session_recorder::types::VerifyingKey;
use sallyport_session_recorder::{RecoverError, Recovery, Sealed, VerifyError, recover, verify};

use super::clock;
use super::handle::blocking;
use super::recordings::{Recordings, RecordingsError};
use super::sink::open_file;
use crate::audit::AuditEvent;
use crate::store::recordings::{NewRecording, RecordingClosed, RecordingState};

/// One recording that was found unsealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Its session.
    pub session: String,
    /// What became of it.
    pub found: Found,
}

/// What became of a recording that was found unsealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has its seal after all; only the catalogue did not know.
    Whole,
    /// It was sealed as interrupted; so many bytes of an unfinished block were put aside.
    Interrupted {
        /// Bytes that were cut off.
        cut: u64,
    },
    /// It does not verify and stays as it is.
    Damaged(String),
}

impl Recordings {
    /// Closes what an earlier run of this broker left open. A recording that cannot be closed does not hold up the others.
    ///
    /// # Errors
    /// When the catalogue or the audit chain cannot be reached.
    pub async fn recover(&self) -> Result<Vec<Recovered>, RecordingsError> {
        let mut all = Vec::new();
        for recording in self.inner.store.unsealed_recordings(&self.inner.broker).await? {
            let path = self.inner.config.dir.join(&recording.start.path);
            all.push(self.recover_one(&recording.start.session, &path).await?);
        }
        for (path, session) in self.uncatalogued().await? {
            if let Some(recovered) = self.adopt(&path, &session).await? {
                all.push(recovered);
            }
        }
        Ok(all)
    }

    /// Closes recordings that failed in this run and could not be sealed then. What still cannot waits for the next try.
    ///
    /// # Errors
    /// When the catalogue or the audit chain cannot be reached.
    pub async fn seal_failed(&self) -> Result<Vec<Recovered>, RecordingsError> {
        let waiting = std::mem::take(&mut *self.inner.unsealed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut all = Vec::new();
        for session in waiting {
            match self.seal_one_failed(&session).await {
                Ok(Some(recovered)) => all.push(recovered),
                Ok(None) => self.try_again(session),
                Err(error) => {
                    self.try_again(session);
                    return Err(error);
                }
            }
        }
        Ok(all)
    }

    fn try_again(&self, session: String) {
        self.inner.unsealed.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    async fn seal_one_failed(&self, session: &str) -> Result<Option<Recovered>, RecordingsError> {
        let path = self.inner.config.dir.join(self.inner.store.recording(session).await?.start.path);
        match blocking(|| self.close_file(&path)) {
            Err(CloseError::Io(error)) => {
                tracing::warn!(session, %error, "A failed recording cannot be sealed yet");
                Ok(None)
            }
            outcome => self.settle_found(session, &path, outcome).await.map(Some),
        }
    }

    async fn recover_one(&self, session: &str, path: &Path) -> Result<Recovered, RecordingsError> {
        let outcome = blocking(|| self.close_file(path));
        self.settle_found(session, path, outcome).await
    }

    async fn settle_found(
        &self,
        session: &str,
        path: &Path,
        outcome: Result<Closed, CloseError>,
    ) -> Result<Recovered, RecordingsError> {
        let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let (found, state, sealed) = match outcome {
            Ok(Closed::Whole { head, interrupted }) => {
                let state = if interrupted { RecordingState::Interrupted } else { RecordingState::Sealed };
                (Found::Whole, state, Some((head, length)))
            }
            Ok(Closed::Interrupted { sealed, cut }) => {
                let head = sealed.head_hex();
                (Found::Interrupted { cut }, RecordingState::Interrupted, Some((head, sealed.bytes)))
            }
            Err(error) => (Found::Damaged(error.to_string()), RecordingState::Failed, None),
        };
        let head = sealed.as_ref().map(|(head, _)| head.clone());
        let bytes = sealed.map_or(length, |(_, bytes)| bytes);
        let session = session.to_owned();
        if let Some(event) = event(&session, &found, head.clone(), bytes) {
            self.inner.audit.record(event).await?;
        }
        let closed = RecordingClosed { session: session.clone(), state, bytes, head, at: Timestamp::now() };
        self.inner.store.close_recording(&closed).await?;
        match &found {
            Found::Damaged(fault) => tracing::error!(session, fault, "A recording does not verify"),
            Found::Whole | Found::Interrupted { .. } => {
                tracing::warn!(session, state = state.as_str(), "A recording was found unsealed");
            }
        }
        Ok(Recovered { session, found })
    }

    /// Proves the file and gives it its seal.
    fn close_file(&self, path: &Path) -> Result<Closed, CloseError> {
        let inner = &self.inner;
        let file = open_file(path)?;
        let length = file.metadata()?.len();
        let trusted = self.trusted();
        let detail = format!("found unsealed by broker {}", inner.broker);
        match recover(BufReader::with_capacity(1 << 20, file), length, &trusted, &inner.keys, clock::now(), &detail)? {
            Recovery::Whole(verification) => Ok(Closed::Whole {
                head: verification.head.clone(),
                interrupted: verification.seal.is_some_and(|seal| seal.interruption.is_some()),
            }),
            Recovery::Interrupted { keep, seal, sealed, .. } => {
                let cut = length.saturating_sub(keep);
                put_seal(path, keep, cut, &seal)?;
                Ok(Closed::Interrupted { sealed, cut })
            }
        }
    }

    fn trusted(&self) -> Vec<VerifyingKey> {
        vec![self.inner.keys.public_key()]
    }

    /// Files that the catalogue has never heard of: the broker died between making the file and entering it.
    async fn uncatalogued(&self) -> Result<Vec<(PathBuf, String)>, RecordingsError> {
        let known: HashSet<String> =
            self.inner.store.recorded_sessions(&self.inner.broker).await?.into_iter().collect();
        let folder = self.inner.config.dir.clone();
        let files = blocking(|| recording_files(&folder))
            .map_err(|source| RecordingsError::Folder { path: folder.clone(), source })?;
        Ok(files
            .into_iter()
            .filter_map(|path| Some((path.clone(), path.file_stem()?.to_str()?.to_owned())))
            .filter(|(_, session)| !known.contains(session))
            .collect())
    }

    async fn adopt(&self, path: &Path, session: &str) -> Result<Option<Recovered>, RecordingsError> {
        let verification = match blocking(|| Ok(verify(BufReader::new(open_file(path)?), &self.trusted())?)) {
            Ok(verification) => verification,
            Err(error @ (CloseError::Io(_) | CloseError::Recover(_) | CloseError::Verify(_))) => {
                tracing::warn!(path = %path.display(), %error, "A file among the recordings is not one of this broker's");
                return Ok(None);
            }
        };
        if verification.header.broker != self.inner.broker || verification.header.session != session {
            return Ok(None);
        }
        let row = NewRecording {
            session: session.to_owned(),
            broker: self.inner.broker.clone(),
            path: path.strip_prefix(&self.inner.config.dir).unwrap_or(path).to_string_lossy().into_owned(),
            zone: verification.header.zone.clone(),
            started_at: Timestamp::from_microsecond(verification.header.started.unix_micros).unwrap_or_default(),
        };
        match self.inner.store.add_recording(&row).await {
            Ok(()) => self.recover_one(session, path).await.map(Some),
            // No such session in this database: a restored folder, or a database that lost its end.
            Err(crate::store::StoreError::Dangling(_)) => {
                tracing::warn!(session, "A recording belongs to no known session");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

enum Closed {
    Whole { head: String, interrupted: bool },
    Interrupted { sealed: Sealed, cut: u64 },
}

#[derive(Debug, thiserror::Error)]
enum CloseError {
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

fn event(session: &str, found: &Found, head: Option<String>, bytes: u64) -> Option<AuditEvent> {
    match found {
        // Its end may have missed the chain: its head must stand there.
        Found::Whole => Some(AuditEvent::RecordingInterrupted {
            session: session.to_owned(),
            recording_head: head,
            recording_bytes: bytes,
            detail: "whole and sealed; only the catalogue did not know".to_owned(),
        }),
        Found::Interrupted { cut } => Some(AuditEvent::RecordingInterrupted {
            session: session.to_owned(),
            recording_head: head,
            recording_bytes: bytes,
            detail: format!("{cut} bytes of an unfinished block were put aside"),
        }),
        Found::Damaged(fault) => {
            Some(AuditEvent::RecordingDamaged { session: session.to_owned(), fault: fault.clone() })
        }
    }
}

/// Puts the torn end aside, cuts it off, and appends the seal.
fn put_seal(path: &Path, keep: u64, cut: u64, seal: &[u8]) -> io::Result<()> {
    if cut > 0 {
        let mut torn = open_file(path)?;
        torn.seek(SeekFrom::Start(keep))?;
        let aside = path.with_extension("srec.torn");
        let mut copy = File::create(&aside)?;
        io::copy(&mut torn.take(cut), &mut copy)?;
        copy.sync_all()?;
    }
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.set_len(keep)?;
    file.write_all(seal)?;
    file.sync_all()
}

/// Every recording below the folder's days.
fn recording_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for day in std::fs::read_dir(folder)? {
        let day = day?;
        if !day.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(day.path())? {
            let file = file?;
            let path = file.path();
            if file.file_type()?.is_file() && path.extension().is_some_and(|extension| extension == "srec") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
