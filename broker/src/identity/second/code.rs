//! A typed code: of an authenticator, or a recovery code in its place. Each counts once, and guesses get slower.
//!
//! Only who has proven a first factor gets here, so an outsider cannot make anybody wait. Somebody with a stolen one holds up
//! that credential where they are (see `throttle.rs`), and its owner elsewhere, or with another, is not kept waiting. Wrong
//! codes from everywhere are counted in the store too, for all brokers together: should they come from many sources at once,
//! only who was here lately goes on as before. A session that holds a lease is not asked and not held up.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{FactorKind, IdentityId};

use crate::identity::{Identities, Refused, Verified};
use crate::store::Genuine;
use crate::store::factors::TotpRow;

impl Identities {
    /// Checks a code and spends it. Says of what kind it was.
    pub(super) async fn prove_by_code(
        &self,
        first: &Verified,
        code: &str,
        now: Timestamp,
    ) -> Result<FactorKind, Refused> {
        let identity = first.identity();
        let typed: String = code.chars().filter(|letter| !letter.is_whitespace()).take(LONGEST_CODE).collect();
        // Nothing typed is no guess: programs without a terminal answer so, and must not keep their person out.
        if typed.is_empty() {
            return Err(Refused::WrongCode);
        }
        let throttle = &self.inner.throttle;
        let (name, credential, source) = (identity.as_str(), first.credential(), first.source());
        throttle.admit_code(name, credential, source, now).map_err(|until| Refused::TooManyCodes { until })?;
        let totp = self.reserve_guess(identity, throttle.is_known(name, source, now), now).await?;
        let kind = if totp.settings.looks_like_code(&typed) {
            self.spend_totp(identity, &totp, &typed, now).await?;
            FactorKind::Totp
        } else {
            self.spend_recovery(identity, &typed, now).await?;
            FactorKind::RecoveryCode
        };
        throttle.code_succeeded(name, credential, source);
        Ok(kind)
    }

    /// Counts a wrong code before it is looked at, so that guesses made at the same instant all count. A right one takes it back.
    /// Where the person was lately, guesses from elsewhere hold nobody up.
    async fn reserve_guess(
        &self,
        identity: &IdentityId,
        known: bool,
        now: Timestamp,
    ) -> Result<Genuine<TotpRow>, Refused> {
        for _ in 0..RACES {
            let row = self.inner.store.totp(identity.as_str()).await?.ok_or(Refused::NoSecondFactor)?;
            if let Some(until) = held_until(row.failures, row.failed_at, now).filter(|_| !known) {
                return Err(Refused::TooManyCodes { until });
            }
            let counted = remembered(row.failures, row.failed_at, now).saturating_add(1);
            if self.inner.store.count_guess(identity.as_str(), row.failures, counted, now).await? {
                return Ok(row);
            }
        }
        // Others guess as fast as this can look: the same answer as to them.
        Err(Refused::TooManyCodes { until: now + FIRST_DELAY })
    }
}

/// The wrong codes that still count: one is forgotten per [`FADE`].
fn remembered(failures: i64, failed_at: Option<Timestamp>, now: Timestamp) -> i64 {
    let passed = failed_at.map_or(0, |failed_at| now.duration_since(failed_at).as_secs().max(0) / FADE.as_secs());
    failures.saturating_sub(passed).max(0)
}

/// Until when no code is looked at, after this many wrong ones from everywhere.
fn held_until(failures: i64, failed_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let delay = delay(remembered(failures, failed_at, now))?;
    // A failure in the future is a clock that went back. It counts as one of just now: neither free guesses nor a hold
    // that lasts until the clock has caught up.
    let failed_at = failed_at?.min(now);
    let until = failed_at.saturating_add(delay).ok()?;
    (now < until).then_some(until)
}

/// Nothing for the first few, then twice as long each time, up to a bound that still lets the right person in some day.
fn delay(failures: i64) -> Option<SignedDuration> {
    let over = failures.checked_sub(FREE_GUESSES).filter(|over| *over >= 0)?;
    let doublings = u32::try_from(over).unwrap_or(u32::MAX).min(32);
    let seconds = FIRST_DELAY.as_secs() << doublings;
    Some(SignedDuration::from_secs(seconds.min(LONGEST_DELAY.as_secs())))
}

/// Wrong codes from everywhere that hold nobody up: more than a guesser makes at one source, who is held up there.
const FREE_GUESSES: i64 = 60;
const FIRST_DELAY: SignedDuration = SignedDuration::from_secs(2);
/// With [`FREE_GUESSES`] and [`FADE`], however many sources: 60 and 96 guesses in a day at three codes in a million each, or 5 in
/// 10,000 a day for somebody who has the first factor already, and 3 in 10,000 for each source where its owner was lately.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(15);
const FADE: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_CODE: usize = 64;
const RACES: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn guesses_get_slower_and_stay_bounded() {
        let seconds = |failures| delay(failures).map(|delay| delay.as_secs());
        assert_eq!([0, 59].map(seconds), [None, None]);
        assert_eq!([60, 61, 62, 68].map(seconds), [Some(2), Some(4), Some(8), Some(512)]);
        assert_eq!([69, 116, i64::MAX].map(seconds), [Some(900), Some(900), Some(900)]);
    }

    #[test]
    fn a_hold_ends_by_itself_and_a_clock_that_went_back_does_not_stretch_it() {
        let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let before = |seconds| Some(now - SignedDuration::from_secs(seconds));
        assert!(held_until(80, before(899), now).is_some());
        assert_eq!(held_until(80, before(900), now), None);
        assert_eq!(held_until(59, before(0), now), None);
        assert_eq!(held_until(80, before(-86_400), now), Some(now + LONGEST_DELAY));
    }

    #[test]
    fn guessers_at_any_number_of_sources_have_a_bound_in_a_day() {
        let start: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
        let (mut failures, mut failed_at, mut looked_at) = (0, None, 0);
        for second in 0..86_400 {
            let now = start + SignedDuration::from_secs(second);
            // As many tries as they like in every second: each source's own hold is no matter where there are many.
            while held_until(failures, failed_at, now).is_none() {
                failures = remembered(failures, failed_at, now) + 1;
                failed_at = Some(now);
                looked_at += 1;
            }
        }
        assert!((100..180).contains(&looked_at), "{looked_at} guesses in a day");
    }
}
