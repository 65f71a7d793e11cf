//! Who gains and who loses what, when one plant takes the place of another.
//!
//! Compared is what the rules name for each person, whatever the hour and whatever they have proven: a grant that holds on Mondays is
//! not lost on a Tuesday.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_policy::{
    AccountName, AssetId, Claimant, FilterSection, Grant, IdentityId, Policy, RoleId, ServiceName, Subject,
};
use serde::Serialize;

use super::row::AccessRule;
use crate::plant::leaves;
use crate::store::envelopes::GLASS;

/// What changes for one person on one account of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct AccessChange {
    /// Who; `glass` is whoever opens an envelope.
    pub(crate) identity: IdentityId,
    /// Where to.
    pub(crate) asset: AssetId,
    /// Which of its services.
    pub(crate) service: ServiceName,
    /// With which account.
    pub(crate) account: AccountName,
    /// By what kind of rule.
    pub(crate) by: AccessRule,
    /// The grants or the section that give it, or gave it.
    pub(crate) rule: String,
    /// What of it changes, where they keep it.
    pub(crate) what: BTreeSet<String>,
}

/// What changes for everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AccessChanges {
    /// What somebody may do afterwards that they may not now.
    pub(crate) gains: Vec<AccessChange>,
    /// What somebody may do now and not afterwards.
    pub(crate) loses: Vec<AccessChange>,
    /// What somebody keeps on other conditions.
    pub(crate) keeps_otherwise: Vec<AccessChange>,
}

/// A way, as both plants name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ChangedWay {
    asset: AssetId,
    service: ServiceName,
    account: AccountName,
    by: AccessRule,
    /// The break-glass section; empty for grants.
    section: String,
}

/// By what a way is given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given<'a> {
    rule: String,
    /// What each grant says, beside whom and what it names.
    grants: Vec<&'a Content>,
    /// What is judged by: the sections of its filters.
    filters: Vec<&'a Content>,
}

/// What something means, by the names of its parts.
type Content = BTreeMap<String, String>;

/// The meaning of the parts of a policy, read once and not for every person.
struct Meaning<'p> {
    policy: &'p Policy,
    grants: BTreeMap<(RoleId, usize), Content>,
    filters: BTreeMap<String, Content>,
}

/// Compares two plants for everybody who is given.
pub(crate) fn changes<'s>(old: &Policy, new: &Policy, people: impl IntoIterator<Item = &'s Subject>) -> AccessChanges {
    let (old, new) = (Meaning::of(old), Meaning::of(new));
    let mut changes = AccessChanges::default();
    for subject in people {
        changes.add(&subject.identity, old.ways(subject), new.ways(subject));
    }
    if let Ok(glass) = IdentityId::try_from(GLASS) {
        let subject = Subject { identity: glass, groups: BTreeSet::new() };
        changes.add(&subject.identity, old.sealed(&subject), new.sealed(&subject));
    }
    changes
}

impl AccessChanges {
    fn add(
        &mut self,
        who: &IdentityId,
        old: BTreeMap<ChangedWay, Given<'_>>,
        mut new: BTreeMap<ChangedWay, Given<'_>>,
    ) {
        let change = |way: ChangedWay, given: Given<'_>, what: BTreeSet<String>| {
            let ChangedWay { asset, service, account, by, .. } = way;
            AccessChange { identity: who.clone(), asset, service, account, by, rule: given.rule, what }
        };
        for (way, before) in old {
            match new.remove(&way) {
                None => self.loses.push(change(way, before, BTreeSet::new())),
                Some(after) => {
                    let what = before.differences(&after);
                    if !what.is_empty() {
                        self.keeps_otherwise.push(change(way, after, what));
                    }
                }
            }
        }
        self.gains.extend(new.into_iter().map(|(way, given)| change(way, given, BTreeSet::new())));
    }
}

impl<'p> Meaning<'p> {
    fn of(policy: &'p Policy) -> Self {
        let grants = policy.roles().flat_map(|role| &role.grants);
        let grants = grants.map(|grant| ((grant.rule.role.clone(), grant.rule.grant), content_of(grant))).collect();
        let filters = policy.filters().map(|filter| (filter.name.clone(), filter_content(filter))).collect();
        Self { policy, grants, filters }
    }

    /// Everything that is named for a person: by their grants, and by breaking the glass.
    fn ways(&self, subject: &Subject) -> BTreeMap<ChangedWay, Given<'_>> {
        let mut ways = BTreeMap::new();
        for way in self.policy.granted_ways(subject) {
            let (asset, service) = (way.place.asset.id.clone(), way.place.service.name.clone());
            let protocol = way.place.service.protocol;
            let named =
                ChangedWay { asset, service, account: way.account, by: AccessRule::Grant, section: String::new() };
            let rules: Vec<String> = way.grants.iter().map(|grant| grant.rule.to_string()).collect();
            let filter = |grant: &&Grant| self.policy.terms_for(protocol, &grant.terms).filter;
            let filters = way.grants.iter().filter_map(filter).filter_map(|name| self.filters.get(&name)).collect();
            let said = |grant: &&Grant| self.grants.get(&(grant.rule.role.clone(), grant.rule.grant));
            let grants = way.grants.iter().filter_map(said).collect();
            ways.insert(named, Given { rule: rules.join(", "), grants, filters });
        }
        for glass in self.policy.break_glass() {
            let name = glass.rule.name.as_str();
            let claimant = Claimant::Breaking { subject, name, left: glass.max_duration };
            self.by_section(claimant, AccessRule::BreakGlass, name, &mut ways);
        }
        ways
    }

    /// What envelopes give whoever opens one.
    fn sealed(&self, subject: &Subject) -> BTreeMap<ChangedWay, Given<'_>> {
        let mut ways = BTreeMap::new();
        for glass in self.policy.break_glass() {
            let name = glass.rule.name.as_str();
            let claimant = Claimant::Emergency { subject, name, left: glass.max_duration };
            self.by_section(claimant, AccessRule::Envelope, name, &mut ways);
        }
        ways
    }

    fn by_section<'a>(
        &'a self,
        claimant: Claimant<'_>,
        by: AccessRule,
        section: &str,
        ways: &mut BTreeMap<ChangedWay, Given<'a>>,
    ) {
        for place in self.policy.places() {
            for account in self.policy.accounts(claimant, &place.asset.id, &place.service.name) {
                let (asset, service) = (place.asset.id.clone(), place.service.name.clone());
                let way = ChangedWay { asset, service, account, by, section: section.to_owned() };
                let rule = format!("break-glass {section}");
                ways.insert(way, Given { rule, grants: Vec::new(), filters: Vec::new() });
            }
        }
    }
}

impl Given<'_> {
    /// The names of what differs. Which grant says it is nothing that anybody notices.
    fn differences(&self, new: &Self) -> BTreeSet<String> {
        let mut what = match (self.grants.as_slice(), new.grants.as_slice()) {
            ([old], [new]) => differing(old, new),
            (old, new) if same(old, new) => BTreeSet::new(),
            _ => BTreeSet::from(["other grants".to_owned()]),
        };
        if !same(&self.filters, &new.filters) && !what.contains("filter") {
            what.insert("rules of its filter".to_owned());
        }
        what
    }
}

fn same(old: &[&Content], new: &[&Content]) -> bool {
    let (mut old, mut new) = (old.to_vec(), new.to_vec());
    old.sort();
    new.sort();
    old == new
}

/// By the first parts of their paths, without `terms`, which says nothing to a reader.
fn differing(old: &Content, new: &Content) -> BTreeSet<String> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
    let name = |path: &String| path.trim_start_matches("terms.").split('.').next().unwrap_or_default().to_owned();
    changed.map(name).collect()
}

/// On which conditions and with which rights, whatever it is for.
fn content_of(grant: &Grant) -> Content {
    let Grant { when, valid_from, valid_until, factors, lease, approval, terms, .. } = grant;
    leaves(&serde_json::json!({
        "when": when, "valid_from": valid_from, "valid_until": valid_until, "factors": factors, "lease": lease,
        "approval": approval, "terms": terms,
    }))
}

fn filter_content(filter: &FilterSection) -> Content {
    // Plain data with text keys: there always is a JSON form.
    leaves(&serde_json::to_value(filter).unwrap_or_default())
}
