//! A first factor that was right, and on which no second one has followed: somebody may have a key or a password that is not
//! theirs, so that it leaves a trace.

use std::sync::Arc;
use std::time::Instant;

use super::entrance::Entrance;
use crate::audit::AuditEvent;
use crate::identity::Verified;

/// A first factor without a second.
#[derive(Debug)]
pub(super) struct Alone {
    verified: Verified,
    wrong: u8,
}

impl Alone {
    pub(super) fn after(verified: Verified) -> Self {
        Self { verified, wrong: 0 }
    }

    /// A second factor was offered, and did not count.
    pub(super) fn offered_wrong(&mut self) {
        self.wrong += 1;
    }

    /// How many did not count.
    pub(super) fn wrong(&self) -> u8 {
        self.wrong
    }

    /// Puts it on the record. In a task of its own: whoever left is not there to wait for it.
    pub(super) fn tell(self, entrance: &Arc<Entrance>, ending: &str) {
        let (identity, source) = (self.verified.identity().to_string(), self.verified.source());
        let factor = self.verified.proof().kind.to_string();
        let reason = format!("{ending}, after {} wrong codes", self.wrong);
        tracing::warn!(identity, %source, factor, reason, "A first factor was right, and no second one followed");
        let event = AuditEvent::LoginAbandoned {
            identity,
            source: source.to_string(),
            factor,
            credential: self.verified.credential().to_owned(),
            reason,
        };
        let Some(event) = entrance.refusals.note(source, Instant::now()).event(event) else { return };
        let entrance = Arc::clone(entrance);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return tracing::error!("A login that was given up could not be audited: the broker is stopping");
        };
        runtime.spawn(async move {
            if let Err(error) = entrance.broker.audit.record(event).await {
                tracing::error!(%error, "A login that was given up could not be audited");
            }
        });
    }
}
