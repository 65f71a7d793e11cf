//! The policy has permitted this person this asset, now, under these terms.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use sallyport_policy::{
    AccountAuth, ApprovalRule, Decision, Denial, DenialReason, LiveSession, NeedFactors, Permit, Policy, Proof,
    Protocol, Request, Subject, Unmet, ZoneId, decide,
};

use super::{Authenticated, Session};
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::identity::{MultiFactor, Standing};
use crate::live::Target;
use crate::store::sessions::{NewSession, SessionFilter};

/// Permitted. Where the asset is and how its account logs in are known only here and later.
#[derive(Debug)]
pub struct Authorized {
    pub(super) broker: Arc<Broker>,
    pub(super) source: IpAddr,
    pub(super) proof: MultiFactor,
    pub(super) subject: Subject,
    pub(super) target: Target,
    pub(super) permit: Permit,
    pub(super) at: Timestamp,
    pub(super) zone: ZoneId,
    pub(super) address: SocketAddr,
    pub(super) leg: Leg,
}

/// How the broker itself reaches the service.
#[derive(Debug)]
pub(super) enum Leg {
    /// It logs in over SSH, as the account.
    Ssh { pinned: Vec<String>, auth: AccountAuth },
    /// It connects, and no more: whether one logs in over the stream, and how, is between the person and the asset.
    Stream { protocol: Protocol },
}

/// What asking for a session comes to.
#[must_use]
#[derive(Debug)]
pub enum Authorization {
    /// Permitted.
    Authorized(Box<Session<Authorized>>),
    /// Permitted once one of these factors is proven afresh.
    NeedFactors(NeedFactors),
    /// Permitted once others have approved.
    NeedApproval(ApprovalRule),
    /// Not permitted, or not possible now.
    Denied(Refusal),
}

/// Why not. The reason is for log and audit; the person sees [`Refusal::sentence`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy denies it.
    #[error("denied: {0}")]
    Denied(String),
    /// As many sessions as their grant allows are live, and nothing else stands in the way.
    #[error("denied: {0} sessions by this grant are live, and it allows no more")]
    Concurrent(u32),
    /// The identity is locked, expired or removed.
    #[error("the identity is not in good standing: {0}")]
    Standing(String),
    /// The decision could not be made or put on the record.
    #[error("the broker cannot decide now: {0}")]
    Unavailable(String),
}

impl Refusal {
    /// One plain sentence. Unknown and forbidden look the same.
    #[must_use]
    pub fn sentence(&self, host: &str) -> String {
        match self {
            Refusal::Denied(_) | Refusal::Standing(_) => not_for_you(host),
            Refusal::Concurrent(limit) => no_more_than(*limit),
            Refusal::Unavailable(_) => "The broker can start no session now; tell your administrator.".to_owned(),
        }
    }
}

/// The one sentence for what does not exist, is forbidden, or is outside its time.
#[must_use]
pub fn not_for_you(host: &str) -> String {
    format!("You may not reach `{}` now, or it does not exist.", printable(host))
}

/// The sentence for a limit of sessions that is reached.
pub(super) fn no_more_than(limit: u32) -> String {
    match limit {
        1 => "You have 1 session there already, and your role allows no more. End it first.".to_owned(),
        _ => format!("You have {limit} sessions there already, and your role allows no more. End one first."),
    }
}

/// What a person wrote comes back to their terminal only as plain characters.
pub(crate) fn printable(text: &str) -> String {
    sallyport_plain::excerpt(text, 80)
}

impl Session<Authenticated> {
    /// Asks the policy, now, with everything that is known now: standing, factors, live sessions.
    pub async fn authorize(&self, target: Target) -> Authorization {
        match self.decide(target).await {
            Ok(authorization) => authorization,
            Err(refusal) => {
                tracing::info!(identity = %self.stage.proof.identity(), reason = %refusal, "Session refused");
                self.count_denial();
                Authorization::Denied(refusal)
            }
        }
    }

    /// Puts on the record that somebody asked for what is no target at all.
    ///
    /// # Errors
    /// If it cannot be put there; the person is refused either way.
    pub async fn refuse_on_record(&self, host: &str, service: impl fmt::Display, reason: &str) -> Result<(), Refusal> {
        self.count_denial();
        let event = AuditEvent::DecisionDenied {
            identity: self.stage.proof.identity().to_string(),
            source: self.stage.source.to_string(),
            asset: printable(host),
            service: service.to_string(),
            account: String::new(),
            session: None,
            reason: reason.to_owned(),
        };
        let recorded = self.stage.broker.audit.record(event).await;
        recorded.map_err(|error| {
            tracing::error!(%error, "A refusal could not be audited");
            Refusal::Unavailable(error.to_string())
        })
    }

    async fn decide(&self, target: Target) -> Result<Authorization, Refusal> {
        let broker = &self.stage.broker;
        let subject = self.subject().await?;
        let live = self.live().await?;
        let proofs = self.proofs().await?;
        let policy = broker.policy.current();
        self.fits(&policy, &target).await?;
        let now = broker.now();
        let decision = decide(
            &policy,
            &Request {
                subject: &subject,
                asset: &target.asset,
                service: &target.service,
                account: &target.account,
                proofs: &proofs,
                live: &live,
            },
            now,
        );
        self.put_on_record(&target, &decision).await?;
        Ok(match decision {
            Decision::Deny(denial) => Authorization::Denied(refusal(&denial)),
            Decision::NeedApproval(rule) => Authorization::NeedApproval(rule),
            Decision::NeedFactors(need) => Authorization::NeedFactors(need),
            Decision::Permit(permit) => {
                Authorization::Authorized(Box::new(self.authorized(&policy, subject, target, permit, now)?))
            }
        })
    }

    /// The form must be one for the service's protocol. What does not exist is for the policy to say.
    async fn fits(&self, policy: &Policy, target: &Target) -> Result<(), Refusal> {
        let service = policy.asset(&target.asset).and_then(|asset| asset.services.get(&target.service));
        let Some(service) = service.filter(|service| !target.form.reaches(service.protocol)) else { return Ok(()) };
        let reason = format!("a {} service is not reached in the form `{}`", service.protocol, target.form);
        self.refuse_on_record(target.asset.as_str(), service.port, &reason).await?;
        Err(Refusal::Denied(reason))
    }

    async fn subject(&self) -> Result<Subject, Refusal> {
        let identity = self.stage.proof.identity();
        let broker = &self.stage.broker;
        match broker.identities.standing(identity, broker.now()).await {
            Ok(Standing::Active { subject, .. }) => Ok(subject),
            Ok(other) => Err(Refusal::Standing(standing_words(&other))),
            Err(error) => Err(Refusal::Unavailable(error.to_string())),
        }
    }

    /// What was proven, without a second factor whose lease has been revoked since: the connection may stand for hours.
    async fn proofs(&self) -> Result<Vec<Proof>, Refusal> {
        let proof = &self.stage.proof;
        let revoked = match proof.lease() {
            None => false,
            Some(lease) => match self.stage.broker.store.find_lease(lease.as_str()).await {
                Ok(row) => row.is_none_or(|row| row.revoked.is_some()),
                Err(error) => return Err(Refusal::Unavailable(error.to_string())),
            },
        };
        Ok(proof.proofs().iter().filter(|proof| !(revoked && proof.kind.is_second())).copied().collect())
    }

    async fn live(&self) -> Result<Vec<LiveSession>, Refusal> {
        let identity = self.stage.proof.identity().clone();
        let filter = SessionFilter { identity: Some(identity.to_string()), live: true, ..SessionFilter::default() };
        let broker = &self.stage.broker;
        let rows = broker.store.sessions(&filter).await;
        let rows = rows.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let now = broker.now();
        Ok(rows
            .iter()
            .filter(|row| !row.is_orphaned(&broker.config.name, now))
            .filter_map(|row| live_session(&row.start))
            .collect())
    }

    async fn put_on_record(&self, target: &Target, decision: &Decision) -> Result<(), Refusal> {
        let identity = self.stage.proof.identity().to_string();
        let source = self.stage.source.to_string();
        let Target { asset, service, account, form: _ } = target;
        let (asset, service, account) = (asset.to_string(), service.to_string(), account.to_string());
        let session = None;
        let event = match decision {
            Decision::Permit(permit) => {
                let rule = permit.rule.to_string();
                AuditEvent::DecisionPermitted { identity, source, asset, service, account, session, rule }
            }
            Decision::Deny(denial) => {
                let reason = denial.to_string();
                AuditEvent::DecisionDenied { identity, source, asset, service, account, session, reason }
            }
            Decision::NeedFactors(need) => {
                let reason = need.to_string();
                AuditEvent::DecisionNeedsFactors { identity, source, asset, service, account, session, reason }
            }
            Decision::NeedApproval(rule) => {
                let reason = rule.to_string();
                AuditEvent::DecisionNeedsApproval { identity, source, asset, service, account, session, reason }
            }
        };
        self.stage.broker.audit.record(event).await.map_err(|error| Refusal::Unavailable(error.to_string()))
    }

    fn authorized(
        &self,
        policy: &Policy,
        subject: Subject,
        target: Target,
        permit: Permit,
        at: Timestamp,
    ) -> Result<Session<Authorized>, Refusal> {
        let gone = || Refusal::Denied("the asset, service or account left the plant file".to_owned());
        let asset = policy.asset(&target.asset).ok_or_else(gone)?;
        let service = asset.services.get(&target.service).ok_or_else(gone)?;
        let leg = match service.protocol {
            Protocol::Ssh => {
                let account = asset.accounts.get(&target.account).ok_or_else(gone)?;
                Leg::Ssh { pinned: service.host_keys.clone(), auth: account.auth }
            }
            protocol @ (Protocol::Rdp | Protocol::Vnc | Protocol::Modbus | Protocol::Tcp) => Leg::Stream { protocol },
        };
        let Authenticated { broker, source, proof, .. } = self.stage.clone();
        Ok(Session {
            stage: Authorized {
                broker,
                source,
                proof,
                subject,
                permit,
                at,
                zone: asset.zone.clone(),
                address: SocketAddr::new(asset.address, service.port),
                leg,
                target,
            },
        })
    }
}

impl Session<Authorized> {
    /// Whether the account is one whose password the person types at the inner login.
    #[must_use]
    pub fn asks_for_password(&self) -> bool {
        matches!(self.stage.leg, Leg::Ssh { auth: AccountAuth::Prompt, .. })
    }

    /// Where it goes.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.stage.target
    }
}

/// A grant that would permit but for the number of sessions says so; all other denials sound alike.
fn refusal(denial: &Denial) -> Refusal {
    let only_too_many = |unmet: &Vec<Unmet>| match unmet.as_slice() {
        [Unmet::Concurrent { limit, .. }] => Some(*limit),
        _ => None,
    };
    match &denial.reason {
        DenialReason::Unmet(grants) => grants.iter().find_map(|(_, unmet)| only_too_many(unmet)),
        DenialReason::UnknownAsset(_)
        | DenialReason::UnknownService { .. }
        | DenialReason::UnknownAccount { .. }
        | DenialReason::NoConduit { .. }
        | DenialReason::Forbidden { .. }
        | DenialReason::NoGrant => None,
    }
    .map_or_else(|| Refusal::Denied(denial.to_string()), Refusal::Concurrent)
}

/// How an identity stands that is not active, for log and audit.
pub(super) fn standing_words(standing: &Standing) -> String {
    match standing {
        Standing::Active { .. } => "active".to_owned(),
        Standing::Locked { reason } if reason.is_empty() => "locked".to_owned(),
        Standing::Locked { reason } => format!("locked: {reason}"),
        Standing::Removed => "removed".to_owned(),
        Standing::Expired { at } => format!("expired at {at}"),
        Standing::Unknown => "unknown".to_owned(),
    }
}

/// A session of the store as the policy counts it. A rule that cannot be read counts for none.
fn live_session(row: &NewSession) -> Option<LiveSession> {
    Some(LiveSession {
        identity: row.identity.parse().ok()?,
        asset: row.asset.parse().ok()?,
        rule: row.rule.parse().ok()?,
    })
}
