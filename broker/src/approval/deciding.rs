//! Approving, denying and withdrawing what somebody asks for.

use sallyport_policy::{ApprovalDenial, IdentityId, Policy, RequestState, Subject, may_approve};

use super::approver::Approver;
use super::asking::{LONGEST_REASON, SHORTEST_REASON, one_line};
use super::looking::{Desk, Seen};
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::store::requests::{ApprovalRow, ClosedRequest, Closing, RequestRow};
use crate::store::{Genuine, StoreError};

/// Why it was not decided.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDecided {
    /// There is no such request that is open, or not one for them: which of the two is said to nobody.
    #[error("no such request, or not one that they may decide")]
    Unknown,
    /// It is their own.
    #[error("it is their own")]
    Own,
    /// They have approved it before.
    #[error("they have approved it before")]
    Before,
    /// Enough have approved it.
    #[error("enough have approved it")]
    Enough,
    /// Somebody has decided something since it was looked at.
    #[error("it is not as it was when they looked at it")]
    Changed,
    /// A reason that says nothing, or more than anybody reads.
    #[error("a reason has {SHORTEST_REASON} to {LONGEST_REASON} characters")]
    Reason,
    /// What cannot be put on record does not happen.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for NotDecided {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overtaken(_) => Self::Changed,
            // Somebody else writes the database, and it is reported where that was seen.
            StoreError::NotGenuine { .. } => Self::Unknown,
            other => Self::Store(other),
        }
    }
}

/// Approves a request, on the record. `seen` is how many had approved it when the approver looked at it, where they did.
pub(crate) async fn approve(
    broker: &Broker,
    approver: &Approver,
    id: &str,
    seen: Option<usize>,
) -> Result<Seen, NotDecided> {
    let (policy, now) = (broker.policy.current(), broker.now());
    let desk = Desk::new(&broker.store, &policy, now);
    let row = for_them(broker, desk, &policy, id, approver.subject()).await?;
    let before = desk.look(row).await?;
    if seen.is_some_and(|seen| seen != before.approvals.len()) {
        return Err(NotDecided::Changed);
    }
    match before.state {
        RequestState::Waiting { .. } => {}
        RequestState::Approved { .. } => return Err(NotDecided::Enough),
        RequestState::Over | RequestState::Gone => return Err(NotDecided::Unknown),
    }
    let who = &approver.subject().identity;
    if before.approvals.iter().any(|approval| approval.approver == *who) {
        return Err(NotDecided::Before);
    }
    let request = &before.row.request;
    let factor = approver.factor().to_string();
    let new = ApprovalRow { request: request.id.clone(), approver: who.clone(), at: now, factor };
    let approvals: Vec<ApprovalRow> = before.approvals.iter().chain([&new]).cloned().collect();
    let state = desk.state(request, &approvals).await?;
    let (given, needed, until) = match (&before.state, &state) {
        (_, RequestState::Waiting { given, needed, .. }) => (*given, *needed, None),
        (RequestState::Waiting { needed, .. }, RequestState::Approved { until }) => (*needed, *needed, Some(*until)),
        // It ran out, or the plant file changed, at this moment.
        _ => return Err(NotDecided::Changed),
    };
    let entry = broker.audit.by(who.as_str()).prepare(&AuditEvent::RequestApproved {
        identity: request.identity.to_string(),
        request: request.id.to_string(),
        asset: request.asset.to_string(),
        source: approver.source().to_canonical().to_string(),
        factor: approver.factor().to_string(),
        given: u64::from(given),
        needed: u64::from(needed),
        until,
    })?;
    let mut write = broker.store.begin_write().await?;
    write.approve_access(request, &before.approvals, &new, entry.id()).await?;
    broker.audit.record_prepared_in(&mut write, entry).await?;
    write.commit().await?;
    Ok(Seen { row: before.row, approvals, state })
}

/// Denies a request, on the record, also when others have approved it: then what began by it ends. Whoever may approve it may.
pub(crate) async fn deny(broker: &Broker, by: &IdentityId, id: &str, reason: &str) -> Result<RequestRow, NotDecided> {
    let reason = one_line(reason);
    if !(SHORTEST_REASON..=LONGEST_REASON).contains(&reason.chars().count()) {
        return Err(NotDecided::Reason);
    }
    let policy = broker.policy.current();
    let desk = Desk::new(&broker.store, &policy, broker.now());
    let subject = desk.active(by).await?.ok_or(NotDecided::Unknown)?;
    let row = for_them(broker, desk, &policy, id, &subject).await?;
    let event = AuditEvent::RequestDenied {
        identity: row.request.identity.to_string(),
        request: row.request.id.to_string(),
        asset: row.request.asset.to_string(),
        reason: reason.clone(),
    };
    close(
        broker,
        row,
        by,
        ClosedRequest { at: broker.now(), by: by.to_string(), closing: Closing::Denied, reason },
        event,
    )
    .await
}

/// Whoever asked does not ask any more.
pub(crate) async fn withdraw(broker: &Broker, who: &IdentityId, id: &str) -> Result<RequestRow, NotDecided> {
    let row = open(broker, id).await?;
    if row.request.identity != *who {
        return Err(NotDecided::Unknown);
    }
    let event = AuditEvent::RequestWithdrawn {
        identity: who.to_string(),
        request: row.request.id.to_string(),
        asset: row.request.asset.to_string(),
    };
    let (by, reason) = (who.to_string(), String::new());
    close(broker, row, who, ClosedRequest { at: broker.now(), by, closing: Closing::Withdrawn, reason }, event).await
}

/// A request that this person may decide.
async fn for_them(
    broker: &Broker,
    desk: Desk<'_>,
    policy: &Policy,
    id: &str,
    subject: &Subject,
) -> Result<RequestRow, NotDecided> {
    let row = open(broker, id).await?;
    let person = desk.active(&row.request.identity).await?.ok_or(NotDecided::Unknown)?;
    match may_approve(policy, &row.request, &person, subject) {
        Ok(_) => Ok(row),
        Err(ApprovalDenial::Own) => Err(NotDecided::Own),
        Err(ApprovalDenial::Gone | ApprovalDenial::NotTheirs) => Err(NotDecided::Unknown),
    }
}

async fn open(broker: &Broker, id: &str) -> Result<RequestRow, NotDecided> {
    let row = broker.store.access_request(&id.to_lowercase()).await?.map(Genuine::into_inner);
    row.filter(|row| broker.now() < row.request.ends_at()).ok_or(NotDecided::Unknown)
}

async fn close(
    broker: &Broker,
    row: RequestRow,
    by: &IdentityId,
    closed: ClosedRequest,
    event: AuditEvent,
) -> Result<RequestRow, NotDecided> {
    let mut write = broker.store.begin_write().await?;
    let closed = write.close_request(row.request.id.as_str(), &closed).await?.ok_or(NotDecided::Changed)?;
    broker.audit.by(by.as_str()).record_in(&mut write, event).await?;
    write.commit().await?;
    Ok(closed)
}
