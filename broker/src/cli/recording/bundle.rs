//! What `recording share` hands over: a folder with one recording as it was sealed, its key for those it is for, and the
//! entries of the audit chain about it.
//!
//! Between two entries of a session stand those of other people, who are nobody's business. So the chain is not handed over:
//! the entry that tells of the sharing is signed, and names number and hash of the others.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ed25519_dalek::VerifyingKey;
use sallyport_session_recorder::Verification;
use serde::Deserialize;

use super::beginning::{STARTED, differences};
use crate::audit::{AuditEntry, entry_from_line};

/// The recording, as it was sealed.
pub(super) const RECORDING: &str = "recording.srec";
/// Its data key, for those it was shared with: an age file.
pub(super) const KEY: &str = "recording.key";
/// Entries of the audit chain, a line each: those of the session, and the one that tells of the sharing as the last.
pub(super) const CHAIN: &str = "chain.jsonl";
/// The evidence keys' public halves, as whoever shared it says.
pub(super) const EVIDENCE: &str = "evidence.pub";
/// What to do with all that.
pub(super) const README: &str = "README.txt";

/// What the entries that came along prove.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    /// What is wrong.
    pub(super) faults: Vec<String>,
    /// Who shared it, and when.
    pub(super) note: Option<String>,
}

/// What of an event is asked for here.
#[derive(Deserialize)]
struct Told {
    recording_head: Option<String>,
    #[serde(default)]
    entries: Vec<String>,
}

/// How an entry is named: number and hash.
pub(super) fn named(entry: &AuditEntry) -> String {
    format!("{}:{}", entry.seq, entry.hash)
}

/// Holds a recording that was handed over against the entries that came with it.
pub(super) fn prove_excerpt(folder: &Path, verification: &Verification, keys: &[VerifyingKey]) -> Excerpt {
    let entries = match read(&folder.join(CHAIN)) {
        Ok(entries) => entries,
        Err(fault) => return Excerpt { faults: vec![fault], note: None },
    };
    let Some((sharing, others)) = entries.split_last() else {
        return Excerpt { faults: vec![format!("`{CHAIN}` holds no entry")], note: None };
    };
    let mut faults = Vec::new();
    let edited = entries.iter().filter(|entry| entry.expected_hash() != entry.hash);
    faults.extend(edited.map(|entry| format!("entry {} in `{CHAIN}` was edited", entry.seq)));
    let strange = entries.iter().filter(|entry| entry.session.as_ref() != Some(&verification.header.session));
    faults.extend(strange.map(|entry| format!("entry {} in `{CHAIN}` is of another session", entry.seq)));
    if sharing.code != SHARED || !sharing.is_signed_by(keys) {
        faults.push(format!("entry {} in `{CHAIN}` is not the signed one that tells of the sharing", sharing.seq));
    }
    match others.iter().find(|entry| entry.code == STARTED) {
        Some(started) => faults.extend(differences(&verification.header, started)),
        None => faults.push(format!("`{CHAIN}` does not have the session's beginning")),
    }
    faults.extend(of_events(sharing, others, verification));
    let note = faults.is_empty().then(|| {
        let at = sharing.time().map(|at| format!("{at:.0}")).unwrap_or_default();
        format!("shared by {} at {at}; {} entries of the audit chain came along and fit", sharing.actor, entries.len())
    });
    Excerpt { faults, note }
}

/// What the events say of each other and of the recording.
fn of_events(sharing: &AuditEntry, others: &[AuditEntry], verification: &Verification) -> Vec<String> {
    let told = |entry: &AuditEntry| serde_json::from_str::<Told>(&entry.event);
    let Ok(shared) = told(sharing) else { return vec![format!("entry {} cannot be read", sharing.seq)] };
    let mut faults = Vec::new();
    if shared.entries != others.iter().map(named).collect::<Vec<_>>() {
        faults.push(format!("the entries in `{CHAIN}` are not those that entry {} names", sharing.seq));
    }
    if shared.recording_head.is_none() {
        faults.push(format!("entry {} names no head", sharing.seq));
    }
    let heads = others.iter().filter_map(|entry| Some((entry.seq, told(entry).ok()?.recording_head?)));
    for (seq, head) in heads.chain(shared.recording_head.map(|head| (sharing.seq, head))) {
        if head != verification.head {
            let found = &verification.head;
            faults.push(format!("the audit chain has head {head} (entry {seq}), the recording {found}"));
        }
    }
    faults
}

fn read(path: &Path) -> Result<Vec<AuditEntry>, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_CHAIN).read_to_string(&mut text));
    read.map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let line = |(number, line): (usize, &str)| {
        entry_from_line(line).map_err(|reason| format!("line {} of `{CHAIN}`: {reason}", number + 1))
    };
    text.lines().enumerate().map(line).collect()
}

/// The code of the entry that tells of the sharing.
pub(super) const SHARED: &str = "SP-4012";
/// A session has a handful of entries here, each far below what an event may have.
const LONGEST_CHAIN: u64 = 1 << 23;
