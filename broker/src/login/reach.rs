//! What a person may reach, and how each is reached: the one question to the policy behind every list of it.

use jiff::Timestamp;
use sallyport_policy::{Claimant, Policy, Proof, Protocol, Reach};

use super::local_forward::local_forward;

/// One service of one asset, as one account.
#[derive(Debug)]
pub(crate) struct ReachedBy {
    /// Which, and what the policy says of it now.
    pub(crate) reach: Reach,
    /// How one gets there.
    pub(crate) way: Way,
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
    now: Timestamp,
) -> Vec<ReachedBy> {
    let claimant = claimant.into();
    let mut reachable = Vec::new();
    for reach in policy.reach(claimant, proofs, &[], now) {
        // Everything within one policy: what it reaches is in it.
        let Some(service) = policy.asset(&reach.asset).and_then(|asset| asset.services.get(&reach.service)) else {
            continue;
        };
        let way = if service.protocol == Protocol::Ssh {
            Way::Session
        } else {
            let several = policy.accounts(claimant, &reach.asset, &reach.service).len() > 1;
            Way::Forward(local_forward(&reach.asset, service.port, several.then_some(&reach.account)))
        };
        reachable.push(ReachedBy { reach, way });
    }
    reachable
}
