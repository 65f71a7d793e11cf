//! What a plant file says of people and factors that can hardly be meant, held against who is here and what is configured. Never a fault:
//! people may be enrolled later.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sallyport_policy::{ApprovalRule, FactorKind, Grant, IdentityId, IdentitySelector, Policy, nearest};

use super::members::memberships;
use crate::identity::{Accepted, Somebody};

/// One line each: those of the policy by itself ([`Policy::doubts`]), and those that only this installation knows.
pub(crate) fn doubts(policy: &Policy, people: &[Somebody], accepted: &Accepted, now: Timestamp) -> Vec<String> {
    let mut doubts = policy.doubts(now);
    doubts.extend(not_enrolled(policy, people));
    for grant in policy.roles().flat_map(|role| &role.grants) {
        doubts.extend(never_proven(grant, accepted).map(|doubt| format!("{}: {doubt}", grant.rule)));
        let asked = grant.approval.as_ref().and_then(|approval| too_few(policy, people, approval));
        doubts.extend(asked.map(|doubt| format!("{}: {doubt}", grant.rule)));
    }
    doubts
}

/// Who is named and not here, with where, and who was probably meant.
fn not_enrolled(policy: &Policy, people: &[Somebody]) -> Vec<String> {
    let here: BTreeSet<&str> = people.iter().map(|each| each.subject.identity.as_str()).collect();
    let mut places: BTreeMap<IdentityId, BTreeSet<String>> = BTreeMap::new();
    for membership in memberships(policy) {
        places.entry(membership.identity).or_default().insert(membership.place);
    }
    for forbid in policy.forbids() {
        for selector in &forbid.identities {
            if let IdentitySelector::Name(identity) = selector {
                places.entry(identity.clone()).or_default().insert(forbid.rule.to_string());
            }
        }
    }
    places.retain(|identity, _| !here.contains(identity.as_str()));
    if here.is_empty() && !places.is_empty() {
        return vec![format!("nobody is enrolled yet, and the plant names {} people", places.len())];
    }
    let absent = places.into_iter().map(|(identity, places)| {
        let meant = nearest(identity.as_str(), here.iter().copied());
        let hint = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let places: Vec<String> = places.into_iter().collect();
        format!("nobody is enrolled as `{identity}` ({}){hint}", places.join(", "))
    });
    absent.collect()
}

/// Of the factors that a grant asks for, nobody can have one.
fn never_proven(grant: &Grant, accepted: &Accepted) -> Option<String> {
    let can_be = |kind: &FactorKind| match kind {
        FactorKind::WebAuthn => accepted.passkeys.is_some(),
        FactorKind::Certificate => accepted.certificates,
        FactorKind::Key
        | FactorKind::SecurityKey
        | FactorKind::Password
        | FactorKind::Totp
        | FactorKind::RecoveryCode
        | FactorKind::Envelope => true,
    };
    if grant.factors.iter().any(can_be) {
        return None;
    }
    let needs = grant.factors.iter().map(|kind| match kind {
        FactorKind::WebAuthn => "webauthn, which needs a `[portal]`",
        FactorKind::Certificate => "certificate, which needs `user_ca` in `[ssh]`",
        other => other.as_str(),
    });
    let needs: Vec<&str> = needs.collect();
    Some(format!("it asks for {}: nobody can prove that here", needs.join(" or ")))
}

/// Fewer people hold the role than have to agree.
fn too_few(policy: &Policy, people: &[Somebody], approval: &ApprovalRule) -> Option<String> {
    let role = policy.role(&approval.by)?;
    let holders = people.iter().filter(|each| role.has_member(&each.subject)).count();
    let wanted = usize::try_from(approval.count).unwrap_or(usize::MAX);
    (!people.is_empty() && holders < wanted).then(|| {
        format!("it asks for {} of role {} to agree, and {holders} of those enrolled hold it", approval.count, role.id)
    })
}
