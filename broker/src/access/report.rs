//! The report on access: everybody, every way that a rule names for them, and what the gate would answer at a moment.
//!
//! The answers are those of [`Policy::reach`], which asks `decide`. What a forbid or a missing conduit takes away is no way at all.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_policy::{
    AssetId, Claimant, Decision, DenialReason, Grant, IdentityId, Permit, PermitRule, Place, Policy, Protocol, Reach,
    RuleRef, Subject, Terms,
};

use super::agreed::Agreed;
use super::members::memberships;
use super::row::{AccessAnswer, AccessPerson, AccessRow, AccessRule};
use super::uses::{UsedBy, Uses};
use crate::identity::{Somebody, Standing};
use crate::store::envelopes::GLASS;

/// Of whom, of what and of when a report is.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Of one person, or of all and of envelopes.
    pub(crate) identity: Option<IdentityId>,
    /// Of one asset, or of all.
    pub(crate) asset: Option<AssetId>,
    /// Of which moment.
    pub(crate) at: Timestamp,
}

impl Scope {
    /// The services that it is of.
    fn places<'p>(&'p self, policy: &'p Policy) -> impl Iterator<Item = Place<'p>> {
        policy.places().filter(move |place| self.asset.as_ref().is_none_or(|asset| place.asset.id == *asset))
    }

    fn speaks_of(&self, identity: &str) -> bool {
        self.identity.as_ref().is_none_or(|wanted| wanted.as_str() == identity)
    }
}

/// Everybody who is in the scope, with every way that a rule names for them, by asset, service and account. The rows of one person are handed
/// on together, so that not all have to be held at once.
///
/// # Errors
/// Those of whoever takes them.
pub(crate) fn report<E>(
    policy: &Policy,
    people: &[Somebody],
    uses: &Uses,
    agreed: &Agreed,
    scope: &Scope,
    mut take: impl FnMut(Vec<AccessRow>) -> Result<(), E>,
) -> Result<(), E> {
    let absent = absent(&[policy], people);
    let mut everybody: Vec<&Somebody> = people.iter().chain(&absent).collect();
    everybody.sort_by(|one, other| one.subject.cmp(&other.subject));
    for somebody in everybody.into_iter().filter(|each| scope.speaks_of(each.subject.identity.as_str())) {
        let person = Reporter { policy, uses, agreed, scope, somebody };
        let mut rows = Vec::new();
        person.by_grants(&mut rows);
        person.by_breaking(&mut rows);
        take(rows)?;
    }
    if scope.speaks_of(GLASS) {
        let mut rows = Vec::new();
        by_envelopes(policy, uses, scope, &mut rows);
        take(rows)?;
    }
    Ok(())
}

/// Who is named as a member and is not there: whoever is enrolled by that name comes into it.
pub(super) fn absent(policies: &[&Policy], people: &[Somebody]) -> Vec<Somebody> {
    let here: BTreeSet<&IdentityId> = people.iter().map(|each| &each.subject.identity).collect();
    let named = policies.iter().flat_map(|policy| memberships(policy)).map(|each| each.identity);
    let absent: BTreeSet<IdentityId> = named.filter(|identity| !here.contains(identity)).collect();
    absent.into_iter().map(nobody).collect()
}

fn nobody(identity: IdentityId) -> Somebody {
    Somebody {
        subject: Subject { identity, groups: BTreeSet::new() },
        display_name: String::new(),
        standing: Standing::Unknown,
        factors: BTreeSet::new(),
        by_passkey_alone: false,
    }
}

/// The ways of one person.
struct Reporter<'a> {
    policy: &'a Policy,
    uses: &'a Uses,
    agreed: &'a Agreed,
    scope: &'a Scope,
    somebody: &'a Somebody,
}

impl Reporter<'_> {
    fn by_grants(&self, rows: &mut Vec<AccessRow>) {
        rows.extend(self.reach(Claimant::Person(&self.somebody.subject), AccessRule::Grant, &UsedBy::Grant));
    }

    fn by_breaking(&self, rows: &mut Vec<AccessRow>) {
        let subject = &self.somebody.subject;
        for glass in self.policy.break_glass() {
            let name = glass.rule.name.as_str();
            let claimant = Claimant::Breaking { subject, name, left: glass.max_duration };
            rows.extend(self.reach(claimant, AccessRule::BreakGlass, &UsedBy::Breaking(name.to_owned())));
        }
    }

    fn reach(&self, claimant: Claimant<'_>, by: AccessRule, used: &UsedBy) -> Vec<AccessRow> {
        let proofs = self.somebody.proofs(self.scope.at);
        let places = self.scope.places(self.policy);
        let approvals = self.agreed.for_whom(&self.somebody.subject.identity);
        let reach = self.policy.reach_among(places, claimant, &proofs, &[], approvals, self.scope.at);
        reach.into_iter().filter_map(|each| self.row(each, by, used)).collect()
    }

    /// The row of one way: what was decided, unless the person may not be here or cannot log in.
    fn row(&self, reach: Reach, by: AccessRule, used: &UsedBy) -> Option<AccessRow> {
        let Somebody { subject, display_name, factors, .. } = self.somebody;
        let last_used = self.uses.last(subject.identity.as_str(), &reach, used);
        let (state, barred) = self.state();
        let person = AccessPerson {
            identity: subject.identity.to_string(),
            display_name: display_name.clone(),
            state,
            enrolled: factors.clone(),
        };
        let row = Decided::of(self.policy, &reach)?.row(self.policy, reach, by, person)?;
        let row = AccessRow { last_used, ..row };
        Some(match barred {
            true => AccessRow { answer: AccessAnswer::No, why: state.to_owned(), ..row },
            false => row,
        })
    }

    /// How the person stands, and whether that alone keeps them out.
    fn state(&self) -> (&'static str, bool) {
        match &self.somebody.standing {
            Standing::Active { .. } => self.somebody.lacks().map_or(("active", false), |lacks| (lacks, true)),
            Standing::Locked { .. } => ("locked", true),
            Standing::Removed => ("removed", true),
            Standing::Expired { .. } => ("expired", true),
            Standing::Unknown => ("not enrolled", true),
        }
    }
}

/// What envelopes give whoever opens one.
fn by_envelopes(policy: &Policy, uses: &Uses, scope: &Scope, rows: &mut Vec<AccessRow>) {
    let Ok(identity) = IdentityId::try_from(GLASS) else { return };
    let subject = Subject { identity, groups: BTreeSet::new() };
    for glass in policy.break_glass() {
        let name = glass.rule.name.as_str();
        let claimant = Claimant::Emergency { subject: &subject, name, left: glass.max_duration };
        let used = UsedBy::Envelope(name.to_owned());
        for reach in policy.reach_among(scope.places(policy), claimant, &[], &[], &[], scope.at) {
            let person = AccessPerson {
                identity: GLASS.to_owned(),
                display_name: "whoever opens an envelope".to_owned(),
                state: "sealed",
                enrolled: BTreeSet::new(),
            };
            let last_used = uses.last(GLASS, &reach, &used);
            let decided = Decided::of(policy, &reach);
            let row = decided.and_then(|decided| decided.row(policy, reach, AccessRule::Envelope, person));
            rows.extend(row.map(|row| AccessRow { last_used, ..row }));
        }
    }
}

/// A decision, with the grant that it speaks of.
struct Decided<'p> {
    answer: AccessAnswer,
    why: String,
    rule: String,
    grant: Option<&'p Grant>,
    terms: Option<Terms>,
}

impl<'p> Decided<'p> {
    /// Nothing, of what no rule names: there is no way then.
    fn of(policy: &'p Policy, reach: &Reach) -> Option<Self> {
        let by_grant = |rule: &RuleRef, answer, why: String| {
            let grant = policy.grant(rule)?;
            Some(Self { answer, why, rule: rule.to_string(), grant: Some(grant), terms: None })
        };
        match &reach.decision {
            Decision::Permit(permit) => Some(Self::permitted(policy, permit)),
            Decision::NeedApproval(approval) => by_grant(&approval.rule, AccessAnswer::Approval, approval.to_string()),
            Decision::NeedFactors(need) => {
                let kinds: Vec<&str> = need.any_of.iter().map(|kind| kind.as_str()).collect();
                by_grant(&need.rule, AccessAnswer::No, format!("needs {}", kinds.join(" or ")))
            }
            Decision::Deny(denial) => match &denial.reason {
                // Which of several stands first says nothing: the one that lacks least does.
                DenialReason::Unmet(grants) => {
                    let (rule, unmet) = grants.iter().min_by_key(|(_, unmet)| unmet.len())?;
                    let why: Vec<String> = unmet.iter().map(ToString::to_string).collect();
                    by_grant(rule, AccessAnswer::No, why.join(", "))
                }
                DenialReason::UnknownAsset(_)
                | DenialReason::UnknownService { .. }
                | DenialReason::UnknownAccount { .. }
                | DenialReason::NoConduit { .. }
                | DenialReason::Forbidden { .. }
                | DenialReason::NoGrant => None,
            },
        }
    }

    fn permitted(policy: &'p Policy, permit: &Permit) -> Self {
        let grant = match &permit.rule {
            PermitRule::Grant(rule) | PermitRule::Lifted { grant: rule, .. } => policy.grant(rule),
            PermitRule::Emergency(_) => None,
        };
        let (rule, terms) = (permit.rule.to_string(), Some(permit.terms.clone()));
        Self { answer: AccessAnswer::Yes, why: String::new(), rule, grant, terms }
    }

    fn row(self, policy: &Policy, reach: Reach, by: AccessRule, person: AccessPerson) -> Option<AccessRow> {
        let Self { answer, why, rule, grant, terms } = self;
        let Reach { asset, service, account, .. } = reach;
        let place = policy.place(&asset, &service)?;
        let protocol = place.service.protocol;
        let terms = match (terms, grant) {
            (Some(terms), _) => terms,
            (None, Some(grant)) => policy.terms_for(protocol, &grant.terms),
            (None, None) => return None,
        };
        let ssh = protocol == Protocol::Ssh;
        Some(AccessRow {
            person,
            zone: place.asset.zone.clone(),
            asset,
            service,
            protocol,
            account,
            by,
            rule,
            answer,
            why,
            factors: grant.map(|grant| grant.factors.clone()).unwrap_or_default(),
            lease: grant.map(|grant| grant.lease),
            channels: if ssh { terms.channels } else { BTreeSet::new() },
            file_transfer: ssh.then_some(terms.file_transfer),
            filter: terms.filter,
            when: grant.and_then(|grant| grant.when.as_ref()).map(ToString::to_string).unwrap_or_default(),
            valid_from: grant.and_then(|grant| grant.valid_from),
            valid_until: grant.and_then(|grant| grant.valid_until),
            approval: grant.and_then(|grant| grant.approval.as_ref()).map(ToString::to_string).unwrap_or_default(),
            max_duration: terms.max_duration,
            last_used: None,
        })
    }
}
