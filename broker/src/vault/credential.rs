//! What the broker holds for an account on an asset, and how an administrator brings it in.

use ssh_key::{LineEnding, PrivateKey};

use super::secret::Secret;

/// What opens an account on an asset.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A password.
    Password(Secret<String>),
    /// An SSH private key, without a passphrase by now.
    Key(Box<PrivateKey>),
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// An empty password, or one no sshd would take.
    #[error("the password is empty, longer than {LONGEST_PASSWORD} bytes, or holds a line break")]
    Password,
    /// The key needs its passphrase, or got a wrong one.
    #[error("the private key is protected and the passphrase is missing or wrong")]
    Passphrase,
    /// Not a private key that can be read.
    #[error("not a private key in OpenSSH, PKCS#8 or PuTTY form: {0}")]
    Key(String),
    /// A kind of key that the broker will not log in with.
    #[error("a `{0}` key cannot be used to log in to an asset: ed25519, ecdsa, or rsa of at least 2048 bits can")]
    KeyKind(String),
    /// What the store holds is not what was put there.
    #[error("the stored credential is not a `{0}`")]
    Stored(&'static str),
}

impl Credential {
    /// A password, checked.
    pub fn password(password: Secret<String>) -> Result<Self, CredentialError> {
        let text = password.expose();
        if text.is_empty() || text.len() > LONGEST_PASSWORD || text.contains(['\n', '\r', '\0']) {
            return Err(CredentialError::Password);
        }
        Ok(Self::Password(password))
    }

    /// A private key file's text, with its passphrase where it has one.
    pub fn key(text: &Secret<String>, passphrase: Option<&Secret<String>>) -> Result<Self, CredentialError> {
        use russh::keys::Error as Fault;
        let passphrase = passphrase.map(|passphrase| passphrase.expose().as_str());
        let key = russh::keys::decode_secret_key(text.expose(), passphrase).map_err(|error| match error {
            Fault::KeyIsEncrypted | Fault::SshKey(ssh_key::Error::Crypto | ssh_key::Error::Encrypted) => {
                CredentialError::Passphrase
            }
            other => CredentialError::Key(other.to_string()),
        })?;
        check_kind(&key)?;
        Ok(Self::Key(Box::new(key)))
    }

    /// `password` or `key`: the word in the store.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Password(_) => PASSWORD,
            Self::Key(_) => KEY,
        }
    }

    /// What anybody may see of it: the public key, or nothing.
    pub fn public_part(&self) -> Result<String, CredentialError> {
        match self {
            Self::Password(_) => Ok(String::new()),
            Self::Key(key) => key.public_key().to_openssh().map_err(|error| CredentialError::Key(error.to_string())),
        }
    }

    pub(super) fn to_bytes(&self) -> Result<Secret<Vec<u8>>, CredentialError> {
        match self {
            Self::Password(password) => Ok(Secret::new(password.expose().as_bytes().to_vec())),
            Self::Key(key) => {
                let text = key.to_openssh(LineEnding::LF).map_err(|error| CredentialError::Key(error.to_string()))?;
                Ok(Secret::new(text.as_bytes().to_vec()))
            }
        }
    }

    pub(super) fn from_bytes(kind: &str, bytes: &Secret<Vec<u8>>) -> Result<Self, CredentialError> {
        let text = Secret::new(String::from_utf8(bytes.expose().clone()).map_err(|_| CredentialError::Stored("text"))?);
        match kind {
            PASSWORD => Self::password(text),
            KEY => Self::key(&text, None),
            _ => Err(CredentialError::Stored("password or key")),
        }
    }
}

fn check_kind(key: &PrivateKey) -> Result<(), CredentialError> {
    use ssh_key::public::KeyData;
    match key.public_key().key_data() {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(()),
        // Weaker than what people log in with: an old controller's key cannot always be replaced.
        KeyData::Rsa(key) if key.key_size() >= 2048 => Ok(()),
        other => Err(CredentialError::KeyKind(other.algorithm().to_string())),
    }
}

const PASSWORD: &str = "password";
const KEY: &str = "key";
const LONGEST_PASSWORD: usize = 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use ssh_key::private::Ed25519Keypair;

    use super::*;

    fn text(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_password_comes_back_as_it_went_in() {
        let credential = Credential::password(text("pass word")).unwrap();
        let back = Credential::from_bytes(credential.kind(), &credential.to_bytes().unwrap()).unwrap();
        assert!(matches!(back, Credential::Password(password) if password.expose() == "pass word"));
        for bad in ["", "two\nlines"] {
            assert!(matches!(Credential::password(text(bad)), Err(CredentialError::Password)));
        }
    }

    #[test]
    fn a_protected_key_opens_with_its_passphrase_only() {
        let key = PrivateKey::from(Ed25519Keypair::random(&mut rand::rng()));
        let protected = key.encrypt(&mut rand::rng(), "open sesame").unwrap();
        let file = Secret::new(protected.to_openssh(LineEnding::LF).unwrap().to_string());
        assert!(matches!(Credential::key(&file, None), Err(CredentialError::Passphrase)));
        assert!(matches!(Credential::key(&file, Some(&text("wrong"))), Err(CredentialError::Passphrase)));
        let credential = Credential::key(&file, Some(&text("open sesame"))).unwrap();
        let back = Credential::from_bytes(credential.kind(), &credential.to_bytes().unwrap()).unwrap();
        let Credential::Key(back) = back else { panic!("a key") };
        assert_eq!(back.public_key().key_data(), key.public_key().key_data());
        assert!(credential.public_part().unwrap().starts_with("ssh-ed25519 "));
    }

    #[test]
    fn a_credential_does_not_show_itself() {
        let credential = Credential::password(text("hunter2hunter2")).unwrap();
        assert!(!format!("{credential:?}").contains("hunter2"));
        assert!(matches!(Credential::key(&text("rubbish"), None), Err(CredentialError::Key(_))));
    }
}
