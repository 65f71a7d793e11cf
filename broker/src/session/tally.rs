//! The refusals of one kind in one session, each entered into the audit chain or counted there.

use super::Recorded;
use crate::audit::{AuditEvent, Entered, Tally};
use crate::live::End;

impl Tally {
    /// Enters a refusal in a session, or the number of them where they have become too many: as many entries as the number has
    /// doublings.
    pub(crate) async fn audit(&mut self, recorded: &Recorded, event: AuditEvent) -> Result<(), End> {
        match self.next() {
            Entered::Itself => recorded.audit(event).await,
            Entered::Nothing => Ok(()),
            Entered::Count(refusals) => {
                let (session, identity) = recorded.names();
                let kind = event.kind().name.to_owned();
                recorded.audit(AuditEvent::RefusalsCounted { session: Some(session), identity, kind, refusals }).await
            }
        }
    }
}
