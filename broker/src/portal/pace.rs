//! How fast somebody who is signed in may do one thing after another. What they do is on the record, which is everybody's: nobody fills it
//! by refusing, proving or guessing in a loop.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sallyport_policy::IdentityId;

/// More than a person does in a minute, at once.
const DEEDS_AT_ONCE: u32 = 60;
/// After those, one in so long.
const BETWEEN_DEEDS: Duration = Duration::from_secs(1);

/// A bucket for everybody who does something, kept as the time when it will be full again.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<IdentityId, Instant>>);

impl Pace {
    /// Takes one deed out of somebody's bucket; false if there is none left.
    pub(super) fn take(&self, identity: &IdentityId, now: Instant) -> bool {
        let mut full_at = self.lock();
        let missing = full_at.get(identity).map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        let left = missing + BETWEEN_DEEDS <= BETWEEN_DEEDS * DEEDS_AT_ONCE;
        if left {
            full_at.insert(identity.clone(), now + missing + BETWEEN_DEEDS);
        }
        left
    }

    /// Forgets whoever has a full bucket.
    pub(super) fn sweep(&self, now: Instant) {
        self.lock().retain(|_, full_at| *full_at > now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IdentityId, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_person_does_much_at_once_and_then_one_thing_after_another_and_slows_nobody_else() {
        let (pace, begin) = (Pace::default(), Instant::now());
        let (alice, bob): (IdentityId, IdentityId) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let done = |identity: &IdentityId, at| (0..1000).filter(|_| pace.take(identity, at)).count();
        assert_eq!(done(&alice, begin), 60);
        assert_eq!(done(&bob, begin), 60);
        assert_eq!(done(&alice, begin + BETWEEN_DEEDS / 2), 0);
        assert_eq!(done(&alice, begin + BETWEEN_DEEDS * 7), 7);
        pace.sweep(begin + BETWEEN_DEEDS * 61);
        assert_eq!(pace.lock().keys().map(IdentityId::as_str).collect::<Vec<_>>(), ["alice"]);
        assert_eq!(done(&bob, begin + BETWEEN_DEEDS * 61), 60);
    }
}
