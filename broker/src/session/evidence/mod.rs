//! The one way to the record, for everything that a session carries, whatever carries it.
//!
//! A `Record` is the session's; each channel or stream of it has a `Track`. What is typed, streamed or decoded is given to
//! its track first, and passes only if the track has taken it. Every call ends in `Record::keep`.
//!
//! INVARIANT: after the recorder's first failure nothing is taken any more, so nothing passes, save output in the grace of
//! `view-only`; and the session hears of it by its `TroubleSignal` and ends. A recorder that takes too long has failed.
//!
//! INVARIANT: while input is held nothing of the person's is taken either, save what a filter judges by rules that only look on.

mod activity;
mod input;
mod trouble;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_policy::RecorderTrouble;
use sallyport_session_recorder::{Budget, Direction, FileRun, Kind, Part, RecordError, TrackId};
use serde_json::Value;

pub use activity::{Activity, Seat};
pub use input::InputHold;
pub use trouble::{Trouble, TroubleSignal};

use crate::live::Operations;
use crate::recording::RecordingHandle;

/// How long output goes on after the recorder has failed, where the terms say `view-only`.
pub const VIEW_ONLY_GRACE: Duration = Duration::from_secs(10);

/// What is recorded later than this after it was said must not go on as if it were said now: the recorder counts as failed.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// Where the evidence of a session goes. Only a [`Record`] asks it.
pub trait Evidence: Send + Sync {
    /// A track begins; the body says what it is.
    ///
    /// # Errors
    /// When it could not be recorded.
    fn opened(&self, body: &Value) -> Result<TrackId, RecordError>;

    /// Records bodies in this order at once: all of them, or none.
    ///
    /// # Errors
    /// When they could not be recorded.
    fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError>;
}

impl Evidence for RecordingHandle {
    fn opened(&self, body: &Value) -> Result<TrackId, RecordError> {
        RecordingHandle::opened(self, body)
    }

    fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError> {
        RecordingHandle::append_all(self, track, parts)
    }
}

/// Why something was not recorded. It must not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    /// The session is for looking on only now. What it is of a stream that has to be whole is offered again once input is free.
    #[error("input is refused for now")]
    Held,
    /// The recorder has failed, now or before. The session ends.
    #[error("recording failed")]
    Failed,
    /// The recorder takes no entry as long as that; it is sound otherwise.
    #[error("it is too long to be recorded")]
    TooLong(usize),
}

/// The record of one session, as all that it carries shares it; a cheap clone.
#[derive(Clone)]
pub struct Record {
    evidence: Arc<dyn Evidence>,
    /// When something last moved, and how many channels there are.
    pub activity: Activity,
    /// Raised when the recorder fails.
    pub trouble: TroubleSignal,
    /// Whether input may pass.
    pub input: InputHold,
    /// What is asked for, where the protocol is decoded.
    pub(crate) operations: Arc<Operations>,
    /// What the terms say about that.
    on_trouble: RecorderTrouble,
    kept_within: Duration,
}

impl Record {
    /// A record that is sound so far.
    #[must_use]
    pub fn new(evidence: Arc<dyn Evidence>, on_trouble: RecorderTrouble) -> Self {
        let (activity, trouble, input) = (Activity::new(), TroubleSignal::new(), InputHold::new());
        let operations = Arc::default();
        Self { evidence, activity, trouble, input, operations, on_trouble, kept_within: KEPT_WITHIN }
    }

    /// A channel or stream begins; the body says what it is.
    ///
    /// # Errors
    /// When that could not be recorded: then nothing of it may pass.
    pub fn open(&self, body: &Value) -> Result<Track, Unrecorded> {
        let id = self.keep(|evidence| evidence.opened(body))?;
        Ok(Track { record: self.clone(), id })
    }

    /// A track that was opened elsewhere.
    #[cfg(test)]
    pub(crate) fn on_track(&self, id: TrackId) -> Track {
        Track { record: self.clone(), id }
    }

    /// One that takes less time for having failed.
    #[cfg(test)]
    pub(crate) fn kept_within(self, limit: Duration) -> Self {
        Self { kept_within: limit, ..self }
    }

    /// The one way to the recorder.
    fn keep<T>(&self, act: impl FnOnce(&dyn Evidence) -> Result<T, RecordError>) -> Result<T, Unrecorded> {
        if self.trouble.is_raised() {
            return Err(Unrecorded::Failed);
        }
        let begun = Instant::now();
        match act(&*self.evidence) {
            Ok(kept) if begun.elapsed() <= self.kept_within => Ok(kept),
            Ok(_) => Err(self.failed("the recorder took too long")),
            Err(RecordError::TooLong(bytes)) => Err(Unrecorded::TooLong(bytes)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, reason: impl ToString) -> Unrecorded {
        self.trouble.raise(reason);
        Unrecorded::Failed
    }

    /// What becomes of output that could not be recorded: shown within the grace of `view-only`, else withheld.
    ///
    /// # Errors
    /// It is withheld.
    pub fn shown(&self, recorded: Result<(), Unrecorded>) -> Result<(), Unrecorded> {
        match (recorded, self.on_trouble, self.trouble.trouble()) {
            (Err(Unrecorded::Failed), RecorderTrouble::ViewOnly, Some(trouble))
                if trouble.since.elapsed() < VIEW_ONLY_GRACE =>
            {
                Ok(())
            }
            (recorded, _, _) => recorded,
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("trouble", &self.trouble).finish_non_exhaustive()
    }
}

/// The track of one channel or stream.
#[derive(Debug, Clone)]
pub struct Track {
    record: Record,
    id: TrackId,
}

impl Track {
    /// Its number in the recording.
    #[must_use]
    pub fn id(&self) -> TrackId {
        self.id
    }

    /// The session's record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Records bodies in this order at once: all of them, or none. Whether input is held is for the caller to ask.
    ///
    /// # Errors
    /// None of them may pass.
    pub fn append_all(&self, parts: &mut [Part<'_>]) -> Result<(), Unrecorded> {
        self.record.keep(|evidence| evidence.append_all(self.id, parts))
    }

    /// Records a body in full.
    ///
    /// # Errors
    /// It may not pass.
    pub fn append(&self, kind: Kind, body: &[u8]) -> Result<(), Unrecorded> {
        self.unless_held(kind.direction())?;
        self.append_all(&mut [Part::Whole { kind, body }])
    }

    /// Records a JSON entry.
    ///
    /// # Errors
    /// What it tells of may not happen.
    pub fn append_json(&self, kind: Kind, body: &Value) -> Result<(), Unrecorded> {
        self.append(kind, body.to_string().as_bytes())
    }

    /// Records bytes in full while the budget lasts, beyond it as length and hash.
    ///
    /// # Errors
    /// They may not pass.
    pub fn append_bulk(&self, direction: Direction, body: &[u8], budget: &mut Budget) -> Result<(), Unrecorded> {
        self.unless_held(Some(direction))?;
        self.append_all(&mut [Part::Bulk { direction, body, budget }])
    }

    /// Records a piece of a file as what was hashed of it.
    ///
    /// # Errors
    /// It may not pass.
    pub fn append_file(&self, direction: Direction, run: FileRun) -> Result<(), Unrecorded> {
        self.unless_held(Some(direction))?;
        self.append_all(&mut [Part::File { direction, run }])
    }

    fn unless_held(&self, direction: Option<Direction>) -> Result<(), Unrecorded> {
        let held = direction == Some(Direction::Input) && self.record.input.is_held();
        if held { Err(Unrecorded::Held) } else { Ok(()) }
    }

    /// Something could not even be written down: that is a failure of the record as any other.
    pub fn failed(&self, reason: impl ToString) -> Unrecorded {
        self.record.failed(reason)
    }
}
