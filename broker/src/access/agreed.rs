//! What others have agreed to, for everybody at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_policy::{Approval, IdentityId, Policy};

use crate::approval::Desk;
use crate::identity::Somebody;
use crate::store::{Store, StoreError};

/// The approvals that each person has at a moment, by a policy.
#[derive(Debug, Default)]
pub(crate) struct Agreed(BTreeMap<IdentityId, Vec<Approval>>);

impl Agreed {
    /// Looks them up; of people whom no grant asks for one, nothing is read.
    pub(crate) async fn of(
        store: &Store,
        policy: &Policy,
        people: &[Somebody],
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut agreed = BTreeMap::new();
        for somebody in people {
            let approvals = Desk::new(store, policy, at).given(&somebody.subject, None).await?;
            agreed.insert(somebody.subject.identity.clone(), approvals);
        }
        Ok(Self(agreed))
    }

    pub(super) fn for_whom(&self, identity: &IdentityId) -> &[Approval] {
        self.0.get(identity).map(Vec::as_slice).unwrap_or_default()
    }
}
