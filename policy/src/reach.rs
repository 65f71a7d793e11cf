//! What a person can reach: for the lobby, and for a login that leaves the account out.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::approval::Approval;
use crate::asset::{Asset, Service};
use crate::decide::decide;
use crate::decision::Decision;
use crate::emergency::{decide_emergency, decide_lifted};
use crate::evaluate::Target;
use crate::factors::Proof;
use crate::names::{AccountName, AssetId, ServiceName};
use crate::place::Place;
use crate::policy::Policy;
use crate::request::{LiveSession, Request};
use crate::role::Grant;
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

/// A way to a service that grants name for somebody, whatever the hour and whatever they have proven.
#[derive(Debug, Clone)]
pub struct GrantedWay<'p> {
    /// Where to.
    pub place: Place<'p>,
    /// With which account; [`AccountName::none`] where the protocol has no logins.
    pub account: AccountName,
    /// The grants of theirs that name it.
    pub grants: Vec<&'p Grant>,
}

/// By what somebody may reach what they may.
#[derive(Debug, Clone, Copy)]
pub enum Claimant<'a> {
    /// By their roles.
    Person(&'a Subject),
    /// By an emergency that was opened: in whose name, by which section, and for how long it goes on.
    Emergency {
        /// The name it is recorded under.
        subject: &'a Subject,
        /// The section.
        name: &'a str,
        /// What is left of its time.
        left: SignedDuration,
    },
    /// By their roles, some conditions of which they lift by breaking the glass with their own factors.
    Breaking {
        /// Who.
        subject: &'a Subject,
        /// By which section.
        name: &'a str,
        /// For how long.
        left: SignedDuration,
    },
}

impl<'a> From<&'a Subject> for Claimant<'a> {
    fn from(subject: &'a Subject) -> Self {
        Self::Person(subject)
    }
}

impl<'a> Claimant<'a> {
    fn subject(self) -> &'a Subject {
        match self {
            Self::Person(subject) | Self::Emergency { subject, .. } | Self::Breaking { subject, .. } => subject,
        }
    }

    fn decide(self, policy: &Policy, request: &Request<'_>, now: Timestamp) -> Decision {
        match self {
            Self::Person(_) => decide(policy, request, now),
            Self::Emergency { name, left, .. } => decide_emergency(policy, name, request, left),
            Self::Breaking { name, left, .. } => decide_lifted(policy, name, request, now, left),
        }
    }
}

impl Policy {
    /// Everything that grants, or an emergency, name for this person, by asset, service and account, each with its decision now. What a
    /// forbid or a missing conduit takes away is left out: it will not come with time or proof.
    pub fn reach<'a>(
        &self,
        claimant: impl Into<Claimant<'a>>,
        proofs: &[Proof],
        live: &[LiveSession],
        approvals: &[Approval],
        now: Timestamp,
    ) -> Vec<Reach> {
        self.reach_among(self.places(), claimant, proofs, live, approvals, now)
    }

    /// The same, of some services only.
    pub fn reach_among<'p, 'a>(
        &'p self,
        places: impl Iterator<Item = Place<'p>>,
        claimant: impl Into<Claimant<'a>>,
        proofs: &[Proof],
        live: &[LiveSession],
        approvals: &[Approval],
        now: Timestamp,
    ) -> Vec<Reach> {
        let claimant = claimant.into();
        let subject = claimant.subject();
        let mut reach = Vec::new();
        for place in places {
            for account in granted_accounts(self, claimant, place) {
                let (asset, service) = (place.asset.id.clone(), place.service.name.clone());
                let request =
                    Request { subject, asset: &asset, service: &service, account: &account, proofs, live, approvals };
                let decision = claimant.decide(self, &request, now);
                reach.push(Reach { asset, service, account, decision });
            }
        }
        reach
    }

    /// Every way that grants name for this person and that neither a conduit nor a forbid takes away.
    pub fn granted_ways<'p>(&'p self, subject: &'p Subject) -> Vec<GrantedWay<'p>> {
        let mut ways = Vec::new();
        for place in self.places() {
            for account in granted_accounts(self, Claimant::Person(subject), place) {
                let target = Target { asset: place.asset, service: place.service, account: &account };
                let grants = self.grants_of(subject).filter(|grant| target.is_named_by(grant)).collect();
                ways.push(GrantedWay { place, account, grants });
            }
        }
        ways
    }

    /// May anybody do anything at all by this plant: is there a grant with people, or a break-glass section, that names something which a
    /// conduit lets pass?
    pub fn lets_anybody_in(&self) -> bool {
        let names = |asset: &Asset, service: &Service, account: &AccountName| {
            let target = Target { asset, service, account };
            let roles = self.roles().filter(|role| !role.members.is_empty());
            roles.flat_map(|role| &role.grants).any(|grant| target.is_named_by(grant))
                || self.break_glass().any(|glass| glass.names(asset, service, account))
        };
        let mut passing = self.places().filter(|place| self.conduit_passes(&place.asset.zone, &place.service.name));
        passing.any(|Place { asset, service }| {
            candidates(asset, service).iter().any(|account| names(asset, service, account))
        })
    }

    /// The accounts a person is granted on a service, whatever the hour and whatever they have proven. What a forbid or
    /// a missing conduit takes away is not among them. A protocol without logins has [`AccountName::none`].
    pub fn accounts<'a>(
        &self,
        claimant: impl Into<Claimant<'a>>,
        asset: &AssetId,
        service: &ServiceName,
    ) -> Vec<AccountName> {
        self.place(asset, service).map(|place| granted_accounts(self, claimant.into(), place)).unwrap_or_default()
    }
}

/// The accounts that a grant or an emergency names and that neither conduit nor forbid takes away.
fn granted_accounts(policy: &Policy, claimant: Claimant<'_>, place: Place<'_>) -> Vec<AccountName> {
    let Place { asset, service } = place;
    let subject = claimant.subject();
    let granted = |account: &AccountName| {
        let (asset_id, service_name) = (&asset.id, &service.name);
        let (proofs, live, approvals) = (&[], &[], &[]);
        let request = Request { subject, asset: asset_id, service: service_name, account, proofs, live, approvals };
        let target = Target { asset, service, account };
        let named = match claimant {
            Claimant::Person(subject) => policy.grants_of(subject).any(|grant| target.is_named_by(grant)),
            Claimant::Breaking { subject, name, .. } => {
                let section = policy.emergency(name).filter(|glass| glass.has_member(subject));
                section.is_some_and(|glass| glass.names(asset, service, account))
                    && policy.grants_of(subject).any(|grant| target.is_named_by(grant))
            }
            Claimant::Emergency { name, left, .. } => {
                matches!(decide_emergency(policy, name, &request, left), Decision::Permit(_))
            }
        };
        named && target.admitted(policy, &request).is_ok()
    };
    candidates(asset, service).into_iter().filter(granted).collect()
}

/// The accounts of a service, whoever may use them.
fn candidates(asset: &Asset, service: &Service) -> Vec<AccountName> {
    match service.protocol.has_accounts() {
        true => asset.accounts.keys().cloned().collect(),
        false => vec![AccountName::none()],
    }
}
