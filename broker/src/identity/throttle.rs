//! Password guesses get slower for the guesser and for nobody else.
//!
//! * Per name and source: after some wrong guesses the next is looked at only after a delay that doubles up to half a
//!   minute. Another source is not affected, so an outsider locks nobody out. From a source where this person has lately
//!   proven both factors, guesses are slowed instead of refused, so a neighbour behind the same address translation locks
//!   nobody out either.
//! * Per name over all sources, and per source over all names: two more seconds when there is a flood. Sources where the
//!   person was lately are exempt.
//! * A name that nobody has is treated exactly like any other: it is never asked here whether one exists.
//! * Keys are not throttled: a signature cannot be guessed.
//! * Codes, after a right first factor: per credential and source, up to a quarter of an hour. Whoever has somebody's key and
//!   guesses makes that key wait, where they are; its owner with another key, or from another address, is not held up. What
//!   bounds guesses from many places together is counted in the store, for all brokers.
//!
//! Memory is constant: counters are slots of fixed tables, found by a keyed hash that outsiders cannot aim. Sources are whole
//! addresses for IPv4 and /64 networks for IPv6.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::network;

/// The counters of one broker.
#[derive(Debug)]
pub(super) struct Throttle {
    hasher: RandomState,
    state: Mutex<State>,
}

/// Whether a guess is looked at.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// At once.
    Now,
    /// After a moment.
    After(Duration),
    /// Not at all before this time.
    Refused {
        /// When the next one is.
        until: Timestamp,
    },
}

#[derive(Debug)]
struct State {
    pairs: Vec<Counter>,
    /// Wrong codes, per identity, credential and source.
    codes: Vec<Counter>,
    names: Vec<Counter>,
    sources: Vec<Counter>,
    /// Where people were lately. Only a complete login enters anything here.
    known: HashMap<u64, Timestamp>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    wrong: u32,
    last: i64,
}

impl Throttle {
    pub(super) fn new() -> Self {
        let state = State {
            pairs: vec![Counter::default(); PAIRS],
            codes: vec![Counter::default(); PAIRS],
            names: vec![Counter::default(); OTHERS],
            sources: vec![Counter::default(); OTHERS],
            known: HashMap::new(),
        };
        Self { hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Counts a guess as wrong before it is looked at, so that guesses at the same instant all count.
    pub(super) fn admit(&self, name: &str, source: IpAddr, now: Timestamp) -> Admission {
        let network = network(source);
        let pair = self.hasher.hash_one((name, network));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.known.get(&pair).is_some_and(|last| now.duration_since(*last).abs() < KNOWN_FOR);
        let names = slot(&mut state.names, self.hasher.hash_one(name)).wrong(now);
        let sources = slot(&mut state.sources, self.hasher.hash_one(network)).wrong(now);
        let mine = slot(&mut state.pairs, pair);
        let wait = delay(mine.wrong(now));
        let until = mine.last(now) + wait;
        if !known && now < until {
            return Admission::Refused { until };
        }
        mine.count(now);
        slot(&mut state.names, self.hasher.hash_one(name)).count(now);
        slot(&mut state.sources, self.hasher.hash_one(network)).count(now);
        let flood = names > FLOOD || sources > FLOOD;
        match (known, wait.is_zero()) {
            (true, false) => Admission::After(wait.min(KNOWN_WAIT).unsigned_abs()),
            (false, _) if flood => Admission::After(FLOOD_WAIT),
            _ => Admission::Now,
        }
    }

    /// Counts a code as wrong before it is looked at. `Err`: it is not looked at before this time.
    pub(super) fn admit_code(
        &self,
        name: &str,
        credential: &str,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let hash = self.hasher.hash_one((name, credential, network(source)));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = slot(&mut state.codes, hash);
        let wait = code_delay(mine.wrong_within(now, CODE_FADE));
        let until = mine.last(now) + wait;
        if now < until {
            return Err(until);
        }
        mine.wrong = mine.wrong_within(now, CODE_FADE).saturating_add(1);
        mine.last = now.as_second();
        Ok(())
    }

    /// The code was right.
    pub(super) fn code_succeeded(&self, name: &str, credential: &str, source: IpAddr) {
        let hash = self.hasher.hash_one((name, credential, network(source)));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *slot(&mut state.codes, hash) = Counter::default();
    }

    /// Whether this person has lately proven two factors from here.
    pub(super) fn is_known(&self, name: &str, source: IpAddr, now: Timestamp) -> bool {
        let pair = self.hasher.hash_one((name, network(source)));
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.known.get(&pair).is_some_and(|last| now.duration_since(*last).abs() < KNOWN_FOR)
    }

    /// Nobody looked at the guess: it was none.
    pub(super) fn not_looked_at(&self, name: &str, source: IpAddr) {
        let network = network(source);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        slot(&mut state.pairs, self.hasher.hash_one((name, network))).take_back();
        slot(&mut state.names, self.hasher.hash_one(name)).take_back();
        slot(&mut state.sources, self.hasher.hash_one(network)).take_back();
    }

    /// The guess was right: it was not one.
    pub(super) fn succeeded(&self, name: &str, source: IpAddr) {
        let network = network(source);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *slot(&mut state.pairs, self.hasher.hash_one((name, network))) = Counter::default();
        slot(&mut state.names, self.hasher.hash_one(name)).take_back();
        slot(&mut state.sources, self.hasher.hash_one(network)).take_back();
    }

    /// This person has proven two factors from here.
    pub(super) fn known_source(&self, name: &str, source: IpAddr, now: Timestamp) {
        let pair = self.hasher.hash_one((name, network(source)));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.known.len() >= KNOWN && !state.known.contains_key(&pair) {
            state.known.retain(|_, last| now.duration_since(*last).abs() < KNOWN_FOR);
            let oldest = state.known.iter().min_by_key(|(_, last)| **last).map(|(pair, _)| *pair);
            if let Some(oldest) = oldest.filter(|_| state.known.len() >= KNOWN) {
                state.known.remove(&oldest);
            }
        }
        state.known.insert(pair, now);
    }
}

impl Counter {
    /// What still counts: one wrong guess is forgotten per [`FADE`].
    fn wrong(&self, now: Timestamp) -> u32 {
        self.wrong_within(now, FADE)
    }

    fn wrong_within(&self, now: Timestamp, fade: SignedDuration) -> u32 {
        let forgotten = (now.as_second() - self.last).max(0) / fade.as_secs();
        self.wrong.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    /// The last guess. One in the future is a clock that went back: it counts as one of just now, once.
    fn last(&mut self, now: Timestamp) -> Timestamp {
        self.last = self.last.min(now.as_second());
        Timestamp::from_second(self.last).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn count(&mut self, now: Timestamp) {
        self.wrong = self.wrong(now).saturating_add(1);
        self.last = now.as_second();
    }

    fn take_back(&mut self) {
        self.wrong = self.wrong.saturating_sub(1);
    }
}

fn delay(wrong: u32) -> SignedDuration {
    match wrong.checked_sub(FREE) {
        None => SignedDuration::ZERO,
        Some(over) => SignedDuration::from_secs(1_i64 << over.min(10)).min(LONGEST),
    }
}

/// Nothing for the first few codes, then twice as long each time.
fn code_delay(wrong: u32) -> SignedDuration {
    match wrong.checked_sub(FREE_CODES) {
        None => SignedDuration::ZERO,
        Some(over) => SignedDuration::from_secs(2_i64 << over.min(16)).min(LONGEST_FOR_CODES),
    }
}

fn slot(table: &mut [Counter], hash: u64) -> &mut Counter {
    let index = usize::try_from(hash % table.len() as u64).unwrap_or(0);
    &mut table[index]
}

const PAIRS: usize = 1 << 16;
const OTHERS: usize = 1 << 12;
const KNOWN: usize = 1 << 14;
const FREE: u32 = 5;
const FLOOD: u32 = 50;
const FLOOD_WAIT: Duration = Duration::from_secs(2);
const LONGEST: SignedDuration = SignedDuration::from_secs(30);
const KNOWN_WAIT: SignedDuration = SignedDuration::from_secs(5);
const KNOWN_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
const FADE: SignedDuration = SignedDuration::from_mins(2);
/// Wrong codes that cost nothing: typing errors, a code that ran out while being typed.
const FREE_CODES: u32 = 4;
/// 96 guesses a day at three codes in a million: 3 in 10,000, for somebody who has the first factor already.
const LONGEST_FOR_CODES: SignedDuration = SignedDuration::from_mins(15);
/// Longer than the longest hold, so that whoever waits it out has not been forgotten.
const CODE_FADE: SignedDuration = SignedDuration::from_hours(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const HOME: &str = "192.0.2.7";
    const OUTSIDE: &str = "198.51.100.66";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn admit(throttle: &Throttle, name: &str, source: &str, second: i64) -> Admission {
        throttle.admit(name, source.parse().unwrap(), at(second))
    }

    #[test]
    fn a_guesser_waits_longer_and_longer_but_never_more_than_half_a_minute() {
        let throttle = Throttle::new();
        let mut second = 0;
        let mut waits = Vec::new();
        for _ in 0..12 {
            while matches!(admit(&throttle, "alice", OUTSIDE, second), Admission::Refused { .. }) {
                second += 1;
            }
            waits.push(second);
        }
        let between: Vec<_> = waits.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(between, [0, 0, 0, 0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn an_outsider_does_not_lock_anybody_out() {
        let throttle = Throttle::new();
        for second in 0..40 {
            let _guess = admit(&throttle, "alice", OUTSIDE, second);
        }
        assert!(matches!(admit(&throttle, "alice", OUTSIDE, 40), Admission::Refused { .. }));
        assert_eq!(admit(&throttle, "alice", HOME, 40), Admission::Now);
        assert_eq!(admit(&throttle, "bob", OUTSIDE, 40), Admission::Now, "nor the others behind the same address");
    }

    #[test]
    fn a_flood_from_everywhere_slows_new_sources_and_spares_known_ones() {
        let throttle = Throttle::new();
        throttle.known_source("alice", HOME.parse().unwrap(), at(0));
        for outsider in 0..100 {
            let _guess = admit(&throttle, "alice", &format!("198.51.100.{outsider}"), 1);
        }
        assert_eq!(admit(&throttle, "alice", "203.0.113.1", 1), Admission::After(FLOOD_WAIT));
        assert_eq!(admit(&throttle, "alice", HOME, 1), Admission::Now);
    }

    #[test]
    fn a_neighbour_behind_the_same_address_slows_a_known_person_and_does_not_refuse_them() {
        let throttle = Throttle::new();
        throttle.known_source("alice", HOME.parse().unwrap(), at(0));
        for _ in 0..50 {
            let _guess = admit(&throttle, "alice", HOME, 1);
        }
        assert_eq!(admit(&throttle, "alice", HOME, 1), Admission::After(KNOWN_WAIT.unsigned_abs()));
    }

    #[test]
    fn whoever_guesses_codes_holds_up_the_credential_and_source_that_they_use_and_nobody_else() {
        let throttle = Throttle::new();
        let code = |credential: &str, source: &str, second| {
            throttle.admit_code("alice", credential, source.parse().unwrap(), at(second))
        };
        let mut second = 0;
        let mut looked_at = Vec::new();
        while second < 86_400 {
            match code("stolen", OUTSIDE, second) {
                Ok(()) => looked_at.push(second),
                Err(until) => second = second.max(until.as_second() - at(0).as_second()) - 1,
            }
            second += 1;
        }
        // The first few are free, and then the holds double.
        let between: Vec<i64> = looked_at.windows(2).take(9).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(between, [1, 1, 1, 2, 4, 8, 16, 32, 64]);
        assert!(looked_at.len() <= 110, "{} guesses in a day", looked_at.len());
        assert!(code("stolen", OUTSIDE, 86_400).is_err());
        assert_eq!(code("stolen", HOME, 86_400), Ok(()), "the same key where its owner is");
        assert_eq!(code("another", OUTSIDE, 86_400), Ok(()), "another key of theirs");
        throttle.code_succeeded("alice", "stolen", OUTSIDE.parse().unwrap());
        assert_eq!(code("stolen", OUTSIDE, 86_400), Ok(()));
    }

    #[test]
    fn a_right_password_wipes_the_slate() {
        let throttle = Throttle::new();
        for _ in 0..5 {
            assert_eq!(admit(&throttle, "alice", HOME, 0), Admission::Now);
        }
        throttle.succeeded("alice", HOME.parse().unwrap());
        assert_eq!(admit(&throttle, "alice", HOME, 0), Admission::Now);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let throttle = Throttle::new();
        for host in 0..6 {
            let _guess = admit(&throttle, "alice", &format!("2001:db8::{host}"), 0);
        }
        assert!(matches!(admit(&throttle, "alice", "2001:db8::ffff", 0), Admission::Refused { .. }));
        assert_eq!(admit(&throttle, "alice", "2001:db8:0:1::1", 0), Admission::Now);
    }

    #[test]
    fn a_clock_that_goes_back_does_not_hold_anybody_for_longer() {
        let throttle = Throttle::new();
        for _ in 0..20 {
            let _guess = admit(&throttle, "alice", HOME, 100_000);
        }
        let Admission::Refused { until } = admit(&throttle, "alice", HOME, 0) else { unreachable!() };
        assert!(until <= at(0) + LONGEST);
    }

    #[test]
    fn where_people_were_lately_is_bounded() {
        let throttle = Throttle::new();
        for person in 0..(KNOWN + 10) {
            throttle.known_source(
                &format!("person-{person}"),
                HOME.parse().unwrap(),
                at(i64::try_from(person).unwrap()),
            );
        }
        assert_eq!(throttle.state.lock().unwrap().known.len(), KNOWN);
    }
}
