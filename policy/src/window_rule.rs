//! Which write windows a role may open for others.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize, Serializer};

use crate::names::RoleId;
use crate::selector::{AssetSelector, Glob, IdentitySelector};

/// What a role may open for others: `[[role.NAME.window]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowRule {
    /// Where it stands.
    pub rule: WindowRuleRef,
    /// On which assets.
    pub assets: BTreeSet<AssetSelector>,
    /// By which of their services.
    pub services: BTreeSet<Glob>,
    /// For whom.
    #[serde(rename = "for")]
    pub people: BTreeSet<Beneficiary>,
    /// The longest.
    pub max: SignedDuration,
}

/// For whom a window may be opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Beneficiary {
    /// Those who hold a role.
    Role(RoleId),
    /// Those whom this selects.
    Identity(IdentitySelector),
}

impl fmt::Display for Beneficiary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Identity(selector) => write!(f, "{selector}"),
        }
    }
}

impl Serialize for Beneficiary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a rule about windows stands: its role, its number among that role's, file and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowRuleRef {
    /// The role.
    pub role: RoleId,
    /// The rule's number within the role, from 1.
    pub window: usize,
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: usize,
}

impl fmt::Display for WindowRuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "role {}, window {} ({}:{})", self.role, self.window, self.file, self.line)
    }
}
