//! Whether what a person does may pass at all for now, whatever the recorder says.

use std::sync::Arc;

use tokio::sync::watch;

/// Held while a session is for looking on only: the person's input is neither recorded nor sent then.
#[derive(Debug, Clone)]
pub struct InputHold(Arc<watch::Sender<bool>>);

impl InputHold {
    /// Free.
    #[expect(clippy::new_without_default, reason = "a default would hide that each session needs its own")]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// From now on no input passes.
    pub(crate) fn hold(&self) {
        self.0.send_replace(true);
    }

    /// Input passes again.
    pub(crate) fn release(&self) {
        self.0.send_replace(false);
    }

    /// Whether no input may pass now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when input may pass.
    pub async fn free(&self) {
        // The sender is ours, so that it cannot be closed while we wait.
        if self.0.subscribe().wait_for(|held| !held).await.is_err() {
            std::future::pending().await
        }
    }

    /// To hear of every change.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.0.subscribe()
    }
}
