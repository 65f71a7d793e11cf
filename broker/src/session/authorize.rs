//! The policy has permitted this person this asset, now, under these terms.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sallyport_policy::{
    AccountAuth, Approval, ApprovalRule, AssetAlgorithms, AssetId, Decision, LiveSession, NeedFactors, Permit, Policy,
    Proof, Protocol, Request, Subject, ZoneId, decide,
};

use super::asked_for::AskedFor;
use super::isolation;
use super::refusal::{Refusal, printable, refusal};
use super::{Authenticated, Session};
use crate::approval;
use crate::audit::{AuditError, AuditEvent, Entered};
use crate::broker::Broker;
use crate::identity::{MultiFactor, Standing};
use crate::live::Target;
use crate::logging::counted;
use crate::store::sessions::NewSession;

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
pub(crate) enum Leg {
    /// It logs in over SSH, as the account.
    Ssh { pinned: Vec<String>, algorithms: AssetAlgorithms, auth: AccountAuth },
    /// It connects, and no more: whether one logs in over the stream, and how, is between the person and the asset.
    Stream { protocol: Protocol },
}

/// What was decided about.
pub(super) struct Considered {
    pub(super) subject: Subject,
    pub(super) target: Target,
    pub(super) asked: AskedFor,
    pub(super) now: Timestamp,
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

impl Session<Authenticated> {
    /// Asks the policy, now, with everything that is known now: standing, factors, live sessions.
    pub async fn authorize(&self, target: Target) -> Authorization {
        match self.decide_in_time(target).await {
            Ok(authorization) => authorization,
            Err(Refusal::TooFast) => {
                counted!(warn, "Sessions were asked for too fast", identity = %self.stage.proof.identity());
                Authorization::Denied(Refusal::TooFast)
            }
            Err(refusal) => {
                tracing::info!(identity = %self.stage.proof.identity(), reason = %refusal, "Session refused");
                Authorization::Denied(refusal)
            }
        }
    }

    /// Puts on the record that somebody was refused what the policy was not asked about. A flood of them is counted, and takes nothing
    /// of what they may ask for elsewhere.
    ///
    /// # Errors
    /// If it cannot be put there; the person is refused either way.
    pub async fn refuse_on_record(&self, host: &str, service: impl fmt::Display, reason: &str) -> Result<(), Refusal> {
        let denied = self.asked_for_written(printable(host), service.to_string()).denied(reason.to_owned());
        match self.stage.broker.live.allowances.refuse(&self.stage.proof.counted_as(), Instant::now()) {
            Ok(()) => self.put_denial_on_record(denied).await,
            Err(entered) => self.put_one_of_many_on_record(denied, entered).await,
        }
    }

    /// Decides, if they have not asked too often lately: what is asked and decided is on the record each time.
    async fn decide_in_time(&self, target: Target) -> Result<Authorization, Refusal> {
        let asked = self.asked_for(&target);
        self.in_time(&asked).await?;
        self.decide(target, asked).await
    }

    fn asked_for(&self, target: &Target) -> AskedFor {
        AskedFor::target(self.stage.proof.identity(), self.stage.source, target)
    }

    fn asked_for_written(&self, host: String, service: String) -> AskedFor {
        AskedFor::written(self.stage.proof.identity(), self.stage.source, host, service)
    }

    /// Takes one question for a session out of what this person may ask. Beyond that, its denial is put on the record, or how many
    /// there were of it.
    async fn in_time(&self, asked: &AskedFor) -> Result<(), Refusal> {
        let (broker, subject) = (&self.stage.broker, self.stage.proof.subject());
        let most = broker.policy.current().sessions(subject);
        let Err(entered) = broker.live.allowances.ask(&self.stage.proof.counted_as(), most, Instant::now()) else {
            return Ok(());
        };
        let denied = asked.clone().denied(Refusal::TooFast.to_string());
        self.put_one_of_many_on_record(denied, entered).await.and(Err(Refusal::TooFast))
    }

    /// A refusal that is one of a flood: itself, or how many there were.
    async fn put_one_of_many_on_record(&self, denied: AuditEvent, entered: Entered) -> Result<(), Refusal> {
        let event = match entered {
            Entered::Itself => denied,
            Entered::Count(refusals) => AuditEvent::RefusalsCounted {
                session: None,
                identity: self.stage.proof.identity().to_string(),
                kind: denied.kind().name.to_owned(),
                refusals,
            },
            Entered::Nothing => return Ok(()),
        };
        self.put_denial_on_record(event).await
    }

    pub(super) async fn put_denial_on_record(&self, event: AuditEvent) -> Result<(), Refusal> {
        self.put_on_record(event).await.map_err(|error| {
            tracing::error!(%error, "A refusal could not be audited");
            Refusal::Unavailable(error.to_string())
        })
    }

    /// In an emergency it waits on disk where there is no database.
    async fn put_on_record(&self, event: AuditEvent) -> Result<(), AuditError> {
        let audit = &self.stage.broker.audit;
        match self.stage.proof.emergency() {
            None => audit.record(event).await,
            Some(_) => audit.record_enduring(event).await,
        }
    }

    async fn decide(&self, target: Target, asked: AskedFor) -> Result<Authorization, Refusal> {
        let broker = &self.stage.broker;
        if let Some(opening) = self.stage.proof.emergency() {
            return self.decide_emergency(opening, target, asked).await;
        }
        let subject = self.subject().await?;
        let live = self.live().await?;
        let proofs = self.proofs().await?;
        let policy = broker.policy.current();
        self.fits(&policy, &target).await?;
        let approvals = self.approvals(&policy, &subject, &target.asset).await?;
        let now = broker.now();
        let request = Request {
            subject: &subject,
            asset: &target.asset,
            service: &target.service,
            account: &target.account,
            proofs: &proofs,
            live: &live,
            approvals: &approvals,
        };
        let decision = self.lifted(&policy, &request, decide(&policy, &request, now), now).await?;
        self.answer(&policy, Considered { subject, target, asked, now }, decision).await
    }

    /// What was decided is on record before it is acted upon.
    pub(super) async fn answer(
        &self,
        policy: &Policy,
        considered: Considered,
        decision: Decision,
    ) -> Result<Authorization, Refusal> {
        let Considered { subject, target, asked, now } = considered;
        if let Some(refusal) = isolation::bars(self, policy, &target.asset, &decision).await? {
            self.put_denial_on_record(asked.denied(refusal.to_string())).await?;
            return Err(refusal);
        }
        let put = self.put_on_record(asked.decided(&decision)).await;
        put.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        Ok(match decision {
            Decision::Deny(denial) => Authorization::Denied(refusal(&denial)),
            Decision::NeedApproval(rule) => Authorization::NeedApproval(rule),
            Decision::NeedFactors(need) => Authorization::NeedFactors(need),
            Decision::Permit(permit) => {
                Authorization::Authorized(Box::new(self.authorized(policy, subject, target, permit, now)?))
            }
        })
    }

    /// The form must be one for the service's protocol. What does not exist is for the policy to say.
    pub(super) async fn fits(&self, policy: &Policy, target: &Target) -> Result<(), Refusal> {
        let service = policy.asset(&target.asset).and_then(|asset| asset.services.get(&target.service));
        let Some(service) = service.filter(|service| !target.form.reaches(service.protocol)) else { return Ok(()) };
        let reason = format!("a {} service is not reached in the form `{}`", service.protocol, target.form);
        let asked = self.asked_for_written(target.asset.to_string(), service.port.to_string());
        self.put_denial_on_record(asked.denied(reason.clone())).await?;
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

    async fn approvals(&self, policy: &Policy, subject: &Subject, asset: &AssetId) -> Result<Vec<Approval>, Refusal> {
        let given = approval::given(&self.stage.broker, policy, subject, Some(asset)).await;
        given.map_err(|error| Refusal::Unavailable(error.to_string()))
    }

    async fn live(&self) -> Result<Vec<LiveSession>, Refusal> {
        let broker = &self.stage.broker;
        let rows = broker.store.live_sessions_of(self.stage.proof.identity().as_str()).await;
        let rows = rows.map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let now = broker.now();
        Ok(rows
            .iter()
            .filter(|row| !row.is_orphaned(&broker.config.name, now))
            .filter_map(|row| live_session(&row.start))
            .collect())
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
                Leg::Ssh { pinned: service.host_keys.clone(), algorithms: service.algorithms, auth: account.auth }
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
