//! Who has connected and not yet logged in: bounded in number and time, and never a way to keep others out.
//!
//! A full room does not refuse the newcomer (a flood would then lock everybody out); it ends the connection that has
//! shown least and waited longest. Somebody who has sent an SSH identification outlives the silent ones, and somebody
//! whose first factor was right outlives both.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::identity::network;

/// How many may wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections that have not logged in, in all.
    pub(super) in_all: usize,
    /// The same per source (an IPv4 address or an IPv6 /64 network).
    pub(super) per_source: usize,
    /// From accept to the SSH identification line.
    pub(super) silence: Duration,
    /// From accept to login.
    pub(super) login: Duration,
}

/// How far a waiting connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Progress {
    /// Nothing received yet.
    Silent = 0,
    /// It speaks SSH.
    Identified = 1,
    /// A first factor was right.
    FirstFactor = 2,
}

/// The room.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    limits: Limits,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by_number: HashMap<u64, Entry>,
    per_source: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Entry {
    source: IpAddr,
    progress: Arc<AtomicU8>,
    ejected: CancellationToken,
}

/// One connection's place; it leaves the room when this is dropped (at login or at the end).
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<WaitingRoom>,
    number: u64,
    progress: Marker,
    ejected: CancellationToken,
}

impl WaitingRoom {
    /// An empty room.
    #[must_use]
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, waiting: Mutex::default() })
    }

    /// The limits it was made with.
    #[must_use]
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Lets a connection in; where the room is full, the one that has shown least and waited longest must go.
    #[must_use]
    pub(super) fn enter(self: &Arc<Self>, source: IpAddr) -> Place {
        let source = network(source);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.per_source.get(&source).is_some_and(|n| *n >= self.limits.per_source) {
            waiting.eject(Some(source));
        } else if waiting.by_number.len() >= self.limits.in_all {
            waiting.eject(None);
        }
        let number = waiting.next;
        waiting.next += 1;
        let progress = Arc::new(AtomicU8::new(Progress::Silent as u8));
        let ejected = CancellationToken::new();
        waiting.by_number.insert(number, Entry { source, progress: Arc::clone(&progress), ejected: ejected.clone() });
        *waiting.per_source.entry(source).or_default() += 1;
        Place { room: Arc::clone(self), number, progress: Marker(progress), ejected }
    }

    /// How many wait now.
    #[must_use]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).by_number.len()
    }
}

impl Waiting {
    /// The room is small (hundreds), so that a look at every entry is cheaper than an index that must be kept true.
    fn eject(&mut self, source: Option<IpAddr>) {
        let least = self
            .by_number
            .iter()
            .filter(|(_, entry)| source.is_none_or(|s| entry.source == s))
            .min_by_key(|(number, entry)| (entry.progress.load(Ordering::Relaxed), **number))
            .map(|(number, _)| *number);
        if let Some(number) = least {
            self.leave(number);
        }
    }

    fn leave(&mut self, number: u64) {
        let Some(entry) = self.by_number.remove(&number) else { return };
        entry.ejected.cancel();
        if let Some(count) = self.per_source.get_mut(&entry.source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&entry.source);
            }
        }
    }
}

/// Notes how far a connection has come.
#[derive(Debug, Clone)]
pub(super) struct Marker(Arc<AtomicU8>);

impl Marker {
    /// Notes progress; never back.
    pub(super) fn reached(&self, progress: Progress) {
        self.0.fetch_max(progress as u8, Ordering::Relaxed);
    }
}

impl Place {
    /// Notes how far the connection has come; never back.
    pub(super) fn reached(&self, progress: Progress) {
        self.progress.reached(progress);
    }

    /// Something to note progress with, for whom the place does not belong to.
    #[must_use]
    pub(super) fn marker(&self) -> Marker {
        self.progress.clone()
    }

    /// Resolves when this connection must make room.
    #[must_use]
    pub(super) fn ejected(&self) -> CancellationToken {
        self.ejected.clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.waiting.lock().unwrap_or_else(PoisonError::into_inner).leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(in_all: usize, per_source: usize) -> Arc<WaitingRoom> {
        WaitingRoom::new(Limits {
            in_all,
            per_source,
            silence: Duration::from_secs(10),
            login: Duration::from_secs(120),
        })
    }

    fn source(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    #[test]
    fn a_thousand_silent_ones_do_not_push_out_the_one_who_speaks() {
        let room = room(16, 8);
        let real = room.enter(source(1));
        real.reached(Progress::Identified);
        let silent: Vec<Place> = (0..1000).map(|n| room.enter(source(u8::try_from(n % 200).unwrap_or(0)))).collect();
        assert!(!real.ejected().is_cancelled());
        assert!(room.waiting() <= 16);
        assert!(silent.iter().filter(|p| p.ejected().is_cancelled()).count() >= 984);
    }

    #[test]
    fn a_flood_of_speakers_does_not_push_out_a_right_first_factor() {
        let room = room(8, 8);
        let real = room.enter(source(1));
        real.reached(Progress::FirstFactor);
        let _others: Vec<Place> = (0..100)
            .map(|_| {
                let place = room.enter(source(1));
                place.reached(Progress::Identified);
                place
            })
            .collect();
        assert!(!real.ejected().is_cancelled());
    }

    #[test]
    fn the_room_is_empty_when_all_have_left() {
        let room = room(4, 4);
        let places: Vec<Place> = (0..50).map(|n| room.enter(source(n))).collect();
        drop(places);
        assert_eq!(room.waiting(), 0);
        assert!(room.waiting.lock().unwrap_or_else(PoisonError::into_inner).per_source.is_empty());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_source() {
        let room = room(100, 2);
        let first = room.enter("2001:db8::1".parse().unwrap_or(source(0)));
        let _second = room.enter("2001:db8::2".parse().unwrap_or(source(0)));
        let _third = room.enter("2001:db8::3".parse().unwrap_or(source(0)));
        assert!(first.ejected().is_cancelled());
    }
}
