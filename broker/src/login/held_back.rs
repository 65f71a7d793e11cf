//! How long no login is asked about after its person has refused one like it: whoever has their key, or their password, must not be able
//! to ask again and again until they give in.

use jiff::{SignedDuration, Timestamp};

/// After the first refusal; after each further one twice as long.
const FIRST: SignedDuration = SignedDuration::from_mins(1);
/// However many there were.
const LONGEST: SignedDuration = SignedDuration::from_mins(30);
/// Refusals of longer ago count no more.
pub(super) const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// Until when nobody is asked, after refusals at these times.
pub(super) fn held_until(refused: &[Timestamp], now: Timestamp) -> Option<Timestamp> {
    let counted: Vec<Timestamp> = refused.iter().copied().filter(|at| now.duration_since(*at) < REMEMBERED).collect();
    // One in the future is a clock that went back: it counts as one of just now, and does not hold until the clock has caught up.
    let last = counted.iter().copied().max()?.min(now);
    let doublings = u32::try_from(counted.len().saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let long = SignedDuration::from_secs(FIRST.as_secs() << doublings).min(LONGEST);
    let until = last.saturating_add(long).ok()?;
    (now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn each_refusal_holds_back_longer_and_within_a_bound_and_is_forgotten() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let ago = |minutes: &[i64]| -> Vec<Timestamp> {
            minutes.iter().map(|minutes| now - SignedDuration::from_mins(*minutes)).collect()
        };
        let long = |minutes: &[i64]| held_until(&ago(minutes), now).map(|until| until.duration_since(now).as_mins());
        assert_eq!(long(&[]), None);
        assert_eq!(long(&[0]), Some(1));
        assert_eq!(long(&[1]), None);
        assert_eq!(long(&[0, 2]), Some(2));
        assert_eq!(long(&[1, 4, 9]), Some(3));
        assert_eq!(long(&[0; 6]), Some(30));
        assert_eq!(long(&[0; 100]), Some(30));
        assert_eq!(long(&[2, 61, 62, 63]), None, "what is long ago counts no more");
        assert_eq!(long(&[-600]), Some(1), "a clock that went back holds nobody for longer");
    }
}
