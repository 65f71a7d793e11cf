//! The person is known, by two factors.

use std::net::IpAddr;
use std::sync::Arc;

use super::turns::Turns;
use super::{Connecting, Session};
use crate::broker::Broker;
use crate::identity::MultiFactor;

/// Somebody, proven by two factors. One connection may open many sessions from here (`-J`).
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub(super) broker: Arc<Broker>,
    pub(super) source: IpAddr,
    pub(super) proof: MultiFactor,
    /// When it is whose turn on this connection.
    turns: Arc<Turns>,
}

impl Session<Connecting> {
    /// The one way in: a [`MultiFactor`], which only its own makers can make.
    #[must_use]
    pub fn authenticate(self, proof: MultiFactor) -> Session<Authenticated> {
        let Connecting { broker, source } = self.stage;
        Session { stage: Authenticated { broker, source, proof, turns: Arc::default() } }
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

    /// The same person, for another session of the same connection.
    #[must_use]
    pub fn another(&self) -> Session<Authenticated> {
        Session { stage: self.stage.clone() }
    }

    /// When it is whose turn on this connection.
    pub(crate) fn turns(&self) -> &Turns {
        &self.stage.turns
    }

    pub(crate) fn broker(&self) -> &Arc<Broker> {
        &self.stage.broker
    }
}
