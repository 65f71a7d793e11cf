//! What the connections at one kind of address are served from.

use std::sync::Arc;

use axum::Router;

use super::site::Site;

/// What every connection at one kind of address is served from.
#[derive(Clone)]
pub(super) struct Served {
    /// What all connections of the portal share.
    pub(super) site: Arc<Site>,
    /// What lies where.
    pub(super) pages: Router,
    /// What browsers call this address: `https://NAME[:PORT]`.
    pub(super) origin: Arc<str>,
}

impl Served {
    /// `NAME[:PORT]`, as a browser says it in a request.
    pub(super) fn authority(&self) -> &str {
        self.origin.strip_prefix("https://").unwrap_or(&self.origin)
    }
}
