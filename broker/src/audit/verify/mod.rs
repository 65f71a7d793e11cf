//! Proves that a chain is whole: from the database or from an export, with the public key alone.

mod assertions;
mod handover;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, VerifyingKey};

use assertions::{Heard, Passkeys};

pub use witness::Witness;

use super::entry::{AuditEntry, GENESIS, SIGNED_PREFIX, entry_from_line};
use crate::store::{Store, StoreError};

/// What the verifier was told to expect beyond an unbroken chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// An entry noted earlier, number and hash: it must still be there.
    pub head: Option<(i64, String)>,
    /// The chain may begin later than with entry 1: an export of a part.
    pub partial: bool,
    /// Heads that somebody outside has kept, by number: each must still be there. Of a part, those that lie in it.
    pub witnessed: BTreeMap<i64, BTreeSet<String>>,
}

/// One thing that is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// A line of the export is not an entry.
    Unreadable {
        /// The line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// The entry's content is not what was hashed.
    Edited(i64),
    /// Entries are gone (numbers first to last).
    Missing(i64, i64),
    /// An entry stands behind one with the same or a higher number.
    OutOfOrder(i64),
    /// The entry does not continue the one before it: something was exchanged, inserted or removed here.
    Unlinked(i64),
    /// The entry carries a signature that no trusted key made.
    BadSignature(i64),
    /// Nothing signed covers the entries from this number to the end.
    Unsigned(i64),
    /// What a passkey signed does not hold: the enrolled key did not sign this.
    BadAssertion(i64),
    /// The entry noted earlier is not there any more.
    HeadMissing(i64),
    /// The entry noted earlier is another one now.
    HeadDiffers(i64),
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { line, reason } => write!(f, "line {line}: {reason}"),
            Self::Edited(seq) => write!(f, "entry {seq} was edited: its content does not match its hash"),
            Self::Missing(first, last) if first == last => write!(f, "entry {first} is missing"),
            Self::Missing(first, last) => write!(f, "entries {first} to {last} are missing"),
            Self::OutOfOrder(seq) => write!(f, "entry {seq} is out of order"),
            Self::Unlinked(seq) => write!(f, "entry {seq} does not continue the entry before it"),
            Self::BadSignature(seq) => write!(f, "entry {seq} is not signed by a trusted key"),
            Self::Unsigned(seq) => write!(f, "no signature covers the entries from {seq} on"),
            Self::BadAssertion(seq) => write!(f, "entry {seq} holds an assertion that no enrolled passkey made"),
            Self::HeadMissing(seq) => write!(f, "entry {seq}, noted as head, is missing: the chain was cut short"),
            Self::HeadDiffers(seq) => {
                write!(f, "entry {seq}, noted as head, has another hash: the chain was rewritten")
            }
        }
    }
}

/// What verification found.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainVerification {
    /// How many entries were read.
    pub entries: u64,
    /// The first entry's number.
    pub first: Option<i64>,
    /// Number and hash of the last entry: what to note for the next time.
    pub head: Option<(i64, String)>,
    /// How many signatures were checked and are good.
    pub signatures: u64,
    /// How many assertions of passkeys were checked against the key that was enrolled, and are good.
    pub assertions: u64,
    /// How many heads that somebody outside has kept are where they were.
    pub witnessed: u64,
    /// What is wrong, in order; at most [`ChainVerification::MOST_FAULTS`] of it.
    pub faults: Vec<ChainFault>,
}

impl ChainVerification {
    /// More faults than this are not listed.
    pub const MOST_FAULTS: usize = 100;

    /// True when nothing is wrong.
    pub fn whole(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Takes a chain entry by entry.
pub struct Verifier {
    /// What may sign the next entry: an evidence key that has handed over signs no more.
    keys: Vec<VerifyingKey>,
    expected: Expected,
    head_seen: bool,
    /// The first entry that no good signature covers yet.
    uncovered: Option<i64>,
    passkeys: Passkeys,
    found: ChainVerification,
}

impl Verifier {
    /// A verifier that trusts these keys.
    pub fn new(keys: &[VerifyingKey], expected: Expected) -> Self {
        let found = ChainVerification {
            entries: 0,
            first: None,
            head: None,
            signatures: 0,
            assertions: 0,
            witnessed: 0,
            faults: Vec::new(),
        };
        let passkeys = Passkeys::default();
        Self { keys: keys.to_vec(), expected, head_seen: false, uncovered: None, passkeys, found }
    }

    /// Takes the next entry.
    pub fn entry(&mut self, entry: &AuditEntry) {
        self.check_place(entry);
        let hash = entry.expected_hash();
        if hash != entry.hash {
            self.fault(ChainFault::Edited(entry.seq));
        }
        self.uncovered.get_or_insert(entry.seq);
        if let Some(signature) = &entry.signature {
            match signer(&self.keys, &entry.hash, signature) {
                Some(signer) => {
                    self.found.signatures += 1;
                    self.uncovered = None;
                    if hash == entry.hash {
                        handover::follow(&mut self.keys, signer, entry);
                    }
                }
                None => self.fault(ChainFault::BadSignature(entry.seq)),
            }
        }
        match self.passkeys.hear(entry) {
            Heard::Nothing => {}
            Heard::Good => self.found.assertions += 1,
            // In a part of a chain the enrolment may have come before.
            Heard::Unknown if self.expected.partial => {}
            Heard::Unknown | Heard::Bad => self.fault(ChainFault::BadAssertion(entry.seq)),
        }
        if let Some((seq, expected)) = &self.expected.head
            && *seq == entry.seq
        {
            self.head_seen = true;
            if *expected != entry.hash {
                self.fault(ChainFault::HeadDiffers(entry.seq));
            }
        }
        for noted in self.expected.witnessed.remove(&entry.seq).unwrap_or_default() {
            if noted == entry.hash {
                self.found.witnessed += 1;
            } else {
                self.fault(ChainFault::HeadDiffers(entry.seq));
            }
        }
        self.found.entries += 1;
        self.found.first.get_or_insert(entry.seq);
        self.found.head = Some((entry.seq, entry.hash.clone()));
    }

    /// Takes a line that is no entry.
    pub fn unreadable(&mut self, line: u64, reason: String) {
        self.fault(ChainFault::Unreadable { line, reason });
    }

    /// What is wrong so far.
    pub fn faults(&self) -> &[ChainFault] {
        &self.found.faults
    }

    /// The first entry so far that no good signature covers.
    pub fn uncovered(&self) -> Option<i64> {
        self.uncovered
    }

    /// Says what was found.
    pub fn finish(mut self) -> ChainVerification {
        if let Some(seq) = self.uncovered {
            self.fault(ChainFault::Unsigned(seq));
        }
        if let Some((seq, _)) = self.expected.head
            && !self.head_seen
        {
            self.fault(ChainFault::HeadMissing(seq));
        }
        let last = self.found.head.as_ref().map_or(0, |head| head.0);
        let part = self.expected.partial.then(|| self.found.first.unwrap_or(1)..=last);
        let witnessed = std::mem::take(&mut self.expected.witnessed);
        for seq in witnessed.into_keys().filter(|seq| part.as_ref().is_none_or(|part| part.contains(seq))) {
            self.fault(ChainFault::HeadMissing(seq));
        }
        self.found
    }

    fn check_place(&mut self, entry: &AuditEntry) {
        match self.found.head.take() {
            None if self.expected.partial && entry.seq > 1 => {}
            None if entry.seq > 1 => self.fault(ChainFault::Missing(1, entry.seq - 1)),
            None if entry.seq < 1 => self.fault(ChainFault::OutOfOrder(entry.seq)),
            None if entry.previous != GENESIS => self.fault(ChainFault::Unlinked(entry.seq)),
            None => {}
            Some((before, _)) if entry.seq <= before => self.fault(ChainFault::OutOfOrder(entry.seq)),
            Some((before, _)) if entry.seq > before + 1 => self.fault(ChainFault::Missing(before + 1, entry.seq - 1)),
            Some((_, hash)) if entry.previous != hash => self.fault(ChainFault::Unlinked(entry.seq)),
            Some(_) => {}
        }
    }

    fn fault(&mut self, fault: ChainFault) {
        if self.found.faults.len() < ChainVerification::MOST_FAULTS {
            self.found.faults.push(fault);
        }
    }
}

impl AuditEntry {
    /// Whether one of these keys has signed it. Only the last entry of a batch is signed by itself.
    pub fn is_signed_by(&self, keys: &[VerifyingKey]) -> bool {
        self.signature.as_ref().is_some_and(|signature| is_signed(keys, &self.hash, signature))
    }
}

/// Whether one of these keys has signed this hash.
fn is_signed(keys: &[VerifyingKey], hash: &str, signature: &str) -> bool {
    signer(keys, hash, signature).is_some()
}

/// Which of these keys has signed this hash.
fn signer(keys: &[VerifyingKey], hash: &str, signature: &str) -> Option<VerifyingKey> {
    let signature = Signature::from_slice(&HEXLOWER.decode(signature.as_bytes()).ok()?).ok()?;
    let text = format!("{SIGNED_PREFIX}{hash}");
    keys.iter().find(|key| key.verify_strict(text.as_bytes(), &signature).is_ok()).copied()
}

/// Verifies the chain in the database.
pub async fn verify_store(
    store: &Store,
    keys: &[VerifyingKey],
    expected: Expected,
) -> Result<ChainVerification, StoreError> {
    let mut verifier = Verifier::new(keys, expected);
    // Numbers below 1 are nobody's: they would be found, not skipped.
    let mut after = i64::MIN;
    loop {
        let page = store.audit_page(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(verifier.finish()) };
        after = last.seq;
        page.iter().for_each(|entry| verifier.entry(entry));
    }
}

/// Verifies an export.
pub fn verify_lines(
    lines: impl BufRead,
    keys: &[VerifyingKey],
    expected: Expected,
) -> Result<ChainVerification, std::io::Error> {
    verify_lines_hearing(lines, keys, expected, |_| {})
}

/// The same; whoever asks hears each entry, whether it is sound or not.
pub fn verify_lines_hearing(
    lines: impl BufRead,
    keys: &[VerifyingKey],
    expected: Expected,
    mut hear: impl FnMut(&AuditEntry),
) -> Result<ChainVerification, std::io::Error> {
    let mut verifier = Verifier::new(keys, expected);
    for (number, line) in (1..).zip(lines.split(b'\n')) {
        let line = line?;
        let entry = std::str::from_utf8(&line).map_err(|error| error.to_string()).and_then(entry_from_line);
        match entry {
            Ok(entry) => {
                verifier.entry(&entry);
                hear(&entry);
            }
            Err(reason) => verifier.unreadable(number, reason),
        }
    }
    Ok(verifier.finish())
}

/// How many entries are read at once.
const PAGE: u32 = 1000;

#[cfg(test)]
mod tests;
