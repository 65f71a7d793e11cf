//! What others have agreed to: a fact that a request is decided with.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::names::{AssetId, IdentityId, RequestId, RoleId, ServiceName};

/// That others have agreed, and for which time: a fact that a request is decided with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// Of which request.
    pub request: RequestId,
    /// Who asked.
    pub identity: IdentityId,
    /// For which asset.
    pub asset: AssetId,
    /// For which of its services.
    pub services: BTreeSet<ServiceName>,
    /// By a grant of which role.
    pub role: RoleId,
    /// The grant's number within the role.
    pub grant: usize,
    /// The first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}
