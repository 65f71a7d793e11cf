//! Roles and forbids: the rules that speak about people.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::asset::{Asset, Service};
use crate::factors::FactorKind;
use crate::names::{AccountName, RoleId};
use crate::selector::{AssetSelector, Glob, IdentitySelector};
use crate::subject::Subject;
use crate::terms::Terms;
use crate::window::When;
use crate::window_rule::WindowRule;

/// A role: grants, and the people who hold it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Role {
    /// Its name.
    pub id: RoleId,
    /// Who holds it.
    pub members: BTreeSet<IdentitySelector>,
    /// What it gives.
    pub grants: Vec<Grant>,
    /// The write windows that its members may open for others.
    pub windows: Vec<WindowRule>,
    /// For people.
    pub description: Option<String>,
}

impl Role {
    /// Does this person hold the role?
    pub fn has_member(&self, subject: &Subject) -> bool {
        is_among(&self.members, subject)
    }
}

/// Is this person one of those who are selected? Asked for each person and each service of a plant, of roles with hundreds of members:
/// names are looked up, and only patterns and groups are gone through, which stand behind them.
pub(crate) fn is_among(members: &BTreeSet<IdentitySelector>, subject: &Subject) -> bool {
    let mut patterns = members.range(IdentitySelector::Glob(Glob::new(""))..);
    members.contains(&IdentitySelector::Name(subject.identity.clone()))
        || patterns.any(|selector| selector.matches(subject))
}

/// What a role gives: these services of these assets with these accounts, on these conditions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grant {
    /// Where it stands.
    pub rule: RuleRef,
    /// Which assets.
    pub assets: BTreeSet<AssetSelector>,
    /// Which of their services.
    pub services: BTreeSet<Glob>,
    /// Which of their accounts.
    pub accounts: BTreeSet<Glob>,
    /// The windows in which it holds; `None` means always.
    pub when: Option<When>,
    /// The first moment it holds.
    pub valid_from: Option<Timestamp>,
    /// The moment it stops to hold.
    pub valid_until: Option<Timestamp>,
    /// One of these must have been proven, besides the second factor that is always needed.
    pub factors: BTreeSet<FactorKind>,
    /// How long a second factor counts.
    pub lease: SignedDuration,
    /// Who must agree first.
    pub approval: Option<ApprovalRule>,
    /// What it allows.
    pub terms: Terms,
}

impl Grant {
    pub(crate) fn names_asset(&self, asset: &Asset) -> bool {
        self.assets.iter().any(|selector| selector.matches(asset))
    }

    pub(crate) fn names_service(&self, service: &Service) -> bool {
        self.services.iter().any(|glob| glob.matches(service.name.as_str()))
    }

    /// A protocol without logins needs no account to be named.
    pub(crate) fn names_account(&self, service: &Service, account: &AccountName) -> bool {
        !service.protocol.has_accounts() || self.accounts.iter().any(|glob| glob.matches(account.as_str()))
    }
}

/// Where a grant stands: its role, its number among that role's grants, file and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RuleRef {
    /// The role.
    pub role: RoleId,
    /// The grant's number within the role, from 1.
    pub grant: usize,
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: usize,
}

impl RuleRef {
    /// The same grant, even if lines have moved above it since?
    pub fn is_same_grant(&self, other: &Self) -> bool {
        self.role == other.role && self.grant == other.grant
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {}, grant {} ({}:{})", self.role, self.grant, self.file, self.line)
    }
}

impl FromStr for RuleRef {
    type Err = NotARule;

    /// Reads what `Display` writes: the store keeps it for each session.
    fn from_str(text: &str) -> Result<Self, NotARule> {
        let parts = || {
            let (role, rest) = text.strip_prefix("role ")?.split_once(", grant ")?;
            let (grant, place) = rest.strip_suffix(')')?.split_once(" (")?;
            let (file, line) = place.rsplit_once(':')?;
            let role = RoleId::try_from(role).ok()?;
            Some(Self { role, grant: grant.parse().ok()?, file: file.into(), line: line.parse().ok()? })
        };
        parts().ok_or(NotARule)
    }
}

/// A text that names no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reference to a grant")]
pub struct NotARule;

/// People who must agree before a session begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ApprovalRule {
    /// The grant that asks for it.
    pub rule: RuleRef,
    /// The role whose holders may agree.
    pub by: RoleId,
    /// How many of them.
    pub count: u32,
    /// The longest that they may agree to.
    pub max: SignedDuration,
}

impl fmt::Display for ApprovalRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "approval by {} of role {}", self.count, self.by)
    }
}

/// What nobody named here may do, whatever is granted. An empty set means all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forbid {
    /// Where it stands.
    pub rule: ForbidRef,
    /// Whom.
    pub identities: BTreeSet<IdentitySelector>,
    /// Which assets.
    pub assets: BTreeSet<AssetSelector>,
    /// Which services.
    pub services: BTreeSet<Glob>,
    /// Which accounts.
    pub accounts: BTreeSet<Glob>,
    /// Why, for people.
    pub reason: Option<String>,
}

impl Forbid {
    /// Does it speak of this request?
    pub(crate) fn matches(&self, subject: &Subject, asset: &Asset, service: &Service, account: &AccountName) -> bool {
        all_or(&self.identities, |selector| selector.matches(subject))
            && all_or(&self.assets, |selector| selector.matches(asset))
            && all_or(&self.services, |glob| glob.matches(service.name.as_str()))
            && all_or(&self.accounts, |glob| glob.matches(account.as_str()))
    }
}

fn all_or<T>(set: &BTreeSet<T>, matches: impl FnMut(&T) -> bool) -> bool {
    set.is_empty() || set.iter().any(matches)
}

/// Where a forbid stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ForbidRef {
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: usize,
}

impl fmt::Display for ForbidRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forbid ({}:{})", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let role = RoleId::try_from("night.shift-1").unwrap();
        let rule = RuleRef { role, grant: 3, file: "plants/a (b):c.toml".into(), line: 42 };
        assert_eq!(rule.to_string().parse(), Ok(rule));
        assert_eq!("role x, grant y (z:1)".parse::<RuleRef>(), Err(NotARule));
    }
}
