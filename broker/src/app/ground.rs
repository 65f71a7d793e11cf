//! What every start of a broker makes, with a database or without.

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::start_error::StartError;
use crate::audit::Audit;
use crate::config::Config;
use crate::emergency::{Emergencies, Kept};
use crate::metrics::MetricsServer;
use crate::store::Store;
use crate::vault::Vault;

/// What is bound before anything else.
pub(super) struct Bound {
    pub(super) metrics: Option<MetricsServer>,
    pub(super) listeners: Vec<TcpListener>,
    /// Somebody else keeps the sockets while this broker is away.
    pub(super) kept_open: bool,
}

/// What opens when everything else is down. `kept`: where the database cannot tell what there is.
pub(super) fn emergencies(
    config: &Config,
    store: &Store,
    vault: &Vault,
    audit: &Audit,
    kept: Option<Kept>,
) -> Result<Arc<Emergencies>, StartError> {
    let folder = config.audit_spool.parent().unwrap_or(Path::new("."));
    let key = vault.evidence_key()?;
    let made = Emergencies::new(folder, store.clone(), vault.clone(), audit.clone(), key, kept);
    made.map(Arc::new).map_err(|source| StartError::Ledger { folder: folder.to_owned(), source })
}

/// What authenticator apps show.
pub(crate) const ISSUER: &str = "Sallyport";
