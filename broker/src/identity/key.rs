//! Which SSH keys a person may log in with, and what possession of one proves.

use sallyport_policy::FactorKind;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

/// Why a key is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// An RSA key that is too short, or longer than can be checked.
    #[error("an rsa key of {0} bits is not accepted: between 3072 and 4096 bits are; better, use ed25519")]
    RsaSize(u32),
    /// A kind of key that is not used here.
    #[error("a `{0}` key is not accepted: ed25519, ecdsa, rsa and their security-key forms are")]
    Kind(String),
}

/// What a signature by this key proves, if the key is of a kind that is accepted at all.
///
/// A security key counts as possession only: whether it was touched does not reach the broker.
pub fn factor_of(key: &KeyData) -> Result<FactorKind, KeyFault> {
    match key {
        KeyData::Ed25519(_) | KeyData::Ecdsa(_) => Ok(FactorKind::Key),
        KeyData::Rsa(rsa) if (3072..=4096).contains(&rsa.key_size()) => Ok(FactorKind::Key),
        KeyData::Rsa(rsa) => Err(KeyFault::RsaSize(rsa.key_size())),
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => Ok(FactorKind::SecurityKey),
        // Everything else, also what a later version of the library learns, until somebody thinks it through.
        other => Err(KeyFault::Kind(other.algorithm().to_string())),
    }
}

/// The name of a key everywhere: `SHA256:…`.
#[must_use]
pub fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Why a line is not a public key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyLineError {
    /// Not a public key in OpenSSH form.
    #[error("not a public key in OpenSSH form (`ssh-ed25519 AAAA… comment`): {0}")]
    Malformed(ssh_key::Error),
    /// A private key where a public one was asked for.
    #[error(
        "this is a private key: give the public one (`….pub`), and treat the private key as disclosed if others could see it"
    )]
    Private,
    /// One that is not accepted.
    #[error(transparent)]
    Fault(#[from] KeyFault),
}

/// Reads one line of an `authorized_keys` or `.pub` file (without options), and checks that the key may be used.
pub fn parse_line(line: &str) -> Result<(PublicKey, FactorKind), KeyLineError> {
    if line.contains("PRIVATE KEY") {
        return Err(KeyLineError::Private);
    }
    let key = PublicKey::from_openssh(line.trim()).map_err(KeyLineError::Malformed)?;
    let kind = factor_of(key.key_data())?;
    Ok((key, kind))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use ssh_key::Mpint;
    use ssh_key::public::RsaPublicKey;

    use super::*;

    fn rsa(bits: usize) -> KeyData {
        let modulus = Mpint::from_positive_bytes(&vec![0xab; bits / 8]);
        KeyData::Rsa(RsaPublicKey::new(Mpint::from_positive_bytes(&[1, 0, 1]), modulus).unwrap())
    }

    #[test]
    fn rsa_is_accepted_from_3072_to_4096_bits() {
        assert_eq!(factor_of(&rsa(2048)), Err(KeyFault::RsaSize(2048)));
        assert_eq!(factor_of(&rsa(3072)), Ok(FactorKind::Key));
        assert_eq!(factor_of(&rsa(4096)), Ok(FactorKind::Key));
        assert_eq!(factor_of(&rsa(8192)), Err(KeyFault::RsaSize(8192)));
    }

    #[test]
    fn a_line_is_read_and_its_kind_is_known() {
        let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice@laptop";
        assert_eq!(parse_line(ed25519).unwrap().1, FactorKind::Key);
        let security_key = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9eUO2170QduohPURkQnbLa/dczAAAABHNzaDo= alice@token";
        assert_eq!(parse_line(security_key).unwrap().1, FactorKind::SecurityKey);
        assert!(matches!(parse_line("-----BEGIN OPENSSH PRIVATE KEY-----"), Err(KeyLineError::Private)));
        assert!(matches!(parse_line("ssh-ed25519 rubbish"), Err(KeyLineError::Malformed(_))));
    }
}
