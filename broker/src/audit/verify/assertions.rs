//! What passkeys have signed, checked against the keys that the chain says were enrolled (WebAuthn Level 3 section 7.2, steps 19 to 21).

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use webauthn_rs::prelude::COSEKey;

use crate::audit::entry::AuditEntry;

/// The public keys of passkeys, as the chain has told of them so far.
#[derive(Default)]
pub(super) struct Passkeys(BTreeMap<(String, String), COSEKey>);

/// What an entry says of passkeys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// No assertion.
    Nothing,
    /// An assertion that the enrolled key made.
    Good,
    /// An assertion of a key that was not enrolled before.
    Unknown,
    /// An assertion that the enrolled key did not make.
    Bad,
}

impl Passkeys {
    pub(super) fn hear(&mut self, entry: &AuditEntry) -> Heard {
        if ![ENROLLED, ASSERTED].contains(&entry.code.as_str()) {
            return Heard::Nothing;
        }
        // An entry that is not JSON is no broker's, and found as edited.
        let Ok(event) = serde_json::from_str::<Value>(&entry.event) else { return Heard::Nothing };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = (text("identity").to_owned(), text("credential").to_owned());
        if entry.code == ENROLLED {
            if let Ok(key) = serde_json::from_str(text("public_key")) {
                self.0.insert(name, key);
            }
            return Heard::Nothing;
        }
        let Some(key) = self.0.get(&name) else { return Heard::Unknown };
        let part = |name| BASE64URL_NOPAD.decode(text(name).as_bytes()).ok();
        let good = || {
            let (client_data, mut signed) = (part("client_data")?, part("authenticator_data")?);
            signed.extend_from_slice(digest::digest(&digest::SHA256, &client_data).as_ref());
            key.verify_signature(&part("signature")?, &signed).ok().filter(|good| *good)
        };
        if good().is_some() { Heard::Good } else { Heard::Bad }
    }
}

const ENROLLED: &str = "SP-5106";
const ASSERTED: &str = "SP-1012";
