//! By a lease: a second factor that was proven before, and still counts.

use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{FactorKind, Proof};

use super::MultiFactor;
use crate::identity::standing::Standing;
use crate::identity::webauthn::Asserted;
use crate::identity::{Identities, Refused, Verified};
use crate::store::Genuine;
use crate::store::leases::{LeaseRow, NewLease};

/// The name of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(String);

/// A lease that was granted just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedLease {
    /// Its name.
    pub id: LeaseId,
    /// What counts again.
    pub factor: FactorKind,
    /// Until when.
    pub expires_at: Timestamp,
}

impl Identities {
    /// The second factor that still counts, if there is one for this identity, credential and source, no older than `longest`.
    pub async fn lease(
        &self,
        verified: &Verified,
        longest: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<MultiFactor>, Refused> {
        self.settle_clock(now).await?;
        let first = self.still_standing(verified, now).await?;
        let source = first.source().to_string();
        let leases = self.inner.store.leases_that_count(first.identity().as_str(), first.credential(), &source, now);
        // A proof from the future is a clock that went back: it does not count (the store asks for the same).
        let counts = |lease: &Genuine<LeaseRow>| {
            lease.factor.is_second()
                && lease.proved_at <= now
                && now < lease.expires_at
                && now.duration_since(lease.proved_at) < longest
        };
        let Some(lease) = leases.await?.into_iter().find(counts) else { return Ok(None) };
        let second = Proof { kind: lease.factor, at: lease.proved_at };
        Ok(Some(MultiFactor {
            proofs: vec![first.proof(), second],
            first,
            lease: Some(LeaseId(lease.into_inner().id)),
            fresh: false,
            emergency: None,
        }))
    }

    /// The same person's proof with a second factor that was proven later, if its lease counts.
    pub async fn newer_lease(
        &self,
        multi_factor: &MultiFactor,
        longest: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<MultiFactor>, Refused> {
        let at = |proven: &MultiFactor| proven.second().map(|second| second.at);
        let leased = self.lease(&multi_factor.first, longest, now).await?;
        Ok(leased.filter(|leased| at(leased) > at(multi_factor)))
    }

    /// Lets the second factor that was just proven count again for `duration` from its proof, for this identity, credential
    /// and source. What came from a lease is not prolonged.
    ///
    /// Also a proof that counts no second time is entered, so that it can be revoked while what it opened lasts: by hand, or
    /// with the key, password or authenticator that it was made with. Nothing is returned then.
    pub async fn grant_lease(
        &self,
        multi_factor: &mut MultiFactor,
        duration: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<GrantedLease>, Refused> {
        if !multi_factor.fresh {
            return Ok(None);
        }
        let Some(second) = multi_factor.second() else { return Ok(None) };
        let expires_at = second.at.saturating_add(duration).unwrap_or(second.at);
        let lease = NewLease {
            id: ulid::Ulid::generate().to_string().to_lowercase(),
            identity: multi_factor.identity().to_string(),
            credential: multi_factor.credential().to_owned(),
            source: multi_factor.source().to_string(),
            factor: second.kind,
            proved_at: second.at,
            expires_at,
        };
        self.inner.store.insert_lease(&lease).await?;
        let id = LeaseId(lease.id);
        multi_factor.lease = Some(id.clone());
        multi_factor.fresh = false;
        Ok((now < expires_at).then_some(GrantedLease { id, factor: second.kind, expires_at }))
    }
}

impl Identities {
    /// Lets what somebody has just signed with a passkey count for a key or password of theirs from one address, before they log in by it.
    /// That must still be proven then. Nothing where they have no such key or password.
    pub async fn lease_ahead(
        &self,
        asserted: &Asserted,
        credential: &str,
        source: IpAddr,
        duration: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<GrantedLease>, Refused> {
        let row = self.inner.store.identity(asserted.identity().as_str()).await?.ok_or(Refused::Unknown)?;
        let password = row.password_hash.is_some();
        Standing::of(asserted.identity(), row, now).subject()?;
        let theirs = match credential {
            PASSWORD => password,
            key => self.inner.store.has_key(asserted.identity().as_str(), key).await?,
        };
        let expires_at = asserted.at().saturating_add(duration).unwrap_or(asserted.at());
        if !theirs || expires_at <= now {
            return Ok(None);
        }
        let lease = NewLease {
            id: ulid::Ulid::generate().to_string().to_lowercase(),
            identity: asserted.identity().to_string(),
            credential: credential.to_owned(),
            source: source.to_string(),
            factor: FactorKind::WebAuthn,
            proved_at: asserted.at(),
            expires_at,
        };
        self.inner.store.insert_lease(&lease).await?;
        Ok(Some(GrantedLease { id: LeaseId(lease.id), factor: lease.factor, expires_at }))
    }
}

/// How the password is named among credentials.
const PASSWORD: &str = "password";

impl LeaseId {
    /// The id as it is listed and revoked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}
