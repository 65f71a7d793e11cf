//! What was opened without the database is entered into it, and what was begun and never opened is found.

use jiff::Timestamp;

use super::glass::{Emergencies, State};
use super::ledger::Spent;
use super::reviews::is_told;
use crate::audit::{AuditError, AuditEvent};
use crate::store::envelopes::EnvelopeOpened;

impl Emergencies {
    /// Enters into the database what was opened without it. What was begun here, and is on record nowhere, was cut off with an earlier run of
    /// this broker: that is put on record, and the envelope stays spent.
    pub(super) async fn settle(&self, now: Timestamp) -> Result<(), AuditError> {
        let unsettled = {
            let state = self.state();
            let begun = |spent: &Spent| state.begun.iter().any(|begun| begun.opening == spent.opening);
            state.ledger.unsettled().into_iter().filter(|spent| !begun(spent)).collect::<Vec<_>>()
        };
        for Spent { envelope, opening, at, .. } in unsettled {
            // What waits on disk may tell of it, and will be in the chain soon.
            let waits = *self.audit.waiting().borrow() > 0;
            let told = is_told(&self.store, &opening).await.map_err(|error| AuditError::Refused(error.to_string()))?;
            if waits && !told {
                continue;
            }
            let mut write = self.store.begin_write().await?;
            let event = match write.envelope_was_opened(envelope, &opening, at).await? {
                _ if !told => {
                    tracing::error!(
                        envelope,
                        opening,
                        "An envelope was spent, and its opening cut off before it was on record"
                    );
                    Some(AuditEvent::GlassCutOff { envelope, opening: opening.clone(), begun_at: at })
                }
                EnvelopeOpened::Before { opening: first } => {
                    tracing::error!(envelope, first, second = opening, "One envelope has opened two emergencies");
                    Some(AuditEvent::GlassBrokenTwice { envelope, first, second: opening.clone() })
                }
                EnvelopeOpened::Revoked => Some(AuditEvent::GlassBrokenRevoked { envelope, opening: opening.clone() }),
                EnvelopeOpened::Now | EnvelopeOpened::BySame | EnvelopeOpened::Unknown => None,
            };
            if let Some(event) = event {
                self.audit.record_in(&mut write, event).await?;
            }
            write.commit().await?;
            self.state().settled(&[envelope], &opening, now);
        }
        Ok(())
    }
}

impl State {
    pub(super) fn settled(&mut self, envelopes: &[i64], opening: &str, at: Timestamp) {
        let settled = |envelope: &i64| Spent { settled: true, ..Spent::new(*envelope, opening, at) };
        let settled: Vec<_> = envelopes.iter().map(settled).collect();
        if let Err(error) = self.ledger.add(&settled) {
            // It is settled again after a restart, which changes nothing.
            tracing::warn!(%error, "The ledger of envelopes does not take that one is settled");
        }
    }
}
