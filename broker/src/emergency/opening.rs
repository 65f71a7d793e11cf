//! An emergency that was opened: by which section, for how long, and by whom.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use sallyport_policy::IdentityId;

/// An emergency. Its time is measured by what has passed, and by no clock.
#[derive(Debug)]
pub(crate) struct Opening {
    id: String,
    rule: String,
    source: IpAddr,
    /// Who, where it is somebody known.
    known: Option<IdentityId>,
    ends: Mutex<Instant>,
}

impl Opening {
    pub(super) fn new(
        id: String,
        rule: String,
        source: IpAddr,
        known: Option<IdentityId>,
        lasts: SignedDuration,
    ) -> Self {
        let ends = Mutex::new(Instant::now() + positive(lasts));
        Self { id, rule, source, known, ends }
    }

    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The break-glass section.
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    /// Where it was opened from.
    pub(crate) fn source(&self) -> IpAddr {
        self.source
    }

    /// Who has opened it, where it is somebody known.
    pub(crate) fn known(&self) -> Option<&IdentityId> {
        self.known.as_ref()
    }

    /// What is left of it; nothing, where it is over.
    pub(crate) fn left(&self) -> SignedDuration {
        let left = self.lock().saturating_duration_since(Instant::now());
        SignedDuration::try_from(left).unwrap_or(SignedDuration::ZERO)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&self) -> bool {
        self.left() <= SignedDuration::ZERO
    }

    /// Another envelope was opened for the same: it goes on for so long from now.
    pub(super) fn extend(&self, lasts: SignedDuration) {
        let mut ends = self.lock();
        *ends = (*ends).max(Instant::now() + positive(lasts));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn positive(lasts: SignedDuration) -> Duration {
    Duration::try_from(lasts).unwrap_or(Duration::ZERO)
}
