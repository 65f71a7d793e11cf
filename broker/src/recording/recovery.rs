//! What a broker finds at its start: recordings that its last run did not seal. Each stands alone.
//!
//! Whether a recording may get a seal now is for the audit chain to say, not for the catalogue: one whose end is there already
//! has been cut or exchanged since, and stays as it was found.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::PoisonError;

use jiff::Timestamp;
use sallyport_session_recorder::types::VerifyingKey;
use sallyport_session_recorder::{RecoverError, Recovery, State, Verification, VerifyError, recover, verify};

use super::clock;
use super::ledger::{Facts, Head, Ledger};
use super::path::{BadPath, RecordingPath};
use super::permits::stepping_out;
use super::recordings::{Recordings, RecordingsError};
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
    /// It is the one whose end is in the audit chain; only the catalogue did not know.
    OnRecord,
    /// It does not verify, is not the one whose end is in the audit chain, or is gone; it stays as it is.
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
            let path = RecordingPath::parse(&recording.start.path, &recording.start.session);
            all.extend(self.recover_one(&recording.start.session, path).await?);
        }
        for (path, session) in self.uncatalogued().await? {
            all.extend(self.adopt(&path, &session).await?);
        }
        all.extend(self.gone().await?);
        Ok(all)
    }

    /// Closes what another broker left open that will not start again, as far as its files are here; gives the sessions of those
    /// that are not. Of these nothing is known: they may be whole wherever they are.
    ///
    /// # Errors
    /// When the catalogue or the audit chain cannot be reached.
    pub(crate) async fn recover_here(&self) -> Result<(Vec<Recovered>, Vec<String>), RecordingsError> {
        let (mut all, mut elsewhere) = (Vec::new(), Vec::new());
        for recording in self.inner.store.unsealed_recordings(&self.inner.broker).await? {
            let session = recording.start.session;
            let path = RecordingPath::parse(&recording.start.path, &session);
            let absent = |path: &RecordingPath| {
                path.open(&self.inner.config.dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            };
            match path.as_ref().is_ok_and(absent) {
                true => elsewhere.push(session),
                false => all.extend(self.recover_one(&session, path).await?),
            }
        }
        for (path, session) in self.uncatalogued().await? {
            all.extend(self.adopt(&path, &session).await?);
        }
        Ok((all, elsewhere))
    }

    /// Sessions that were live, began on record, and have no recording any more.
    async fn gone(&self) -> Result<Vec<Recovered>, RecordingsError> {
        let mut gone = Vec::new();
        for session in self.inner.store.live_sessions(Some(&self.inner.broker)).await? {
            let session = session.start.id;
            if self.inner.store.recording_of(&session).await?.is_none()
                && Ledger::of_session(&self.inner.store, &session).await?.start.is_some()
            {
                let fault = "the audit chain has its beginning, and there is no such recording".to_owned();
                tracing::error!(session, fault, "A recording is gone");
                let event = AuditEvent::RecordingDamaged { session: session.clone(), fault: fault.clone() };
                self.inner.audit.record(event).await?;
                gone.push(Recovered { session, found: Found::Damaged(fault) });
            }
        }
        Ok(gone)
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
        let recording = self.inner.store.recording(session).await?;
        let facts = Ledger::of_session(&self.inner.store, session).await?;
        let path = RecordingPath::parse(&recording.start.path, session);
        match stepping_out(|| self.close_file(path, &facts)) {
            Err(CloseError::Io(error)) => {
                tracing::warn!(session, %error, "A failed recording cannot be sealed yet");
                Ok(None)
            }
            outcome => self.settle_found(session, outcome).await,
        }
    }

    async fn recover_one(
        &self,
        session: &str,
        path: Result<RecordingPath, BadPath>,
    ) -> Result<Option<Recovered>, RecordingsError> {
        let facts = Ledger::of_session(&self.inner.store, session).await?;
        let outcome = stepping_out(|| self.close_file(path, &facts));
        self.settle_found(session, outcome).await
    }

    /// Puts it on record and into the catalogue. Nothing is said of a recording that both know already.
    async fn settle_found(
        &self,
        session: &str,
        outcome: Result<Closed, CloseError>,
    ) -> Result<Option<Recovered>, RecordingsError> {
        let (found, state, head, bytes) = match outcome {
            Ok(closed) => (closed.found, closed.state, Some(closed.head), closed.bytes),
            Err(error) => (Found::Damaged(error.to_string()), RecordingState::Failed, None, 0),
        };
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
            Found::OnRecord => return Ok(None),
        }
        Ok(Some(Recovered { session, found }))
    }

    /// Proves the file and gives it its seal, unless the chain has its end.
    fn close_file(&self, path: Result<RecordingPath, BadPath>, facts: &Facts) -> Result<Closed, CloseError> {
        let inner = &self.inner;
        let (path, folder) = (path?, &inner.config.dir);
        if let Some(fault) = facts.faults.first() {
            return Err(CloseError::Tampered(fault.clone()));
        }
        if let Some(entry) = facts.removed {
            return Err(CloseError::Tampered(format!("the audit chain has its removal (entry {entry})")));
        }
        let file = path.open(folder)?;
        let length = file.metadata()?.len();
        let input = BufReader::with_capacity(1 << 20, file);
        if let Some(head) = &facts.head {
            return self.on_record(input, head, length);
        }
        let detail = format!("found unsealed by broker {}", inner.broker);
        match recover(input, length, &self.trusted(), &inner.keys, clock::now(), &detail)? {
            Recovery::Whole(verification) => Ok(Closed {
                found: Found::Whole,
                state: state_of(&verification),
                head: verification.head,
                bytes: length,
            }),
            Recovery::Interrupted { keep, seal, sealed, .. } => {
                let cut = length.saturating_sub(keep);
                put_seal(folder, &path, keep, cut, &seal)?;
                Ok(Closed {
                    found: Found::Interrupted { cut },
                    state: RecordingState::Interrupted,
                    head: sealed.head_hex(),
                    bytes: sealed.bytes,
                })
            }
        }
    }

    /// A recording whose end is in the chain is this one or it was tampered with.
    fn on_record(&self, input: impl Read, head: &Head, length: u64) -> Result<Closed, CloseError> {
        let verification = verify(input, &self.trusted())?;
        if verification.is_whole() && verification.head == head.hex() {
            let state = state_of(&verification);
            return Ok(Closed { found: Found::OnRecord, state, head: verification.head, bytes: length });
        }
        Err(CloseError::Tampered(format!(
            "the audit chain has its end (entry {}): head {} over {} bytes; the file has {length} bytes and proves head {}",
            head.seq,
            head.hex(),
            head.bytes,
            verification.head
        )))
    }

    fn trusted(&self) -> Vec<VerifyingKey> {
        self.inner.keys.trusted()
    }

    /// Files that the catalogue has never heard of: the broker died between making the file and entering it.
    async fn uncatalogued(&self) -> Result<Vec<(RecordingPath, String)>, RecordingsError> {
        let known: HashSet<String> =
            self.inner.store.recorded_sessions(&self.inner.broker).await?.into_iter().collect();
        let folder = self.inner.config.dir.clone();
        let mut files = stepping_out(|| recording_files(&folder))
            .map_err(|source| RecordingsError::Folder { path: folder.clone(), source })?;
        files.retain(|(_, session)| !known.contains(session));
        Ok(files)
    }

    async fn adopt(&self, path: &RecordingPath, session: &str) -> Result<Option<Recovered>, RecordingsError> {
        let proven = || -> Result<_, CloseError> {
            Ok(verify(BufReader::new(path.open(&self.inner.config.dir)?), &self.trusted())?)
        };
        let verification = match stepping_out(proven) {
            Ok(verification) => verification,
            Err(error) => {
                tracing::warn!(%path, %error, "A file among the recordings is not one of this broker's");
                return Ok(None);
            }
        };
        if verification.header.broker != self.inner.broker || verification.header.session != session {
            return Ok(None);
        }
        let row = NewRecording {
            session: session.to_owned(),
            broker: self.inner.broker.clone(),
            path: path.to_string(),
            zone: verification.header.zone.clone(),
            started_at: Timestamp::from_microsecond(verification.header.started.unix_micros).unwrap_or_default(),
        };
        match self.inner.store.add_recording(&row).await {
            Ok(()) => self.recover_one(session, Ok(path.clone())).await,
            // No such session in this database: a restored folder, or a database that lost its end.
            Err(crate::store::StoreError::Dangling(_)) => {
                tracing::warn!(session, "A recording belongs to no known session");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A recording that has its end, and how it came by it.
struct Closed {
    found: Found,
    state: RecordingState,
    head: String,
    bytes: u64,
}

#[derive(Debug, thiserror::Error)]
enum CloseError {
    #[error("the file cannot be read or written: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Path(#[from] BadPath),
    #[error("{0}")]
    Tampered(String),
}

fn state_of(verification: &Verification) -> RecordingState {
    match verification.state {
        State::Interrupted => RecordingState::Interrupted,
        State::Sealed | State::Open => RecordingState::Sealed,
    }
}

/// What the chain does not know yet.
fn event(session: &str, found: &Found, head: Option<String>, bytes: u64) -> Option<AuditEvent> {
    match found {
        // Its end may have missed the chain: its head must stand there.
        Found::Whole => Some(AuditEvent::RecordingInterrupted {
            session: session.to_owned(),
            recording_head: head,
            recording_bytes: bytes,
            detail: "whole and sealed; only the catalogue did not know".to_owned(),
        }),
        Found::OnRecord => None,
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
fn put_seal(folder: &Path, path: &RecordingPath, keep: u64, cut: u64, seal: &[u8]) -> io::Result<()> {
    if cut > 0 {
        let mut torn = path.open(folder)?;
        torn.seek(SeekFrom::Start(keep))?;
        let mut copy = path.create_torn(folder)?;
        io::copy(&mut torn.take(cut), &mut copy)?;
        copy.sync_all()?;
    }
    let mut file = path.open_end(folder)?;
    file.set_len(keep)?;
    file.write_all(seal)?;
    file.sync_all()
}

/// Every recording below the folder's days, with its session.
fn recording_files(folder: &Path) -> io::Result<Vec<(RecordingPath, String)>> {
    let mut files = Vec::new();
    for day in std::fs::read_dir(folder)? {
        let day = day?;
        if !day.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(day.path())? {
            let file = file?;
            let (day, name) = (day.file_name(), file.file_name());
            let (Some(day), Some(name)) = (day.to_str(), name.to_str()) else { continue };
            let Some(session) = name.strip_suffix(".srec") else { continue };
            if let (true, Ok(path)) =
                (file.file_type()?.is_file(), RecordingPath::parse(&format!("{day}/{name}"), session))
            {
                files.push((path, session.to_owned()));
            }
        }
    }
    files.sort_by(|(_, one), (_, other)| one.cmp(other));
    Ok(files)
}
