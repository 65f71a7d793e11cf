//! What a client calls itself, which is known only once it has spoken.

use std::sync::{Arc, OnceLock};

/// The name of a client. Nobody has proven it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientName(Arc<OnceLock<String>>);

impl ClientName {
    /// It has spoken.
    pub(crate) fn is(&self, name: &str) {
        // What it said first counts.
        drop(self.0.set(name.to_owned()));
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get().map_or("unknown", String::as_str)
    }
}
