//! `sallyport recording verify FOLDER --audit FILE`: what lies in folders, against an export of the audit chain. No
//! installation, no database, no reading key: what an auditor took home proves itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, IsTerminal};
use std::path::{Path, PathBuf};

use sallyport_session_recorder::types::VerifyingKey;
use sallyport_session_recorder::{State, Verification};

use super::beginning::{STARTED, differences};
use super::inventory::Inventory;
use super::proof::{Proof, prove_one};
use super::source::Source;
use super::{CliError, Verify};
use crate::audit::{AuditEntry, ChainVerification, Expected, verify_lines_hearing};
use crate::recording::ledger::{Facts, Ledger};

/// Holds every recording in the folders against the chain, and the chain against the folders.
pub(super) fn prove_against(audit: &Path, wanted: &Verify, keys: &[VerifyingKey]) -> Result<Inventory, CliError> {
    let (mut files, mut folders) = (Vec::new(), 0_usize);
    for named in &wanted.recordings {
        let path = PathBuf::from(named);
        match path.is_dir() {
            true => {
                find(&path, &mut files)?;
                folders += 1;
            }
            false => files.push(path),
        }
    }
    let mut told = Told::default();
    let expected = Expected { head: wanted.expect_head.clone(), partial: wanted.partial, ..Expected::default() };
    let chain = read(audit, keys, expected, &mut told)?;
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut proofs = Vec::new();
    for path in files {
        let proof = prove_one(path.display().to_string(), Source::file_at(path.clone()), keys);
        let session = told.session_of(&path, proof.verification.as_ref());
        let mut faults = Vec::new();
        if let Some(session) = session {
            if let Some(first) = seen.get(&session) {
                faults.push(format!("`{}` is of the same session", first.display()));
            }
            let proof = told.against(&session, proof);
            seen.entry(session).or_insert(path);
            proofs.push(proof.with(faults));
        } else {
            proofs.push(proof);
        }
    }
    // Whoever gives single files asks for those alone.
    if folders > 0 {
        let there = seen.into_keys().collect();
        proofs.extend(told.missing(&there, wanted.broker.as_deref()));
    }
    Ok(Inventory { chain, proofs })
}

/// What the chain says of recordings.
#[derive(Default)]
struct Told {
    ledger: Ledger,
    /// The entries that sessions begin with.
    begun: BTreeMap<String, AuditEntry>,
    /// When the first and the last entry happened.
    first: Option<i64>,
    last: i64,
}

impl Told {
    fn hear(&mut self, entry: &AuditEntry) {
        self.first.get_or_insert(entry.at);
        self.last = self.last.max(entry.at);
        self.ledger.entry(entry);
        if let (STARTED, Some(session)) = (entry.code.as_str(), &entry.session) {
            self.begun.entry(session.clone()).or_insert_with(|| entry.clone());
        }
    }

    /// The session that a file is of: by its header, where a signature covers that; else by its name.
    fn session_of(&self, path: &Path, verification: Option<&Verification>) -> Option<String> {
        let signed = verification.filter(|verification| verification.proven_blocks > 0);
        let by_name = || path.file_stem()?.to_str().filter(|name| self.ledger.get(name).is_some()).map(str::to_owned);
        signed.map(|verification| verification.header.session.clone()).or_else(by_name)
    }

    /// Everything that the chain says otherwise than the file.
    fn against(&self, session: &str, mut proof: Proof) -> Proof {
        let Some(facts) = self.ledger.get(session) else { return self.unknown(proof) };
        // That retention has removed it at the broker takes nothing from this copy.
        let here = Facts { removed: None, ..facts.clone() };
        let mut faults = here.against(proof.verification.as_ref().map(|verification| verification.head.as_str()));
        if let (Some(verification), Some(entry)) = (&proof.verification, self.begun.get(session)) {
            faults.extend(differences(&verification.header, entry));
        }
        let sealed = proof.verification.as_ref().is_some_and(|verification| verification.state != State::Open);
        let ended = facts.closed_at.is_some() || facts.start.as_ref().is_some_and(|it| self.ledger.closed_out(it));
        match (&facts.head, facts.removed) {
            (None, _) if sealed && ended => faults.push("the audit chain does not have its head".to_owned()),
            (None, _) if sealed => proof.note = Some("the chain was exported before the session's end".to_owned()),
            (_, Some(entry)) => proof.note = Some(format!("the broker has removed its own copy (entry {entry})")),
            _ => {}
        }
        proof.with(faults)
    }

    /// A recording of which the chain knows nothing.
    fn unknown(&self, proof: Proof) -> Proof {
        let started = proof.verification.as_ref().map(|verification| verification.header.started.unix_micros);
        let fault = match started {
            Some(started) if started > self.last => "it began after the chain was exported: export it again",
            Some(started) if self.first.is_some_and(|first| started < first) => {
                "it began before the exported part of the chain: export an earlier one"
            }
            _ => "the audit chain knows no such recording",
        };
        let mut proof = proof.with(vec![fault.to_owned()]);
        if proof.verification.as_ref().is_some_and(|verification| verification.fault.is_none()) {
            proof.verdict = "unknown";
        }
        proof
    }

    /// What the chain speaks of, and no folder holds.
    fn missing(&self, there: &BTreeSet<String>, broker: Option<&str>) -> Vec<Proof> {
        let absent = self.ledger.sessions().filter(|(session, _)| !there.contains(*session));
        absent
            .filter_map(|(session, facts)| {
                let at = facts.start.as_ref().map(|start| start.broker.to_string());
                if broker.is_some_and(|broker| at.as_deref().is_some_and(|at| at != broker)) {
                    return None;
                }
                let mut faults = facts.faults.clone();
                let verdict = if facts.removed.is_some() { "removed" } else { "missing" };
                faults.extend(absence(facts));
                let fault = (!faults.is_empty()).then(|| faults.join("; "))?;
                let mut proof = Proof::without_file(session.to_owned(), verdict, Some(fault));
                proof.broker = at;
                Some(proof)
            })
            .collect()
    }
}

/// Why a recording should be there.
fn absence(facts: &Facts) -> Option<String> {
    match (facts.removed, &facts.head, &facts.start) {
        (Some(_), _, _) => None,
        (None, Some(head), _) => {
            Some(format!("the audit chain has its head {} (entry {}), and no file is its", head.hex(), head.seq))
        }
        (None, None, Some(start)) => {
            Some(format!("the audit chain has its beginning (entry {}), and no file is its", start.seq))
        }
        (None, None, None) => None,
    }
}

fn read(
    path: &Path,
    keys: &[VerifyingKey],
    expected: Expected,
    told: &mut Told,
) -> Result<ChainVerification, CliError> {
    let failed = |error: io::Error| CliError::Failed(format!("`{}`: {error}", path.display()));
    let hear = |entry: &AuditEntry| told.hear(entry);
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(CliError::Usage("standard input is a terminal: pipe an export into it".to_owned()));
        }
        return verify_lines_hearing(io::stdin().lock(), keys, expected, hear).map_err(failed);
    }
    let file = File::open(path).map_err(failed)?;
    verify_lines_hearing(BufReader::new(file), keys, expected, hear).map_err(failed)
}

/// Every recording below a folder, by name. Links are not followed.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::Failed(format!("cannot read `{}`: {error}", folder.display()));
    let mut entries = std::fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "srec") {
            found.push(path);
        }
    }
    Ok(())
}
