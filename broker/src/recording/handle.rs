//! One recording in the making, shared by everything that pumps bytes of its session.

use std::sync::{Arc, Mutex, MutexGuard};

use sallyport_session_recorder::{Direction, Kind, Part, RecordError, Recorder, Sealed, TrackId};
use serde_json::Value;
use tokio::sync::watch;

use super::clock;
use super::permits::stepping_out;
use super::recordings::Inner;
use super::sink::FileSink;
use crate::audit::AuditEvent;
use crate::store::recordings::{RecordingClosed, RecordingState};

/// One recording in the making; a cheap clone. Every call returns when the bytes are recorded, and only then may they
/// be forwarded.
#[derive(Clone)]
pub struct RecordingHandle {
    open: Arc<Open>,
}

pub(super) struct Open {
    session: String,
    cap: u64,
    failed: watch::Sender<bool>,
    recordings: Arc<Inner>,
    state: Mutex<State>,
}

struct State {
    recorder: Recorder<FileSink>,
    next_track: u32,
    sealed: bool,
}

/// What a cap leaves for the last words of a recording: notices, closed tracks, seal.
const RESERVE: u64 = 64 * 1024;

impl RecordingHandle {
    pub(super) fn new(session: String, cap: u64, recorder: Recorder<FileSink>, recordings: Arc<Inner>) -> Self {
        let state = Mutex::new(State { recorder, next_track: 1, sealed: false });
        let open = Arc::new(Open { session, cap, failed: watch::Sender::new(false), recordings, state });
        open.recordings.enter(&open);
        Self { open }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.open.session
    }

    /// Records bodies in this order at once: all of them, or none.
    ///
    /// # Errors
    /// Whatever it is, none of the bodies may be forwarded, and every later call fails too.
    pub fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError> {
        let bytes = parts.iter().map(Part::len).sum();
        self.record(bytes, |state| state.recorder.append_all(clock::now(), track, parts))?;
        for part in parts {
            if let Part::Bulk { direction, budget, .. } = part
                && budget.ran_out()
            {
                self.tell_of_hashes(track, *direction);
            }
        }
        Ok(())
    }

    /// The auditor learns that from here on the record of a stream may hold hashes instead of bytes: something may hide there.
    /// The record itself says so too, so that the stream need not wait for the chain.
    fn tell_of_hashes(&self, track: TrackId, direction: Direction) {
        let (session, audit) = (self.open.session.clone(), self.open.recordings.audit.clone());
        let direction = match direction {
            Direction::Input => "input",
            Direction::Output => "output",
            Direction::ErrorOutput => "error-output",
        };
        let event = AuditEvent::RecordingHashesOnly { session, track: track.0.into(), direction: direction.to_owned() };
        tokio::spawn(async move {
            if let Err(error) = audit.record(event).await {
                tracing::error!(%error, "It could not be audited that a stream is recorded as hashes");
            }
        });
    }

    /// Records a body in full.
    ///
    /// # Errors
    /// As [`RecordingHandle::append_all`].
    pub fn append(&self, track: TrackId, kind: Kind, body: &[u8]) -> Result<(), RecordError> {
        self.append_all(track, &mut [Part::Whole { kind, body }])
    }

    /// A channel begins: gives it the next track.
    ///
    /// # Errors
    /// As [`RecordingHandle::append_all`].
    pub fn opened(&self, body: &Value) -> Result<TrackId, RecordError> {
        let text = body.to_string();
        self.record(text.len(), |state| {
            let track = TrackId(state.next_track);
            state.next_track = state.next_track.checked_add(1).ok_or(RecordError::Failed)?;
            state.recorder.append(clock::now(), track, Kind::Opened, text.as_bytes())?;
            Ok(track)
        })
    }

    /// Records a JSON body on a track.
    ///
    /// # Errors
    /// As [`RecordingHandle::append_all`].
    pub fn json(&self, track: TrackId, kind: Kind, body: &Value) -> Result<(), RecordError> {
        self.append(track, kind, body.to_string().as_bytes())
    }

    /// Records what the broker itself has to say about the session.
    ///
    /// # Errors
    /// As [`RecordingHandle::append_all`].
    pub fn notice(&self, body: &Value) -> Result<(), RecordError> {
        self.json(TrackId::SESSION, Kind::Notice, body)
    }

    /// Turns true when the recording has failed: no input may pass from then on.
    #[must_use]
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.open.failed.subscribe()
    }

    /// Length of the recording so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.open.lock().map_or(0, |state| state.recorder.len())
    }

    /// Ends the recording with the word of the session's end, and makes all of it survive a power failure.
    ///
    /// # Errors
    /// When the seal cannot be written; the recording is then closed as failed, and sealed as interrupted later.
    pub async fn seal(&self, end: &str, detail: &str) -> Result<Sealed, RecordError> {
        let (sealed, bytes) = stepping_out(|| self.open.seal(end, detail));
        let closed = RecordingClosed {
            session: self.open.session.clone(),
            state: if sealed.is_ok() { RecordingState::Sealed } else { RecordingState::Failed },
            bytes,
            head: sealed.as_ref().ok().map(Sealed::head_hex),
            at: jiff::Timestamp::now(),
        };
        if !matches!(sealed, Err(RecordError::Sealed)) {
            self.open.recordings.closed(closed).await;
        }
        sealed
    }

    fn record<T>(
        &self,
        bytes: usize,
        act: impl FnOnce(&mut State) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        self.open.recordings.permits.write(|| self.open.record(bytes as u64, act))
    }
}

impl std::fmt::Debug for RecordingHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingHandle").field("session", &self.open.session).finish_non_exhaustive()
    }
}

impl Open {
    fn record<T>(&self, bytes: u64, act: impl FnOnce(&mut State) -> Result<T, RecordError>) -> Result<T, RecordError> {
        if *self.failed.borrow() {
            return Err(RecordError::Failed);
        }
        let result = self.lock().and_then(|mut state| {
            if state.sealed {
                return Err(RecordError::Sealed);
            }
            if state.recorder.len() + bytes + RESERVE > self.cap {
                return Err(RecordError::Cap { cap: self.cap });
            }
            let before = state.recorder.len();
            let result = act(&mut state);
            self.recordings.grown(state.recorder.len() - before);
            result
        });
        self.notice_failure(result)
    }

    /// Signs what a second has passed over. Called by the ticker, for recordings in which nothing moves.
    pub(super) fn checkpoint_if_due(&self) {
        let result = self.lock().and_then(|mut state| {
            let now = clock::now();
            if !state.sealed && state.recorder.checkpoint_due(now) { state.recorder.checkpoint(now) } else { Ok(()) }
        });
        // A failure has been noticed and is acted upon by whoever watches `failed`.
        drop(self.notice_failure(result));
    }

    fn seal(&self, end: &str, detail: &str) -> (Result<Sealed, RecordError>, u64) {
        let mut state = match self.lock() {
            Ok(state) => state,
            Err(error) => return (Err(error), 0),
        };
        if state.sealed {
            return (Err(RecordError::Sealed), state.recorder.len());
        }
        state.sealed = true;
        let sealed = state.recorder.seal_in_place(clock::now(), end, detail);
        let sealed = sealed.and_then(|sealed| state.recorder.sink().sync().map(|()| sealed).map_err(RecordError::Sink));
        let bytes = state.recorder.len();
        drop(state);
        (self.notice_failure(sealed), bytes)
    }

    /// A recorder that was left in the middle of something is not used again.
    fn lock(&self) -> Result<MutexGuard<'_, State>, RecordError> {
        self.state.lock().map_err(|_| RecordError::Failed)
    }

    fn notice_failure<T>(&self, result: Result<T, RecordError>) -> Result<T, RecordError> {
        if let Err(error) = &result
            && !matches!(error, RecordError::Sealed | RecordError::TooLong(_))
            && !self.failed.send_replace(true)
        {
            tracing::error!(session = %self.session, %error, "A recording failed");
            metrics::counter!("sallyport_recordings_failed_total").increment(1);
        }
        result
    }
}
