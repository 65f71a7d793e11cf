//! By proving both factors now.

use jiff::{SignedDuration, Timestamp};

use super::MultiFactor;
use crate::identity::standing::Standing;
use crate::identity::{Identities, Offer, Refused, Verified};

impl Identities {
    /// A second factor after a first. What is offered counts once, on every broker of the installation.
    pub async fn second_factor(
        &self,
        verified: &Verified,
        offer: Offer<'_>,
        now: Timestamp,
    ) -> Result<MultiFactor, Refused> {
        let age = now.duration_since(verified.proof().at);
        if age > FIRST_FACTOR_FRESH || age < -CLOCK_TOLERANCE {
            return Err(Refused::Stale { at: verified.proof().at });
        }
        let first = self.still_standing(verified, now).await?;
        let second = self.prove_second(&first, offer, now).await?;
        self.inner.throttle.known_source(first.identity().as_str(), first.source(), now);
        Ok(MultiFactor { proofs: vec![first.proof(), second], first, lease: None, fresh: true, emergency: None })
    }

    /// Step-up: a fresh second factor of somebody who has proven two factors before.
    pub async fn prove_again(
        &self,
        multi_factor: &MultiFactor,
        offer: Offer<'_>,
        now: Timestamp,
    ) -> Result<MultiFactor, Refused> {
        let first = self.still_standing(&multi_factor.first, now).await?;
        let second = self.prove_second(&first, offer, now).await?;
        let kept =
            multi_factor.proofs.iter().copied().filter(|proof| proof.kind.counts_as() != second.kind.counts_as());
        let proofs = kept.chain([second]).collect();
        // What the first proof rested on may be withdrawn; then this falls with it.
        Ok(MultiFactor { first, proofs, lease: multi_factor.lease.clone(), fresh: true, emergency: None })
    }

    /// The first factor again, if the identity still stands, with its groups of now.
    pub(super) async fn still_standing(&self, verified: &Verified, now: Timestamp) -> Result<Verified, Refused> {
        let row = self.inner.store.identity(verified.identity().as_str()).await?.ok_or(Refused::Unknown)?;
        let subject = Standing::of(verified.identity(), row, now).subject()?;
        Ok(verified.clone().with_subject(subject))
    }
}

/// How long a person may look for their code.
const FIRST_FACTOR_FRESH: SignedDuration = SignedDuration::from_mins(5);
/// A first factor from the future means that the clock went back; this much of it is ordinary drift.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);
