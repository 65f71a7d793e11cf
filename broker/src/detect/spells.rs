//! Counts within a window of time that moves along: how often something came of somebody, or how many different things did.
//!
//! Whoever is counted is forgotten when nothing came of them for a window. Of more than can be remembered, the quietest go first, so that
//! a flood of names hides nobody who is busy.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// How often it came.
    Times,
    /// How many different values came.
    Different,
}

/// The counts of one rule, for each of whom it counts.
#[derive(Debug)]
pub(super) struct Spells {
    measure: Measure,
    /// In microseconds.
    window: i64,
    threshold: u64,
    spells: HashMap<String, Spell>,
    hashed: RandomState,
}

/// A count that is worth telling: the threshold is met, or a doubling of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crossed {
    /// How many within the window.
    pub(super) count: u64,
    /// Some of the values, the newest last.
    pub(super) examples: Vec<String>,
}

#[derive(Debug, Default)]
struct Spell {
    /// How many came in each slot of time, by the slot's number.
    slots: BTreeMap<i64, u64>,
    /// When each value came last, by its hash.
    values: HashMap<u64, i64>,
    examples: VecDeque<String>,
    newest: i64,
    /// How many thresholds were told: one, and one for each doubling.
    told: u32,
}

impl Spells {
    /// Tells at `threshold` within `window`.
    pub(super) fn new(measure: Measure, threshold: u32, window: Duration) -> Self {
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1);
        Self {
            measure,
            window,
            threshold: u64::from(threshold.max(1)),
            spells: HashMap::new(),
            hashed: RandomState::new(),
        }
    }

    /// `times` more of `who`, of this value, at a time in microseconds. What came too late to count any more is passed over.
    pub(super) fn note(&mut self, who: &str, value: &str, times: u64, at: i64) -> Option<Crossed> {
        if !self.spells.contains_key(who) {
            self.make_room(at);
        }
        let (measure, window, threshold) = (self.measure, self.window, self.threshold);
        let spell = self.spells.entry(who.to_owned()).or_insert_with(|| Spell { newest: at, ..Spell::default() });
        if at <= spell.newest.saturating_sub(window) {
            return None;
        }
        let hash = self.hashed.hash_one(value);
        spell.newest = spell.newest.max(at);
        spell.expire(window);
        let before = spell.count(measure);
        if before < threshold.div_ceil(2) {
            // It was quiet between: what comes now is another wave.
            spell.told = 0;
        }
        spell.add(value, hash, times, at, window, measure);
        let count = spell.count(measure);
        let next = threshold.saturating_mul(1_u64.checked_shl(spell.told).unwrap_or(u64::MAX));
        if count < next {
            return None;
        }
        while spell.told < 63 && count >= threshold.saturating_mul(1 << spell.told) {
            spell.told += 1;
        }
        Some(Crossed { count, examples: spell.examples.iter().cloned().collect() })
    }

    /// The clock cannot be believed about what was before.
    pub(super) fn forget(&mut self) {
        self.spells.clear();
    }

    fn make_room(&mut self, at: i64) {
        if self.spells.len() < MOST_COUNTED {
            return;
        }
        let (measure, window) = (self.measure, self.window);
        self.spells.retain(|_, spell| spell.newest > at.saturating_sub(window));
        if self.spells.len() >= MOST_COUNTED {
            let quietest = self.spells.iter().min_by_key(|(_, spell)| (spell.count(measure), spell.newest));
            if let Some(quietest) = quietest.map(|(who, _)| who.clone()) {
                self.spells.remove(&quietest);
            }
        }
    }
}

impl Spell {
    fn expire(&mut self, window: i64) {
        let since = self.newest.saturating_sub(window);
        self.values.retain(|_, last| *last > since);
        self.slots = self.slots.split_off(&(since.div_euclid(slot(window)) + 1));
    }

    fn add(&mut self, value: &str, hash: u64, times: u64, at: i64, window: i64, measure: Measure) {
        match measure {
            Measure::Times => *self.slots.entry(at.div_euclid(slot(window))).or_default() += times,
            Measure::Different => {
                let room = self.values.len() < MOST_VALUES;
                match self.values.get_mut(&hash) {
                    Some(last) => {
                        *last = at.max(*last);
                        return;
                    }
                    None if room => {
                        self.values.insert(hash, at);
                    }
                    None => {}
                }
            }
        }
        if !value.is_empty() && !self.examples.iter().any(|known| known == value) {
            if self.examples.len() >= MOST_EXAMPLES {
                self.examples.pop_front();
            }
            self.examples.push_back(value.to_owned());
        }
    }

    fn count(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Times => self.slots.values().fold(0, |sum, slot| sum.saturating_add(*slot)),
            Measure::Different => u64::try_from(self.values.len()).unwrap_or(u64::MAX),
        }
    }
}

/// How often something came is counted in so many parts of the window: it moves along by one of them at a time.
const SLOTS: i64 = 12;

fn slot(window: i64) -> i64 {
    (window / SLOTS).max(1)
}

/// Of whom a rule counts at once.
const MOST_COUNTED: usize = 1024;
/// Different values that are told apart; thresholds are not larger.
pub(super) const MOST_VALUES: usize = 512;
const MOST_EXAMPLES: usize = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn counts(crossed: &[Option<Crossed>]) -> Vec<u64> {
        crossed.iter().flatten().map(|crossed| crossed.count).collect()
    }

    #[test]
    fn different_things_are_told_at_the_threshold_at_its_doublings_and_not_between() {
        let mut scan = Spells::new(Measure::Different, 8, Duration::from_mins(5));
        let note = |scan: &mut Spells, value: i64| scan.note("alice", &format!("ews-{value}"), 1, value * SECOND);
        let seven: Vec<_> = (0..7).map(|value| note(&mut scan, value)).collect();
        assert_eq!(counts(&seven), Vec::<u64>::new(), "just below");
        // The same again is nothing new.
        assert_eq!(scan.note("alice", "ews-3", 1, 8 * SECOND), None);
        let eighth = note(&mut scan, 7).unwrap();
        assert_eq!((eighth.count, eighth.examples.len()), (8, 8));
        assert_eq!(counts(&(8..100).map(|value| note(&mut scan, value)).collect::<Vec<_>>()), [16, 32, 64]);
        // Somebody else is somebody else.
        assert_eq!(scan.note("bob", "ews-1", 1, 8 * SECOND), None);
    }

    #[test]
    fn what_has_left_the_window_does_not_count() {
        let mut scan = Spells::new(Measure::Different, 3, Duration::from_secs(10));
        assert_eq!(scan.note("s", "a", 1, 0), None);
        assert_eq!(scan.note("s", "b", 1, 5 * SECOND), None);
        // `a` is as old as the window is long: gone.
        assert_eq!(scan.note("s", "c", 1, 10 * SECOND), None);
        assert_eq!(scan.note("s", "d", 1, 15 * SECOND - 1).unwrap().count, 3);
        // It goes on at the same height, and is not told again; after a pause it is.
        assert_eq!(scan.note("s", "e", 1, 16 * SECOND), None);
        assert_eq!(counts(&(0..3).map(|n| scan.note("s", &format!("x{n}"), 1, 60 * SECOND)).collect::<Vec<_>>()), [3]);
    }

    #[test]
    fn how_often_counts_by_the_same_window_and_a_late_entry_where_it_belongs() {
        let mut storm = Spells::new(Measure::Times, 60, Duration::from_mins(1));
        let fast: Vec<_> = (0..59).map(|n| storm.note("k", "", 1, n * SECOND / 2)).collect();
        assert_eq!(counts(&fast), Vec::<u64>::new());
        assert_eq!(storm.note("k", "", 1, 30 * SECOND).unwrap().count, 60);
        // As many again, spread over a long time: never so many within the window.
        let mut slow = Spells::new(Measure::Times, 60, Duration::from_mins(1));
        assert_eq!(
            counts(&(0..600).map(|n| slow.note("k", "", 1, n * 2 * SECOND)).collect::<Vec<_>>()),
            Vec::<u64>::new()
        );
        // What waited on disk for longer than the window tells of no storm now.
        assert_eq!(slow.note("k", "", 1_000, 0), None);
        assert_eq!(slow.note("k", "", 60, 1_190 * SECOND).unwrap().count, 90);
    }

    #[test]
    fn a_flood_of_names_neither_grows_without_bound_nor_hides_who_is_busy() {
        let mut guesses = Spells::new(Measure::Times, 10, Duration::from_mins(10));
        for _ in 0..9 {
            assert_eq!(guesses.note("10.0.0.9", "", 1, 0), None);
        }
        for n in 0..4_000 {
            assert_eq!(guesses.note(&format!("name-{n}"), "", 1, SECOND), None);
        }
        assert!(guesses.spells.len() <= MOST_COUNTED, "{} are remembered", guesses.spells.len());
        assert_eq!(guesses.note("10.0.0.9", "", 1, 2 * SECOND).unwrap().count, 10);
        let mut scan = Spells::new(Measure::Different, 8, Duration::from_mins(10));
        for n in 0..20_000 {
            drop(scan.note("mallory", &format!("asset-{n}"), 1, SECOND));
        }
        let spell = &scan.spells["mallory"];
        assert!(spell.values.len() <= MOST_VALUES && spell.examples.len() <= MOST_EXAMPLES);
        scan.forget();
        assert!(scan.spells.is_empty());
    }
}
