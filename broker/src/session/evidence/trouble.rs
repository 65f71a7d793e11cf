//! That the recorder has failed, told to all whom it concerns.

use std::sync::Arc;

use tokio::sync::watch;

/// Raised once, when the recorder fails: from then on no input goes to the asset.
#[derive(Debug, Clone)]
pub struct TroubleSignal(Arc<watch::Sender<Option<Trouble>>>);

/// When and why the recorder failed.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// When.
    pub since: tokio::time::Instant,
    /// The recorder's error.
    pub reason: String,
}

impl TroubleSignal {
    /// No trouble yet.
    #[expect(clippy::new_without_default, reason = "a default would hide that each session needs its own")]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// The recorder failed; only the first call counts.
    pub(super) fn raise(&self, reason: impl ToString) {
        self.0.send_if_modified(|trouble| {
            let first = trouble.is_none();
            if first {
                *trouble = Some(Trouble { since: tokio::time::Instant::now(), reason: reason.to_string() });
            }
            first
        });
    }

    /// Whether the recorder has failed.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The trouble, if there is any.
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.borrow().clone()
    }

    /// To wait for trouble.
    pub fn subscribe(&self) -> watch::Receiver<Option<Trouble>> {
        self.0.subscribe()
    }
}
