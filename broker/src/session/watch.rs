//! Revocation is not a special path: when policy, identity or lease changes, the same `decide` runs again for every
//! live session; no permit any more means [`End::Revoked`].

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{Decision, LiveSession, Permit, PermitRule, Policy, Request, decide_again, held_permit};
use tokio_util::sync::CancellationToken;

use super::authorize::standing_words;
use super::emergency::{lifted_now, permitted_now};
use super::isolation;
use crate::approval;
use crate::broker::Broker;
use crate::identity::{CLOCK_JUMP, Standing};
use crate::live::{End, Live, Times};
use crate::logging::counted;
use crate::store::end_asked::EndAsked;

/// A look without a cause, in case a change was announced and the announcement lost.
const ANYWAY: Duration = Duration::from_secs(5);

/// How long one look may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);

/// Watches for changes until the broker stops. One of the long-lived tasks of a broker.
pub async fn keep_watch(broker: Arc<Broker>, stop: CancellationToken) {
    // By itself: a look at every session may take its time, and an isolation may not.
    tokio::join!(keep_permits(&broker, &stop), keep_isolation(&broker, &stop));
}

/// Ends what goes into a zone that is isolated.
async fn keep_isolation(broker: &Arc<Broker>, stop: &CancellationToken) {
    let mut changes = broker.store.changes();
    let mut policy = broker.policy.changed();
    loop {
        match tokio::time::timeout(LOOKED_WITHIN, isolation::end_all(broker)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => counted!(warn, "Which zones are isolated could not be looked up", %error),
            Err(_) => counted!(warn, "Which zones are isolated could not be looked up in time"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            // An asset may have moved into such a zone.
            changed = policy.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ANYWAY) => {}
        }
    }
}

async fn keep_permits(broker: &Arc<Broker>, stop: &CancellationToken) {
    let mut changes = broker.store.changes();
    let mut policy = broker.policy.changed();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            changed = policy.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ANYWAY) => {}
        }
        // A database that hangs in the middle of an answer must not end the watch for good.
        if tokio::time::timeout(LOOKED_WITHIN, look_at_all(broker)).await.is_err() {
            tracing::warn!("Live sessions could not be looked at in time");
        }
    }
}

async fn look_at_all(broker: &Arc<Broker>) {
    let sessions = broker.live.snapshot();
    if sessions.is_empty() {
        return;
    }
    // What emergencies live by asks no database, and must not wait for one.
    let (emergencies, others): (Vec<_>, Vec<_>) =
        sessions.iter().partition(|live| live.emergency.as_ref().is_some_and(|opening| opening.known().is_none()));
    for live in emergencies {
        if let Verdict::Revoked(reason) = verdict(broker, live, &sessions).await {
            live.switch.end(End::Revoked { reason });
        }
    }
    end_the_asked(broker).await;
    for live in others {
        match verdict(broker, live, &sessions).await {
            Verdict::Stays => {}
            Verdict::Revoked(reason) => live.switch.end(End::Revoked { reason }),
            // The database is gone: live sessions go on under their terms.
            Verdict::Unknown(error) => {
                tracing::warn!(session = %live.id, %error, "A live session could not be looked at")
            }
        }
    }
}

/// A look at a session that was just entered: what was revoked between its authorization and now was announced before it
/// could be found. It ends then before anything was sent anywhere, and also when it cannot be looked at.
pub(super) async fn look_at_new(broker: &Arc<Broker>, live: &Live) {
    isolation::end_new(broker, live).await;
    match verdict(broker, live, &broker.live.snapshot()).await {
        Verdict::Stays => {}
        Verdict::Revoked(reason) => live.switch.end(End::Revoked { reason }),
        Verdict::Unknown(error) => live.switch.end(End::Revoked { reason: format!("it cannot be looked at: {error}") }),
    }
}

async fn end_the_asked(broker: &Arc<Broker>) {
    match broker.store.session_ends_asked(&broker.config.name).await {
        Ok(asked) => {
            for (id, EndAsked { by, reason, .. }) in asked {
                if let Some(live) = broker.live.find(&id) {
                    let own = by == live.subject.identity.as_str();
                    live.switch.end(End::EndedBy { actor: by, reason, own });
                }
            }
        }
        Err(error) => tracing::warn!(%error, "Who asked for a session's end could not be read"),
    }
}

enum Verdict {
    Stays,
    Revoked(String),
    Unknown(String),
}

async fn verdict(broker: &Arc<Broker>, live: &Live, all: &[Arc<Live>]) -> Verdict {
    if let Some(opening) = live.emergency.as_ref().filter(|opening| opening.known().is_none()) {
        return match permitted_now(broker, live, opening) {
            Ok(permit) if covers(&permit, &live.permit) => live.stays(&permit),
            Ok(permit) => Verdict::Revoked(format!("the terms have narrowed: {}", permit.rule)),
            Err(reason) => Verdict::Revoked(reason),
        };
    }
    let subject = match broker.identities.standing(&live.subject.identity, broker.now()).await {
        Ok(Standing::Active { subject, .. }) => subject,
        Ok(other) => return Verdict::Revoked(format!("the identity is {}", standing_words(&other))),
        Err(error) => return Verdict::Unknown(error.to_string()),
    };
    if let Some(lease) = &live.lease {
        match broker.store.find_lease(lease).await {
            Ok(Some(lease)) => match lease.revoked {
                // A jumped clock makes leases worthless for new sessions; it says nothing against one that runs.
                Some((_, by)) if by != CLOCK_JUMP => return Verdict::Revoked(format!("the lease was revoked by {by}")),
                Some(_) | None => {}
            },
            Ok(None) => return Verdict::Revoked("the lease is gone".to_owned()),
            Err(error) => return Verdict::Unknown(error.to_string()),
        }
    }
    let others: Vec<LiveSession> = all
        .iter()
        .filter(|other| other.started < live.started || (other.started == live.started && other.id < live.id))
        .filter_map(|other| {
            Some(LiveSession {
                identity: other.subject.identity.clone(),
                asset: other.target.asset.clone(),
                rule: other.permit.rule.grant()?.clone(),
            })
        })
        .collect();
    let policy = broker.policy.current();
    let approvals = match approval::given(broker, &policy, &subject, Some(&live.target.asset)).await {
        Ok(approvals) => approvals,
        Err(error) => return Verdict::Unknown(error.to_string()),
    };
    let request = Request {
        subject: &subject,
        asset: &live.target.asset,
        service: &live.target.service,
        account: &live.target.account,
        proofs: &live.proofs,
        live: &others,
        approvals: &approvals,
    };
    let now = broker.now();
    if let PermitRule::Lifted { .. } = live.permit.rule {
        return match lifted_now(&policy, live, &request, now) {
            Ok(permit) if covers(&permit, &live.permit) => live.stays(&permit),
            Ok(permit) => Verdict::Revoked(format!("the terms have narrowed: {}", permit.rule)),
            Err(reason) => Verdict::Revoked(reason),
        };
    }
    let held = Held { permit: &live.permit, started: live.started, times: *live.times.borrow() };
    match keeps(&policy, &request, held, now) {
        Ok(Keeps::Permit(permit)) => live.stays(&permit),
        Ok(Keeps::Grace) => Verdict::Stays,
        Err(reason) => Verdict::Revoked(reason),
    }
}

/// What a live session goes by: its permit, since when, and the times that hold now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) permit: &'a Permit,
    pub(crate) started: Timestamp,
    pub(crate) times: Times,
}

/// How a live session goes on.
#[derive(Debug)]
pub(crate) enum Keeps {
    /// By this permit.
    Permit(Box<Permit>),
    /// In the grace that its terms give at their end.
    Grace,
}

/// Whether a session that was permitted by a grant may go on under a policy; if not, why.
pub(crate) fn keeps(policy: &Policy, request: &Request<'_>, held: Held<'_>, now: Timestamp) -> Result<Keeps, String> {
    let Held { permit: old, started, .. } = held;
    // Its own grant first: another that gives more, or other things, must not end what this one still permits.
    let own = old.rule.grant().and_then(|rule| held_permit(policy, request, rule, started, now));
    if let Some(permit) = own.filter(|permit| covers(permit, old)) {
        return Ok(Keeps::Permit(Box::new(permit)));
    }
    let over = only_time_is_over(policy, held, request, now);
    match decide_again(policy, request, started, now) {
        Decision::Permit(permit) if covers(&permit, old) => Ok(Keeps::Permit(Box::new(permit))),
        Decision::Permit(_) | Decision::Deny(_) | Decision::NeedFactors(_) | Decision::NeedApproval(_) if over => {
            Ok(Keeps::Grace)
        }
        Decision::Permit(permit) => Err(format!("the terms have narrowed: {}", permit.rule)),
        Decision::Deny(denial) => Err(denial.to_string()),
        Decision::NeedFactors(need) => Err(need.to_string()),
        Decision::NeedApproval(rule) => Err(rule.to_string()),
    }
}

/// Whether a session is in the grace that its terms give when a window or a grant is over: it would still be permitted just before
/// that. It is for looking on only then, and `limits.rs` ends it.
fn only_time_is_over(policy: &Policy, held: Held<'_>, request: &Request<'_>, now: Timestamp) -> bool {
    let Held { permit: old, started, times } = held;
    let (Some(over), Some(grace)) = (times.not_after, times.view_only_for) else { return false };
    let ends = over.checked_add(grace).unwrap_or(over);
    let Ok(before) = over.checked_sub(SignedDuration::from_millis(1)) else { return false };
    if now < over || ends <= now || before < started {
        return false;
    }
    let own = old.rule.grant().and_then(|rule| held_permit(policy, request, rule, started, before));
    own.is_some_and(|permit| covers(&permit, old))
}

impl Live {
    /// The times of the permit that it stays by apply from now on.
    fn stays(&self, permit: &Permit) -> Verdict {
        self.times.send_if_modified(|times| {
            let new = Times::of(&permit.terms);
            let changed = *times != new;
            *times = new;
            changed
        });
        Verdict::Stays
    }
}

/// Whether a live session may keep its rights: everything it may do, the new terms allow too. Times are no right: the
/// new ones simply apply.
pub(crate) fn covers(new: &Permit, old: &Permit) -> bool {
    let (new, old) = (&new.terms, &old.terms);
    new.channels.is_superset(&old.channels)
        && (new.file_transfer.may_upload() || !old.file_transfer.may_upload())
        && (new.file_transfer.may_download() || !old.file_transfer.may_download())
        && old.env.iter().all(|pattern| new.env.contains(pattern))
        && new.recorder_trouble == old.recorder_trouble
        && new.filter == old.filter
}
