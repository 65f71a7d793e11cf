//! What a passkey has signed in the portal, on the record before it counts; and what becomes of a login that waits.

use std::net::IpAddr;

use jiff::Timestamp;
use sallyport_policy::{FactorKind, IdentityId};

use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::identity::{Asserted, Refused};
use crate::store::StoreError;
pub(crate) use crate::store::confirmations::{ConfirmationRow, ConfirmationState, MOST_TRIES, NumberTried};

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CeremonyError {
    /// What cannot be put on record does not count.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The person does not stand any more.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Puts an assertion on the record, with what it was made for. Only then does it count.
pub(crate) async fn asserted(
    broker: &Broker,
    asserted: &Asserted,
    source: IpAddr,
    purpose: String,
) -> Result<(), AuditError> {
    let signed = asserted.signed().clone();
    let event = AuditEvent::AssertionVerified {
        identity: asserted.identity().to_string(),
        source: source.to_string(),
        credential: asserted.credential(),
        purpose,
        client_data: signed.client_data,
        authenticator_data: signed.authenticator_data,
        signature: signed.signature,
    };
    broker.audit.record(event).await
}

/// Puts on the record that a passkey was refused; a copy of one is told of louder.
pub(crate) async fn refused(
    broker: &Broker,
    identity: &str,
    source: IpAddr,
    refused: &Refused,
) -> Result<(), AuditError> {
    let mut events = Vec::new();
    if let Refused::CounterWentBack { identity, credential } = refused {
        events.push(AuditEvent::CounterWentBack {
            identity: identity.to_string(),
            source: source.to_string(),
            credential: credential.clone(),
        });
    }
    events.push(AuditEvent::FactorRefused {
        identity: identity.to_owned(),
        source: source.to_string(),
        factor: FactorKind::WebAuthn.to_string(),
        reason: refused.to_string(),
    });
    broker.audit.record_all(events).await
}

/// Lets a key or password of somebody in from one address for a while, by what they have just signed. Nothing where it is not theirs.
pub(crate) async fn lease_ahead(
    broker: &Broker,
    assertion: &Asserted,
    credential: &str,
    source: IpAddr,
    until: Timestamp,
) -> Result<bool, CeremonyError> {
    let purpose = format!("to let {credential} in from {source} until {until}");
    asserted(broker, assertion, source, purpose).await?;
    let now = broker.now();
    let duration = until.duration_since(now);
    let granted = broker.identities.lease_ahead(assertion, credential, source, duration, now).await?;
    let Some(granted) = granted else { return Ok(false) };
    let event = AuditEvent::LeaseGranted {
        identity: assertion.identity().to_string(),
        source: source.to_string(),
        lease: granted.id.to_string(),
        factor: granted.factor.to_string(),
        expires_at: granted.expires_at,
    };
    broker.audit.record(event).await?;
    Ok(true)
}

/// A login of this person by the code in its link, whatever became of it. Nobody else's is found.
pub(crate) async fn by_code(
    broker: &Broker,
    identity: &IdentityId,
    code: &str,
) -> Result<Option<ConfirmationRow>, StoreError> {
    let row = broker.store.confirmation_by_code(code, identity.as_str()).await?;
    Ok(row.map(crate::store::Genuine::into_inner))
}

/// The login of this person that waits now, if one does.
pub(crate) async fn waiting(
    broker: &Broker,
    identity: &IdentityId,
    now: Timestamp,
) -> Result<Option<ConfirmationRow>, StoreError> {
    let row = broker.store.waiting_confirmation(identity.as_str(), now).await?;
    Ok(row.map(crate::store::Genuine::into_inner))
}

/// Tries the number that the person says their terminal shows.
pub(crate) async fn number(broker: &Broker, row: &ConfirmationRow, typed: &str) -> Result<NumberTried, StoreError> {
    // What is no number is a wrong one.
    let number = typed.trim().parse().unwrap_or(-1);
    broker.store.try_number(&row.id, number, broker.now()).await
}

/// Confirms a login that waits, by what its person has just signed. `false`: it was decided meanwhile, or is over.
pub(crate) async fn confirm(
    broker: &Broker,
    row: &ConfirmationRow,
    assertion: &Asserted,
    source: IpAddr,
) -> Result<bool, CeremonyError> {
    let purpose =
        format!("to confirm a login from {} with {} at {} to {}", row.source, row.client, row.broker, row.target);
    asserted(broker, assertion, source, purpose).await?;
    Ok(broker.identities.confirm(&row.id, assertion, broker.now()).await?)
}

/// Refuses a login that waits. That it was is put on the record by the broker at which it waits.
pub(crate) async fn refuse(broker: &Broker, row: &ConfirmationRow) -> Result<bool, StoreError> {
    broker.store.decide_confirmation(&row.id, None, broker.now()).await
}
