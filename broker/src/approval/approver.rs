//! Who may say yes to others: somebody in good standing who has proven a second factor just now.

use std::net::IpAddr;

use jiff::SignedDuration;
use sallyport_policy::{FactorKind, Subject};

use crate::broker::Broker;
use crate::identity::{MultiFactor, Standing};
use crate::store::StoreError;

/// Somebody who has proven a second factor just now: a lease is not enough to approve what another asks for.
#[derive(Debug)]
pub(crate) struct Approver {
    subject: Subject,
    source: IpAddr,
    factor: FactorKind,
}

/// Why somebody is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotApprover {
    /// What they have proven is too old, or was proven by a lease.
    #[error("no second factor was proven just now")]
    Stale,
    /// Whoever opened an envelope is nobody that is known; or they are locked, expired or removed.
    #[error("not somebody in good standing")]
    Standing,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Approver {
    /// Of what somebody has proven.
    pub(crate) async fn of(broker: &Broker, proof: &MultiFactor) -> Result<Self, NotApprover> {
        if proof.emergency().is_some() {
            return Err(NotApprover::Standing);
        }
        let now = broker.now();
        let second = proof.second().ok_or(NotApprover::Stale)?;
        let age = now.duration_since(second.at);
        if !(-CLOCK_DRIFT..JUST_PROVEN).contains(&age) {
            return Err(NotApprover::Stale);
        }
        match broker.identities.standing(proof.identity(), now).await? {
            Standing::Active { subject, .. } => Ok(Self { subject, source: proof.source(), factor: second.kind }),
            Standing::Locked { .. } | Standing::Removed | Standing::Expired { .. } | Standing::Unknown => {
                Err(NotApprover::Standing)
            }
        }
    }

    /// Who it is, as they stand now.
    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Where they come from.
    pub(super) fn source(&self) -> IpAddr {
        self.source
    }

    /// What they have proven just now.
    pub(super) fn factor(&self) -> FactorKind {
        self.factor
    }
}

/// The login that somebody comes by to approve may have asked for it.
const JUST_PROVEN: SignedDuration = SignedDuration::from_mins(1);
/// A proof from the future means that the clock went back; this much of it is ordinary drift.
const CLOCK_DRIFT: SignedDuration = SignedDuration::from_secs(5);
