//! How requests stand, and what of them counts now.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::{
    AccessRequest, Approval, AssetId, IdentityId, Policy, RequestState, Subject, approved, may_approve, request_state,
};

use crate::broker::Broker;
use crate::identity::Standing;
use crate::store::requests::{ApprovalRow, RequestRow};
use crate::store::{Genuine, Listed, Store, StoreError};

/// A request, who has approved it, and how it stands.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// What was asked.
    pub(crate) row: RequestRow,
    /// Who has approved it, whether or not that counts now.
    pub(crate) approvals: Vec<ApprovalRow>,
    /// How it stands, if nobody has closed it.
    pub(crate) state: RequestState,
}

/// Looks at requests: by a policy, at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'a> {
    store: &'a Store,
    policy: &'a Policy,
    now: Timestamp,
}

/// What was approved of what this person asks for, of one asset or of all: the facts that the policy decides with.
pub(crate) async fn given(
    broker: &Broker,
    policy: &Policy,
    person: &Subject,
    asset: Option<&AssetId>,
) -> Result<Vec<Approval>, StoreError> {
    Desk::new(&broker.store, policy, broker.now()).given(person, asset).await
}

impl<'a> Desk<'a> {
    /// With the rows of this database.
    pub(crate) fn new(store: &'a Store, policy: &'a Policy, now: Timestamp) -> Self {
        Self { store, policy, now }
    }

    /// As [`given`].
    pub(crate) async fn given(self, person: &Subject, asset: Option<&AssetId>) -> Result<Vec<Approval>, StoreError> {
        if !self.policy.asks_for_approval(person, asset) {
            return Ok(Vec::new());
        }
        // Those that are over, too: what began by them may be in its last seconds.
        let since = self.now.checked_sub(LATELY).unwrap_or(self.now);
        let mut given = Vec::new();
        for row in self.store.requests_of(&person.identity, asset, since).await? {
            let approvals = self.store.approvals_of(&row.request).await?;
            given.extend(approved(self.policy, &row.request, &self.agreed(&approvals).await?));
        }
        Ok(given)
    }

    /// What somebody asks for, and how it stands; the latest first.
    pub(crate) async fn own(self, person: &IdentityId) -> Result<Vec<Seen>, StoreError> {
        let mut seen = Vec::new();
        for row in self.store.requests_of(person, None, self.now).await? {
            seen.push(self.look(row).await?);
        }
        seen.retain(|seen| seen.state.is_open());
        Ok(seen)
    }

    /// What others ask for that this person may approve or deny; the latest first.
    pub(crate) async fn awaiting(self, approver: &Subject) -> Result<Vec<Seen>, StoreError> {
        let mut awaiting = Vec::new();
        if !self.policy.is_asked_for_approvals(approver) {
            return Ok(awaiting);
        }
        let rows = self.store.access_requests(false, self.now).await?;
        for row in rows.into_iter().filter_map(Listed::genuine).map(Genuine::into_inner) {
            let Some(person) = self.active(&row.request.identity).await? else { continue };
            if may_approve(self.policy, &row.request, &person, approver).is_ok() {
                awaiting.push(self.look(row).await?);
            }
        }
        awaiting.retain(|seen| seen.state.is_open());
        Ok(awaiting)
    }

    /// How a request stands.
    pub(crate) async fn look(self, row: RequestRow) -> Result<Seen, StoreError> {
        let approvals = self.store.approvals_of(&row.request).await?;
        let state = self.state(&row.request, &approvals).await?;
        Ok(Seen { row, approvals, state })
    }

    /// How it would stand, approved by these.
    pub(super) async fn state(
        self,
        request: &AccessRequest,
        approvals: &[ApprovalRow],
    ) -> Result<RequestState, StoreError> {
        Ok(request_state(self.policy, request, &self.agreed(approvals).await?, self.now))
    }

    /// Those of them who are in good standing, as they are now.
    async fn agreed(self, approvals: &[ApprovalRow]) -> Result<Vec<(Subject, Timestamp)>, StoreError> {
        let mut agreed = Vec::new();
        for approval in approvals {
            agreed.extend(self.active(&approval.approver).await?.map(|subject| (subject, approval.at)));
        }
        Ok(agreed)
    }

    /// Somebody in good standing, with their groups of now.
    pub(super) async fn active(self, identity: &IdentityId) -> Result<Option<Subject>, StoreError> {
        let Some(row) = self.store.identity(identity.as_str()).await? else { return Ok(None) };
        Ok(match Standing::of(identity, row, self.now) {
            Standing::Active { subject, .. } => Some(subject),
            Standing::Locked { .. } | Standing::Removed | Standing::Expired { .. } | Standing::Unknown => None,
        })
    }
}

/// Longer than anybody looks on after the end of their time.
const LATELY: SignedDuration = SignedDuration::from_hours(1);
