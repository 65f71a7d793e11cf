//! Which writes of the record are made on the worker that they come from, and which step out of it.
//!
//! To step out costs more than the write itself: other threads are woken, and the worker's tasks move. To stay holds up whatever
//! else the worker would do. So writes stay while the disk is quick, and never all workers are held: there is a permit for each but
//! one. What a session woke in the same turn may wait with its write, which is of the same person's connection.

mod watch;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

use watch::Watch;

/// A write that takes longer makes all others step out, until one has been quick again.
const QUICK: Duration = Duration::from_millis(20);
/// No write holds this permit.
const FREE: u64 = 0;

/// The permits of one runtime to write on its workers.
#[derive(Debug)]
pub(super) struct Permits {
    held: Arc<Held>,
    watch: Option<Watch>,
}

/// Who holds a permit, and since when.
#[derive(Debug)]
struct Held {
    origin: Instant,
    /// For each permit the moment that its write began, or [`FREE`].
    since: Box<[AtomicU64]>,
    /// The last write that ended was not quick.
    slow: AtomicBool,
    /// The watch looks by itself, and need not be told of a write.
    watched: AtomicBool,
}

impl Permits {
    /// For the runtime that this is called on: one for each of its workers but one.
    ///
    /// # Errors
    /// When there is no thread for the watch over them.
    pub(super) fn of_this_runtime() -> io::Result<Self> {
        let Ok(runtime) = Handle::try_current() else { return Ok(Self::none()) };
        let held = Held::new(runtime.metrics().num_workers().saturating_sub(1));
        let watch = Watch::start(Arc::clone(&held), runtime)?;
        Ok(Self { held, watch: Some(watch) })
    }

    /// No write stays: for a disk that is waited for each time.
    pub(super) fn none() -> Self {
        Self { held: Held::new(0), watch: None }
    }

    /// Makes a write, on this worker if there is a permit for it.
    pub(super) fn write<T>(&self, act: impl FnOnce() -> T) -> T {
        let began = self.held.now();
        let permit = self.held.take(began, self.watch.as_ref().map(Watch::thread));
        let result = if permit.is_some() { act() } else { stepping_out(act) };
        self.held.ended(self.held.now().saturating_sub(began));
        result
    }
}

impl Held {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            since: (0..permits).map(|_| AtomicU64::new(FREE)).collect(),
            slow: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        })
    }

    /// A permit, unless all are held or the disk is slow: the last write was, or one that holds a permit has not ended in time.
    fn take(&self, now: u64, watch: Option<&Thread>) -> Option<Permit<'_>> {
        if self.slow.load(Ordering::Relaxed) || self.is_late(now) {
            return None;
        }
        let is_free =
            |since: &&AtomicU64| since.compare_exchange(FREE, now, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        let permit = self.since.iter().find(is_free).map(Permit)?;
        // Behind the permit: a watch that has not seen it has said before that it has to be told.
        if !self.watched.load(Ordering::SeqCst)
            && let Some(watch) = watch
        {
            watch.unpark();
        }
        Some(permit)
    }

    /// A write that holds a permit has not ended in time.
    fn is_late(&self, now: u64) -> bool {
        self.since.iter().any(|since| {
            let began = since.load(Ordering::Relaxed);
            began != FREE && now.saturating_sub(began) > limit()
        })
    }

    fn is_free(&self) -> bool {
        self.since.iter().all(|since| since.load(Ordering::SeqCst) == FREE)
    }

    /// A write has ended, wherever it was made.
    fn ended(&self, micros: u64) {
        let slow = micros > limit();
        // Said only when it changes: all workers look at it.
        if self.slow.load(Ordering::Relaxed) != slow {
            self.slow.store(slow, Ordering::Relaxed);
        }
    }

    /// Microseconds since some moment; never [`FREE`].
    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX - 1) + 1
    }
}

fn limit() -> u64 {
    u64::try_from(QUICK.as_micros()).unwrap_or(u64::MAX)
}

/// Held by one write; comes back when that ends, however it does.
struct Permit<'a>(&'a AtomicU64);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.store(FREE, Ordering::SeqCst);
    }
}

/// Runs what may wait for the disk without holding up the other tasks of this worker.
pub(super) fn stepping_out<T>(act: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(act),
        Ok(_) | Err(_) => act(),
    }
}

#[cfg(test)]
mod tests;
