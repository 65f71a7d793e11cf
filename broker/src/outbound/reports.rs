//! What this room itself puts on record. Nothing here waits for it.

use tokio::sync::mpsc;

use crate::audit::{Audit, AuditEvent};

/// The way to the record; a cheap clone.
#[derive(Clone)]
pub(super) struct Reports(mpsc::Sender<AuditEvent>);

impl Reports {
    /// Begins; ends with the last clone.
    pub(super) fn start(audit: Audit) -> Self {
        let (sender, mut waiting) = mpsc::channel(MOST_REPORTS);
        tokio::spawn(async move {
            while let Some(event) = waiting.recv().await {
                if let Err(error) = audit.record(event).await {
                    tracing::error!(%error, "What happened to a receiver is not on record");
                }
            }
        });
        Self(sender)
    }

    /// Puts an event on record, soon.
    pub(super) fn tell(&self, event: AuditEvent) {
        if let Err(error) = self.0.try_send(event) {
            tracing::error!(%error, "What happened to a receiver is not on record");
        }
    }
}

/// They come one by one, at the beginning and the end of a loss.
const MOST_REPORTS: usize = 64;
