//! Asking for an approval.

use std::net::IpAddr;

use jiff::SignedDuration;
use sallyport_policy::{
    AccessRequest, AssetId, IdentityId, RequestDenial, RequestId, Requestable, ServiceName, may_request,
};

use super::looking::{Desk, Seen};
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::store::StoreError;
use crate::store::requests::{Asking, MOST_IN_A_DAY, MOST_OPEN, RequestRow};

/// What somebody wishes for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// Which asset.
    pub(crate) asset: AssetId,
    /// Which of its services; all that the same grant gives, where none is named.
    pub(crate) service: Option<ServiceName>,
    /// For how long.
    pub(crate) lasting: SignedDuration,
    /// Why.
    pub(crate) reason: String,
    /// The permit to work, or ticket.
    pub(crate) permit: Option<String>,
}

/// Why it was not asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAsked {
    /// The policy has nothing to ask for.
    #[error(transparent)]
    Denied(#[from] RequestDenial),
    /// Whoever asks is locked, expired or removed.
    #[error("not somebody in good standing")]
    Standing,
    /// A text that says nothing, or more than anybody reads.
    #[error("{0}")]
    Words(String),
    /// As many of theirs are open as may be.
    #[error("{MOST_OPEN} requests of theirs are open")]
    TooManyOpen,
    /// They have asked as often as anybody may in a day.
    #[error("they have asked {MOST_IN_A_DAY} times within a day")]
    TooOften,
    /// What cannot be put on record does not happen.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks, on the record.
pub(crate) async fn ask(broker: &Broker, who: &IdentityId, source: IpAddr, wish: Wish) -> Result<Seen, NotAsked> {
    let wish = in_words(wish)?;
    let (policy, now) = (broker.policy.current(), broker.now());
    let desk = Desk::new(&broker.store, &policy, now);
    let person = desk.active(who).await?.ok_or(NotAsked::Standing)?;
    let Requestable { services, rule } =
        may_request(&policy, &person, &wish.asset, wish.service.as_ref(), wish.lasting, now)?;
    let request = AccessRequest {
        id: new_id()?,
        identity: person.identity.clone(),
        asset: wish.asset,
        services,
        role: rule.rule.role.clone(),
        grant: rule.rule.grant,
        reason: wish.reason,
        permit: wish.permit,
        duration: SignedDuration::from_secs(wish.lasting.as_secs()),
        asked_at: now,
    };
    let source = source.to_canonical().to_string();
    let entry = broker.audit.prepare(&AuditEvent::RequestMade {
        identity: request.identity.to_string(),
        source: source.clone(),
        request: request.id.to_string(),
        asset: request.asset.to_string(),
        services: request.services.iter().map(ToString::to_string).collect(),
        seconds: request.duration.as_secs(),
        reason: request.reason.clone(),
        permit: request.permit.clone(),
        rule: format!("{rule}, for {}", rule.rule),
        waits_until: request.waits_until(),
    })?;
    let mut write = broker.store.begin_write().await?;
    match write.ask_access(&request, &source, entry.id()).await? {
        Asking::Entered => {}
        Asking::TooManyOpen => return Err(NotAsked::TooManyOpen),
        Asking::TooOften => return Err(NotAsked::TooOften),
    }
    broker.audit.record_prepared_in(&mut write, entry).await?;
    write.commit().await?;
    Ok(desk.look(RequestRow { request, source, closed: None }).await?)
}

/// Nothing of it acts on a terminal or breaks a line, and all of it is read.
fn in_words(wish: Wish) -> Result<Wish, NotAsked> {
    let reason = one_line(&wish.reason);
    if !(SHORTEST_REASON..=LONGEST_REASON).contains(&reason.chars().count()) {
        let words = format!("A reason has {SHORTEST_REASON} to {LONGEST_REASON} characters.");
        return Err(NotAsked::Words(words));
    }
    let permit = wish.permit.as_deref().map(one_line).filter(|permit| !permit.is_empty());
    if permit.as_ref().is_some_and(|permit| permit.chars().count() > LONGEST_PERMIT) {
        return Err(NotAsked::Words(format!("A permit number has {LONGEST_PERMIT} characters at most.")));
    }
    Ok(Wish { reason, permit, ..wish })
}

/// A text of somebody, in one line of plain characters.
pub(super) fn one_line(text: &str) -> String {
    sallyport_plain::printable(text.trim()).into_owned()
}

/// Short enough to be typed. It is a name and no secret.
fn new_id() -> Result<RequestId, NotAsked> {
    let id: String = (0..LONG).map(|_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())])).collect();
    id.parse().map_err(|error| NotAsked::Store(StoreError::damaged("access_requests", error)))
}

/// Without vowels and the letters and digits that look alike.
const ALPHABET: &[u8; 28] = b"23456789bcdfghjkmnpqrstvwxyz";
const LONG: usize = 8;
/// A reason that says nothing is none.
pub(super) const SHORTEST_REASON: usize = 4;
/// As much as is read in a list.
pub(super) const LONGEST_REASON: usize = 300;
const LONGEST_PERMIT: usize = 64;
