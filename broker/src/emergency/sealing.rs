//! Entering an envelope: what its code is checked against, with the audit entry that it goes with. The code itself stays with the caller, to
//! be shown once.

use jiff::Timestamp;

use super::EnvelopeCode;
use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::Write;
use crate::store::envelopes::{GLASS, NewEnvelope};

/// An envelope that is to be sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealing<'a> {
    /// The break-glass section that it opens.
    pub(crate) rule: &'a str,
    /// Who keeps it, in words.
    pub(crate) holder: Option<&'a str>,
    /// When it opens nothing more.
    pub(crate) expires_at: Option<Timestamp>,
    /// Who seals it.
    pub(crate) by: &'a str,
    /// When.
    pub(crate) at: Timestamp,
}

impl Sealing<'_> {
    /// Enters it under this code, and gives its number. The caller commits.
    pub(crate) async fn enter(self, write: &mut Write, audit: &Audit, code: &EnvelopeCode) -> Result<i64, AuditError> {
        let Self { rule, holder, expires_at, by, at } = self;
        let number = write.next_envelope().await?;
        let (rule, holder) = (rule.to_owned(), holder.map(ToOwned::to_owned));
        let new = NewEnvelope {
            number,
            rule: rule.clone(),
            holder: holder.clone(),
            verifier: code.verifier().to_hex(),
            sealed_by: by.to_owned(),
            sealed_at: at,
            expires_at,
        };
        let event =
            AuditEvent::EnvelopeSealed { identity: GLASS.to_owned(), envelope: number, rule, holder, expires_at };
        let entry = audit.prepare(&event)?;
        write.seal_envelope(&new, entry.id()).await?;
        audit.record_prepared_in(write, entry).await?;
        Ok(number)
    }
}
