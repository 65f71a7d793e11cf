//! The key of a store's rows, which may become another while the broker runs.

use std::sync::{Arc, PoisonError, RwLock};

use super::row_mac::RowMac;
use super::{MasterKey, MasterKeySource};

/// The key of a store's rows; read anew from where it is kept when another process has changed it.
pub(crate) struct RowKeys {
    source: MasterKeySource,
    current: RwLock<Arc<RowMac>>,
}

impl RowKeys {
    pub(super) fn new(master: &MasterKey) -> Result<Self, aws_lc_rs::error::Unspecified> {
        Ok(Self { source: master.source().clone(), current: RwLock::new(Arc::new(master.row_mac()?)) })
    }

    pub(crate) fn current(&self) -> Arc<RowMac> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks whether the master key is another one now.
    pub(crate) fn reload(&self) -> Option<Arc<RowMac>> {
        let mac = Arc::new(MasterKey::load(&self.source).ok()?.row_mac().ok()?);
        if mac.id() == self.current().id() {
            return None;
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&mac);
        Some(mac)
    }
}
