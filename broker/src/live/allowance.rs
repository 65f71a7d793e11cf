//! What one person may take of this broker: so many sessions at once, and new ones no faster than anybody works.
//!
//! Each session is a file and several entries of the audit chain: whoever begins them as fast as it goes fills both. The
//! count is this broker's own; beside another broker, each has its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_policy::IdentityId;

use crate::audit::{Entered, Tally};

/// Of as many sessions as somebody may have at once, one part in this many may begin anew each second …
const SHARE: u32 = 8;
/// … and what comes to this long of it may begin at once: four times as many as they may have.
const BURST: Duration = Duration::from_secs(32);
/// Who may have fewer at once than this begins new ones no slower: one each second, and 32 at once. Refusals that the policy was not
/// asked about are entered one by one as fast.
const LEAST: u32 = 8;
/// From so many people on, those are forgotten of whom nothing needs to be known.
const PRUNE: usize = 1024;

/// What everybody has taken.
#[derive(Debug, Default)]
pub(crate) struct Allowances {
    people: Mutex<HashMap<IdentityId, Taken>>,
}

#[derive(Debug)]
struct Taken {
    live: u32,
    asked: Bucket,
    refused: Bucket,
}

/// What somebody may do at once, and refills with time.
#[derive(Debug)]
struct Bucket {
    /// When it will be full again.
    full_at: Instant,
    /// What came when it was empty.
    over: Tally,
}

/// A session's place among those of its person; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    allowances: Arc<Allowances>,
    who: IdentityId,
}

impl Allowances {
    /// Takes one question for a session out of what somebody may ask who may have so many sessions at once. `Err` is what
    /// becomes of the refusal in the audit chain.
    pub(crate) fn ask(&self, who: &IdentityId, sessions: u32, now: Instant) -> Result<(), Entered> {
        let mut people = self.lock();
        if people.len() >= PRUNE {
            people.retain(|_, taken| taken.live > 0 || taken.asked.full_at > now || taken.refused.full_at > now);
        }
        let taken = people.entry(who.clone()).or_insert_with(|| Taken::new(now));
        taken.asked.take(sessions.max(LEAST), now)
    }

    /// Somebody is refused what the policy is not asked about. `Err` is what becomes of it in the audit chain where it is one of a
    /// flood.
    pub(crate) fn refuse(&self, who: &IdentityId, now: Instant) -> Result<(), Entered> {
        let mut people = self.lock();
        people.entry(who.clone()).or_insert_with(|| Taken::new(now)).refused.take(LEAST, now)
    }

    /// A place for one more session; none where they have as many as they may.
    pub(crate) fn place(self: &Arc<Self>, who: &IdentityId, sessions: u32, now: Instant) -> Option<Place> {
        let mut people = self.lock();
        let taken = people.entry(who.clone()).or_insert_with(|| Taken::new(now));
        if taken.live >= sessions {
            return None;
        }
        taken.live += 1;
        Some(Place { allowances: Arc::clone(self), who: who.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IdentityId, Taken>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn new(now: Instant) -> Self {
        Self { live: 0, asked: Bucket::full(now), refused: Bucket::full(now) }
    }
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { full_at: now, over: Tally::default() }
    }

    /// Takes one, where one of [`SHARE`] of so many comes back each second.
    fn take(&mut self, of: u32, now: Instant) -> Result<(), Entered> {
        let missing = self.full_at.saturating_duration_since(now);
        if missing.is_zero() {
            // They have been quiet: what is too much from here on is another flood.
            self.over = Tally::default();
        }
        let each = Duration::from_secs(SHARE.into()) / of;
        if missing + each > BURST {
            return Err(self.over.next());
        }
        self.full_at = now + missing + each;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(taken) = self.allowances.lock().get_mut(&self.who) {
            taken.live -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn person(name: &str) -> IdentityId {
        name.parse().unwrap()
    }

    /// How many of a thousand questions are let through.
    fn asked(allowances: &Allowances, who: &str, sessions: u32, at: Instant) -> usize {
        (0..1000).filter(|_| allowances.ask(&person(who), sessions, at).is_ok()).count()
    }

    #[test]
    fn a_person_has_so_many_sessions_at_once_and_another_pays_nothing() {
        let (allowances, now) = (Arc::new(Allowances::default()), Instant::now());
        let mut places: Vec<Place> = (0..5).filter_map(|_| allowances.place(&person("alice"), 2, now)).collect();
        assert_eq!(places.len(), 2);
        assert!(allowances.place(&person("bob"), 2, now).is_some());
        places.pop();
        assert!(allowances.place(&person("alice"), 2, now).is_some());
    }

    #[test]
    fn new_sessions_come_in_a_burst_and_then_at_a_rate_that_goes_by_their_number() {
        let (allowances, start) = (Allowances::default(), Instant::now());
        assert_eq!(asked(&allowances, "alice", 64, start), 256);
        assert_eq!(asked(&allowances, "alice", 64, start + Duration::from_secs(2)), 16);
        assert_eq!(asked(&allowances, "alice", 64, start + Duration::from_secs(60)), 256);
        assert_eq!(asked(&allowances, "bob", 1, start), 32, "few sessions at once make nobody slow");
        assert_eq!(asked(&allowances, "bob", 1, start + Duration::from_secs(5)), 5);
    }

    #[test]
    fn a_flood_is_entered_by_its_doublings_and_the_next_one_from_its_beginning() {
        let (allowances, start) = (Allowances::default(), Instant::now());
        let entries = |at: Instant| {
            let refused = (0..10_000).filter_map(|_| allowances.ask(&person("alice"), 64, at).err());
            refused.filter(|entered| *entered != Entered::Nothing).count()
        };
        let first = entries(start);
        assert!((50..70).contains(&first), "{first} entries");
        assert!(entries(start + Duration::from_secs(1)) < 3, "the same flood");
        assert!(entries(start + Duration::from_secs(60)) >= 50, "another");
    }

    #[test]
    fn refusals_are_counted_beside_what_is_asked_for_and_cost_nothing_of_it() {
        let (allowances, start) = (Allowances::default(), Instant::now());
        let refused: Vec<_> = (0..1000).map(|_| allowances.refuse(&person("alice"), start)).collect();
        assert_eq!(refused.iter().filter(|refused| refused.is_ok()).count(), 32);
        let entered = |refused: &&Result<(), Entered>| !matches!(refused, Err(Entered::Nothing));
        assert_eq!(refused.iter().filter(entered).count(), 32 + 50 + 4);
        assert_eq!(asked(&allowances, "alice", 64, start), 256);
    }

    #[test]
    fn who_has_nothing_open_and_was_quiet_is_forgotten() {
        let (allowances, start) = (Arc::new(Allowances::default()), Instant::now());
        let _place = allowances.place(&person("alice"), 2, start).unwrap();
        for n in 0..PRUNE {
            allowances.ask(&person(&format!("p{n}")), 64, start).unwrap();
        }
        allowances.ask(&person("bob"), 64, start + BURST).unwrap();
        let people = allowances.lock();
        assert_eq!((people.len(), people[&person("alice")].live), (2, 1));
    }
}
