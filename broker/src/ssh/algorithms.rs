//! Which SSH algorithms are offered on each leg, and why.
//!
//! Towards people only AES-GCM is offered: Terrapin (CVE-2023-48795) needs ChaCha20-Poly1305 or CBC with
//! encrypt-then-MAC, so that there is nothing to attack even where a client lacks strict key exchange. Towards assets,
//! which may be old, AES-CTR with an encrypt-then-MAC hash is a last resort that Terrapin does not break either.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

/// Post-quantum hybrid first, then X25519. The last four are not exchanges but the marks of RFC 8308 extensions and of
/// strict key exchange: without them russh turns both off silently.
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// As above with the NIST curves for assets that know nothing newer.
const EXCHANGES_TO_ASSETS: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// What is offered to people.
#[must_use]
pub(in crate::ssh) fn towards_people() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(EXCHANGES),
        key: Cow::Borrowed(KEYS),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::AES_128_GCM]),
        // Not used with AES-GCM, but the negotiation wants a common name.
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// What is offered to an asset whose pinned host keys have these types: no other type is asked for, so that the asset
/// shows the pinned key.
#[must_use]
pub(in crate::ssh) fn towards_asset(pinned: &[Algorithm]) -> Preferred {
    let mut keys: Vec<Algorithm> = Vec::new();
    for algorithm in pinned {
        match algorithm {
            Algorithm::Rsa { .. } => keys.extend([
                Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
                Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
            ]),
            other => keys.push(other.clone()),
        }
    }
    Preferred {
        kex: Cow::Borrowed(EXCHANGES_TO_ASSETS),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(&[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Whether a signature algorithm that a client names may be used: SHA-1 signatures may not, whatever key they come from.
#[must_use]
pub(in crate::ssh) fn signature_allowed(algorithm: &Algorithm) -> bool {
    KEYS.contains(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_terrapin_attacks_is_offered() {
        let offered = towards_people();
        assert!(offered.cipher.iter().all(|c| c.as_ref().contains("gcm")));
        let asset = towards_asset(&[Algorithm::Ed25519]);
        assert!(asset.cipher.iter().all(|c| !c.as_ref().contains("chacha20") && !c.as_ref().contains("cbc")));
        assert!(offered.compression.iter().all(|c| *c == compression::NONE));
    }

    #[test]
    fn sha1_signatures_are_refused() {
        assert!(!signature_allowed(&Algorithm::Rsa { hash: None }));
        assert!(signature_allowed(&Algorithm::Rsa { hash: Some(HashAlg::Sha512) }));
    }
}
