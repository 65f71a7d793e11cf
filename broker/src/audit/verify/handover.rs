//! One evidence key after another: the last entry that the old one has signed names the new one.

use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use ssh_key::PublicKey;

use crate::audit::entry::AuditEntry;

/// As far as an event is such an entry.
#[derive(Deserialize)]
struct Handover {
    key: String,
    old: Option<String>,
    new: Option<String>,
}

/// Where the entry, which `signer` has signed, hands over from that key to another, that one signs what comes after it.
pub(super) fn follow(keys: &mut Vec<VerifyingKey>, signer: VerifyingKey, entry: &AuditEntry) {
    if entry.code != ROTATED {
        return;
    }
    let Ok(Handover { key, old: Some(old), new: Some(new) }) = serde_json::from_str(&entry.event) else { return };
    if key == EVIDENCE
        && parse(&old) == Some(signer)
        && let Some(new) = parse(&new)
    {
        keys.retain(|key| *key != signer && *key != new);
        keys.push(new);
    }
}

fn parse(line: &str) -> Option<VerifyingKey> {
    let key = PublicKey::from_openssh(line).ok()?;
    VerifyingKey::from_bytes(&key.key_data().ed25519()?.0).ok().filter(|key| !key.is_weak())
}

const ROTATED: &str = "SP-5305";
const EVIDENCE: &str = "evidence";
