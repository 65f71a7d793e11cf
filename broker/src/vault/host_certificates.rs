//! Host certificates, kept for those who come next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ssh_key::certificate::Certificate;

use super::certificate::SignError;

/// Certificates by the names in them.
#[derive(Debug, Default)]
pub(super) struct HostCertificates {
    kept: Mutex<HashMap<Vec<String>, Arc<Certificate>>>,
}

impl HostCertificates {
    /// The certificate for these names: the one at hand, or a new one.
    pub(super) fn certificate(
        &self,
        principals: &[String],
        sign: impl FnOnce() -> Result<Certificate, SignError>,
    ) -> Result<Arc<Certificate>, SignError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = kept.get(principals) {
            return Ok(Arc::clone(certificate));
        }
        let certificate = Arc::new(sign()?);
        // A plant that changes often leaves names behind; signing again costs less than keeping count.
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(principals.to_vec(), Arc::clone(&certificate));
        Ok(certificate)
    }
}

const MOST: usize = 4096;
