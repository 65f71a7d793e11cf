//! `sallyport recording verify`.

use std::collections::BTreeMap;

use sallyport_session_recorder::types::VerifyingKey;
use sallyport_session_recorder::{State, Verification, verify as prove};
use serde::Serialize;

use super::source::{Source, check_identity, trusted};
use super::{CliError, Context, Verify};
use crate::cli::printable;
use crate::store::Store;
use crate::store::audit::AuditFilter;
use crate::store::recordings::{RecordingFilter, RecordingState};

/// What is proven about one recording.
#[derive(Debug, Serialize)]
struct Proof {
    recording: String,
    /// `sealed`, `interrupted`, `unsealed`, `damaged` or `missing`.
    verdict: &'static str,
    /// What is wrong.
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Verification>,
}

pub(super) async fn verify(arguments: Verify, context: &Context) -> Result<(), CliError> {
    let keys = trusted(&arguments.public_key, context).await?;
    let mut proofs = Vec::new();
    if arguments.all {
        proofs = prove_all(context, &keys).await?;
    }
    for named in &arguments.recordings {
        proofs.push(prove_one(named.clone(), Source::find(named, context).await?, &keys));
    }
    if context.json() {
        match proofs.as_slice() {
            [proof] if !arguments.all => context.print_json(proof)?,
            many => context.print_json(many)?,
        }
    } else {
        context.print(&proofs.iter().map(Proof::text).collect::<String>())?;
    }
    let faults = proofs.iter().filter(|proof| !proof.stands(arguments.allow_unsealed)).count();
    match faults {
        0 => Ok(()),
        1 if proofs.len() == 1 => Err(CliError::Failed("the recording is not proven whole".to_owned())),
        _ => Err(CliError::Failed(format!("{faults} of {} recordings are not proven whole", proofs.len()))),
    }
}

/// Every recording of the catalogue, and every one that the audit chain speaks of: whoever removes or exchanges a recording
/// together with its entry in the catalogue cannot take it out of the chain.
async fn prove_all(context: &Context, keys: &[VerifyingKey]) -> Result<Vec<Proof>, CliError> {
    let store = context.store().await?;
    let mut chained = chained(store).await?;
    let filter = RecordingFilter { limit: Some(u32::MAX), ..RecordingFilter::default() };
    let mut proofs = Vec::new();
    for each in store.recordings(&filter).await.map_err(CliError::failed)? {
        let named = each.recording.start.session.clone();
        let mut proof = prove_one(named.clone(), Source::of(each.recording, context)?, keys);
        let head = proof.verification.as_ref().map(|verification| verification.head.clone());
        if let (None, Some(head), Some(expected)) = (&proof.fault, head, chained.remove(&named))
            && head != expected
        {
            proof.fault = Some(format!("the audit chain has head {expected}, the file {head}"));
            proof.verdict = "damaged";
        }
        proofs.push(proof);
    }
    proofs.extend(chained.into_iter().map(|(recording, head)| Proof {
        recording,
        verdict: "missing",
        fault: Some(format!("the audit chain has its head {head}, the catalogue has no such recording")),
        verification: None,
    }));
    Ok(proofs)
}

/// The heads of all recordings by session, as the audit chain has them, without those that retention removed.
async fn chained(store: &Store) -> Result<BTreeMap<String, String>, CliError> {
    let mut heads = BTreeMap::new();
    for code in [SESSION_ENDED, RECORDING_INTERRUPTED, RECORDING_REMOVED] {
        let filter = AuditFilter { code: Some(code.to_owned()), limit: Some(u32::MAX), ..AuditFilter::default() };
        for entry in store.audit_entries(&filter).await.map_err(CliError::failed)? {
            let event: serde_json::Value = serde_json::from_str(&entry.event).map_err(CliError::failed)?;
            let Some(session) = entry.session else { continue };
            match event["recording_head"].as_str() {
                _ if code == RECORDING_REMOVED => heads.remove(&session),
                Some(head) => heads.insert(session, head.to_owned()),
                None => None,
            };
        }
    }
    Ok(heads)
}

const SESSION_ENDED: &str = "SP-3002";
const RECORDING_REMOVED: &str = "SP-4004";
const RECORDING_INTERRUPTED: &str = "SP-4007";

fn prove_one(named: String, source: Source, keys: &[VerifyingKey]) -> Proof {
    let verification = match source.open().and_then(|file| prove(file, keys).map_err(CliError::failed)) {
        Ok(verification) => verification,
        Err(error) => {
            return Proof { recording: named, verdict: "damaged", fault: Some(error.to_string()), verification: None };
        }
    };
    let fault = verification.fault.as_ref().map(ToString::to_string).or_else(|| disagreement(&verification, &source));
    let verdict = match (&fault, verification.state) {
        (Some(_), _) => "damaged",
        (None, State::Sealed) => "sealed",
        (None, State::Interrupted) => "interrupted",
        (None, State::Open) => "unsealed",
    };
    Proof { recording: named, verdict, fault, verification: Some(verification) }
}

/// What the catalogue says otherwise than the file: another session's file, another seal, or an older copy.
fn disagreement(verification: &Verification, source: &Source) -> Option<String> {
    if let Err(error) = check_identity(&verification.header, source) {
        return Some(error.to_string());
    }
    let recording = source.recording.as_ref()?;
    let closed = matches!(recording.state, RecordingState::Sealed | RecordingState::Interrupted);
    let head = recording.head.as_ref().filter(|_| closed)?;
    (*head != verification.head).then(|| format!("the catalogue has head {head}, the file {}", verification.head))
}

impl Proof {
    fn stands(&self, allow_unsealed: bool) -> bool {
        match self.verdict {
            "sealed" | "interrupted" => true,
            "unsealed" => allow_unsealed,
            _ => false,
        }
    }

    fn text(&self) -> String {
        let named = printable(&self.recording);
        let mut text = format!("{named}: {}\n", self.verdict);
        let mut say = |line: String| text.push_str(&format!("  {}\n", printable(&line)));
        if let Some(fault) = &self.fault {
            say(format!("fault: {fault}"));
        }
        let Some(verification) = &self.verification else { return text };
        let header = &verification.header;
        say(format!(
            "session {} of {} from {}: {}@{} ({}, zone {})",
            header.session, header.identity, header.source, header.account, header.asset, header.service, header.zone
        ));
        say(format!("signed by {}", verification.signer));
        say(format!(
            "proven: {} blocks, {} bytes, {} checkpoints; head {}",
            verification.proven_blocks, verification.proven_bytes, verification.checkpoints, verification.head
        ));
        if let Some(seal) = &verification.seal {
            say(format!("end: {} {}", seal.end, seal.detail));
            if let Some(found) = &seal.interruption {
                say(format!("signed while the session lived: the first {} bytes", found.proven_bytes));
            }
        }
        if verification.unproven_bytes > 0 || verification.torn_bytes > 0 {
            say(format!(
                "after the last checkpoint: {} bytes unproven, {} bytes of an unfinished block",
                verification.unproven_bytes, verification.torn_bytes
            ));
        }
        text
    }
}
