//! `sallyport recording share`: one session for somebody outside, without the key to the others.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sallyport_session_recorder::Verification;
use sallyport_session_recorder::types::VerifyingKey;
use ssh_key::{HashAlg, PublicKey};

use super::beginning::STARTED;
use super::bundle::{CHAIN, EVIDENCE, KEY, README, RECORDING, SHARED, named};
use super::source::{Eyes, Source};
use super::verify::prove_named;
use super::{CliError, Context, Share};
use crate::audit::{AuditEntry, AuditEvent, entry_to_line};

/// Makes the folder. That somebody gets the key is on record before it leaves this process.
pub(super) async fn share(arguments: Share, context: &Context) -> Result<(), CliError> {
    arguments.recipient.iter().try_for_each(|text| recipient(text))?;
    let source = Source::find(&arguments.recording, context).await?;
    let Some(session) = source.recording.as_ref().map(|recording| recording.start.session.clone()) else {
        return Err(CliError::Usage(
            "give a session of this installation: its entries in the audit chain are handed over too".to_owned(),
        ));
    };
    let keys = context.evidence_keys(&[]).await?;
    let proof = prove_named(&session, context, &keys).await?;
    let Some(verification) = proof.verification.filter(|_| ["sealed", "interrupted"].contains(&proof.verdict)) else {
        let why = proof.fault.unwrap_or_else(|| "it has no seal yet; it gets one when its session ends".to_owned());
        return Err(CliError::Failed(format!("recording `{session}` is not whole, so it proves nothing: {why}")));
    };
    let eyes = Eyes::new(&arguments.keys, context).await?;
    let key = eyes.share(&source, &arguments.recipient)?;
    // What stands in the way shows before anything is on record.
    let folder = &arguments.output;
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.map_err(|error| CliError::Failed(format!("cannot make `{}`: {error}", folder.display())))?;

    let entries = on_record(&session, &verification, &arguments.recipient, context).await?;
    let handed = Handed { source: &source, key: &key, entries: &entries, keys: &keys, verification: &verification };
    handed.write(folder).map_err(|error| CliError::Failed(format!("cannot write `{}`: {error}", folder.display())))?;
    if context.json() {
        let folder = folder.display().to_string();
        return context.print_json(&serde_json::json!({ "session": session, "folder": folder }));
    }
    context.print(&format!(
        "`{}` holds session {session} and its key, for {}. `{README}` in it says how to read and to prove it.\n\
         Tell them the fingerprint of the evidence key by another way than the folder goes:\n{}\n",
        folder.display(),
        arguments.recipient.join(", "),
        fingerprints(&keys).map_err(CliError::failed)?.join("\n")
    ))
}

/// Nothing but an age public key; each other key that is taken for one is named.
fn recipient(text: &str) -> Result<(), CliError> {
    let wrong = match text {
        _ if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") => {
            "this is a secret key, which only its owner may have"
        }
        _ if text.starts_with("ssh-") => "this is an ssh key",
        _ if text.parse::<sallyport_session_recorder::types::Recipient>().is_ok() => return Ok(()),
        _ if text.starts_with("age1") => "this age key is cut off, mistyped or of another kind than X25519",
        _ => "this is no age key",
    };
    Err(CliError::Usage(format!(
        "`--recipient`: {wrong}; `age-keygen` makes a pair, and its `# public key: age1…` is what is asked for"
    )))
}

/// Puts on record who gets what, and gives the entries about the session, that one as the last.
async fn on_record(
    session: &str,
    verification: &Verification,
    recipients: &[String],
    context: &Context,
) -> Result<Vec<AuditEntry>, CliError> {
    let (store, audit) = (context.store().await?, context.audit().await?);
    let of_session = async |codes| store.audit_of_session(session, codes).await.map_err(CliError::failed);
    let mut entries = of_session(HANDED).await?;
    let event = AuditEvent::RecordingShared {
        session: session.to_owned(),
        recipients: recipients.to_vec(),
        recording_head: verification.head.clone(),
        recording_bytes: verification.proven_bytes,
        entries: entries.iter().map(named).collect(),
    };
    let prepared = audit.prepare(&event).map_err(CliError::failed)?;
    let id = prepared.id().to_owned();
    let mut write = store.begin_quiet_write().await.map_err(CliError::failed)?;
    audit.record_prepared_in(&mut write, prepared).await.map_err(CliError::failed)?;
    write.commit().await.map_err(CliError::failed)?;
    let told = of_session([SHARED; 6]).await?.into_iter().find(|entry| entry.id == id);
    entries.push(told.ok_or_else(|| CliError::Failed("the audit chain has lost what it was told".to_owned()))?);
    Ok(entries)
}

/// What goes into the folder.
struct Handed<'a> {
    source: &'a Source,
    key: &'a [u8],
    entries: &'a [AuditEntry],
    keys: &'a [VerifyingKey],
    verification: &'a Verification,
}

impl Handed<'_> {
    fn write(&self, folder: &Path) -> io::Result<()> {
        let mut recording = self.source.open().map_err(|error| io::Error::other(error.to_string()))?;
        let mut copy = new_file(&folder.join(RECORDING))?;
        io::copy(&mut recording, &mut copy)?;
        copy.sync_all()?;
        let put = |name: &str, content: &[u8]| {
            let mut file = new_file(&folder.join(name))?;
            file.write_all(content)?;
            file.sync_all()
        };
        put(KEY, self.key)?;
        let lines: String = self.entries.iter().map(|entry| entry_to_line(entry) + "\n").collect();
        put(CHAIN, lines.as_bytes())?;
        let keys: Result<Vec<String>, _> = self.keys.iter().map(|key| openssh(key).to_openssh()).collect();
        put(EVIDENCE, (keys.map_err(io::Error::other)?.join("\n") + "\n").as_bytes())?;
        put(README, self.readme()?.as_bytes())
    }

    fn readme(&self) -> io::Result<String> {
        let header = &self.verification.header;
        let started = jiff::Timestamp::from_microsecond(header.started.unix_micros).unwrap_or_default();
        Ok(README_TEXT
            .replace("@SESSION@", &sallyport_plain::printable(&header.session))
            .replace(
                "@WHAT@",
                &sallyport_plain::printable(&format!(
                    "{} at {started:.0}: {} on {} ({})",
                    header.identity, header.account, header.asset, header.service
                )),
            )
            .replace("@FINGERPRINTS@", &fingerprints(self.keys).map_err(io::Error::other)?.join("\n    "))
            .replace("@HEAD@", &self.verification.head))
    }
}

fn openssh(key: &VerifyingKey) -> PublicKey {
    PublicKey::from(ssh_key::public::Ed25519PublicKey(key.to_bytes()))
}

fn fingerprints(keys: &[VerifyingKey]) -> Result<Vec<String>, ssh_key::Error> {
    Ok(keys.iter().map(|key| openssh(key).fingerprint(HashAlg::Sha256).to_string()).collect())
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

const README_TEXT: &str = include_str!("share.txt");
/// The entries that go along: beginning, end, and how a session that was cut off was closed.
const HANDED: [&str; 6] = [STARTED, "SP-3002", "SP-3004", "SP-4007", STARTED, STARTED];
