//! How often a source may connect, whatever it does then: a key exchange costs the broker more than the one who asks for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Sources that are remembered. A source is forgotten when it could connect as often as one that was never seen.
const MOST_SOURCES: usize = 4096;
/// More is no limit any longer.
const MOST_PER_SECOND: u32 = 1_000_000;
/// Sources that may be forgotten are looked for this often: in a flood, not for every connection.
const PRUNE: Duration = Duration::from_millis(250);
/// Seconds' worth that may come at once: one tool often opens several connections, a page of them, and is no flood.
const BURST: u32 = 4;
/// How much more often somebody may connect from where people have logged in.
const KNOWN: u32 = 8;

/// Token buckets, each kept as the time when it will be full again.
#[derive(Debug)]
pub(super) struct Rates {
    /// Between two connections of a stranger's source.
    every: Duration,
    /// As many at once.
    burst: u32,
    /// `None`: all that came when as many sources as can be remembered were busy.
    full_at: HashMap<Option<IpAddr>, Instant>,
    pruned: Option<Instant>,
}

impl Rates {
    /// `per_second` connections from one source, and [`BURST`] times as many at once.
    pub(super) fn new(per_second: usize) -> Self {
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX).clamp(1, MOST_PER_SECOND);
        Self {
            every: Duration::from_secs(1) / per_second,
            burst: per_second * BURST,
            full_at: HashMap::new(),
            pruned: None,
        }
    }

    /// Takes one connection out of the source's bucket; false if there is none left.
    pub(super) fn take(&mut self, source: IpAddr, known: bool, now: Instant) -> bool {
        let mut key = Some(source);
        if self.full_at.len() >= MOST_SOURCES && !self.full_at.contains_key(&key) {
            if self.pruned.is_none_or(|pruned| now.saturating_duration_since(pruned) >= PRUNE) {
                self.pruned = Some(now);
                self.full_at.retain(|_, full_at| *full_at > now);
            }
            // Strangers who are too many to be told apart do not slow down who is known.
            if self.full_at.len() >= MOST_SOURCES && !known {
                key = None;
            }
        }
        let every = if known { self.every / KNOWN } else { self.every };
        let full_at = self.full_at.get(&key).copied().unwrap_or(now).max(now);
        let (missing, whole) = (full_at.saturating_duration_since(now), every * self.burst * known_factor(known));
        let left = missing + every <= whole;
        if left {
            self.full_at.insert(key, full_at + every);
        }
        left
    }
}

/// The bucket of a known source holds more, as it fills faster.
fn known_factor(known: bool) -> u32 {
    if known { KNOWN } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    fn taken(rates: &mut Rates, source: IpAddr, known: bool, at: Instant) -> usize {
        (0..1000).filter(|_| rates.take(source, known, at)).count()
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        assert_eq!(taken(&mut rates, source(1), false, start), 40);
        assert_eq!(taken(&mut rates, source(1), false, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(&mut rates, source(1), false, start + Duration::from_secs(60)), 40);
        assert_eq!(taken(&mut rates, source(2), false, start), 40, "another source pays nothing");
    }

    #[test]
    fn where_people_have_logged_in_more_may_come_at_once() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        assert_eq!(taken(&mut rates, source(1), true, start), 320);
        assert_eq!(taken(&mut rates, source(1), true, start + Duration::from_secs(1)), 80);
    }

    #[test]
    fn sources_beyond_those_that_are_remembered_share_one_bucket() {
        let (mut rates, start) = (Rates::new(10), Instant::now());
        for n in 0..100_000 {
            rates.take(source(n), false, start);
        }
        assert!(rates.full_at.len() <= MOST_SOURCES + 1);
        assert_eq!(taken(&mut rates, source(200_000), false, start), 0);
        assert_eq!(taken(&mut rates, source(200_001), true, start), 320, "but not who is known");
        assert_eq!(taken(&mut rates, source(200_002), false, start + Duration::from_secs(2)), 40);
    }
}
