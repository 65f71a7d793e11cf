//! When something last moved in a session, and how many channels it has.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

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
