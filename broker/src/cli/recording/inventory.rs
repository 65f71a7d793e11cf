//! `sallyport recording verify --all`: catalogue, files and audit chain, held against each other.
//!
//! The chain is proven first and then asked. Brokers go on while this looks: what does not agree is looked at again, and only
//! what never agrees is a fault.

use std::collections::BTreeSet;

use sallyport_session_recorder::State;
use sallyport_session_recorder::types::VerifyingKey;
use serde_json::Value;

use super::proof::{Proof, prove_one};
use super::source::Source;
use super::{CliError, Context};
use crate::audit::{ChainVerification, Expected, Verifier};
use crate::live::End;
use crate::recording::ledger::{Facts, Ledger, Start};
use crate::store::Store;
use crate::store::recordings::{ListedRecording, Recording, RecordingFilter};

/// What is proven about everything.
pub(super) struct Inventory {
    /// The audit chain itself.
    pub(super) chain: ChainVerification,
    /// Every recording of the catalogue, and every one that the chain speaks of and the catalogue does not.
    pub(super) proofs: Vec<Proof>,
}

/// Holds everything against everything.
pub(super) async fn prove_all(context: &Context, keys: &[VerifyingKey]) -> Result<Inventory, CliError> {
    let store = context.store().await?;
    let mut desk = Desk { context, store, keys, chain: Chain::new(keys) };
    desk.chain.read_on(store).await?;
    let filter = RecordingFilter { limit: Some(u32::MAX), ..RecordingFilter::default() };
    let mut absent: BTreeSet<String> = desk.chain.ledger.sessions().map(|(session, _)| session.to_owned()).collect();
    let mut proofs = Vec::new();
    for each in store.recordings(&filter).await.map_err(CliError::failed)? {
        let session = each.recording.start.session.clone();
        absent.remove(&session);
        proofs.extend(desk.judge(&session, Some(each)).await?);
    }
    for session in absent {
        proofs.extend(desk.judge(&session, None).await?);
    }
    for _ in 0..LOOKS {
        if !proofs.iter().any(doubtful) {
            break;
        }
        desk.look_again(&mut proofs).await?;
    }
    Ok(Inventory { chain: desk.chain.verifier.finish(), proofs })
}

/// The chain, proven and understood entry by entry.
struct Chain {
    verifier: Verifier,
    ledger: Ledger,
    after: i64,
}

impl Chain {
    fn new(keys: &[VerifyingKey]) -> Self {
        // Numbers below 1 are nobody's: they would be found, not skipped.
        Self { verifier: Verifier::new(keys, Expected::default()), ledger: Ledger::default(), after: i64::MIN }
    }

    async fn read_on(&mut self, store: &Store) -> Result<(), CliError> {
        loop {
            let page = store.audit_page(self.after, PAGE).await.map_err(CliError::failed)?;
            let Some(last) = page.last() else { return Ok(()) };
            self.after = last.seq;
            for entry in &page {
                self.verifier.entry(entry);
                self.ledger.entry(entry);
            }
        }
    }
}

struct Desk<'a> {
    context: &'a Context,
    store: &'a Store,
    keys: &'a [VerifyingKey],
    chain: Chain,
}

impl Desk<'_> {
    /// Between two writes of a broker that works, catalogue, file and chain may differ for a moment.
    async fn look_again(&mut self, proofs: &mut Vec<Proof>) -> Result<(), CliError> {
        self.chain.read_on(self.store).await?;
        let (again, mut sure): (Vec<_>, Vec<_>) = std::mem::take(proofs).into_iter().partition(doubtful);
        for proof in again {
            let listed = self.store.listed_recording(&proof.recording).await.map_err(CliError::failed)?;
            sure.extend(self.judge(&proof.recording, listed).await?);
        }
        *proofs = sure;
        Ok(())
    }

    /// What is proven about one recording; `None` when there is none to prove any more.
    async fn judge(&self, session: &str, listed: Option<ListedRecording>) -> Result<Option<Proof>, CliError> {
        let unknown = Facts::default();
        let facts = self.chain.ledger.get(session).unwrap_or(&unknown);
        let Some(listed) = listed else { return Ok(without_catalogue(session, facts)) };
        let mut proof = self.look(&listed, facts)?;
        let found = match &proof.verification {
            Some(verification) => Some(&verification.head),
            // Of a file that is elsewhere there is only the catalogue's word.
            None => listed.recording.head.as_ref().filter(|_| proof.verdict == "elsewhere"),
        };
        let mut faults = facts.against(found.map(String::as_str));
        faults.extend(self.beginning(&listed, &proof, facts).await?);
        faults.extend(hold(&listed.recording, facts));
        match self.end(&proof, facts) {
            Some(Remark::Fault(fault)) => faults.push(fault),
            Some(Remark::Note(note)) => proof.note = Some(note),
            None => {}
        }
        Ok(Some(proof.with(faults)))
    }

    /// The file, where this broker has it.
    fn look(&self, listed: &ListedRecording, facts: &Facts) -> Result<Proof, CliError> {
        let session = listed.recording.start.session.clone();
        let source = match Source::of(listed.recording.clone(), self.context) {
            Ok(source) => source,
            Err(error) => return Ok(Proof::without_file(session, "damaged", Some(error.to_string()))),
        };
        // Whose it is, the chain says: the catalogue could send us to look elsewhere for what was removed here.
        let broker = facts.start.as_ref().map_or(&*listed.recording.start.broker, |start| &start.broker);
        if broker != self.context.config()?.name && source.is_absent() {
            let mut proof = Proof::without_file(session, "elsewhere", None);
            proof.broker = Some(broker.to_owned());
            return Ok(proof);
        }
        Ok(prove_one(session, source, self.keys))
    }

    /// What the catalogue says of the session otherwise than its first entry in the chain, or than the file.
    async fn beginning(&self, listed: &ListedRecording, proof: &Proof, facts: &Facts) -> Result<Vec<String>, CliError> {
        let start = &listed.recording.start;
        let mut faults = Vec::new();
        if let Some(verification) = &proof.verification
            && verification.header.started.unix_micros != start.started_at.as_microsecond()
        {
            faults.push(format!("the catalogue has another time of its beginning: {}", start.started_at));
        }
        let Some(Start { seq, .. }) = facts.start else { return Ok(faults) };
        let Some(entry) = self.store.audit_page(seq - 1, 1).await.map_err(CliError::failed)?.pop() else {
            return Ok(faults);
        };
        let event: Value = serde_json::from_str(&entry.event).map_err(CliError::failed)?;
        let said = [
            ("identity", &listed.identity),
            ("source", &listed.source),
            ("asset", &listed.asset),
            ("zone", &start.zone),
            ("service", &listed.service),
            ("account", &listed.account),
            ("form", &listed.form),
        ];
        let mut differ = |what: &str, said: &str, chain: &str| {
            if said != chain {
                faults.push(format!("the catalogue has {what} `{said}`, the audit chain `{chain}`"));
            }
        };
        for (what, said) in said {
            differ(what, said, event[what].as_str().unwrap_or_default());
        }
        differ("broker", &start.broker, &entry.broker);
        Ok(faults)
    }

    /// Whether the chain has an end of it.
    fn end(&self, proof: &Proof, facts: &Facts) -> Option<Remark> {
        if facts.head.is_some() {
            return None;
        }
        let Some(start) = &facts.start else {
            return Some(Remark::Note("the audit chain does not have its beginning: its session did not start".into()));
        };
        let seal = proof.verification.as_ref().and_then(|verification| verification.seal.as_ref());
        if seal.is_some_and(|seal| seal.end == End::RecordingFailed.word()) {
            return Some(Remark::Note("the audit chain does not have its head: its session failed".to_owned()));
        }
        let closed_out = facts.closed_at.is_none() && self.chain.ledger.closed_out(start);
        let sealed = proof.verification.as_ref().is_some_and(|verification| verification.state != State::Open);
        if closed_out || sealed && facts.closed_at.is_some() {
            return Some(Remark::Fault("the audit chain does not have its end".to_owned()));
        }
        sealed.then(|| Remark::Note("the audit chain does not have its end yet".to_owned()))
    }
}

fn doubtful(proof: &Proof) -> bool {
    proof.fault.is_some() || proof.note.is_some()
}

enum Remark {
    Fault(String),
    Note(String),
}

/// What the chain speaks of, and the catalogue does not list.
fn without_catalogue(session: &str, facts: &Facts) -> Option<Proof> {
    let mut faults = facts.faults.clone();
    if facts.removed.is_none() {
        if let Some(head) = &facts.head {
            faults.push(format!("the audit chain has its head {}, the catalogue has no such recording", head.hex()));
        } else if let Some(start) = &facts.start {
            let seq = start.seq;
            faults
                .push(format!("the audit chain has its beginning (entry {seq}), the catalogue has no such recording"));
        }
    }
    let verdict = if facts.removed.is_some() { "removed" } else { "missing" };
    (!faults.is_empty()).then(|| Proof::without_file(session.to_owned(), verdict, Some(faults.join("; "))))
}

/// What the catalogue says of a hold otherwise than the chain.
pub(super) fn hold(recording: &Recording, facts: &Facts) -> Option<String> {
    match (facts.held, recording.legal_hold) {
        (Some(entry), false) => Some(format!("the audit chain has it held (entry {entry}), the catalogue does not")),
        (None, true) => Some("the catalogue has it held, the audit chain does not".to_owned()),
        (Some(_), true) | (None, false) => None,
    }
}

/// How many entries are read at once.
const PAGE: u32 = 1000;
/// How often what does not agree is looked at again: what a broker writes as one is there at the next look.
const LOOKS: usize = 2;
