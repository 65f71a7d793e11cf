//! A security key in software: what a browser would answer, and what an attacker's would.

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::maker::Maker;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

/// One key pair at one relying party. Its public fields are for whoever wants it to lie.
pub(crate) struct SoftKey {
    key: EcdsaKeyPair,
    id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) origin: String,
    pub(crate) counter: u32,
    pub(crate) verifies: bool,
    /// So many letters more than a browser says.
    pub(crate) padding: usize,
    /// Who made it, and says so.
    pub(crate) maker: Option<Arc<Maker>>,
    /// AAGUID.
    pub(crate) model: [u8; 16],
    handle: Option<String>,
}

impl SoftKey {
    pub(crate) fn new(name: &str, origin: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let id = digest::digest(&digest::SHA256, key.public_key().as_ref()).as_ref().to_vec();
        Self {
            key,
            id,
            name: name.to_owned(),
            origin: origin.to_owned(),
            counter: 0,
            verifies: true,
            padding: 0,
            maker: None,
            model: [0; 16],
            handle: None,
        }
    }

    /// Answers `navigator.credentials.create`.
    pub(crate) fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        self.handle = Some(options["user"]["id"].as_str().unwrap().to_owned());
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.head(ATTESTED);
        data.extend(self.model);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        let point = self.key.public_key().as_ref();
        // { 1: 2 (EC2), 3: -7 (ES256), -1: 1 (P-256), -2: x, -3: y }, RFC 9053 section 7.1
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&point[33..65]);
        let mut object = vec![0xa3, 0x63];
        match &self.maker {
            Some(maker) => {
                object.extend(b"fmt\x66packed\x67attStmt");
                let print = digest::digest(&digest::SHA256, &client_data);
                object.extend(maker.vouches(&[data.as_slice(), print.as_ref()].concat()));
                object.extend(b"\x68authData\x58");
            }
            None => object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58"),
        }
        object.push(u8::try_from(data.len()).unwrap());
        object.extend(data);
        self.answer(json!({ "attestationObject": encode(&object), "clientDataJSON": encode(&client_data) }))
    }

    /// Answers `navigator.credentials.get`.
    pub(crate) fn get(&mut self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.get", &options["publicKey"]);
        let data = self.head(0);
        let mut signed = data.clone();
        signed.extend(digest::digest(&digest::SHA256, &client_data).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).unwrap();
        self.answer(json!({
            "authenticatorData": encode(&data),
            "clientDataJSON": encode(&client_data),
            "signature": encode(signature.as_ref()),
            "userHandle": self.handle,
        }))
    }

    fn head(&mut self, more: u8) -> Vec<u8> {
        self.counter += 1;
        let mut data = digest::digest(&digest::SHA256, self.name.as_bytes()).as_ref().to_vec();
        data.push(USER_PRESENT | more | if self.verifies { USER_VERIFIED } else { 0 });
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false,
            "padding": "x".repeat(self.padding),
        });
        data.to_string().into_bytes()
    }

    fn answer(&self, response: Value) -> Value {
        let id = encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "extensions": {} })
    }
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}
