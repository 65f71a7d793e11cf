//! Two factors of different kinds, one of them TOTP or WebAuthn. The only maker of [`MultiFactor`].

use std::fmt;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{IdentityId, Proof, Subject};

use super::first_factor::Verified;
use super::standing::Standing;
use super::{Identities, Refused};
use crate::store::Genuine;
use crate::store::leases::{LeaseRow, NewLease};

/// Two factors of different kinds were verified: a session may be authenticated with this, and with nothing else.
///
/// INVARIANT: `proofs` holds a first factor, and a second one that is TOTP, WebAuthn or a recovery code in place of TOTP.
///
/// Whoever has one can read it:
///
/// ```
/// fn proofs(multi_factor: &sallyport::identity::MultiFactor) -> &[sallyport_policy::Proof] {
///     multi_factor.proofs()
/// }
/// ```
///
/// Nobody else can make one:
///
/// ```compile_fail
/// fn forge(verified: sallyport::identity::Verified) -> sallyport::identity::MultiFactor {
///     sallyport::identity::MultiFactor { first: verified, proofs: Vec::new(), lease: None, fresh: true }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct MultiFactor {
    first: Verified,
    proofs: Vec<Proof>,
    lease: Option<LeaseId>,
    /// The second factor was proven itself, and no lease was granted for it yet.
    fresh: bool,
}

/// The name of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseId(String);

impl MultiFactor {
    /// Who.
    #[must_use]
    pub fn identity(&self) -> &IdentityId {
        self.first.identity()
    }

    /// Who, with their groups as they were at the proof.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        self.first.subject()
    }

    /// Everything that was proven, each with its own time. A lease keeps the time of the proof that began it.
    #[must_use]
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// The lease that stood in for the second factor, or that was granted for it.
    #[must_use]
    pub fn lease(&self) -> Option<&LeaseId> {
        self.lease.as_ref()
    }

    /// Which credential was the first factor: the key's fingerprint, or `password`.
    #[must_use]
    pub fn credential(&self) -> &str {
        self.first.credential()
    }

    /// Where from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.first.source()
    }
}

impl Identities {
    /// A TOTP or recovery code after a first factor. Each counts once, on every broker of the installation.
    pub async fn second_factor(&self, verified: &Verified, code: &str, now: Timestamp) -> Result<MultiFactor, Refused> {
        let age = now.duration_since(verified.proof().at);
        if age > FIRST_FACTOR_FRESH || age < -CLOCK_TOLERANCE {
            return Err(Refused::Stale { at: verified.proof().at });
        }
        let first = self.still_standing(verified, now).await?;
        let second = self.prove_second(&first, code, now).await?;
        self.inner.throttle.known_source(first.identity().as_str(), first.source(), now);
        Ok(MultiFactor { proofs: vec![first.proof(), second], first, lease: None, fresh: true })
    }

    /// Step-up: a fresh code from somebody who has proven two factors before.
    pub async fn prove_again(
        &self,
        multi_factor: &MultiFactor,
        code: &str,
        now: Timestamp,
    ) -> Result<MultiFactor, Refused> {
        let first = self.still_standing(&multi_factor.first, now).await?;
        let second = self.prove_second(&first, code, now).await?;
        let kept =
            multi_factor.proofs.iter().copied().filter(|proof| proof.kind.counts_as() != second.kind.counts_as());
        let proofs = kept.chain([second]).collect();
        // What the first proof rested on may be withdrawn; then this falls with it.
        Ok(MultiFactor { first, proofs, lease: multi_factor.lease.clone(), fresh: true })
    }

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
        }))
    }

    /// The same person's proof with a second factor that was proven later, if its lease counts.
    pub async fn newer_lease(
        &self,
        multi_factor: &MultiFactor,
        longest: SignedDuration,
        now: Timestamp,
    ) -> Result<Option<MultiFactor>, Refused> {
        let second = |proof: &MultiFactor| proof.proofs.iter().filter(|p| p.kind.is_second()).map(|p| p.at).max();
        let leased = self.lease(&multi_factor.first, longest, now).await?;
        Ok(leased.filter(|leased| second(leased) > second(multi_factor)))
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
    ) -> Result<Option<LeaseId>, Refused> {
        if !multi_factor.fresh {
            return Ok(None);
        }
        let second = multi_factor.proofs.iter().filter(|proof| proof.kind.is_second()).max_by_key(|proof| proof.at);
        let Some(second) = second else { return Ok(None) };
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
        Ok((now < expires_at).then_some(id))
    }

    /// The first factor again, if the identity still stands, with its groups of now.
    async fn still_standing(&self, verified: &Verified, now: Timestamp) -> Result<Verified, Refused> {
        let row = self.inner.store.identity(verified.identity().as_str()).await?.ok_or(Refused::Unknown)?;
        let subject = Standing::of(verified.identity(), row, now).subject()?;
        Ok(verified.clone().with_subject(subject))
    }
}

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

/// How long a person may look for their code.
const FIRST_FACTOR_FRESH: SignedDuration = SignedDuration::from_mins(5);
/// A first factor from the future means that the clock went back; this much of it is ordinary drift.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);
