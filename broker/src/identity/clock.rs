//! Has the wall clock jumped? Leases are measured by it, so they fail closed when it does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::IdentityId;

use super::Identities;
use crate::store::StoreError;

/// Compares the wall clock with a monotonic one. Pure: both times are handed in.
#[derive(Debug)]
pub struct ClockWatch {
    wall: Timestamp,
    monotonic: Duration,
}

impl ClockWatch {
    /// Starts from a moment read on both clocks.
    #[must_use]
    pub fn new(wall: Timestamp, monotonic: Duration) -> Self {
        Self { wall, monotonic }
    }

    /// By how much the wall clock jumped since the last look, if it did. Look every few seconds: slow drift is not a jump.
    pub fn look(&mut self, wall: Timestamp, monotonic: Duration) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(monotonic.saturating_sub(self.monotonic)).unwrap_or(SignedDuration::MAX);
        let jump = wall.duration_since(self.wall).saturating_sub(passed);
        *self = Self { wall, monotonic };
        (jump.abs() > TOLERANCE).then_some(jump)
    }
}

/// Who revokes leases when the clock jumps.
pub const CLOCK_JUMP: &str = "clock jump";

impl Identities {
    /// The clock jumped: no lease granted before is measured rightly, so all of them are revoked. Says whose were. Until
    /// the store has taken that, no lease counts on this broker.
    pub async fn clock_jumped(&self, now: Timestamp) -> Result<Vec<IdentityId>, StoreError> {
        self.inner.clock_distrusted.store(true, Ordering::SeqCst);
        let revoked = self.inner.store.revoke_leases(None, None, CLOCK_JUMP, now).await?;
        self.inner.clock_distrusted.store(false, Ordering::SeqCst);
        let mut identities: Vec<_> =
            revoked.into_iter().filter_map(|lease| IdentityId::try_from(lease.identity.as_str()).ok()).collect();
        identities.dedup();
        Ok(identities)
    }

    /// Makes up for a jump whose revocations the store did not take at the time.
    pub(super) async fn settle_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.inner.clock_distrusted.load(Ordering::SeqCst) {
            self.clock_jumped(now).await?;
        }
        Ok(())
    }
}

/// What a time service corrects in passing.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_jump_either_way_is_seen_once() {
        let start: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let mut watch = ClockWatch::new(start, Duration::from_secs(100));
        let mut look = |wall, monotonic| {
            let jump = watch.look(start + SignedDuration::from_secs(wall), Duration::from_secs(monotonic));
            jump.map(|jump| jump.as_secs())
        };
        assert_eq!(look(5, 105), None);
        assert_eq!(look(12, 110), None, "within what a time service corrects");
        assert_eq!(look(3617, 115), Some(3600));
        assert_eq!(look(3622, 120), None);
        assert_eq!(look(27, 125), Some(-3600));
    }
}
