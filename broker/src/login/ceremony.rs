//! What a passkey has signed in the portal, on the record before it counts; and what becomes of a login that waits.

use std::net::IpAddr;

use jiff::Timestamp;
use sallyport_policy::{FactorKind, IdentityId};

use super::entrance::Entrance;
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::identity::{Asserted, Claim, Refused};
use crate::store::StoreError;
use crate::store::confirmations::{ConfirmationRow, ConfirmationState, MOST_TRIES, NumberTried};
use crate::vault::Secret;

/// A login that waits, or waited, as its person sees it.
#[derive(Debug, Clone)]
pub(crate) struct WaitingLogin {
    id: String,
    /// What the link says.
    pub(crate) code: String,
    /// Who is asked.
    pub(crate) identity: String,
    /// The address of whoever waits.
    pub(crate) source: String,
    /// What their client calls itself.
    pub(crate) client: String,
    /// What they want to reach.
    pub(crate) target: String,
    /// The broker at which they wait.
    pub(crate) broker: String,
    /// Since when.
    pub(crate) asked_at: Timestamp,
    /// The first moment at which it counts no more.
    pub(crate) expires_at: Timestamp,
    /// How it stands.
    pub(crate) stands: Stands,
    /// How many wrong numbers it stands still.
    pub(crate) tries_left: i64,
    /// Logins of the same person that were turned away while this one waited.
    pub(crate) turned_away: i64,
}

/// How a login that waits stands, as its person sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It waits for them.
    Waiting,
    /// It was confirmed.
    Confirmed,
    /// They refused it.
    Refused,
    /// The number was wrong too often.
    Guessed,
    /// Its time is over, or whoever waited is gone.
    Over,
}

/// What became of a number that was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypedNumber {
    /// It is the one on the terminal.
    Right,
    /// It is not; so many more may be tried.
    Wrong(i64),
}

impl WaitingLogin {
    fn new(row: ConfirmationRow, now: Timestamp) -> Self {
        let stands = match row.state {
            ConfirmationState::Waiting if row.waits(now) => Stands::Waiting,
            ConfirmationState::Confirmed | ConfirmationState::Spent => Stands::Confirmed,
            ConfirmationState::Refused if row.tries >= MOST_TRIES => Stands::Guessed,
            ConfirmationState::Refused => Stands::Refused,
            ConfirmationState::Waiting | ConfirmationState::Left => Stands::Over,
        };
        Self {
            stands,
            tries_left: MOST_TRIES.saturating_sub(row.tries),
            id: row.id,
            code: row.code,
            identity: row.identity,
            source: row.source,
            client: row.client,
            target: row.target,
            broker: row.broker,
            asked_at: row.asked_at,
            expires_at: row.expires_at,
            turned_away: row.turned_away,
        }
    }
}

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

/// Whether whoever opens an invitation knows the password of the person who is invited; on the record either way.
pub(crate) async fn knows_password(
    entrance: &Entrance,
    identity: &IdentityId,
    password: Secret<String>,
    source: IpAddr,
) -> Result<bool, AuditError> {
    let broker = &entrance.broker;
    let claim = Claim::Password(password);
    let word = claim.word();
    match broker.identities.first_factor(identity.as_str(), claim, source, broker.now()).await {
        Ok(verified) => {
            let accepted = AuditEvent::FactorAccepted {
                identity: identity.to_string(),
                source: source.to_string(),
                factor: word.to_owned(),
                credential: verified.credential().to_owned(),
            };
            broker.audit.record(accepted).await.map(|()| true)
        }
        Err(refused) => {
            let event = entrance.first_refused(identity.as_str(), source, word, refused.to_string());
            broker.audit.record_all(event).await.map(|()| false)
        }
    }
}

/// The same of somebody who has proven nothing: a flood of them is counted, as every door's refusals are.
pub(crate) async fn stranger_refused(entrance: &Entrance, source: IpAddr, refusal: &Refused) -> Result<(), AuditError> {
    if matches!(refusal, Refused::CounterWentBack { .. }) {
        return refused(&entrance.broker, "", source, refusal).await;
    }
    let event = entrance.first_refused("", source, "webauthn", refusal.to_string());
    entrance.broker.audit.record_all(event).await
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
) -> Result<Option<WaitingLogin>, StoreError> {
    let row = broker.store.confirmation_by_code(code, identity.as_str()).await?;
    Ok(row.map(|row| WaitingLogin::new(row.into_inner(), broker.now())))
}

/// The login of this person that waits now, if one does.
pub(crate) async fn waiting(
    broker: &Broker,
    identity: &IdentityId,
    now: Timestamp,
) -> Result<Option<WaitingLogin>, StoreError> {
    let row = broker.store.waiting_confirmation(identity.as_str(), now).await?;
    Ok(row.map(|row| WaitingLogin::new(row.into_inner(), now)))
}

/// Tries the number that the person says their terminal shows.
pub(crate) async fn number(broker: &Broker, login: &WaitingLogin, typed: &str) -> Result<TypedNumber, StoreError> {
    // What is no number is a wrong one.
    let number = typed.trim().parse().unwrap_or(-1);
    Ok(match broker.store.try_number(&login.id, number, broker.now()).await? {
        NumberTried::Right => TypedNumber::Right,
        NumberTried::Wrong { left } => TypedNumber::Wrong(left),
        NumberTried::Over => TypedNumber::Wrong(0),
    })
}

/// Confirms a login that waits, by what its person has just signed. `false`: it was decided meanwhile, or is over.
pub(crate) async fn confirm(
    broker: &Broker,
    login: &WaitingLogin,
    assertion: &Asserted,
    source: IpAddr,
) -> Result<bool, CeremonyError> {
    let purpose = format!(
        "to confirm a login from {} with {} at {} to {}",
        login.source, login.client, login.broker, login.target
    );
    asserted(broker, assertion, source, purpose).await?;
    Ok(broker.identities.confirm(&login.id, assertion, broker.now()).await?)
}

/// Refuses a login that waits. That it was is put on the record by the broker at which it waits.
pub(crate) async fn refuse(broker: &Broker, login: &WaitingLogin) -> Result<bool, StoreError> {
    broker.store.decide_confirmation(&login.id, None, broker.now()).await
}
