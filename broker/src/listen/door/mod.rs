//! Who has connected: bounded in number and rate, per source and in all, and never a way to keep others out.
//!
//! A full waiting room does not refuse the newcomer (a flood would then lock everybody out); it ends the connection that has
//! shown least and waited longest. Somebody who has said something outlives the silent ones, somebody whose first
//! factor was right outlives both, and among equals those who come from where people have logged in.
//!
//! INVARIANT: whatever is open is counted, until it is really over. One that was told to go still counts against its source;
//! so a source that has as many as it may is refused before any key exchange, until what it had is gone.
//! A share of everything is kept for known sources.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::known::Known;
use super::rate::Rates;
use super::turned::{Reasons, Turned, TurnedAway, TurnedCounts};
use crate::identity::network;

/// One part in this many is kept: of the places for known sources, of a full room for those who are about to leave it.
const KEPT: usize = 8;

/// How many may be there, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections in all.
    pub(crate) in_all: usize,
    /// Connections of one source (an IPv4 address or an IPv6 /64 network), logged in or not.
    pub(crate) per_source: usize,
    /// Connections that have not logged in, in all.
    pub(crate) waiting: usize,
    /// Connections that have not logged in, per source.
    pub(crate) waiting_per_source: usize,
    /// New connections a second, per source.
    pub(crate) rate_per_source: usize,
    /// From accept to the first line.
    pub(crate) silence: Duration,
    /// From accept to login.
    pub(crate) login: Duration,
}

/// How far a waiting connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Progress {
    /// Nothing received yet.
    Silent = 0,
    /// It speaks the protocol.
    Identified = 1,
    /// A first factor was right.
    FirstFactor = 2,
}

/// Why somebody who has logged in cannot stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// They have as many connections open as their roles allow.
    Identity {
        /// How many that is.
        limit: u32,
    },
    /// They were told to go before.
    Gone,
}

/// The door of a broker, over all its addresses and whatever is spoken behind them.
#[derive(Debug)]
pub(crate) struct Door {
    limits: Limits,
    known: Known,
    open: Mutex<Open>,
    refused: Mutex<TurnedCounts>,
}

#[derive(Debug)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Entry>,
    per_source: HashMap<IpAddr, Counts>,
    per_identity: HashMap<String, u32>,
    all: Counts,
    rates: Rates,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    waiting: usize,
    /// Told to go, and not over yet.
    leaving: usize,
    inside: usize,
}

#[derive(Debug)]
struct Entry {
    source: IpAddr,
    known: bool,
    stage: Stage,
    progress: Arc<AtomicU8>,
    ejected: CancellationToken,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    Leaving,
    Inside { identity: String },
}

/// One connection's place. It is given back when this is dropped: when the connection is really over.
#[derive(Debug)]
pub(crate) struct Slot {
    pass: Pass,
}

/// What a connection shows to get further.
#[derive(Debug, Clone)]
pub(crate) struct Pass {
    door: Arc<Door>,
    number: u64,
    progress: Arc<AtomicU8>,
    ejected: CancellationToken,
}

impl Door {
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let open = Open {
            next: 0,
            by_number: HashMap::new(),
            per_source: HashMap::new(),
            per_identity: HashMap::new(),
            all: Counts::default(),
            rates: Rates::new(limits.rate_per_source),
        };
        Arc::new(Self { limits, known: Known::default(), open: Mutex::new(open), refused: Mutex::default() })
    }

    /// The limits it was made with.
    #[must_use]
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The sources for which something is kept.
    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// Takes a connection, or says why not. Where the room is full, the one that has shown least and waited longest must go.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr, now: Instant) -> Result<Slot, Turned> {
        let source = network(source);
        let known = self.known.contains(source);
        let mut open = self.lock();
        if let Err(turned) = open.room_for(source, known, &self.limits, now) {
            drop(open);
            self.refused().add(source, turned);
            return Err(turned);
        }
        let number = open.next;
        open.next += 1;
        let (progress, ejected) = (Arc::new(AtomicU8::new(Progress::Silent as u8)), CancellationToken::new());
        let entry =
            Entry { source, known, stage: Stage::Waiting, progress: Arc::clone(&progress), ejected: ejected.clone() };
        open.count(source, |counts| counts.waiting += 1);
        open.by_number.insert(number, entry);
        Ok(Slot { pass: Pass { door: Arc::clone(self), number, progress, ejected } })
    }

    /// How many wait for their login now.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().all.waiting
    }

    /// How many were turned away since this was last asked, by reason.
    pub(crate) fn turned_away(&self) -> Reasons {
        self.refused().take_reasons()
    }

    /// The same by source, since this was last asked: a bounded number of sources, and all others together.
    pub(crate) fn sources_turned_away(&self) -> Vec<TurnedAway> {
        self.refused().take_sources()
    }

    fn refused(&self) -> MutexGuard<'_, TurnedCounts> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// INVARIANT: nothing here is more than a look at some hundred entries, so that a refusal costs next to nothing.
    fn room_for(&mut self, source: IpAddr, known: bool, limits: &Limits, now: Instant) -> Result<(), Turned> {
        let mine = self.per_source.get(&source).copied().unwrap_or_default();
        if mine.open() >= limits.per_source {
            return Err(Turned::Source);
        }
        if !self.rates.take(source, known, now) {
            return Err(Turned::Rate);
        }
        if self.all.open() >= share(limits.in_all, known) {
            return Err(Turned::Full);
        }
        self.make_room(mine, limits.waiting_per_source, Some(source)).map_err(|()| Turned::Source)?;
        self.make_room(self.all, share(limits.waiting, known), None).map_err(|()| Turned::Waiting)
    }

    /// Ends a waiting connection before the last place is taken: who is told to go still counts, and the newcomer gets in.
    fn make_room(&mut self, counts: Counts, most: usize, source: Option<IpAddr>) -> Result<(), ()> {
        let full = counts.waiting + counts.leaving >= most;
        if counts.waiting >= most - most.div_ceil(KEPT).min(most.saturating_sub(1)) && (!full || counts.leaving == 0) {
            self.eject(source);
        }
        if full { Err(()) } else { Ok(()) }
    }

    fn eject(&mut self, source: Option<IpAddr>) {
        let least = self
            .by_number
            .iter()
            .filter(|(_, entry)| matches!(entry.stage, Stage::Waiting) && source.is_none_or(|s| entry.source == s))
            .min_by_key(|(number, entry)| (entry.progress.load(Ordering::Relaxed), entry.known, **number))
            .map(|(number, _)| *number);
        let Some(entry) = least.and_then(|number| self.by_number.get_mut(&number)) else { return };
        entry.stage = Stage::Leaving;
        entry.ejected.cancel();
        let source = entry.source;
        self.count(source, |counts| {
            counts.waiting -= 1;
            counts.leaving += 1;
        });
    }

    fn enter(&mut self, number: u64, identity: &str, limit: u32) -> Result<IpAddr, Crowded> {
        let entry = self.by_number.get_mut(&number).ok_or(Crowded::Gone)?;
        if !matches!(entry.stage, Stage::Waiting) {
            return Err(Crowded::Gone);
        }
        let mine = self.per_identity.entry(identity.to_owned()).or_default();
        if *mine >= limit {
            return Err(Crowded::Identity { limit });
        }
        *mine += 1;
        entry.stage = Stage::Inside { identity: identity.to_owned() };
        let source = entry.source;
        self.count(source, |counts| {
            counts.waiting -= 1;
            counts.inside += 1;
        });
        Ok(source)
    }

    fn leave(&mut self, number: u64) {
        let Some(entry) = self.by_number.remove(&number) else { return };
        entry.ejected.cancel();
        if let Stage::Inside { identity } = &entry.stage
            && let Some(count) = self.per_identity.get_mut(identity)
        {
            *count -= 1;
            if *count == 0 {
                self.per_identity.remove(identity);
            }
        }
        self.count(entry.source, |counts| match entry.stage {
            Stage::Waiting => counts.waiting -= 1,
            Stage::Leaving => counts.leaving -= 1,
            Stage::Inside { .. } => counts.inside -= 1,
        });
    }

    /// The same change for a source and for all.
    fn count(&mut self, source: IpAddr, change: impl Fn(&mut Counts)) {
        change(&mut self.all);
        let mine = self.per_source.entry(source).or_default();
        change(mine);
        if mine.open() == 0 {
            self.per_source.remove(&source);
        }
    }
}

/// What of a limit is for strangers, and what for known sources.
fn share(limit: usize, known: bool) -> usize {
    if known { limit } else { limit - limit / KEPT }
}

impl Counts {
    fn open(self) -> usize {
        self.waiting + self.leaving + self.inside
    }
}

impl Slot {
    /// What the protocol behind the door is given.
    #[must_use]
    pub(crate) fn pass(&self) -> Pass {
        self.pass.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.pass.door.lock().leave(self.pass.number);
    }
}

impl Pass {
    /// Notes how far the connection has come; never back.
    pub(crate) fn reached(&self, progress: Progress) {
        self.progress.fetch_max(progress as u8, Ordering::Relaxed);
    }

    /// Resolves when the connection must make room.
    pub(crate) async fn must_make_room(&self) {
        self.ejected.cancelled().await;
    }

    /// Whether the connection must make room.
    #[must_use]
    pub(crate) fn ejected(&self) -> bool {
        self.ejected.is_cancelled()
    }

    /// Both factors were right: the connection waits no longer, and nobody makes it leave for a newcomer.
    pub(crate) fn enter(&self, identity: &str, limit: u32) -> Result<(), Crowded> {
        let source = self.door.lock().enter(self.number, identity, limit)?;
        self.door.known.logged_in(source, Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
