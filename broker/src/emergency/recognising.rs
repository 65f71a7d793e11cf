//! Whose code it is that somebody has typed, by what is kept.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::code::Verifier;
use super::glass::Emergencies;
use super::kept::KeptEnvelope;
use super::opening::Opening;
use super::{EnvelopeCode, NotOpened};

/// The code of an envelope that opens something, or is open now.
#[derive(Debug, Clone)]
pub(crate) struct Recognised {
    number: i64,
    rule: String,
    holder: Option<String>,
    open: Option<Arc<Opening>>,
}

impl Recognised {
    /// The break-glass section.
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    pub(super) fn number(&self) -> i64 {
        self.number
    }

    /// What it has opened already, if that goes on.
    pub(super) fn open(&self) -> Option<&Arc<Opening>> {
        self.open.as_ref()
    }

    /// Whether it is open now, so that nothing more is asked.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

impl Emergencies {
    /// Whose code this is, if it opens anything. Costs a hash and a look at a list: who guesses keeps nobody waiting.
    pub(crate) async fn recognise(&self, code: &EnvelopeCode, now: Timestamp) -> Result<Recognised, NotOpened> {
        let verifier = code.verifier();
        let found = match self.find(verifier) {
            // It may have been sealed a moment ago, by another process.
            None if self.refresh_seldom(now).await => self.find(verifier),
            found => found,
        };
        let envelope = found.ok_or(NotOpened::Unknown)?;
        let number = envelope.number;
        let state = self.state();
        let open = state.open.iter().find(|open| open.envelopes.contains(&number) && !open.opening.is_over());
        if let Some(open) = open {
            let open = Some(Arc::clone(&open.opening));
            return Ok(Recognised { number, rule: envelope.rule, holder: envelope.holder, open });
        }
        // What this broker itself has begun, and nobody was let in by, goes on with the same.
        let begun = state.begun.iter().find(|begun| begun.envelopes.contains(&number)).map(|begun| &*begun.opening);
        let by_other = |opening: &str| begun != Some(opening);
        if envelope.opening.as_deref().is_some_and(by_other) || state.ledger.opening(number).is_some_and(by_other) {
            return Err(NotOpened::Used(number));
        }
        if envelope.revoked {
            return Err(NotOpened::Revoked(number));
        }
        if let Some(at) = envelope.expires_at.filter(|at| *at <= now)
            && !self.clock_distrusted.load(Ordering::Acquire)
        {
            return Err(NotOpened::Expired { number, at });
        }
        Ok(Recognised { number, rule: envelope.rule, holder: envelope.holder, open: None })
    }

    /// Whether the next envelope goes with those before it.
    pub(crate) fn goes_with(&self, before: &[Recognised], next: &Recognised) -> Result<(), NotOpened> {
        let fits = before.iter().all(|one| {
            one.number != next.number
                && one.rule == next.rule
                && (one.holder.is_none() || next.holder.is_none() || one.holder != next.holder)
        });
        if fits { Ok(()) } else { Err(NotOpened::NotASecond(next.number)) }
    }

    fn find(&self, verifier: Verifier) -> Option<KeptEnvelope> {
        let kept = self.state().kept.clone()?;
        let is_it =
            |envelope: &&KeptEnvelope| Verifier::from_hex(&envelope.verifier).is_some_and(|stored| stored == verifier);
        kept.envelopes().iter().find(is_it).cloned()
    }

    /// Reads anew what is kept, twice a second at most, for all who wait for it together: whoever types codes that nobody has costs no more.
    async fn refresh_seldom(&self, now: Timestamp) -> bool {
        let asked = Instant::now();
        let seldom = async {
            let mut last = self.refreshing.lock().await;
            if let Some(last) = *last {
                if last >= asked {
                    return Ok(());
                }
                tokio::time::sleep(REFRESH_AGAIN.saturating_sub(last.elapsed())).await;
            }
            *last = Some(Instant::now());
            self.read_anew(now).await
        };
        matches!(tokio::time::timeout(REFRESHED_WITHIN, seldom).await, Ok(Ok(())))
    }
}

const REFRESHED_WITHIN: Duration = Duration::from_secs(2);
const REFRESH_AGAIN: Duration = Duration::from_millis(500);
