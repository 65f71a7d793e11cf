//! The application: what a broker is made of.

use std::sync::Arc;

use jiff::Timestamp;
use sallyport_policy::Policy;
use tokio::sync::watch;

use crate::audit::Audit;
use crate::config::Config;
use crate::identity::Identities;
use crate::recording::Recordings;
use crate::session::Registry;
use crate::store::Store;
use crate::vault::Vault;

/// The policy in force; it changes when a plant file is applied.
#[derive(Debug)]
pub struct PolicyCell(watch::Receiver<Arc<Policy>>);

impl PolicyCell {
    /// A cell that shows what is sent.
    #[must_use]
    pub fn new(policy: watch::Receiver<Arc<Policy>>) -> Self {
        Self(policy)
    }

    /// The policy now.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.borrow())
    }

    /// Ticks when it changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Arc<Policy>> {
        self.0.clone()
    }
}

/// What every part of a running broker shares.
#[derive(Debug)]
pub struct Broker {
    /// What the configuration means.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// Keys and credentials.
    pub vault: Vault,
    /// The chain of security events.
    pub audit: Audit,
    /// The policy in force.
    pub policy: PolicyCell,
    /// Recordings on disk.
    pub recordings: Recordings,
    /// People and their factors.
    pub identities: Identities,
    /// The sessions that live in this broker now.
    pub live: Arc<Registry>,
}

impl Broker {
    /// The time, for everything that decides.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
