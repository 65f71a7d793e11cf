//! Why a broker does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use sallyport_session_recorder::KeyError;

use super::presence::PresenceError;
use crate::audit::AuditError;
use crate::identity::{CertificateRulesError, IdentitiesError};
use crate::listen::InheritedError;
use crate::metrics::MetricsError;
use crate::outbound::OutboundError;
use crate::plant::PlantLoadError;
use crate::portal::PortalError;
use crate::recording::RecordingsError;
use crate::store::StoreError;
use crate::vault::{AdoptError, MasterKeyError, VaultError};

/// Why a broker does not start. Nothing was served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker's name.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The keys in the database.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Rows from before there were MACs over them.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// The plant in force.
    #[error(transparent)]
    Plant(#[from] PlantLoadError),
    /// The audit chain.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// `[ssh] user_ca`.
    #[error("`user_ca` in `[ssh]`: {0}")]
    UserCa(#[from] CertificateRulesError),
    /// Nobody can be identified.
    #[error(transparent)]
    Identities(#[from] IdentitiesError),
    /// `[recording] recipients`.
    #[error("`recipients` in `[recording]`: {0}")]
    Recipients(#[from] KeyError),
    /// The folder of recordings.
    #[error(transparent)]
    Recordings(#[from] RecordingsError),
    /// The ledger of opened envelopes.
    #[error("the ledger of opened envelopes in `{folder}` cannot be used: {source}")]
    Ledger {
        /// Where it is.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The metrics listener.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// The portal.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// Receivers of events.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// A socket that a service manager has opened.
    #[error(transparent)]
    Inherited(#[from] InheritedError),
    /// A port for ssh.
    #[error("cannot listen on {address}: {source}{}", in_use(.source))]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether this is a matter of what was configured, and not of something that is away just now.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Store(error) | Self::Presence(PresenceError::Store(error)) => !error.is_unavailable(),
            Self::MasterKey(_)
            | Self::Vault(_)
            | Self::Adopt(AdoptError::Chain(_))
            | Self::Plant(PlantLoadError::Bad { .. })
            | Self::UserCa(_)
            | Self::Identities(IdentitiesError::RelyingParty(_))
            | Self::Recipients(_)
            | Self::Inherited(_)
            | Self::Portal(PortalError::Certificate(_) | PortalError::Tls(_))
            | Self::Outbound(OutboundError::Link { .. }) => true,
            Self::Plant(PlantLoadError::Store(error)) | Self::Adopt(AdoptError::Store(error)) => {
                !error.is_unavailable()
            }
            Self::Presence(_)
            | Self::Audit(_)
            | Self::Adopt(AdoptError::Audit(_))
            | Self::Identities(IdentitiesError::Password(_))
            | Self::Recordings(_)
            | Self::Ledger { .. }
            | Self::Metrics(_)
            | Self::Portal(PortalError::Listen { .. })
            | Self::Outbound(OutboundError::Queue { .. })
            | Self::Listen { .. } => false,
        }
    }
}

fn in_use(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "; another program has that port (is a broker running already?)",
        std::io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need a privilege: use 2222 and let the firewall redirect"
        }
        _ => "",
    }
}
