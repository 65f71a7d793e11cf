//! What a person can reach: for the lobby, and for a login that leaves the account out.

use jiff::Timestamp;
use serde::Serialize;

use crate::decide::decide;
use crate::decision::Decision;
use crate::evaluate::Target;
use crate::factors::Proof;
use crate::names::{AccountName, AssetId, ServiceName};
use crate::place::Place;
use crate::policy::Policy;
use crate::request::{LiveSession, Request};
use crate::subject::Subject;

/// Something a grant names for a person, and what would be answered now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reach {
    /// The asset.
    pub asset: AssetId,
    /// Its service.
    pub service: ServiceName,
    /// The account; [`AccountName::none`] where the protocol has no logins.
    pub account: AccountName,
    /// The answer.
    pub decision: Decision,
}

impl Policy {
    /// Everything that grants name for this person, by asset, service and account, each with its decision now. What a
    /// forbid or a missing conduit takes away is left out: it will not come with time or proof.
    pub fn reach(&self, subject: &Subject, proofs: &[Proof], live: &[LiveSession], now: Timestamp) -> Vec<Reach> {
        let mut reach = Vec::new();
        for place in self.places() {
            for account in granted_accounts(self, subject, place) {
                let (asset, service) = (place.asset.id.clone(), place.service.name.clone());
                let request = Request { subject, asset: &asset, service: &service, account: &account, proofs, live };
                let decision = decide(self, &request, now);
                reach.push(Reach { asset, service, account, decision });
            }
        }
        reach
    }

    /// The accounts a person is granted on a service, whatever the hour and whatever they have proven. What a forbid or
    /// a missing conduit takes away is not among them. A protocol without logins has [`AccountName::none`].
    pub fn accounts(&self, subject: &Subject, asset: &AssetId, service: &ServiceName) -> Vec<AccountName> {
        self.place(asset, service).map(|place| granted_accounts(self, subject, place)).unwrap_or_default()
    }
}

/// The accounts that a grant names and that neither conduit nor forbid takes away.
fn granted_accounts(policy: &Policy, subject: &Subject, place: Place<'_>) -> Vec<AccountName> {
    let Place { asset, service } = place;
    let candidates: Vec<AccountName> = match service.protocol.has_accounts() {
        true => asset.accounts.keys().cloned().collect(),
        false => vec![AccountName::none()],
    };
    let granted = |account: &AccountName| {
        let request = Request { subject, asset: &asset.id, service: &service.name, account, proofs: &[], live: &[] };
        let target = Target { asset, service, account };
        policy.grants_of(subject).any(|grant| target.is_named_by(grant)) && target.admitted(policy, &request).is_ok()
    };
    candidates.into_iter().filter(granted).collect()
}
