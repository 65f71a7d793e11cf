//! `sallyport audit verify`

use std::fs::File;
use std::io::{BufReader, IsTerminal as _};
use std::path::Path;

use ed25519_dalek::VerifyingKey;
use serde::Serialize;

use crate::audit::{ChainVerification, Expected, Witness, verify_lines, verify_store};
use crate::cli::{CliError, Context, printable};

/// What is verified, and by what.
pub(super) struct From<'a> {
    /// An export instead of the database.
    pub(super) file: Option<&'a Path>,
    /// The public keys instead of the vault's.
    pub(super) keys: &'a [String],
    /// A log with heads of the chain.
    pub(super) witness: Option<&'a Path>,
}

/// Says what was found; fails when the chain is not whole, or is another than a witness has seen.
pub(super) async fn run(from: From<'_>, mut expected: Expected, context: &Context) -> Result<(), CliError> {
    let From { file, keys, witness } = from;
    let keys = context.evidence_keys(keys).await?;
    let unsigned = match witness {
        Some(path) => {
            let witness = read_witness(path, &keys)?;
            expected.witnessed = witness.heads;
            witness.unsigned
        }
        None => Vec::new(),
    };
    let found = match file {
        None => verify_store(context.store().await?, &keys, expected).await.map_err(CliError::failed)?,
        Some(path) => verify_file(path, &keys, expected)?,
    };
    report(&found, &unsigned, context)?;
    match found.faults.len() {
        0 if !unsigned.is_empty() => Err(CliError::Failed("the witness is not what a broker wrote".to_owned())),
        0 => Ok(()),
        1 => Err(CliError::Failed("the audit chain is not whole".to_owned())),
        count => Err(CliError::Failed(format!("the audit chain is not whole: {count} faults"))),
    }
}

/// A head as it was noted: number, colon, hash.
pub(in crate::cli) fn head(text: &str) -> Result<(i64, String), String> {
    let wrong = || "a head is an entry's number and hash, as in `17:9f86d0…`".to_owned();
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    let hash = hash.to_ascii_lowercase();
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    Ok((seq.parse().map_err(|_| wrong())?, hash))
}

fn verify_file(path: &Path, keys: &[VerifyingKey], expected: Expected) -> Result<ChainVerification, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("`{}`: {error}", path.display()));
    if path == Path::new("-") {
        if std::io::stdin().is_terminal() {
            return Err(CliError::Usage("standard input is a terminal: pipe an export into it".to_owned()));
        }
        return verify_lines(std::io::stdin().lock(), keys, expected).map_err(failed);
    }
    let file = File::open(path).map_err(failed)?;
    verify_lines(BufReader::new(file), keys, expected).map_err(failed)
}

fn read_witness(path: &Path, keys: &[VerifyingKey]) -> Result<Witness, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("`{}`: {error}", path.display()));
    let witness = Witness::read(BufReader::new(File::open(path).map_err(failed)?), keys).map_err(failed)?;
    if witness.heads.is_empty() && witness.unsigned.is_empty() {
        let message =
            format!("`{}` holds no head of a chain: a receiver of `[[siem]]` with JSON keeps some", path.display());
        return Err(CliError::Failed(message));
    }
    Ok(witness)
}

#[derive(Debug, Serialize)]
struct Report {
    whole: bool,
    entries: u64,
    first: Option<i64>,
    head: Option<String>,
    signatures: u64,
    assertions: u64,
    witnessed: u64,
    unsigned_lines: Vec<u64>,
    faults: Vec<String>,
}

fn report(found: &ChainVerification, unsigned: &[u64], context: &Context) -> Result<(), CliError> {
    let report = Report {
        whole: found.whole(),
        entries: found.entries,
        first: found.first,
        head: found.head.as_ref().map(|(seq, hash)| format!("{seq}:{hash}")),
        signatures: found.signatures,
        assertions: found.assertions,
        witnessed: found.witnessed,
        unsigned_lines: unsigned.to_vec(),
        faults: found.faults.iter().map(ToString::to_string).collect(),
    };
    if context.json() {
        return context.print_json(&report);
    }
    for line in &report.unsigned_lines {
        context.print(&format!("line {line} of the witness holds a head that the key did not sign\n"))?;
    }
    if !report.whole {
        let more = if report.faults.len() == ChainVerification::MOST_FAULTS { "\n(and perhaps more)" } else { "" };
        let faults: Vec<String> = report.faults.iter().map(|fault| printable(fault)).collect();
        return context.print(&format!("{}{more}\n", faults.join("\n")));
    }
    let Some(head) = report.head else { return context.print("the chain is empty\n") };
    let assertions = match report.assertions {
        0 => String::new(),
        count => format!(", {count} assertions of passkeys"),
    };
    let witnessed = match report.witnessed {
        0 => String::new(),
        count => format!(", {count} heads of the witness"),
    };
    context.print(&format!(
        "whole: {} entries from number {}, {} signatures{assertions}{witnessed}\n\
         head: {head}\n\
         Note the head: `--expect-head` proves later that nothing was cut off.\n",
        report.entries,
        report.first.unwrap_or_default(),
        report.signatures
    ))
}
