//! What is proven about a recording.

use sallyport_session_recorder::types::VerifyingKey;
use sallyport_session_recorder::{State, Verification, verify as prove};
use serde::Serialize;

use super::CliError;
use super::source::{Source, check_identity};
use crate::audit::ChainFault;
use crate::cli::printable;
use crate::store::recordings::RecordingState;

/// What is proven about one recording.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    pub(super) recording: String,
    /// `sealed`, `interrupted`, `unsealed`, `damaged`, `missing`, `unknown`, `removed`, or `elsewhere`.
    pub(super) verdict: &'static str,
    /// What is wrong.
    pub(super) fault: Option<String>,
    /// What is not wrong, and worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// The broker that has it, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verification: Option<Verification>,
}

/// Proves one file.
pub(super) fn prove_one(named: String, source: Source, keys: &[VerifyingKey]) -> Proof {
    let verification = match source.open().and_then(|file| prove(file, keys).map_err(CliError::failed)) {
        Ok(verification) => verification,
        Err(error) => return Proof::without_file(named, "damaged", Some(error.to_string())),
    };
    let fault = verification.fault.as_ref().map(ToString::to_string).or_else(|| disagreement(&verification, &source));
    let verdict = match (&fault, verification.state) {
        (Some(_), _) => "damaged",
        (None, State::Sealed) => "sealed",
        (None, State::Interrupted) => "interrupted",
        (None, State::Open) => "unsealed",
    };
    Proof { recording: named, verdict, fault, note: None, broker: None, verification: Some(verification) }
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
    /// About a recording whose file was not read.
    pub(super) fn without_file(recording: String, verdict: &'static str, fault: Option<String>) -> Self {
        Self { recording, verdict, fault, note: None, broker: None, verification: None }
    }

    /// The same with what else is wrong.
    pub(super) fn with(mut self, faults: Vec<String>) -> Self {
        if !faults.is_empty() {
            self.fault = Some(self.fault.into_iter().chain(faults).collect::<Vec<_>>().join("; "));
            self.verdict = "damaged";
        }
        self
    }

    /// A chain that is not whole: what it says of recordings, and what is held against it, proves nothing.
    pub(super) fn of_chain(faults: &[ChainFault]) -> Self {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        let more = if faults.len() > 1 {
            format!(" (and {} more; see `audit verify`)", faults.len() - 1)
        } else {
            String::new()
        };
        let fault = format!("{first}{more}; what it says of recordings is not proven");
        Self::without_file("audit chain".to_owned(), "damaged", Some(fault))
    }

    pub(super) fn stands(&self, allow_unsealed: bool) -> bool {
        match self.verdict {
            "sealed" | "interrupted" | "elsewhere" => true,
            "unsealed" => allow_unsealed,
            _ => false,
        }
    }

    pub(super) fn text(&self) -> String {
        let named = printable(&self.recording);
        let at = self.broker.as_ref().map(|broker| format!(" ({})", printable(broker))).unwrap_or_default();
        let mut text = format!("{named}: {}{at}\n", self.verdict);
        let mut say = |line: String| text.push_str(&format!("  {}\n", printable(&line)));
        if let Some(fault) = &self.fault {
            say(format!("fault: {fault}"));
        }
        if let Some(note) = &self.note {
            say(format!("note: {note}"));
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
