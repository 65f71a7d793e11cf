//! Challenges that wait for a browser's answer: one for a cookie, taken by its answer, and over after a few minutes.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cookie::{Cookie, Print};
use crate::identity::{Asserting, Discovering, Enrolling, Invitation};
use crate::login::ceremony::WaitingLogin;
use crate::vault::Secret;

/// As long as a challenge counts.
const KEPT: Duration = Duration::from_secs(5 * 60);
/// Of more, the oldest goes.
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
            Self::Totp(_) => "Totp",
            Self::Lease { .. } => "Lease",
        })
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Ceremonies(Mutex<HashMap<Print, (Instant, Ceremony)>>);

impl Ceremonies {
    /// Keeps one, in place of any before of the same cookie.
    pub(super) fn keep(&self, cookie: &Cookie, ceremony: Ceremony, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST && !kept.contains_key(&cookie.print()) {
            let oldest = kept.iter().min_by_key(|(print, (begun, _))| (*begun, **print)).map(|(print, _)| *print);
            oldest.and_then(|print| kept.remove(&print));
        }
        kept.insert(cookie.print(), (now, ceremony));
    }

    /// Takes the one of this cookie. Whoever answers twice finds nothing.
    pub(super) fn take(&self, cookie: &Cookie, now: Instant) -> Option<Ceremony> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&cookie.print());
        taken.filter(|(begun, _)| now.saturating_duration_since(*begun) < KEPT).map(|(_, ceremony)| ceremony)
    }

    /// Drops what is over.
    pub(super) fn sweep(&self, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (begun, _)| now.saturating_duration_since(*begun) < KEPT);
    }
}
