//! Adds entries to the end of the chain, inside a transaction that holds the end alone.

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey};

use super::entry::{AuditEntry, Draft, GENESIS, SIGNED_PREFIX};
use crate::store::{StoreError, Write};

/// What was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Appended {
    /// The chain's last entry now.
    pub(super) head: Option<(i64, String)>,
    /// The events that entered.
    pub(super) entries: Vec<AuditEntry>,
    /// How many they are.
    pub(super) entered: u64,
    /// How many were there already.
    pub(super) known: u64,
}

/// Whether events can be in the chain already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// They have just happened.
    Impossible,
    /// They waited on disk: a crash can have come between their entering and the emptying of the file.
    Possible,
}

/// Enters events in their order at the end of the chain.
pub(super) async fn append(write: &mut Write, key: &SigningKey, drafts: &[Draft]) -> Result<Appended, StoreError> {
    let head = write.take_audit_head().await?;
    append_after(write, key, head, drafts, Repeats::Impossible).await
}

/// Enters events in their order behind the chain's last entry, `head`, and signs the last. An event that is in the chain
/// already is passed over.
pub(super) async fn append_after(
    write: &mut Write,
    key: &SigningKey,
    mut head: Option<(i64, String)>,
    drafts: &[Draft],
    repeats: Repeats,
) -> Result<Appended, StoreError> {
    let mut entries: Vec<AuditEntry> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if repeats == Repeats::Possible && write.audit_knows(&draft.id).await? {
            continue;
        }
        let (seq, previous) = head.as_ref().map_or((1, GENESIS), |(seq, hash)| (seq + 1, hash.as_str()));
        let entry = draft.enter(seq, previous);
        head = Some((entry.seq, entry.hash.clone()));
        entries.push(entry);
    }
    if let Some(last) = entries.last_mut() {
        last.signature = Some(sign(key, &last.hash));
    }
    for entry in &entries {
        write.add_audit_entry(entry).await?;
    }
    let entered = count(entries.len());
    let known = count(drafts.len()).saturating_sub(entered);
    Ok(Appended { head, entries, entered, known })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn sign(key: &SigningKey, hash: &str) -> String {
    HEXLOWER.encode(&key.sign(format!("{SIGNED_PREFIX}{hash}").as_bytes()).to_bytes())
}
