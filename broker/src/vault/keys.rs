//! The broker's own keys: made once, sealed in the store, Ed25519 all of them.

use std::fmt;

use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;

use super::secret::Secret;

/// One of the broker's own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyName {
    /// The broker's SSH host key, on every broker of the installation.
    HostKey,
    /// Signs host certificates.
    HostCa,
    /// Signs logins on assets. Assets trust it (`TrustedUserCAKeys`).
    UserCa,
    /// Signs recordings and the audit chain.
    Evidence,
}

impl KeyName {
    /// Every key, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::HostKey, Self::HostCa, Self::UserCa, Self::Evidence];

    /// The word in the store and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostKey => "host-key",
            Self::HostCa => "host-ca",
            Self::UserCa => "user-ca",
            Self::Evidence => "evidence",
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A new seed.
pub(super) fn new_seed() -> Secret<[u8; 32]> {
    let mut seed = Secret::new([0_u8; 32]);
    rand::fill(seed.expose_mut().as_mut_slice());
    seed
}

/// The SSH key of a seed; its comment says what it is.
pub(super) fn ssh_key(name: KeyName, seed: &[u8; 32]) -> PrivateKey {
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(seed));
    key.set_comment(format!("sallyport-{name}"));
    key
}
