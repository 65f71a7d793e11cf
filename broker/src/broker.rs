//! What every part of a running broker shares: the ground that all of them stand on.

use std::sync::Arc;

use jiff::Timestamp;

use crate::audit::Audit;
use crate::config::Config;
use crate::emergency::Emergencies;
use crate::greeting::Greetings;
use crate::identity::Identities;
use crate::live::Registry;
use crate::plant::PolicyCell;
use crate::recording::Recordings;
use crate::store::Store;
use crate::vault::Vault;

/// What every part of a running broker shares.
#[derive(Debug)]
pub struct Broker {
    /// What the configuration means.
    pub config: Config,
    /// What it shows to whoever comes; a part of the configuration that is renewed while it runs.
    pub(crate) greetings: Greetings,
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
    /// What opens when everything else is down.
    pub(crate) emergencies: Arc<Emergencies>,
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
