//! The steps of a decision, shared by `decide`, `explain` and `reach`, so that they cannot disagree.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::approval::Approval;
use crate::asset::{Asset, Service};
use crate::decision::{DenialReason, NeedFactors, Permit, PermitRule, Unmet};
use crate::factors::{FactorKind, Proof};
use crate::names::AccountName;
use crate::policy::Policy;
use crate::request::Request;
use crate::role::{ApprovalRule, Forbid, Grant};
use crate::terms::Terms;

/// When the session was authorized, which the age of its proofs is measured at, and when it is decided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) authorized: Timestamp,
    pub(crate) now: Timestamp,
}

/// A service and an account that exist.
pub(crate) struct Target<'a> {
    pub(crate) asset: &'a Asset,
    pub(crate) service: &'a Service,
    pub(crate) account: &'a AccountName,
}

impl<'a> Target<'a> {
    pub(crate) fn of(policy: &'a Policy, request: &Request<'a>) -> Result<Self, DenialReason> {
        let Request { asset, service, account, .. } = *request;
        let asset = policy.asset(asset).ok_or_else(|| DenialReason::UnknownAsset(asset.clone()))?;
        let service = asset
            .services
            .get(service)
            .ok_or_else(|| DenialReason::UnknownService { asset: asset.id.clone(), service: service.clone() })?;
        let exists =
            if service.protocol.has_accounts() { asset.accounts.contains_key(account) } else { account.is_none() };
        if exists {
            Ok(Self { asset, service, account })
        } else {
            Err(DenialReason::UnknownAccount { asset: asset.id.clone(), account: account.clone() })
        }
    }

    /// The limits that no grant can lift: the conduit into the zone, then the forbids.
    pub(crate) fn admitted(&self, policy: &Policy, request: &Request<'_>) -> Result<(), DenialReason> {
        if !policy.conduit_passes(&self.asset.zone, &self.service.name) {
            let (zone, service) = (self.asset.zone.clone(), self.service.name.clone());
            return Err(DenialReason::NoConduit { zone, service });
        }
        match self.forbids(policy, request).min_by_key(|forbid| &forbid.rule) {
            Some(Forbid { rule, reason, .. }) => {
                Err(DenialReason::Forbidden { rule: rule.clone(), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn forbids<'p>(&self, policy: &'p Policy, request: &Request<'_>) -> impl Iterator<Item = &'p Forbid> {
        policy.forbids.iter().filter(|forbid| forbid.matches(request.subject, self.asset, self.service, self.account))
    }

    pub(crate) fn is_named_by(&self, grant: &Grant) -> bool {
        self.not_named_by(grant).next().is_none()
    }

    /// Which parts of the request the grant does not speak of.
    pub(crate) fn not_named_by(&self, grant: &Grant) -> impl Iterator<Item = Unmet> {
        [
            (!grant.names_asset(self.asset)).then_some(Unmet::OtherAsset),
            (!grant.names_service(self.service)).then_some(Unmet::OtherService),
            (!grant.names_account(self.service, self.account)).then_some(Unmet::OtherAccount),
        ]
        .into_iter()
        .flatten()
    }
}

/// What one grant, that names the request, says to it.
pub(crate) enum Verdict {
    Permit(Permit),
    NeedFactors(NeedFactors),
    NeedApproval(ApprovalRule),
    Unmet(Vec<Unmet>),
}

impl Verdict {
    /// `terms`: the grant's, as they are for the service ([`Policy::terms_for`]).
    pub(crate) fn of(grant: &Grant, terms: &Terms, request: &Request<'_>, moments: Moments) -> Self {
        let (unmet, not_after) = time_conditions(grant, moments.now);
        let unmet: Vec<Unmet> = unmet.into_iter().chain(too_many(grant, request)).collect();
        if !unmet.is_empty() {
            return Self::Unmet(unmet);
        }
        let approved = approved(request, grant, moments.now);
        if let Some((any_of, max_age)) = missing_factors(grant, request.proofs, moments.authorized) {
            let then_approval = grant.approval.is_some() && approved.is_none();
            return Self::NeedFactors(NeedFactors {
                any_of,
                max_age: Some(max_age),
                rule: grant.rule.clone(),
                then_approval,
            });
        }
        let permit = |not_after, approved| {
            let terms = Terms { not_after, ..terms.clone() };
            Self::Permit(Permit { rule: PermitRule::Grant(grant.rule.clone()), terms, approved })
        };
        match (&grant.approval, approved) {
            (None, _) => permit(not_after, None),
            (Some(_), Some(Approval { until, request, .. })) => {
                permit(Some(not_after.map_or(*until, |end| end.min(*until))), Some(request.clone()))
            }
            (Some(rule), None) => Self::NeedApproval(rule.clone()),
        }
    }
}

/// Every condition of the grant that does not hold, for `explain`.
pub(crate) fn unmet_conditions(grant: &Grant, request: &Request<'_>, moments: Moments) -> Vec<Unmet> {
    let factors = missing_factors(grant, request.proofs, moments.authorized)
        .map(|(any_of, max_age)| Unmet::Factors { any_of, max_age });
    let missing = grant.approval.as_ref().filter(|_| approved(request, grant, moments.now).is_none());
    let approval = missing.map(|rule| Unmet::Approval { by: rule.by.clone(), count: rule.count });
    let (time, _) = time_conditions(grant, moments.now);
    time.into_iter().chain(too_many(grant, request)).chain(factors).chain(approval).collect()
}

/// The conditions of time that fail, and the end of what is open now: of the window or of the grant, whichever is first.
fn time_conditions(grant: &Grant, now: Timestamp) -> (Vec<Unmet>, Option<Timestamp>) {
    let mut unmet = Vec::new();
    if let Some(from) = grant.valid_from.filter(|from| now < *from) {
        unmet.push(Unmet::NotYetValid(from));
    }
    if let Some(until) = grant.valid_until.filter(|until| *until <= now) {
        unmet.push(Unmet::NoLongerValid(until));
    }
    let mut not_after = grant.valid_until;
    if let Some(when) = &grant.when {
        match when.open_until(now) {
            Some(end) => not_after = Some(not_after.map_or(end, |until| until.min(end))),
            None => unmet.push(Unmet::OutsideWindow(when.clone())),
        }
    }
    (unmet, not_after)
}

/// Of what others have approved and lets this grant give what is asked for now, what lasts longest.
fn approved<'a>(request: &Request<'a>, grant: &Grant, now: Timestamp) -> Option<&'a Approval> {
    let covers = |approval: &&Approval| {
        approval.identity == request.subject.identity
            && approval.asset == *request.asset
            && approval.services.contains(request.service)
            && (&approval.role, approval.grant) == (&grant.rule.role, grant.rule.grant)
            && approval.from <= now
            && now < approval.until
    };
    let longest =
        |one: &&Approval, other: &&Approval| one.until.cmp(&other.until).then_with(|| other.request.cmp(&one.request));
    request.approvals.iter().filter(covers).max_by(longest)
}

/// As many sessions by this grant as it allows one person.
fn too_many(grant: &Grant, request: &Request<'_>) -> Option<Unmet> {
    let limit = grant.terms.concurrent?;
    let live = request
        .live
        .iter()
        .filter(|session| session.identity == request.subject.identity && session.rule.is_same_grant(&grant.rule))
        .count();
    (u32::try_from(live).unwrap_or(u32::MAX) >= limit).then_some(Unmet::Concurrent { limit, live })
}

/// However short the lease, a code just given must let the session begin that it was given for.
const LOGIN_GRACE: SignedDuration = SignedDuration::from_secs(60);

/// How far into the future a proof may lie: the clocks of two brokers differ a little. More fails closed.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// What has still to be proven: always a fresh second factor, and one of the kinds the grant names.
fn missing_factors(
    grant: &Grant,
    proofs: &[Proof],
    authorized: Timestamp,
) -> Option<(BTreeSet<FactorKind>, SignedDuration)> {
    let max_age = grant.lease.max(LOGIN_GRACE);
    let proven: BTreeSet<FactorKind> = proofs
        .iter()
        .filter(|proof| !proof.kind.is_second() || is_fresh(proof, authorized, max_age))
        .map(|proof| proof.kind.counts_as())
        .collect();
    let has_second = FactorKind::SECOND.iter().any(|kind| proven.contains(kind));
    let has_named = !grant.factors.is_disjoint(&proven);
    if has_second && has_named {
        return None;
    }
    let named_second: BTreeSet<FactorKind> = grant.factors.iter().copied().filter(|kind| kind.is_second()).collect();
    let wanted = match (has_second, has_named) {
        (true, _) => grant.factors.clone(),
        (false, true) => FactorKind::SECOND.into(),
        (false, false) if named_second.is_empty() => FactorKind::SECOND.into(),
        (false, false) => named_second,
    };
    Some((wanted, max_age))
}

fn is_fresh(proof: &Proof, authorized: Timestamp, max_age: SignedDuration) -> bool {
    let age = authorized.duration_since(proof.at);
    -CLOCK_TOLERANCE <= age && age <= max_age
}
