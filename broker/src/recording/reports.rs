//! What retention has reported.

use std::collections::HashSet;

/// What retention has reported in this run of the broker, and what it is about to.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) stopped: bool,
    pub(super) disputed: HashSet<String>,
    /// Found once in the catalogue alone: the chain may only be a moment behind.
    pub(super) suspects: HashSet<String>,
}
