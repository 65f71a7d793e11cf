//! The audit chain as retention follows it: read on from where it was left, and believed only up to a good signature.

use ed25519_dalek::VerifyingKey;

use super::ledger::Ledger;
use crate::audit::{AuditEntry, Expected, Verifier};
use crate::store::{Store, StoreError};

/// What this broker knows from the chain of its own recordings. Rows that were written behind its back change nothing that
/// it has read, and what they add is found to be unsigned.
pub(super) struct History {
    broker: String,
    verifier: Verifier,
    ledger: Ledger,
    /// The last entry that was read.
    after: i64,
    /// Read, and not under a signature yet.
    pending: Vec<AuditEntry>,
    /// The chain's first fault.
    broken: Option<String>,
}

/// The chain does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(super) String);

impl History {
    pub(super) fn new(broker: &str, keys: &[VerifyingKey]) -> Self {
        Self {
            broker: broker.to_owned(),
            verifier: Verifier::new(keys, Expected::default()),
            ledger: Ledger::default(),
            // Numbers below 1 are nobody's: they would be found, not skipped.
            after: i64::MIN,
            pending: Vec::new(),
            broken: None,
        }
    }

    /// Reads on to the end of the chain. May be dropped half-way, and called again.
    pub(super) async fn read(&mut self, store: &Store) -> Result<Result<(), Broken>, StoreError> {
        while self.broken.is_none() {
            let page = store.audit_page(self.after, PAGE).await?;
            if page.is_empty() {
                break;
            }
            page.into_iter().for_each(|entry| self.take(entry));
            if self.pending.len() > MOST_UNSIGNED {
                self.unsigned();
            }
        }
        if !self.pending.is_empty() {
            self.unsigned();
        }
        Ok(self.broken.clone().map_or(Ok(()), |fault| Err(Broken(fault))))
    }

    /// What the chain says of this broker's recordings, as far as it was read; of those that are gone, nothing.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn take(&mut self, entry: AuditEntry) {
        if self.broken.is_some() {
            return;
        }
        self.verifier.entry(&entry);
        self.after = entry.seq;
        if let Some(fault) = self.verifier.faults().first() {
            self.broken = Some(fault.to_string());
            return;
        }
        self.pending.push(entry);
        if self.verifier.uncovered().is_none() {
            for entry in std::mem::take(&mut self.pending) {
                self.believe(&entry);
            }
        }
    }

    /// Only what is about recordings of this broker; commands hold them under a name of their own.
    fn believe(&mut self, entry: &AuditEntry) {
        if entry.broker == self.broker || entry.broker == COMMANDS {
            self.ledger.entry(entry);
        }
        if let (true, Some(session)) = (entry.code == REMOVED, &entry.session) {
            self.ledger.forget(session);
        }
    }

    /// Each transaction ends with a signature: an end without one was written by somebody else.
    fn unsigned(&mut self) {
        let first = self.pending.first().map_or(self.after, |entry| entry.seq);
        self.broken.get_or_insert_with(|| format!("no signature covers the entries from {first} on"));
    }
}

/// How many entries are read at once.
const PAGE: u32 = 1000;
/// Far more than one transaction enters.
const MOST_UNSIGNED: usize = 10_000;
/// The broker's name in entries that commands made.
const COMMANDS: &str = "cli";
const REMOVED: &str = "SP-4004";
