//! Who is asking.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::IdentityId;

/// The person who asks, with the groups a directory put them in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The person.
    pub identity: IdentityId,
    /// Their directory groups.
    pub groups: BTreeSet<String>,
}
