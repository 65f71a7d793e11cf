//! Emergencies: what a sealed code gives, and what somebody known may do who breaks the glass with their own factors.
//!
//! Neither lifts a conduit, a forbid, a filter or the record. What is given is what the section names, and nothing else.

use jiff::{SignedDuration, Timestamp};

use crate::asset::Asset;
use crate::break_glass::BreakGlass;
use crate::decision::{Decision, Denial, DenialReason, Permit, PermitRule, Unmet};
use crate::evaluate::{Moments, Target, unmet_conditions};
use crate::policy::Policy;
use crate::request::Request;
use crate::role::Grant;
use crate::subject::Subject;
use crate::terms::OnEnd;

/// May this be reached in an emergency that was opened by an envelope of the section `name`, which goes on for `left`? `subject` is
/// whoever has opened it: nobody that is known. Neither clock nor factors are asked.
pub fn decide_emergency(policy: &Policy, name: &str, request: &Request<'_>, left: SignedDuration) -> Decision {
    let deny = |reason| Decision::Deny(Denial { reason });
    let target = match Target::of(policy, request).and_then(|target| target.admitted(policy, request).map(|()| target))
    {
        Ok(target) => target,
        Err(reason) => return deny(reason),
    };
    let Some(glass) = policy.emergency(name) else { return deny(DenialReason::NoGrant) };
    if !glass.names(target.asset, target.service, target.account) {
        return deny(DenialReason::NoGrant);
    }
    let mut terms = policy.terms_for(target.service.protocol, &glass.terms);
    terms.max_duration = Some(left.min(glass.max_duration));
    // What an emergency gives it gives for exactly the time that is written.
    terms.on_end = OnEnd::End;
    Decision::Permit(Permit { rule: PermitRule::Emergency(glass.rule.clone()), terms, approved: None })
}

/// May somebody known reach this by breaking the glass, in a section that names them? It stands in for an approval, a window of time and
/// the number of sessions of a grant of theirs; whatever else the grant asks for still holds, and so do its filter and its channels.
pub fn decide_lifted(
    policy: &Policy,
    name: &str,
    request: &Request<'_>,
    now: Timestamp,
    left: SignedDuration,
) -> Decision {
    decide_lifted_again(policy, name, request, LiftedTimes { authorized: now, now, lasts: left })
}

/// When a session that was lifted was authorized, when it is decided again, and how long it may last in all.
#[derive(Debug, Clone, Copy)]
pub struct LiftedTimes {
    /// When it was authorized: the age of its factors is measured then.
    pub authorized: Timestamp,
    /// When it is decided.
    pub now: Timestamp,
    /// From its beginning to the end of the emergency.
    pub lasts: SignedDuration,
}

/// Decides a live session again that began by [`decide_lifted`].
pub fn decide_lifted_again(policy: &Policy, name: &str, request: &Request<'_>, times: LiftedTimes) -> Decision {
    let LiftedTimes { authorized, now, lasts: left } = times;
    let moments = Moments { authorized, now };
    let deny = |reason| Decision::Deny(Denial { reason });
    let target = match Target::of(policy, request).and_then(|target| target.admitted(policy, request).map(|()| target))
    {
        Ok(target) => target,
        Err(reason) => return deny(reason),
    };
    let glass = policy
        .emergency(name)
        .filter(|glass| glass.has_member(request.subject) && glass.names(target.asset, target.service, target.account));
    let Some(glass) = glass else { return deny(DenialReason::NoGrant) };
    let mut permits = Vec::new();
    let mut unmet = Vec::new();
    for grant in policy.grants_of(request.subject).filter(|grant| target.is_named_by(grant)) {
        let stands: Vec<Unmet> =
            unmet_conditions(grant, request, moments).into_iter().filter(|unmet| !is_lifted(unmet)).collect();
        match stands.is_empty() {
            true => permits.push(lifted(policy, glass, grant, &target, left)),
            false => unmet.push((grant.rule.clone(), stands)),
        }
    }
    if let Some(permit) = permits.into_iter().max_by(Permit::generosity) {
        return Decision::Permit(permit);
    }
    unmet.sort_by(|(one, _), (other, _)| one.cmp(other));
    deny(if unmet.is_empty() { DenialReason::NoGrant } else { DenialReason::Unmet(unmet) })
}

/// The grant's own terms, for no longer than the emergency.
fn lifted(policy: &Policy, glass: &BreakGlass, grant: &Grant, target: &Target<'_>, left: SignedDuration) -> Permit {
    let mut terms = policy.terms_for(target.service.protocol, &grant.terms);
    let left = left.min(glass.max_duration);
    terms.max_duration = Some(terms.max_duration.map_or(left, |longest| longest.min(left)));
    terms.concurrent = None;
    terms.on_end = OnEnd::End;
    let rule = PermitRule::Lifted { grant: grant.rule.clone(), emergency: glass.rule.clone() };
    Permit { rule, terms, approved: None }
}

/// What an emergency stands in for.
fn is_lifted(unmet: &Unmet) -> bool {
    match unmet {
        Unmet::OutsideWindow(_) | Unmet::Concurrent { .. } | Unmet::Approval { .. } => true,
        Unmet::NotMember
        | Unmet::OtherAsset
        | Unmet::OtherService
        | Unmet::OtherAccount
        | Unmet::NotYetValid(_)
        | Unmet::NoLongerValid(_)
        | Unmet::Factors { .. } => false,
    }
}

impl Policy {
    /// The break-glass sections by which somebody known may reach an asset with their own factors.
    pub fn emergencies_of<'p>(&'p self, subject: &Subject, asset: &Asset) -> impl Iterator<Item = &'p BreakGlass> {
        self.break_glass().filter(move |glass| {
            glass.has_member(subject) && glass.assets.iter().any(|selector| selector.matches(asset))
        })
    }
}
