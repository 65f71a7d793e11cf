//! How many refused logins of strangers are put on the record: every one of a person who errs, not every one of a flood.
//!
//! Each source has a bucket of events that refills with time. What overflows is a wave: it is told when it begins, and when
//! it is over, with how many there were. Sources beyond those that can be remembered share one bucket: however many there
//! are, what they do shows.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::AuditEvent;
use crate::identity::network;

/// Refusals of one source that are recorded at once.
const BURST: u32 = 20;
/// One more every so often.
const REFILL: Duration = Duration::from_secs(2);
/// Sources that are remembered; the quietest are forgotten first.
const MOST_SOURCES: usize = 4096;

/// Where refusals come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// One source.
    Network(IpAddr),
    /// All that came when as many as can be remembered were busy.
    Elsewhere,
}

/// What to do with a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Record it.
    Record,
    /// Record that a wave has begun, instead.
    WaveBegins(Origin),
    /// It is counted, and told when the wave is over.
    Counted,
}

impl Note {
    /// What to record, if anything: the refusal itself, or that a wave has begun.
    pub(super) fn event(self, refusal: AuditEvent) -> Option<AuditEvent> {
        match self {
            Note::Counted => None,
            Note::Record => Some(refusal),
            Note::WaveBegins(origin) => Some(AuditEvent::LoginThrottled {
                identity: None,
                source: origin.to_string(),
                reason: "refused logins from this source come faster than they are recorded".to_owned(),
            }),
        }
    }
}

/// A wave that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wave {
    pub(super) origin: Origin,
    /// Refusals that were not recorded one by one.
    pub(super) refusals: u64,
}

/// The buckets.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    buckets: Mutex<HashMap<Origin, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    filled: Instant,
    /// Refusals of the wave that is under way.
    wave: u64,
}

impl Refusals {
    /// One more refusal from `source` at `now`.
    pub(super) fn note(&self, source: IpAddr, now: Instant) -> Note {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut origin = Origin::Network(network(source));
        if buckets.len() >= MOST_SOURCES && !buckets.contains_key(&origin) {
            buckets.retain(|_, bucket| bucket.wave > 0 || bucket.refilled(now) < BURST);
            if buckets.len() >= MOST_SOURCES {
                origin = Origin::Elsewhere;
            }
        }
        let bucket = buckets.entry(origin).or_insert(Bucket { left: BURST, filled: now, wave: 0 });
        let left = bucket.refilled(now);
        if left == 0 {
            bucket.wave += 1;
            return if bucket.wave == 1 { Note::WaveBegins(origin) } else { Note::Counted };
        }
        bucket.left = left - 1;
        bucket.filled = now;
        Note::Record
    }

    /// The waves that are over at `now`: each is given once.
    pub(super) fn over(&self, now: Instant) -> Vec<Wave> {
        self.take(|bucket| bucket.refilled(now) >= BURST / 2)
    }

    /// Every wave, over or not.
    pub(super) fn all(&self) -> Vec<Wave> {
        self.take(|_| true)
    }

    fn take(&self, over: impl Fn(&Bucket) -> bool) -> Vec<Wave> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let waves = buckets.iter_mut().filter(|(_, bucket)| bucket.wave > 0 && over(bucket));
        waves.map(|(origin, bucket)| Wave { origin: *origin, refusals: std::mem::take(&mut bucket.wave) }).collect()
    }
}

impl Wave {
    /// For the record.
    pub(super) fn event(&self) -> AuditEvent {
        AuditEvent::LoginThrottled {
            identity: None,
            source: self.origin.to_string(),
            reason: format!("{} refused logins were not recorded one by one", self.refusals),
        }
    }
}

impl Bucket {
    fn refilled(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.filled).as_secs() / REFILL.as_secs();
        self.left.saturating_add(u32::try_from(passed).unwrap_or(BURST)).min(BURST)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Network(source) => source.fmt(f),
            Origin::Elsewhere => f.write_str("many sources"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(notes: &[Note], wanted: impl Fn(&Note) -> bool) -> usize {
        notes.iter().filter(|note| wanted(note)).count()
    }

    #[test]
    fn a_person_who_errs_is_recorded_and_a_flood_is_told_when_it_begins_and_counted_when_it_is_over() {
        let refusals = Refusals::default();
        let (source, start) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        let notes: Vec<Note> = (0..1000).map(|_| refusals.note(source, start)).collect();
        assert_eq!(count(&notes, |note| *note == Note::Record), BURST as usize);
        assert_eq!(count(&notes, |note| matches!(note, Note::WaveBegins(_))), 1);
        assert_eq!(refusals.over(start), []);
        let later = start + REFILL * BURST;
        assert_eq!(refusals.over(later), [Wave { origin: Origin::Network(source), refusals: 980 }]);
        assert_eq!(refusals.over(later), []);
        assert_eq!(refusals.note(source, later), Note::Record);
    }

    #[test]
    fn an_ipv6_stranger_is_one_source_however_many_addresses_they_use() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let address = |n: u128| IpAddr::from((0x2001_0db8_u128 << 96 | n).to_be_bytes());
        let notes: Vec<Note> = (0..1000).map(|n| refusals.note(address(n), start)).collect();
        assert_eq!(count(&notes, |note| *note == Note::Record), BURST as usize);
    }

    #[test]
    fn more_sources_than_can_be_remembered_hide_nobody() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for n in 0..20_000_u32 {
            refusals.note(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(refusals.buckets.lock().unwrap_or_else(PoisonError::into_inner).len() <= MOST_SOURCES + 1);
        // Those that are not remembered were recorded as far as one source would have been, and the rest is told.
        let waves = refusals.all();
        let elsewhere = 20_000 - MOST_SOURCES as u64 - u64::from(BURST);
        assert_eq!(waves, [Wave { origin: Origin::Elsewhere, refusals: elsewhere }]);
    }
}
