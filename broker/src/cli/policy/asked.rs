//! What `policy explain` is asked about.

use jiff::Timestamp;
use sallyport_policy::{
    AccountName, Approval, AssetId, Explanation, Policy, Proof, Request, ServiceName, Subject, explain,
};

/// What is asked about.
pub(super) struct Asked {
    pub(super) subject: Subject,
    pub(super) asset: AssetId,
    pub(super) service: ServiceName,
    pub(super) account: AccountName,
    pub(super) proofs: Vec<Proof>,
    pub(super) at: Timestamp,
    pub(super) now: Timestamp,
}

impl Asked {
    /// What the gate would answer, and why; `approvals` is what others have agreed to.
    pub(super) fn explain(&self, policy: &Policy, approvals: &[Approval]) -> Explanation {
        let Self { subject, asset, service, account, proofs, at, .. } = self;
        explain(policy, &Request { subject, asset, service, account, proofs, live: &[], approvals }, *at)
    }
}
