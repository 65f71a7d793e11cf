//! Virtual security keys and passkeys (Web Authentication, section 11).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::driver::{Driver, Refused};
use super::text;

/// What kind of authenticator somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A key on USB without a PIN: it proves possession alone.
    SecurityKey,
    /// One of before FIDO2, which has never heard of a PIN.
    U2f,
    /// A key on USB with a PIN, which can keep passkeys.
    KeyWithPin,
    /// A passkey of the device itself, by finger, face or PIN.
    Passkey,
}

/// An authenticator that is plugged in until it is dropped.
pub struct Authenticator<'a> {
    driver: &'a Driver,
    id: String,
}

/// A credential, as it can be read and written.
#[derive(Clone, Debug)]
pub struct Credential(Value);

impl<'a> Authenticator<'a> {
    #[track_caller]
    pub(super) fn add(driver: &'a Driver, token: Token) -> Authenticator<'a> {
        let (protocol, transport, verifies, resident) = match token {
            Token::SecurityKey => ("ctap2", "usb", false, false),
            Token::U2f => ("ctap1/u2f", "usb", false, false),
            Token::KeyWithPin => ("ctap2", "usb", true, true),
            Token::Passkey => ("ctap2", "internal", true, true),
        };
        let wanted = json!({
            "protocol": protocol,
            "transport": transport,
            "hasResidentKey": resident,
            "hasUserVerification": verifies,
            "isUserConsenting": true,
            "isUserVerified": verifies,
        });
        let id = text(&driver.post("webauthn/authenticator", &wanted).expect("a virtual authenticator"));
        Authenticator { driver, id }
    }

    /// What it holds.
    #[track_caller]
    pub fn credentials(&self) -> Vec<Credential> {
        let path = format!("webauthn/authenticator/{}/credentials", self.id);
        let list = self.driver.get(&path).expect("its credentials");
        list.as_array().expect("a list").iter().cloned().map(Credential).collect()
    }

    /// Puts a credential in: one of another authenticator is a copy of it.
    ///
    /// # Errors
    ///
    /// What such an authenticator cannot hold.
    pub fn put(&self, credential: &Credential) -> Result<(), Refused> {
        self.driver.post(&format!("webauthn/authenticator/{}/credential", self.id), &credential.0).map(drop)
    }

    /// Takes a credential out.
    #[track_caller]
    pub fn remove(&self, credential: &Credential) {
        let path = format!("webauthn/authenticator/{}/credentials/{}", self.id, credential.id());
        self.driver.delete(&path).expect("a credential that is there");
    }

    /// Whether the person proves from now on that it is them, where it asks.
    #[track_caller]
    pub fn verifies(&self, verified: bool) {
        let path = format!("webauthn/authenticator/{}/uv", self.id);
        self.driver.post(&path, &json!({ "isUserVerified": verified })).expect("an authenticator that verifies");
    }
}

impl Drop for Authenticator<'_> {
    fn drop(&mut self) {
        let gone = self.driver.delete(&format!("webauthn/authenticator/{}", self.id));
        assert!(gone.is_ok() || std::thread::panicking(), "an authenticator cannot be unplugged: {gone:?}");
    }
}

impl Credential {
    /// Its id, in base64url.
    pub fn id(&self) -> String {
        text(&self.0["credentialId"])
    }

    /// Its id in bytes.
    pub fn id_bytes(&self) -> Vec<u8> {
        BASE64URL_NOPAD.decode(self.id().as_bytes()).expect("base64url")
    }

    /// For whom it signs: the relying party.
    pub fn relying_party(&self) -> String {
        text(&self.0["rpId"])
    }

    /// How often it has signed.
    pub fn sign_count(&self) -> u64 {
        self.0["signCount"].as_u64().expect("a number")
    }

    /// The same, with a counter of one's own: what a copied key shows.
    #[must_use]
    pub fn with_sign_count(mut self, count: u64) -> Credential {
        self.0["signCount"] = json!(count);
        self
    }
}
