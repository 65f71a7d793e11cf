//! When ways to a service were last used.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_policy::Reach;

use crate::store::last_use::LastUse;

/// What the sessions in the database say of it.
#[derive(Debug, Default)]
pub(crate) struct Uses(BTreeMap<Used, Timestamp>);

/// A way to a service that was used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Used {
    identity: String,
    asset: String,
    service: String,
    account: String,
    by: UsedBy,
}

/// By what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum UsedBy {
    /// Their own grants.
    Grant,
    /// A break-glass section, with their own factors.
    Breaking(String),
    /// An envelope of a break-glass section.
    Envelope(String),
}

impl Uses {
    pub(crate) fn of(last: Vec<LastUse>) -> Self {
        let mut uses = BTreeMap::new();
        for LastUse { identity, asset, service, account, emergency, at } in last {
            let used = Used { identity, asset, service, account, by: UsedBy::of(&emergency) };
            // A section that has moved in its file is one all the same.
            let latest = uses.entry(used).or_insert(at);
            *latest = at.max(*latest);
        }
        Self(uses)
    }

    pub(super) fn last(&self, identity: &str, way: &Reach, by: &UsedBy) -> Option<Timestamp> {
        let (identity, asset) = (identity.to_owned(), way.asset.to_string());
        let (service, account) = (way.service.to_string(), way.account.to_string());
        self.0.get(&Used { identity, asset, service, account, by: by.clone() }).copied()
    }
}

impl UsedBy {
    /// Of the rule that a session was permitted by, as `break-glass nights (plant.toml:7), for role …`.
    pub(super) fn of(rule: &str) -> Self {
        let Some((section, rest)) = rule.strip_prefix("break-glass ").and_then(|rest| rest.split_once(" (")) else {
            return Self::Grant;
        };
        match rest.contains("), for role ") {
            true => Self::Breaking(section.to_owned()),
            false => Self::Envelope(section.to_owned()),
        }
    }
}
