//! A connection has been accepted; nothing is known but where it comes from.

use std::net::IpAddr;
use std::sync::Arc;

use super::Session;
use crate::broker::Broker;

/// Accepted, nobody yet.
#[derive(Debug)]
pub struct Connecting {
    pub(super) broker: Arc<Broker>,
    pub(super) source: IpAddr,
}

impl Session<Connecting> {
    /// The first stage: a connection from this address.
    #[must_use]
    pub fn accepted(broker: Arc<Broker>, source: IpAddr) -> Self {
        Session { stage: Connecting { broker, source } }
    }
}
