//! Emergencies: what an opened envelope lets somebody into, and how long a session by it lives. No database, clock or directory is asked.

use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    Claimant, Decision, LiftedTimes, Permit, PermitRule, Policy, Request, decide_emergency, decide_lifted,
    decide_lifted_again,
};

use super::asked_for::AskedFor;
use super::authorize::{Authorization, Considered};
use super::isolation;
use super::refusal::Refusal;
use super::{Authenticated, Authorized, Session};
use crate::broker::Broker;
use crate::emergency::Opening;
use crate::live::{Live, Target};

impl Session<Authenticated> {
    /// By what they may reach what they may.
    pub(crate) fn claimant(&self) -> Claimant<'_> {
        let subject = self.proof().subject();
        match self.proof().emergency() {
            None => Claimant::Person(subject),
            Some(opening) => Claimant::Emergency { subject, name: opening.rule(), left: opening.left() },
        }
    }

    /// What was decided, or what somebody is permitted who has broken the glass: where that lifts what stands in the way. What their
    /// own grant permits does not open a zone that is isolated; there a section that does comes before it.
    pub(super) async fn lifted(
        &self,
        policy: &Policy,
        request: &Request<'_>,
        decision: Decision,
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let openings = self.broker().emergencies.of_known(&request.subject.identity, self.source());
        if openings.is_empty() {
            return Ok(decision);
        }
        let isolated = isolation::isolates(self, policy, request.asset).await?.is_some();
        match decision {
            Decision::Permit(_) | Decision::NeedFactors(_) if !isolated => return Ok(decision),
            Decision::Permit(_) | Decision::NeedFactors(_) | Decision::Deny(_) | Decision::NeedApproval(_) => {}
        }
        let permit_by =
            |opening: &Arc<Opening>| match decide_lifted(policy, opening.rule(), request, now, opening.left()) {
                Decision::Permit(permit) => Some(permit),
                Decision::Deny(_) | Decision::NeedApproval(_) | Decision::NeedFactors(_) => None,
            };
        let mut permits: Vec<Permit> = openings.iter().filter_map(permit_by).collect();
        permits.sort_by_key(|permit| isolated && !policy.opens_isolated(&permit.rule));
        Ok(permits.into_iter().next().map_or(decision, Decision::Permit))
    }

    pub(super) async fn decide_emergency(
        &self,
        opening: &Arc<Opening>,
        target: Target,
        asked: AskedFor,
    ) -> Result<Authorization, Refusal> {
        let (policy, now) = (self.broker().policy.current(), self.broker().now());
        self.fits(&policy, &target).await?;
        let left = opening.left();
        if left <= SignedDuration::ZERO {
            self.put_denial_on_record(asked.denied(Refusal::EmergencyOver.to_string())).await?;
            return Err(Refusal::EmergencyOver);
        }
        let subject = self.proof().subject().clone();
        let request = Request {
            subject: &subject,
            asset: &target.asset,
            service: &target.service,
            account: &target.account,
            proofs: &[],
            live: &[],
            approvals: &[],
        };
        let decision = decide_emergency(&policy, opening.rule(), &request, left);
        self.answer(&policy, Considered { subject, target, asked, now }, decision).await
    }
}

/// What a live session of an emergency is permitted now; nothing, where that is over or the plant file gives it no more.
pub(super) fn permitted_now(broker: &Broker, live: &Live, opening: &Opening) -> Result<Permit, String> {
    let left = opening.left();
    if left <= SignedDuration::ZERO {
        return Err(Refusal::EmergencyOver.to_string());
    }
    let request = Request {
        subject: &live.subject,
        asset: &live.target.asset,
        service: &live.target.service,
        account: &live.target.account,
        proofs: &[],
        live: &[],
        approvals: &[],
    };
    match decide_emergency(&broker.policy.current(), opening.rule(), &request, left) {
        Decision::Permit(mut permit) => {
            permit.terms.max_duration = Some(whole_seconds(since(live.begun).saturating_add(left)));
            Ok(permit)
        }
        Decision::Deny(denial) => Err(denial.to_string()),
        Decision::NeedApproval(rule) => Err(rule.to_string()),
        Decision::NeedFactors(need) => Err(need.to_string()),
    }
}

/// The emergency that a session belongs to: that of its envelope, or that of somebody known where their own grants would not do.
pub(super) fn opening_of(authorized: &Authorized) -> Option<Arc<Opening>> {
    match &authorized.permit.rule {
        PermitRule::Grant(_) => None,
        PermitRule::Emergency(_) => authorized.proof.emergency().cloned(),
        PermitRule::Lifted { emergency, .. } => {
            let openings = authorized.broker.emergencies.of_known(&authorized.subject.identity, authorized.source);
            openings.into_iter().find(|opening| opening.rule() == emergency.name)
        }
    }
}

/// What a live session of somebody known, who has broken the glass, is permitted now.
pub(super) fn lifted_now(
    policy: &Policy,
    live: &Live,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Permit, String> {
    let over = || Refusal::EmergencyOver.to_string();
    let opening = live.emergency.as_ref().filter(|opening| !opening.is_over()).ok_or_else(over)?;
    let lasts = whole_seconds(since(live.begun).saturating_add(opening.left()));
    let times = LiftedTimes { authorized: live.started, now, lasts };
    match decide_lifted_again(policy, opening.rule(), request, times) {
        Decision::Permit(permit) => Ok(permit),
        Decision::Deny(denial) => Err(denial.to_string()),
        Decision::NeedApproval(rule) => Err(rule.to_string()),
        Decision::NeedFactors(need) => Err(need.to_string()),
    }
}

fn since(begun: Instant) -> SignedDuration {
    SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::ZERO)
}

/// So that what is the same now as before also reads the same.
fn whole_seconds(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs())
}
