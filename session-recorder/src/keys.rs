//! Keys: who can read a recording, who vouches for it, and the data key of each.
use age::x25519::{Identity, Recipient};
use age::{Decryptor, Encryptor};
use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::io::{Read, Write};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;
use zstd::bulk::Compressor;

/// What a broker's recorders share: recipients, the signing key, and working memory.
pub struct Keys {
    recipients: Vec<Recipient>,
    pub(crate) signing: SigningKey,
    /// Keys that signed before this one.
    earlier: Vec<VerifyingKey>,
    level: i32,
    spare: Mutex<Vec<Workspace>>,
}

/// A key that does not work.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Nobody could ever read the recording.
    #[error("no recipient: at least one age public key is needed")]
    NoRecipient,
    /// Not an age X25519 recipient.
    #[error("`{0}` is not an age X25519 recipient")]
    Recipient(String),
    /// Not an identity file.
    #[error("no age X25519 identity found")]
    Identity,
    /// Not an Ed25519 public key.
    #[error("not an Ed25519 public key in hex: `{0}`")]
    PublicKey(String),
    /// The data key could not be wrapped.
    #[error("the data key could not be wrapped: {0}")]
    Wrap(String),
    /// None of the identities opens the recording.
    #[error("the recording is not encrypted to this identity")]
    NotARecipient,
}

impl Keys {
    /// Recipients are age X25519 public keys (`age1…`); `signing` is the broker's evidence key.
    pub fn new<S: AsRef<str>>(recipients: &[S], signing: SigningKey) -> Result<Keys, KeyError> {
        let recipients = parse_recipients(recipients)?;
        Ok(Keys { recipients, signing, earlier: Vec::new(), level: 1, spare: Mutex::new(Vec::new()) })
    }

    /// The public half of the evidence key: what verifies the recordings.
    pub fn public_key(&self) -> VerifyingKey {
        self.signing.verifying_key()
    }

    /// What these keys have signed is believed, too: evidence keys that were in use before.
    pub fn with_earlier(self, earlier: impl IntoIterator<Item = VerifyingKey>) -> Keys {
        let own = self.public_key();
        Keys { earlier: earlier.into_iter().filter(|key| *key != own).collect(), ..self }
    }

    /// All keys whose signatures are believed.
    pub fn trusted(&self) -> Vec<VerifyingKey> {
        std::iter::once(self.public_key()).chain(self.earlier.iter().copied()).collect()
    }

    /// The public half of the evidence key in hex.
    pub fn public_key_hex(&self) -> String {
        HEXLOWER.encode(self.public_key().as_bytes())
    }

    pub(crate) fn recipient_names(&self) -> Vec<String> {
        self.recipients.iter().map(ToString::to_string).collect()
    }

    /// A fresh data key, ready to encrypt, and wrapped to all recipients.
    pub(crate) fn new_data_key(&self) -> Result<(LessSafeKey, String), KeyError> {
        let mut key = Zeroizing::new([0u8; 32]);
        aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| KeyError::Wrap("no randomness".to_owned()))?;
        let wrapped = wrap_key(&key, &self.recipients)?;
        Ok((cipher(&key)?, BASE64.encode(&wrapped)))
    }

    /// Working memory for one append. A compressor takes about a megabyte, so idle recorders hold none.
    pub(crate) fn workspace(&self) -> Workspace {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.pop().unwrap_or_else(|| Workspace { level: self.level, ..Workspace::default() })
    }

    pub(crate) fn give_back(&self, mut workspace: Workspace) {
        const SPARES: usize = 4;
        workspace.out.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARES {
            spare.push(workspace);
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("signer", &self.public_key_hex()).finish_non_exhaustive()
    }
}

/// Buffers and the compressor, reused between appends of all recorders.
#[derive(Default)]
pub(crate) struct Workspace {
    level: i32,
    pub(crate) out: Vec<u8>,
    compressed: Vec<u8>,
    compressor: Option<Compressor<'static>>,
}

impl Workspace {
    /// The compressed body, with the buffer the blocks go to, where it is worth having.
    pub(crate) fn compress(&mut self, body: &[u8]) -> Option<(&[u8], &mut Vec<u8>)> {
        if self.compressor.is_none() {
            self.compressor = Compressor::new(self.level).ok();
        }
        let compressor = self.compressor.as_mut()?;
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(body.len()));
        compressor.compress_to_buffer(body, &mut self.compressed).ok()?;
        let pays = self.compressed.len() + 4 + body.len() / 16 < body.len();
        pays.then_some((self.compressed.as_slice(), &mut self.out))
    }
}

/// The identities of an age identity file: one `AGE-SECRET-KEY-1…` a line, `#` comments.
pub fn identities(text: &str) -> Result<Vec<Identity>, KeyError> {
    let found: Vec<Identity> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| Identity::from_str(line).map_err(|_| KeyError::Identity))
        .collect::<Result<_, _>>()?;
    if found.is_empty() { Err(KeyError::Identity) } else { Ok(found) }
}

/// An Ed25519 public key from its hex.
pub fn public_key(hex: &str) -> Result<VerifyingKey, KeyError> {
    let refuse = || KeyError::PublicKey(hex.to_owned());
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes()).map_err(|_| refuse())?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| refuse())?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| refuse())?;
    if key.is_weak() { Err(refuse()) } else { Ok(key) }
}

/// At least one age recipient.
pub(crate) fn parse_recipients<S: AsRef<str>>(recipients: &[S]) -> Result<Vec<Recipient>, KeyError> {
    let recipients = recipients
        .iter()
        .map(|text| Recipient::from_str(text.as_ref()).map_err(|_| KeyError::Recipient(text.as_ref().to_owned())))
        .collect::<Result<Vec<_>, _>>()?;
    if recipients.is_empty() { Err(KeyError::NoRecipient) } else { Ok(recipients) }
}

/// An age file that holds a data key.
pub(crate) fn wrap_key(key: &[u8; 32], recipients: &[Recipient]) -> Result<Vec<u8>, KeyError> {
    let failed = |error: &dyn std::fmt::Display| KeyError::Wrap(error.to_string());
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as _))
        .map_err(|error| failed(&error))?;
    let mut wrapped = Vec::new();
    let mut writer = encryptor.wrap_output(&mut wrapped).map_err(|error| failed(&error))?;
    writer.write_all(key).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(wrapped)
}

/// The data key out of the header's `wrapped_key`.
pub(crate) fn data_key(wrapped: &str, identities: &[Identity]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let file = BASE64.decode(wrapped.as_bytes()).map_err(|_| KeyError::NotARecipient)?;
    open_key(&file, identities)
}

/// The data key out of an age file.
pub(crate) fn open_key(file: &[u8], identities: &[Identity]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let decryptor = Decryptor::new(file).map_err(|_| KeyError::NotARecipient)?;
    let mut reader = decryptor
        .decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        .map_err(|_| KeyError::NotARecipient)?;
    let mut key = Zeroizing::new([0u8; 32]);
    reader.read_exact(key.as_mut()).map_err(|_| KeyError::NotARecipient)?;
    Ok(key)
}

pub(crate) fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, KeyError> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| KeyError::Wrap("the cipher refused the key".to_owned()))
}
