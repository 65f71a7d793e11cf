//! Why the answer is what it is.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::break_glass::EmergencyRef;
use crate::decide::decide;
use crate::decision::{Decision, Unmet, listed};
use crate::duration;
use crate::emergency::{decide_emergency, decide_lifted};
use crate::evaluate::{Moments, Target, unmet_conditions};
use crate::policy::Policy;
use crate::request::Request;
use crate::resolve::ResolvedFilter;
use crate::role::{ForbidRef, RuleRef};
use crate::terms::{OnEnd, Terms};

/// A decision with everything that led to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// With a permit for a decoded protocol: the filter, with its rules on this asset.
    pub filter: Option<ResolvedFilter>,
    /// The forbids that speak of the request.
    pub forbids: Vec<ForbidRef>,
    /// What every grant says to it: first those that come closest.
    pub grants: Vec<GrantExplanation>,
    /// What this person may have at once, whatever it leads to.
    pub at_once: AtOnce,
    /// The break-glass sections that speak of it.
    pub emergencies: Vec<EmergencyExplanation>,
}

/// What one break-glass section would do to a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EmergencyExplanation {
    /// The section.
    pub rule: EmergencyRef,
    /// What whoever opens its envelopes is answered.
    pub by_envelope: Decision,
    /// What this person is answered who breaks the glass with their own factors.
    pub by_own_factors: Decision,
}

/// What all grants of a person together let them have at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AtOnce {
    /// Sessions on one broker.
    pub sessions: u32,
    /// Connections to one broker.
    pub connections: u32,
}

/// What one grant says to a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GrantExplanation {
    /// The grant.
    pub rule: RuleRef,
    /// Every condition that does not hold. None: by itself, the grant says yes.
    pub unmet: Vec<Unmet>,
}

/// Decides, and tells why: the deciding rule, and for each grant every condition that failed.
pub fn explain(policy: &Policy, request: &Request<'_>, now: Timestamp) -> Explanation {
    let decision = decide(policy, request, now);
    let at_once =
        AtOnce { sessions: policy.sessions(request.subject), connections: policy.connections(request.subject) };
    let Ok(target) = Target::of(policy, request) else {
        let (forbids, grants, emergencies) = (Vec::new(), Vec::new(), Vec::new());
        return Explanation { decision, filter: None, forbids, grants, at_once, emergencies };
    };
    let filter = match &decision {
        Decision::Permit(permit) => policy.filter_for(request.asset, request.service, &permit.terms),
        Decision::Deny(_) | Decision::NeedApproval(_) | Decision::NeedFactors(_) => None,
    };
    let mut forbids: Vec<ForbidRef> = target.forbids(policy, request).map(|forbid| forbid.rule.clone()).collect();
    forbids.sort();
    let mut grants = Vec::new();
    for role in policy.roles() {
        let outsider = (!role.has_member(request.subject)).then_some(Unmet::NotMember);
        for grant in &role.grants {
            let unmet = outsider
                .iter()
                .cloned()
                .chain(target.not_named_by(grant))
                .chain(unmet_conditions(grant, request, Moments { authorized: now, now }))
                .collect();
            grants.push(GrantExplanation { rule: grant.rule.clone(), unmet });
        }
    }
    grants.sort_by(|one, other| (one.distance(), &one.rule).cmp(&(other.distance(), &other.rule)));
    let emergencies = emergencies(policy, request, &target, now);
    Explanation { decision, filter, forbids, grants, at_once, emergencies }
}

/// The sections that name the target. Whoever opens an envelope is asked about as the same subject: only a forbid could tell them apart.
fn emergencies(
    policy: &Policy,
    request: &Request<'_>,
    target: &Target<'_>,
    now: Timestamp,
) -> Vec<EmergencyExplanation> {
    let naming = policy.break_glass().filter(|glass| glass.names(target.asset, target.service, target.account));
    naming
        .map(|glass| EmergencyExplanation {
            rule: glass.rule.clone(),
            by_envelope: decide_emergency(policy, &glass.rule.name, request, glass.max_duration),
            by_own_factors: decide_lifted(policy, &glass.rule.name, request, now, glass.max_duration),
        })
        .collect()
}

impl GrantExplanation {
    /// A grant that does not even speak of the request is farther than any that does.
    fn distance(&self) -> (usize, usize) {
        let foreign = |unmet: &&Unmet| {
            matches!(unmet, Unmet::NotMember | Unmet::OtherAsset | Unmet::OtherService | Unmet::OtherAccount)
        };
        (self.unmet.iter().filter(foreign).count(), self.unmet.len())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.decision)?;
        if let Decision::Permit(permit) = &self.decision {
            writeln!(f, "terms: {}", Summary(&permit.terms))?;
        }
        if let Some(filter) = &self.filter {
            writeln!(f, "{filter}")?;
        }
        let AtOnce { sessions, connections } = self.at_once;
        writeln!(f, "at once, whatever they lead to: {sessions} sessions, {connections} connections")?;
        for forbid in &self.forbids {
            writeln!(f, "  {forbid} speaks of it")?;
        }
        for GrantExplanation { rule, unmet } in &self.grants {
            match unmet.is_empty() {
                true => writeln!(f, "  {rule}: every condition holds")?,
                false => writeln!(f, "  {rule}: {}", listed(unmet))?,
            }
        }
        for EmergencyExplanation { rule, by_envelope, by_own_factors } in &self.emergencies {
            writeln!(f, "  {rule}, with an envelope: {by_envelope}")?;
            writeln!(f, "  {rule}, with their own factors: {by_own_factors}")?;
        }
        Ok(())
    }
}

impl Terms {
    /// What they allow, on one line.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        Summary(self).to_string()
    }
}

/// The terms on one line.
struct Summary<'a>(&'a Terms);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Terms {
            not_after,
            max_duration,
            idle,
            concurrent,
            channels,
            file_transfer,
            recorder_trouble,
            on_end,
            filter,
            ..
        } = self.0;
        let limit = |limit: &Option<_>| limit.map_or_else(|| "unlimited".to_owned(), duration::display);
        let channels: Vec<&str> = channels.iter().map(|channel| channel.as_str()).collect();
        if let Some(end) = not_after {
            write!(f, "not after {end}, ")?;
        }
        write!(f, "max duration {}, idle {}, ", limit(max_duration), limit(idle))?;
        if let Some(concurrent) = concurrent {
            write!(f, "{concurrent} at once, ")?;
        }
        write!(f, "channels {}, files {file_transfer}, recorder trouble {recorder_trouble}", channels.join("+"))?;
        if *on_end == OnEnd::End {
            write!(f, ", no grace at the end")?;
        }
        match filter {
            Some(filter) => write!(f, ", filter {filter}"),
            None => Ok(()),
        }
    }
}
