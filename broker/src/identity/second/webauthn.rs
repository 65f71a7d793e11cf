//! A passkey or security key: one that was just used in the portal, or a login that its person has confirmed there with one.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{FactorKind, Proof};

use crate::identity::webauthn::Asserted;
use crate::identity::{Identities, Refused, Verified};
use crate::store::StoreError;

impl Identities {
    /// An assertion of the same person, made just now.
    pub(super) fn prove_by_assertion(
        &self,
        first: &Verified,
        asserted: &Asserted,
        now: Timestamp,
    ) -> Result<Proof, Refused> {
        let age = now.duration_since(asserted.at());
        if asserted.identity() != first.identity() || age.is_negative() || age > FRESH {
            return Err(Refused::UnknownPasskey);
        }
        Ok(Proof { kind: FactorKind::WebAuthn, at: asserted.at() })
    }

    /// A confirmation of exactly this login: the same person, the same first factor, the same address. It is spent by it.
    pub(super) async fn prove_by_confirmation(
        &self,
        first: &Verified,
        id: &str,
        now: Timestamp,
    ) -> Result<Proof, Refused> {
        let spent = self.inner.store.spend_confirmation(id, now).await?.ok_or(Refused::NotConfirmed)?;
        let asked = (spent.identity.as_str(), spent.credential.as_str(), spent.source);
        let here = (first.identity().as_str(), first.credential(), first.source().to_string());
        let decided = spent.decided_at.filter(|at| *at <= now && asked == here);
        Ok(Proof { kind: FactorKind::WebAuthn, at: decided.ok_or(Refused::NotConfirmed)? })
    }

    /// Confirms a login that waits, wherever it waits: with what its person has signed just now. `false`: it is decided or over.
    pub async fn confirm(&self, id: &str, asserted: &Asserted, now: Timestamp) -> Result<bool, StoreError> {
        let found = self.inner.store.confirmation(id).await?;
        if found.is_none_or(|row| row.identity != asserted.identity().as_str()) {
            return Ok(false);
        }
        self.inner.store.decide_confirmation(id, Some(&asserted.credential()), now).await
    }
}

/// From the assertion to what it is used for.
const FRESH: SignedDuration = SignedDuration::from_mins(1);
