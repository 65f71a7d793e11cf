//! Leases: a second factor that counts again, for so long as some grant of theirs says.

use jiff::SignedDuration;
use sallyport_policy::{IdentityId, Subject};

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::admin::{Admin, AdminError};
use crate::identity::{MultiFactor, Refused, Verified};
use crate::store::leases::LeaseRow;
use crate::store::{Genuine, StoreError};

/// The longest lease that any grant of theirs allows, within the broker's own bound.
pub(crate) fn longest(broker: &Broker, subject: &Subject) -> SignedDuration {
    let bound = SignedDuration::try_from(broker.config.longest_lease).unwrap_or(SignedDuration::ZERO);
    broker.policy.current().longest_lease(subject).min(bound)
}

/// Somebody's own leases that count, the newest proof first.
pub(crate) async fn own(broker: &Broker, identity: &IdentityId) -> Result<Vec<LeaseRow>, StoreError> {
    let rows = broker.store.leases(Some(identity.as_str()), false, broker.now()).await?;
    Ok(rows.into_iter().filter_map(|row| row.genuine().map(Genuine::into_inner)).collect())
}

/// Revokes one of somebody's own leases, in their own name. Says whether there was one that counted.
pub(crate) async fn revoke_own(broker: &Broker, identity: &IdentityId, lease: &str) -> Result<bool, AdminError> {
    let found = broker.store.find_lease(lease).await?;
    if found.is_none_or(|row| row.identity != identity.as_str() || row.revoked.is_some()) {
        return Ok(false);
    }
    let audit = broker.audit.by(identity.as_str());
    let own = Admin::new(broker.store.clone(), broker.vault.clone(), audit, identity.as_str());
    Ok(own.revoke_lease(lease, broker.now()).await?.is_some())
}

/// What stands in for a second factor, if a lease does. That it was used is still to be put on the record.
pub(super) async fn standing_in(
    broker: &Broker,
    verified: &Verified,
) -> Result<Option<(MultiFactor, Option<AuditEvent>)>, Refused> {
    let longest = longest(broker, verified.subject());
    let leased = broker.identities.lease(verified, longest, broker.now()).await?;
    Ok(leased.map(|proof| {
        let used = used(&proof);
        (proof, used)
    }))
}

/// That the lease behind this proof was used.
pub(super) fn used(proof: &MultiFactor) -> Option<AuditEvent> {
    proof.lease().map(|lease| AuditEvent::LeaseUsed {
        identity: proof.identity().to_string(),
        source: proof.source().to_string(),
        lease: lease.to_string(),
    })
}

/// Lets a second factor that was just proven count again for so long. That it does is still to be put on the record.
pub(super) async fn grant(
    broker: &Broker,
    proof: &mut MultiFactor,
    duration: SignedDuration,
) -> Result<Option<AuditEvent>, Refused> {
    let granted = broker.identities.grant_lease(proof, duration, broker.now()).await?;
    Ok(granted.map(|granted| AuditEvent::LeaseGranted {
        identity: proof.identity().to_string(),
        source: proof.source().to_string(),
        lease: granted.id.to_string(),
        factor: granted.factor.to_string(),
        expires_at: granted.expires_at,
    }))
}
