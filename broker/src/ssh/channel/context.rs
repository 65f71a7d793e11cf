//! What the channels of one recorded session share.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sallyport_policy::Terms;
use sallyport_session_recorder::{Budget, Direction, Kind, Part, RecordError, TrackId};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use crate::recording::RecordingHandle;
use crate::ssh::transfer::FileReport;

/// Where the evidence of a session goes. What could not be recorded must not be forwarded.
pub trait Evidence: Send + Sync {
    /// A track begins; the body says what it is.
    fn opened(&self, body: &serde_json::Value) -> Result<TrackId, RecordError>;
    /// Records bodies in this order at once: all of them, or none.
    fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError>;

    /// Records a body in full.
    fn append(&self, track: TrackId, kind: Kind, body: &[u8]) -> Result<(), RecordError> {
        self.append_all(track, &mut [Part::Whole { kind, body }])
    }

    /// Records bytes in full while the budget lasts, beyond it as length and hash.
    fn append_bulk(
        &self,
        track: TrackId,
        direction: Direction,
        body: &[u8],
        budget: &mut Budget,
    ) -> Result<(), RecordError> {
        self.append_all(track, &mut [Part::Bulk { direction, body, budget }])
    }
}

impl Evidence for RecordingHandle {
    fn opened(&self, body: &serde_json::Value) -> Result<TrackId, RecordError> {
        RecordingHandle::opened(self, body)
    }

    fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError> {
        RecordingHandle::append_all(self, track, parts)
    }
}

/// What every channel of one recorded session shares.
#[derive(Clone)]
pub struct ChannelContext {
    /// Where the evidence goes.
    pub recording: Arc<dyn Evidence>,
    /// What the permit allows.
    pub terms: Arc<Terms>,
    /// When something last moved.
    pub activity: Activity,
    /// Cancelled when the session must end.
    pub ending: CancellationToken,
    /// Raised when the recorder fails.
    pub trouble: TroubleSignal,
    /// Each file that was transferred or refused.
    pub report: mpsc::Sender<FileReport>,
    /// Each request that the terms do not allow.
    pub refused: mpsc::Sender<RefusedRequest>,
    /// What the person's connection holds.
    pub person: Flow,
    /// What the connection to the asset holds.
    pub asset: Flow,
}

/// A request that the terms of its session do not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequest {
    /// What was asked for.
    pub request: String,
    /// Why not.
    pub reason: String,
}

/// When a byte last went either way, for the idle limit, and how many channels the session has.
#[derive(Debug, Clone)]
pub struct Activity {
    last: Arc<AtomicU64>,
    channels: Arc<AtomicUsize>,
}

/// One channel's place among those of its session, as long as it lives.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Activity {
    /// Active now.
    #[expect(clippy::new_without_default, reason = "it reads the clock, which a default should not")]
    pub fn new() -> Self {
        let activity = Self { last: Arc::new(AtomicU64::new(0)), channels: Arc::new(AtomicUsize::new(0)) };
        activity.touch();
        activity
    }

    /// Something moved.
    pub fn touch(&self) {
        self.last.store(micros_now(), Ordering::Relaxed);
    }

    /// A further channel. Take one before a channel is opened on the asset's side too: a person who reads nothing of a channel is
    /// waited for only while it is alone.
    pub fn seat(&self) -> Seat {
        self.channels.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(&self.channels))
    }

    /// How many channels the session has now.
    pub fn channels(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    /// For how long nothing moved.
    pub fn idle_for(&self) -> Duration {
        Duration::from_micros(micros_now().saturating_sub(self.last.load(Ordering::Relaxed)))
    }
}

fn micros_now() -> u64 {
    u64::try_from(ORIGIN.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Raised once, when the recorder fails: from then on no input goes to the asset.
#[derive(Debug, Clone)]
pub struct TroubleSignal(Arc<watch::Sender<Option<Trouble>>>);

/// How long output goes on after the recorder has failed, where the terms say `view-only`.
pub const VIEW_ONLY_GRACE: Duration = Duration::from_secs(10);

/// When and why the recorder failed.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// When.
    pub since: tokio::time::Instant,
    /// The recorder's error.
    pub reason: String,
}

impl TroubleSignal {
    /// No trouble yet.
    #[expect(clippy::new_without_default, reason = "a default would hide that each session needs its own")]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// The recorder failed; only the first call counts.
    pub fn recorder_failed(&self, error: &RecordError) {
        self.0.send_if_modified(|trouble| {
            let first = trouble.is_none();
            if first {
                *trouble = Some(Trouble { since: tokio::time::Instant::now(), reason: error.to_string() });
            }
            first
        });
    }

    /// The trouble, if there is any.
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.borrow().clone()
    }

    /// To wait for trouble.
    pub fn subscribe(&self) -> watch::Receiver<Option<Trouble>> {
        self.0.subscribe()
    }
}
