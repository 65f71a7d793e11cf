//! Emergencies: what an opened envelope lets somebody into, and how long a session by it lives. No database, clock or directory is asked.

use std::sync::Arc;
use std::time::Instant;

use jiff::SignedDuration;
use sallyport_policy::{Claimant, Decision, Permit, Request, decide_emergency};

use super::asked_for::AskedFor;
use super::authorize::{Authorization, Considered};
use super::refusal::Refusal;
use super::{Authenticated, Session};
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

fn since(begun: Instant) -> SignedDuration {
    SignedDuration::try_from(begun.elapsed()).unwrap_or(SignedDuration::ZERO)
}

/// So that what is the same now as before also reads the same.
fn whole_seconds(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs())
}
