//! Leases: a second factor that counts again, for so long as some grant of theirs says.

use jiff::SignedDuration;
use sallyport_policy::Subject;

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{MultiFactor, Refused, Verified};

/// The longest lease that any grant of theirs allows, within the broker's own bound.
pub(crate) fn longest(broker: &Broker, subject: &Subject) -> SignedDuration {
    let bound = SignedDuration::try_from(broker.config.longest_lease).unwrap_or(SignedDuration::ZERO);
    broker.policy.current().longest_lease(subject).min(bound)
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
