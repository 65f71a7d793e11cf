//! The byte-counted queue between a drain task, which must never wait, and a pump, which may.
//!
//! russh gives a channel's window back when data arrives, not when it is consumed, and its session loop waits for
//! whoever does not take what has arrived. So each channel has a task that takes at once, and this queue, which
//! slows that task down as it fills: slowing leaks a little, so that two full directions never wait for each other.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// From here on a channel's producer is slowed.
pub(crate) const SLOW_ABOVE: usize = 4 * 1024 * 1024;
/// Here its slowing is strongest.
const SLOWEST_AT: usize = 8 * 1024 * 1024;
/// Here it takes nothing more until there is room.
const HOLD_ABOVE: usize = 16 * 1024 * 1024;
/// What all queues of the process may hold before every producer is slowed most.
const TOTAL: usize = 256 * 1024 * 1024;
/// A full queue that makes no progress for this long is stalled.
pub(crate) const STALLS_AFTER: Duration = Duration::from_secs(10);
/// A connection that holds no more than this is not slowed for what others hold.
const LITTLE: usize = 1024 * 1024;
/// What an item costs beside its bytes, so that one-byte packets are counted for what they are.
const ITEM_COST: usize = 128;
const SLOWEST: Duration = Duration::from_secs(1);
/// Less than this within the patience is no progress: nobody would wait for it, and a neighbour should not.
const PROGRESS: usize = 1024;

pub(in crate::ssh) static PROCESS: LazyLock<Arc<Pool>> = LazyLock::new(|| Arc::new(Pool::new(TOTAL)));

/// Bytes that all queues of this process hold now.
#[cfg(test)]
pub(crate) fn bytes_queued() -> usize {
    PROCESS.used()
}

/// What several queues may hold together.
#[derive(Debug)]
pub(crate) struct Pool {
    used: AtomicUsize,
    limit: usize,
    /// What this one is a part of.
    whole: Option<Arc<Pool>>,
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, whole: None }
    }

    /// A part of another, with a limit of its own beside that of all parts together.
    pub(crate) fn part_of(whole: &Arc<Pool>, limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit, whole: Some(Arc::clone(whole)) }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether this, or what it is a part of, holds more than it may. Who holds little does not count for full.
    pub(crate) fn is_full(&self) -> bool {
        let used = self.used();
        used > self.limit || self.whole.as_deref().is_some_and(|whole| used > LITTLE && whole.is_full())
    }

    /// From 0, where half of the whole's limit is used, to 32, where all of it is.
    pub(crate) fn pressure(&self) -> usize {
        let whole = self.whole.as_deref().unwrap_or(self);
        whole.used().saturating_sub(whole.limit / 2) / (whole.limit / 64).max(1)
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.add(bytes);
        }
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.remove(bytes);
        }
    }
}

/// Something that is queued, and how many bytes it holds.
pub(crate) trait Weigh: Sized {
    fn weight(&self) -> usize;

    /// Takes the next item into this one, where both are small; gives it back where not.
    fn absorb(&mut self, next: Self) -> Option<Self> {
        Some(next)
    }
}

/// One producer's and one consumer's queue; both hold it through an `Arc`.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Notify,
    emptied: Notify,
    pool: Arc<Pool>,
    /// Its producer is slowed by its peer's window, not by this queue.
    windowed: bool,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// Everything pushed and not yet released, also what the consumer is sending now.
    held: usize,
    progress: Instant,
    /// Released since then.
    released: usize,
    closed: bool,
}

/// How the producer should go on after a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    Free,
    /// After this long, or when there is room again.
    Wait(Duration),
    /// Not before there is room.
    Hold,
    /// Not at all: full for too long without progress.
    Stalled,
}

impl<T: Weigh> Queue<T> {
    #[cfg(test)]
    pub(crate) fn new() -> Arc<Self> {
        Self::within(Arc::clone(&PROCESS))
    }

    pub(crate) fn within(pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self::empty(pool, false))
    }

    /// For a channel whose peer is given smaller windows as this fills: its producer need not be slowed.
    pub(crate) fn windowed(pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self::empty(pool, true))
    }

    fn empty(pool: Arc<Pool>, windowed: bool) -> Self {
        let state = State { items: VecDeque::new(), held: 0, progress: Instant::now(), released: 0, closed: false };
        Self { state: Mutex::new(state), filled: Notify::new(), emptied: Notify::new(), pool, windowed }
    }

    /// Takes an item, always. What comes after `close` is dropped.
    pub(crate) fn push(&self, item: T) {
        let cost = cost(&item);
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.held <= SLOW_ABOVE {
            state.progress = Instant::now();
            state.released = 0;
        }
        let weight = item.weight();
        let rest = match state.items.back_mut() {
            Some(last) => last.absorb(item),
            None => Some(item),
        };
        // What was taken into another item costs nothing beside its bytes.
        let cost = if rest.is_some() { cost } else { weight };
        state.items.extend(rest);
        state.held += cost;
        self.pool.add(cost);
        drop(state);
        self.filled.notify_one();
    }

    /// Nothing more will come; what is queued is still taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Nothing more will come, and nobody will take what is queued: it counts no longer.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.items = VecDeque::new();
        self.pool.remove(std::mem::take(&mut state.held));
        drop(state);
        self.filled.notify_one();
        self.emptied.notify_one();
    }

    /// Waits for items and takes those from the front that `join` accepts; the first is always taken.
    ///
    /// They count as held until they are released.
    pub(crate) async fn take(&self, join: impl FnMut(&[T], &T) -> bool + Copy) -> Option<Vec<T>> {
        loop {
            {
                let mut state = self.lock();
                if !state.items.is_empty() {
                    return Some(state.take(join));
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Waits until something was pushed since the last look.
    pub(crate) async fn wait_for_more(&self) {
        self.filled.notified().await;
    }

    /// What `take` would see: bytes queued, and whether anything but plain data waits.
    pub(crate) fn waiting(&self) -> usize {
        let state = self.lock();
        state.items.iter().map(Weigh::weight).sum()
    }

    /// Is there an item for which this holds?
    pub(crate) fn any(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.lock().items.iter().any(test)
    }

    /// Is there a next item, and does this hold for it?
    pub(crate) fn next_is(&self, test: impl FnOnce(&T) -> bool) -> bool {
        self.lock().items.front().is_some_and(test)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Some of what was taken has gone on: this is the progress that a stall lacks.
    pub(crate) fn release(&self, bytes: usize) {
        let mut state = self.lock();
        let bytes = bytes.min(state.held);
        state.held -= bytes;
        state.released += bytes;
        if state.released >= PROGRESS {
            state.progress = Instant::now();
            state.released = 0;
        }
        self.pool.remove(bytes);
        drop(state);
        self.emptied.notify_one();
    }

    /// Everything pushed and not yet released.
    pub(crate) fn held(&self) -> usize {
        self.lock().held
    }

    /// How the producer should go on.
    pub(crate) fn pace(&self) -> Pace {
        let state = self.lock();
        if self.windowed {
            return match state.held {
                0 => Pace::Free,
                // Only a peer that sends more than its window gets there.
                held if held > HOLD_ABOVE => Pace::Hold,
                _ if self.pool.is_full() => Pace::Wait(SLOWEST),
                _ => Pace::Free,
            };
        }
        let full = state.held > SLOW_ABOVE;
        if full && state.progress.elapsed() >= STALLS_AFTER {
            return Pace::Stalled;
        }
        if state.held > HOLD_ABOVE {
            return Pace::Hold;
        }
        if self.pool.is_full() && state.held > 0 {
            return Pace::Wait(SLOWEST);
        }
        if full { Pace::Wait(slowing(state.held)) } else { Pace::Free }
    }

    /// When a full queue will count as stalled, if it makes no progress until then.
    pub(crate) fn stalls_at(&self) -> Option<Instant> {
        let state = self.lock();
        (!self.windowed && state.held > SLOW_ABOVE).then(|| state.progress + STALLS_AFTER)
    }

    /// Waits until something was released since the last look.
    pub(crate) async fn wait_for_room(&self) {
        self.emptied.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Every change below is complete before the guard drops, so a panic elsewhere leaves the state sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        let held = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).held;
        self.pool.remove(held);
    }
}

impl<T: Weigh> State<T> {
    fn take(&mut self, mut join: impl FnMut(&[T], &T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        while let Some(next) = self.items.front() {
            if !taken.is_empty() && !join(&taken, next) {
                break;
            }
            taken.extend(self.items.pop_front());
        }
        taken
    }
}

/// What an item counts for in the queue.
pub(crate) fn cost(item: &impl Weigh) -> usize {
    item.weight() + ITEM_COST
}

/// From 1 ms just above the mark to 1 s, growing as a power, so that the queue settles well below its strongest mark.
fn slowing(held: usize) -> Duration {
    let over = held.saturating_sub(SLOW_ABOVE).min(SLOWEST_AT - SLOW_ABOVE);
    let tenths = u32::try_from(over * 10 / (SLOWEST_AT - SLOW_ABOVE)).unwrap_or(10);
    Duration::from_millis(1 << tenths.min(10)).min(SLOWEST)
}

#[cfg(test)]
mod tests;
