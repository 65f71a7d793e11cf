//! The decision: pure, total, deny by default.

use jiff::Timestamp;

use crate::decision::{Decision, Denial, DenialReason, NeedFactors, Permit, Unmet};
use crate::evaluate::{Moments, Target, Verdict};
use crate::policy::Policy;
use crate::request::Request;
use crate::role::RuleRef;

/// May this be done now? Nothing may unless a grant says so, within its conduit, and no forbid speaks against it.
///
/// Where several grants say yes the most generous is chosen ([`Permit::terms`]); where none does, the answer is the one
/// closest to a yes: factors are asked for before approval, and approval before a denial.
pub fn decide(policy: &Policy, request: &Request<'_>, now: Timestamp) -> Decision {
    decide_again(policy, request, now, now)
}

/// Decides a live session again, as of `now`; only the age of its second factor is still measured at the moment it was
/// authorized, since a lease limits when a session may begin and not how long it lasts.
pub fn decide_again(policy: &Policy, request: &Request<'_>, authorized: Timestamp, now: Timestamp) -> Decision {
    match Target::of(policy, request).and_then(|target| target.admitted(policy, request).map(|()| target)) {
        Ok(target) => best(policy, request, &target, Moments { authorized, now }),
        Err(reason) => Decision::Deny(Denial { reason }),
    }
}

/// Decides a live session again by the grant that permitted it, and by no other: what that grant gives it now, if it
/// still permits it. `None` says nothing of other grants; [`decide_again`] asks them all.
pub fn held_permit(
    policy: &Policy,
    request: &Request<'_>,
    rule: &RuleRef,
    authorized: Timestamp,
    now: Timestamp,
) -> Option<Permit> {
    let target = Target::of(policy, request).ok()?;
    target.admitted(policy, request).ok()?;
    let grants = policy.grants_of(request.subject).filter(|grant| target.is_named_by(grant));
    let mut same = grants.filter(|grant| grant.rule.is_same_grant(rule));
    let grant = same.next()?;
    let terms = policy.terms_for(target.service.protocol, &grant.terms);
    match Verdict::of(grant, &terms, request, Moments { authorized, now }) {
        Verdict::Permit(permit) => Some(permit),
        Verdict::NeedFactors(_) | Verdict::NeedApproval(_) | Verdict::Unmet(_) => None,
    }
}

/// The best answer of the grants that speak of this request. Each comparison is a total order on what the grants say, so
/// the order in which they stand in the files cannot matter.
fn best(policy: &Policy, request: &Request<'_>, target: &Target<'_>, moments: Moments) -> Decision {
    let mut permits: Vec<Permit> = Vec::new();
    let mut factors: Vec<NeedFactors> = Vec::new();
    let mut approvals = Vec::new();
    let mut unmet: Vec<(RuleRef, Vec<Unmet>)> = Vec::new();
    for grant in policy.grants_of(request.subject).filter(|grant| target.is_named_by(grant)) {
        let terms = policy.terms_for(target.service.protocol, &grant.terms);
        match Verdict::of(grant, &terms, request, moments) {
            Verdict::Permit(permit) => permits.push(permit),
            Verdict::NeedFactors(need) => factors.push(need),
            Verdict::NeedApproval(approval) => approvals.push((approval, terms)),
            Verdict::Unmet(conditions) => unmet.push((grant.rule.clone(), conditions)),
        }
    }
    if let Some(permit) = permits.into_iter().max_by(Permit::generosity) {
        return Decision::Permit(permit);
    }
    if let Some(need) = factors.into_iter().min_by(NeedFactors::burden) {
        return Decision::NeedFactors(need);
    }
    let easiest = approvals.into_iter().min_by(|(one, one_terms), (other, other_terms)| {
        (one.count.cmp(&other.count)).then_with(|| other_terms.generosity(one_terms)).then_with(|| one.cmp(other))
    });
    if let Some((approval, _)) = easiest {
        return Decision::NeedApproval(approval);
    }
    unmet.sort_by(|(one, _), (other, _)| one.cmp(other));
    let reason = if unmet.is_empty() { DenialReason::NoGrant } else { DenialReason::Unmet(unmet) };
    Decision::Deny(Denial { reason })
}
