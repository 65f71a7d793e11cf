//! What a person may reach, and how each is reached: the one question to the policy behind every list of it.

use jiff::Timestamp;
use sallyport_policy::{Approval, Claimant, Decision, Policy, Proof, Protocol, Reach};

use super::local_forward::local_forward;
use crate::live::Isolated;

/// One service of one asset, as one account.
#[derive(Debug)]
pub(crate) struct ReachedBy {
    /// Which, and what the policy says of it now.
    pub(crate) reach: Reach,
    /// How one gets there.
    pub(crate) way: Way,
    /// Its zone is isolated, and what would permit it does not open that.
    pub(crate) isolated: bool,
}

/// How somebody gets to what they may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// By an ssh session.
    Session,
    /// Through a port of their own machine: what to write behind `-L`.
    Forward(String),
}

/// Everything that grants, or an emergency, name for a person, by asset, service and account.
pub(crate) fn reachable<'a>(
    policy: &Policy,
    claimant: impl Into<Claimant<'a>>,
    proofs: &[Proof],
    approvals: &[Approval],
    isolated: &Isolated,
    now: Timestamp,
) -> Vec<ReachedBy> {
    let claimant = claimant.into();
    let mut reachable = Vec::new();
    for reach in policy.reach(claimant, proofs, &[], approvals, now) {
        // Everything within one policy: what it reaches is in it.
        let Some(asset) = policy.asset(&reach.asset) else { continue };
        let Some(service) = asset.services.get(&reach.service) else { continue };
        let isolated = isolated.reason(&asset.zone).is_some() && !opens_isolated(policy, &reach.decision);
        let way = if service.protocol == Protocol::Ssh {
            Way::Session
        } else {
            let several = policy.accounts(claimant, &reach.asset, &reach.service).len() > 1;
            Way::Forward(local_forward(&reach.asset, service.port, several.then_some(&reach.account)))
        };
        reachable.push(ReachedBy { reach, way, isolated });
    }
    reachable
}

fn opens_isolated(policy: &Policy, decision: &Decision) -> bool {
    matches!(decision, Decision::Permit(permit) if policy.opens_isolated(&permit.rule))
}
