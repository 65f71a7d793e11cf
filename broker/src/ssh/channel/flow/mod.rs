//! What one SSH connection holds in memory, either way, and what all of them hold together.
//!
//! russh gives a channel's window back as data arrives, whoever takes it, and takes what it is handed whether its socket takes it
//! or not. Two levers of its public interface bound both. A server may say how large windows shall be from now on
//! ([`Incoming::next_window`]): the more of a person's input waits for its assets, the smaller they get, down to a few bytes, so
//! that input comes as fast as it goes on and the connection's reader waits for nobody. And the socket is wrapped
//! ([`Metered`]): what was handed over since everything was last written is what russh may hold.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelWriteHalf};
use tokio::sync::Notify;

use super::item::Item;
use super::queue::{PROCESS, Pool, Queue};

mod metered;
#[cfg(test)]
mod tests;

pub(crate) use metered::Metered;

/// The window of a new channel towards a person, and the largest that any gets.
pub(crate) const WINDOW: u32 = 1024 * 1024;
/// The same on a connection within another (`ssh -J`). What its windows let come has to find room in the window of the channel around
/// it, even where that is down to half and no adjustment gets through: a client whose two connections are joined by a pipe writes into
/// it, and reads nothing meanwhile.
pub(crate) const WINDOW_WITHIN: u32 = WINDOW / 2 - 64 * 1024;
/// So much may wait on a connection before windows shrink.
const FREE: usize = 512 * 1024;
/// For each of these beyond it, windows are halved.
const STEP: usize = 256 * 1024;
/// Below this a window is not worth a packet of its own: packets come more seldom first ([`PAUSE`]), then windows shrink on.
const SMALL: u32 = 4096;
/// From one byte on russh would never ask again how large windows shall be.
const LEAST: u32 = 2;
/// Halvings from [`WINDOW`] to [`SMALL`].
const TO_SMALL: usize = 8;
/// The window of a channel that is not behind, beside one that is.
const BESIDE: u32 = 256 * 1024;
/// Where a connection holds more than this, such windows shrink too.
const BESIDE_UP_TO: usize = 8 * 1024 * 1024;
/// What may wait on a connection beside a window for each of its channels.
const MOST_BESIDE_WINDOWS: usize = 16 * 1024 * 1024;
/// A channel is behind while more than this waits on it: more than one large window brings at once.
const BEHIND: usize = 512 * 1024;
/// Where windows are [`SMALL`], the packets of all channels that are behind take so long together. Nothing else comes in meanwhile,
/// which nobody feels.
const PAUSE: Duration = Duration::from_millis(5);
/// Above this, what an asset sends on all channels of its connection is slowed most.
const MOST_SLOWED: usize = 32 * 1024 * 1024;
/// What one connection has handed to russh since everything was written.
const MOST_HANDED: usize = 1024 * 1024;
/// So much of it every connection may always have.
const ALWAYS_HANDED: usize = 64 * 1024;
/// What all connections have handed over.
const HANDED_IN_ALL: usize = 128 * 1024 * 1024;
/// What a message to russh costs beside its bytes.
const MESSAGE: usize = 128;
/// When nothing is being written for so long, russh holds nothing: it drops what was meant for a channel that is closed.
const FORGOTTEN: Duration = Duration::from_millis(50);

static HANDED: LazyLock<Arc<Pool>> = LazyLock::new(|| Arc::new(Pool::new(HANDED_IN_ALL)));

/// What one connection holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    incoming: Arc<Incoming>,
    outgoing: Arc<Outgoing>,
}

impl Flow {
    /// Of a connection within a channel of another.
    pub(crate) fn within_another() -> Self {
        let incoming = Incoming { largest: WINDOW_WITHIN, ..Incoming::default() };
        Self { incoming: Arc::new(incoming), outgoing: Arc::default() }
    }

    /// What has come and was not passed on.
    pub(crate) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// A socket that tells what of this connection was written.
    pub(crate) fn meter<S>(&self, socket: S) -> Metered<S> {
        Metered::new(socket, Arc::clone(&self.outgoing))
    }

    /// Sends bytes on a channel of this connection once there is room for them.
    pub(crate) async fn send<S>(
        &self,
        channel: &ChannelWriteHalf<S>,
        extended: Option<u32>,
        bytes: Bytes,
    ) -> Result<(), russh::Error>
    where
        S: From<(ChannelId, ChannelMsg)> + Send + Sync + 'static,
    {
        let room = self.outgoing.room(bytes.len()).await;
        match extended {
            None => channel.data_bytes(bytes).await?,
            Some(kind) => channel.extended_data_bytes(kind, bytes).await?,
        }
        room.taken();
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn handed_over(&self) -> usize {
        self.outgoing.held.load(Ordering::Relaxed)
    }
}

/// What came on the channels of one connection and was not passed on.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// The largest window of a channel.
    largest: u32,
    pool: Arc<Pool>,
    /// The same of channels whose windows nobody can make smaller.
    slowed: Arc<Pool>,
    /// By the channel's number.
    queues: Mutex<HashMap<u32, Weak<Queue<Item>>>>,
    /// Packets of channels that are behind.
    turn: AtomicUsize,
    /// The packet that has just come is followed by a pause.
    pausing: AtomicBool,
    /// A channel that is not behind got a small window only.
    hungry: AtomicBool,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            largest: WINDOW,
            pool: Arc::new(Pool::part_of(&PROCESS, usize::MAX)),
            slowed: Arc::new(Pool::part_of(&PROCESS, MOST_SLOWED)),
            queues: Mutex::default(),
            turn: AtomicUsize::new(0),
            pausing: AtomicBool::new(false),
            hungry: AtomicBool::new(false),
        }
    }
}

impl Incoming {
    /// A queue for a channel whose windows nobody can make smaller: its producer is slowed.
    pub(crate) fn slowed(&self) -> Arc<Queue<Item>> {
        Queue::within(Arc::clone(&self.slowed))
    }

    /// Bytes that have come and were not passed on.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.pool.used()
    }

    /// A queue for what comes on this channel.
    pub(crate) fn queue(&self, channel: u32) -> Arc<Queue<Item>> {
        let queue = Queue::windowed(Arc::clone(&self.pool));
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|_, queue| queue.strong_count() > 0);
        queues.insert(channel, Arc::downgrade(&queue));
        queue
    }

    /// How large windows shall be from now on, where one of this channel was just enlarged to `current`.
    ///
    /// russh knows one size for all channels of a connection, and asks for it only here. What is answered holds for the packet that
    /// comes next. After one of a channel that is behind the connection pauses, and its next comes later than what others have sent
    /// meanwhile: so a channel beside it that asked for more gets a large window then.
    pub(crate) fn next_window(&self, channel: u32, current: u32) -> u32 {
        let (held, pressure) = (self.pool.used(), self.pool.pressure());
        let small = window(held, pressure).min(self.largest);
        if steps(held, pressure) <= TO_SMALL {
            return small;
        }
        let beside = small.max(halved(BESIDE, held.saturating_sub(BESIDE_UP_TO) / STEP));
        if !self.is_behind(channel) {
            self.hungry.fetch_or(current < beside, Ordering::Relaxed);
            return small;
        }
        // One pause for a packet of each.
        if !self.turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.behind().max(1)) {
            return small;
        }
        self.pausing.store(true, Ordering::Relaxed);
        if self.hungry.swap(false, Ordering::Relaxed) { beside } else { small }
    }

    /// How long the connection waits after the packet that has just come.
    pub(crate) fn pause(&self) -> Option<Duration> {
        self.pausing.swap(false, Ordering::Relaxed).then_some(PAUSE)
    }

    /// Whether more waits than windows let come: the peer sends beyond them.
    pub(crate) fn is_overrun(&self) -> bool {
        let held = self.pool.used();
        if held <= MOST_BESIDE_WINDOWS {
            return false;
        }
        let channels = self.queues.lock().unwrap_or_else(PoisonError::into_inner).len();
        held - MOST_BESIDE_WINDOWS > channels * WINDOW as usize
    }

    fn behind(&self) -> usize {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().filter_map(Weak::upgrade).filter(|queue| queue.held() > BEHIND).count()
    }

    fn is_behind(&self, channel: u32) -> bool {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.get(&channel).and_then(Weak::upgrade).is_some_and(|queue| queue.held() > BEHIND)
    }
}

/// How often windows are halved where a connection holds so much, and all together press so much.
fn steps(held: usize, pressure: usize) -> usize {
    match held.saturating_sub(FREE) {
        // Who holds little pays little for what others hold.
        0 => pressure.min(TO_SMALL / 2),
        over => over / STEP + pressure,
    }
}

fn window(held: usize, pressure: usize) -> u32 {
    let steps = steps(held, pressure);
    if steps <= TO_SMALL + 2 { halved(WINDOW, steps).max(SMALL) } else { halved(SMALL, steps - TO_SMALL - 2) }
}

fn halved(size: u32, times: usize) -> u32 {
    u32::try_from(times).ok().and_then(|times| size.checked_shr(times)).unwrap_or(0).max(LEAST)
}

/// What was handed to russh for one connection.
#[derive(Debug)]
struct Outgoing {
    held: AtomicUsize,
    /// russh writes something that is not all written.
    writing: AtomicBool,
    written: Notify,
    in_all: Arc<Pool>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self::part_of(&HANDED)
    }
}

impl Outgoing {
    fn part_of(in_all: &Arc<Pool>) -> Self {
        Self {
            held: AtomicUsize::new(0),
            writing: AtomicBool::new(false),
            written: Notify::new(),
            in_all: Arc::clone(in_all),
        }
    }

    /// Waits until so many bytes may be handed over.
    async fn room(&self, bytes: usize) -> Room<'_> {
        let cost = bytes + MESSAGE;
        loop {
            let written = self.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            if self.take(cost) {
                return Room { of: self, cost };
            }
            let waited = tokio::time::timeout(FORGOTTEN, written).await;
            if waited.is_err() && !self.writing.load(Ordering::Acquire) {
                self.all_written();
            }
        }
    }

    fn take(&self, cost: usize) -> bool {
        let fits = |held: usize| {
            let within = held == 0 || held + cost <= ALWAYS_HANDED;
            (within || held + cost <= MOST_HANDED && !self.in_all.is_full()).then_some(held + cost)
        };
        let taken = self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok();
        if taken {
            self.in_all.add(cost);
        }
        taken
    }

    fn give_back(&self, cost: usize) {
        let less = |held: usize| Some(held.saturating_sub(cost));
        let before = self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).unwrap_or_default();
        self.in_all.remove(before.min(cost));
        self.written.notify_waiters();
    }

    fn all_written(&self) {
        self.writing.store(false, Ordering::Release);
        let held = self.held.swap(0, Ordering::AcqRel);
        if held > 0 {
            self.in_all.remove(held);
            self.written.notify_waiters();
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.in_all.remove(*self.held.get_mut());
    }
}

/// Room for one message; given back unless it is taken.
struct Room<'a> {
    of: &'a Outgoing,
    cost: usize,
}

impl Room<'_> {
    /// russh has it now, until everything is written.
    fn taken(mut self) {
        self.cost = 0;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.cost > 0 {
            self.of.give_back(self.cost);
        }
    }
}
