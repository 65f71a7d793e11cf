//! How many refused logins of strangers are put on the record: every one of a person who errs, not every one of a flood.
//!
//! Each source has a bucket of events that refills with time. What overflows is counted, and told once per wave.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Refusals of one source that are recorded at once.
const BURST: u32 = 20;
/// One more every so often.
const REFILL: Duration = Duration::from_secs(2);
/// Sources that are remembered; beyond that, the quietest are forgotten.
const MOST_SOURCES: usize = 4096;

/// What to do with a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Record it.
    Record,
    /// Record that a wave has begun, instead.
    WaveBegins,
    /// The wave is on the record.
    Silent,
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    sources: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    filled: Instant,
    in_wave: bool,
}

impl Refusals {
    /// One more refusal from `source` at `now`.
    pub(super) fn note(&self, source: IpAddr, now: Instant) -> Note {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MOST_SOURCES && !sources.contains_key(&source) {
            sources.retain(|_, bucket| bucket.refilled(now) < BURST);
            if sources.len() >= MOST_SOURCES {
                // As many sources at once as that are a wave of their own.
                return Note::Silent;
            }
        }
        let bucket = sources.entry(source).or_insert(Bucket { left: BURST, filled: now, in_wave: false });
        let left = bucket.refilled(now);
        if left == 0 {
            let begins = !bucket.in_wave;
            bucket.in_wave = true;
            return if begins { Note::WaveBegins } else { Note::Silent };
        }
        if left >= BURST / 2 {
            bucket.in_wave = false;
        }
        bucket.left = left - 1;
        bucket.filled = now;
        Note::Record
    }
}

impl Bucket {
    fn refilled(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.filled).as_secs() / REFILL.as_secs();
        self.left.saturating_add(u32::try_from(passed).unwrap_or(BURST)).min(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_who_errs_is_recorded_and_a_flood_is_told_once() {
        let refusals = Refusals::default();
        let (source, start) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        let notes: Vec<Note> = (0..1000).map(|_| refusals.note(source, start)).collect();
        assert_eq!(notes.iter().filter(|n| **n == Note::Record).count(), BURST as usize);
        assert_eq!(notes.iter().filter(|n| **n == Note::WaveBegins).count(), 1);
        let later = start + REFILL * BURST;
        assert_eq!(refusals.note(source, later), Note::Record);
    }

    #[test]
    fn memory_is_bounded() {
        let refusals = Refusals::default();
        let start = Instant::now();
        for n in 0..20_000_u32 {
            refusals.note(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(refusals.sources.lock().unwrap_or_else(PoisonError::into_inner).len() <= MOST_SOURCES);
    }
}
