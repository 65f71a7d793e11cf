//! The person is known, by two factors.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::SignedDuration;

use super::{Connecting, Session};
use crate::app::Broker;
use crate::audit::AuditEvent;
use crate::identity::MultiFactor;

/// However short the leases, a code counts for so long for what it was given for.
pub(crate) const JUST_GIVEN: SignedDuration = SignedDuration::from_mins(1);

/// Somebody, proven by two factors. One connection may open many sessions from here (`-J`).
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub(super) broker: Arc<Broker>,
    pub(super) source: IpAddr,
    pub(super) proof: MultiFactor,
}

impl Session<Connecting> {
    /// The one way in: a [`MultiFactor`], which only its own makers can make.
    #[must_use]
    pub fn authenticate(self, proof: MultiFactor) -> Session<Authenticated> {
        let Connecting { broker, source } = self.stage;
        Session { stage: Authenticated { broker, source, proof } }
    }
}

impl Session<Authenticated> {
    /// Who it is.
    #[must_use]
    pub fn proof(&self) -> &MultiFactor {
        &self.stage.proof
    }

    /// Where they come from.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.stage.source
    }

    /// The same person after proving a factor once more (step-up).
    #[must_use]
    pub fn proven_again(&self, proof: MultiFactor) -> Session<Authenticated> {
        Session { stage: Authenticated { proof, ..self.stage.clone() } }
    }

    /// The same person, where a second factor counts that they have proven since, on another connection from the same
    /// machine with the same credential.
    pub(crate) async fn renewed(&self) -> Option<Session<Authenticated>> {
        let Authenticated { broker, source, proof } = &self.stage;
        let now = broker.now();
        let bound = SignedDuration::try_from(broker.config.longest_lease).unwrap_or(SignedDuration::ZERO);
        let longest = broker.policy.current().longest_lease(proof.subject()).min(bound).max(JUST_GIVEN);
        let newer = match broker.identities.newer_lease(proof, longest, now).await {
            Ok(newer) => newer?,
            Err(error) => {
                tracing::warn!(%error, "Leases cannot be looked up");
                return None;
            }
        };
        let used = newer.lease().map(|lease| AuditEvent::LeaseUsed {
            identity: newer.identity().to_string(),
            source: source.to_string(),
            lease: lease.to_string(),
        });
        if let Err(error) = broker.audit.record(used?).await {
            tracing::error!(%error, "The use of a lease could not be audited, so it does not count");
            return None;
        }
        Some(self.proven_again(newer))
    }

    /// The same person, for another session of the same connection.
    #[must_use]
    pub fn another(&self) -> Session<Authenticated> {
        Session { stage: self.stage.clone() }
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.stage.broker
    }
}
