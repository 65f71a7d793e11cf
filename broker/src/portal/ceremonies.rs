//! Challenges that wait for a browser's answer: one for a cookie, taken by its answer, and over after a few minutes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cookie::{Cookie, Print};
use crate::approval::Seen;
use crate::identity::{Asserting, Discovering, Enrolling, Invitation};
use crate::login::ceremony::WaitingLogin;
use crate::vault::Secret;

/// As long as a challenge counts.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Of more, the oldest goes: of strangers' one of theirs, so that however many they begin, nobody who has proven something waits in vain.
const MOST: usize = 4096;

/// What a challenge is for. An answer to another kind counts for nothing.
pub(super) enum Ceremony {
    /// To enrol a passkey, signed in or invited.
    Enrol { enrolling: Box<Enrolling>, name: String, invitation: Option<Invitation> },
    /// To sign in with a passkey alone.
    SignIn(Box<Discovering>),
    /// To sign in with one after the password.
    Second(Box<Asserting>),
    /// To confirm a login that waits.
    Confirm { asserting: Box<Asserting>, login: Box<WaitingLogin> },
    /// To approve what somebody asks for, as it was shown.
    Approve { asserting: Box<Asserting>, request: Box<Seen> },
    /// To prove again that it is them, before a factor is added or removed.
    Prove(Box<Asserting>),
    /// To prove an authenticator that is not enrolled yet.
    Totp(Secret<Vec<u8>>),
    /// To let a key or password of theirs in from this address for a while.
    Lease { asserting: Box<Asserting>, credential: String, until: jiff::Timestamp },
}

impl fmt::Debug for Ceremony {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Enrol { .. } => "Enrol",
            Self::SignIn(_) => "SignIn",
            Self::Second(_) => "Second",
            Self::Confirm { .. } => "Confirm",
            Self::Approve { .. } => "Approve",
            Self::Prove(_) => "Prove",
            Self::Totp(_) => "Totp",
            Self::Lease { .. } => "Lease",
        })
    }
}

impl Ceremony {
    /// Begun by somebody who has proven nothing: no password, no invitation, no sign-in.
    fn of_stranger(&self) -> bool {
        match self {
            Self::SignIn(_) => true,
            Self::Enrol { .. }
            | Self::Second(_)
            | Self::Confirm { .. }
            | Self::Approve { .. }
            | Self::Prove(_)
            | Self::Totp(_)
            | Self::Lease { .. } => false,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Ceremonies(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    strangers: HashMap<Print, (Instant, Ceremony)>,
    known: HashMap<Print, (Instant, Ceremony)>,
}

impl Ceremonies {
    /// Keeps one, in place of any before of the same cookie.
    pub(super) fn keep(&self, cookie: &Cookie, ceremony: Ceremony, now: Instant) {
        let mut kept = self.lock();
        kept.remove(cookie);
        let kept = if ceremony.of_stranger() { &mut kept.strangers } else { &mut kept.known };
        if kept.len() >= MOST {
            let oldest = kept.iter().min_by_key(|(print, (begun, _))| (*begun, **print)).map(|(print, _)| *print);
            oldest.and_then(|print| kept.remove(&print));
        }
        kept.insert(cookie.print(), (now, ceremony));
    }

    /// Takes the one of this cookie. Whoever answers twice finds nothing.
    pub(super) fn take(&self, cookie: &Cookie, now: Instant) -> Option<Ceremony> {
        let taken = self.lock().remove(cookie);
        taken.filter(|(begun, _)| now.saturating_duration_since(*begun) < KEPT).map(|(_, ceremony)| ceremony)
    }

    /// Drops what is over.
    pub(super) fn sweep(&self, now: Instant) {
        let mut kept = self.lock();
        let counts = |(begun, _): &mut (Instant, Ceremony)| now.saturating_duration_since(*begun) < KEPT;
        kept.strangers.retain(|_, kept| counts(kept));
        kept.known.retain(|_, kept| counts(kept));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn remove(&mut self, cookie: &Cookie) -> Option<(Instant, Ceremony)> {
        let print = cookie.print();
        self.strangers.remove(&print).or_else(|| self.known.remove(&print))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger() -> Ceremony {
        Ceremony::SignIn(Box::new(Discovering::sample()))
    }

    fn known() -> Ceremony {
        Ceremony::Totp(Secret::new(Vec::new()))
    }

    #[test]
    fn however_many_strangers_begin_whoever_has_proven_something_is_answered() {
        let (ceremonies, begin) = (Ceremonies::default(), Instant::now());
        let at = |second| begin + Duration::from_millis(second);
        let (hers, first) = (Cookie::random(), Cookie::random());
        ceremonies.keep(&hers, known(), at(0));
        ceremonies.keep(&first, stranger(), at(1));
        for number in 0..u64::try_from(MOST).unwrap_or(0) {
            ceremonies.keep(&Cookie::random(), stranger(), at(2 + number));
        }
        assert_eq!(ceremonies.lock().strangers.len(), MOST, "they are bounded");
        assert!(ceremonies.take(&first, at(5000)).is_none(), "the oldest of theirs went");
        assert!(ceremonies.take(&hers, at(5000)).is_some());
    }

    #[test]
    fn a_cookie_has_one_that_is_answered_once_and_in_time() {
        let (ceremonies, begin, cookie) = (Ceremonies::default(), Instant::now(), Cookie::random());
        ceremonies.keep(&cookie, stranger(), begin);
        ceremonies.keep(&cookie, known(), begin);
        assert!(matches!(ceremonies.take(&cookie, begin), Some(Ceremony::Totp(_))));
        assert!(ceremonies.take(&cookie, begin).is_none());
        ceremonies.keep(&cookie, known(), begin);
        ceremonies.keep(&cookie, stranger(), begin);
        assert!(matches!(ceremonies.take(&cookie, begin), Some(Ceremony::SignIn(_))));
        ceremonies.keep(&cookie, stranger(), begin);
        assert!(ceremonies.take(&cookie, begin + KEPT).is_none());
        ceremonies.keep(&cookie, known(), begin);
        ceremonies.sweep(begin + KEPT);
        assert!(ceremonies.lock().known.is_empty());
    }
}
