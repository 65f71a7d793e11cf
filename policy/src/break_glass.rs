//! `break_glass`: the rules of emergencies.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::asset::{Asset, Service};
use crate::names::AccountName;
use crate::role::is_among;
use crate::selector::{AssetSelector, Glob, IdentitySelector};
use crate::subject::Subject;
use crate::terms::Terms;

/// `[break_glass.NAME]`: what an emergency gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BreakGlass {
    /// Where it stands.
    pub rule: EmergencyRef,
    /// Which assets.
    pub assets: BTreeSet<AssetSelector>,
    /// Which of their services.
    pub services: BTreeSet<Glob>,
    /// Which of their accounts.
    pub accounts: BTreeSet<Glob>,
    /// For how long, from its opening.
    pub max_duration: SignedDuration,
    /// How soon another person has to have looked at it.
    pub review_within: SignedDuration,
    /// How many envelopes have to be opened, by two holders where there are two.
    pub envelopes: u32,
    /// Is no envelope of it sealed while the review of an emergency by it is overdue?
    pub overdue_stops_sealing: bool,
    /// Does it open a zone that is isolated?
    pub in_isolation: bool,
    /// Who may break the glass with their own factors, without an envelope. Nobody, where none is named.
    pub members: BTreeSet<IdentitySelector>,
    /// Who may open an envelope, in words for the sheet.
    pub who: Option<String>,
    /// Whom to call, in words for the sheet.
    pub call: Option<String>,
    /// What a session is allowed. Its `max_duration` is that of the section.
    pub terms: Terms,
}

/// Where a break-glass section stands: its name, file and line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EmergencyRef {
    /// The section's name.
    pub name: String,
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: usize,
}

impl fmt::Display for EmergencyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "break-glass {} ({}:{})", self.name, self.file, self.line)
    }
}

impl BreakGlass {
    /// Does it speak of this?
    pub(crate) fn names(&self, asset: &Asset, service: &Service, account: &AccountName) -> bool {
        self.assets.iter().any(|selector| selector.matches(asset))
            && self.services.iter().any(|glob| glob.matches(service.name.as_str()))
            && (!service.protocol.has_accounts() || self.accounts.iter().any(|glob| glob.matches(account.as_str())))
    }

    /// May they break the glass with their own factors?
    pub(crate) fn has_member(&self, subject: &Subject) -> bool {
        is_among(&self.members, subject)
    }
}
