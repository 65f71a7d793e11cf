//! Which SSH algorithms are offered on each leg, and why.
//!
//! AES-GCM comes first on both. Terrapin (CVE-2023-48795) needs ChaCha20-Poly1305 or CBC with encrypt-then-MAC, so that there is
//! nothing to attack even where a peer lacks strict key exchange. Behind it stands AES-CTR with HMAC-SHA-2, for clients without GCM
//! (dropbear, paramiko before 3, curl) and for assets that may be old: encrypt-then-MAC first, where a message that Terrapin removes
//! shifts the key stream and the next one is rubbish; then the plain form, which counts messages in its MAC and is not touched by it.
//! Strict towards people leaves AES-GCM alone, and so is what a client gets that has it (see `proposal`).

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{AlgorithmKind, Preferred, cipher, compression, kex, mac};
use sallyport_policy::AssetAlgorithms;

use crate::config::Algorithms;

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

/// As above with the NIST curves and the larger groups of RFC 8268 for assets that know nothing newer.
const EXCHANGES_TO_ASSETS: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// How many marks stand at the end of both.
const MARKS: usize = 4;

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

const CIPHERS: &[cipher::Name] =
    &[cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR, cipher::AES_192_CTR, cipher::AES_128_CTR];
/// Of no meaning with AES-GCM, but the negotiation wants a common name.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

/// What is offered to people.
#[must_use]
pub(in crate::ssh) fn towards_people(offered: Algorithms) -> Preferred {
    let cipher: &[cipher::Name] = match offered {
        Algorithms::Standard => CIPHERS,
        Algorithms::Strict => &[cipher::AES_256_GCM, cipher::AES_128_GCM],
    };
    Preferred {
        kex: Cow::Borrowed(EXCHANGES),
        key: Cow::Borrowed(KEYS),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(cipher),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Behind the others, for an asset that the plant file calls legacy.
const LEGACY_EXCHANGES: &[kex::Name] = &[kex::DH_GEX_SHA256, kex::DH_G14_SHA1];
const LEGACY_CIPHERS: &[cipher::Name] = &[cipher::CHACHA20_POLY1305];
const LEGACY_MACS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// What is offered to an asset whose pinned host keys have these types: no other type is asked for, so that the asset
/// shows the pinned key.
#[must_use]
pub(in crate::ssh) fn towards_asset(pinned: &[Algorithm], offered: AssetAlgorithms) -> Preferred {
    let legacy = offered == AssetAlgorithms::Legacy;
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
    if legacy && pinned.iter().any(|key| matches!(key, Algorithm::Rsa { .. })) {
        keys.push(Algorithm::Rsa { hash: None });
    }
    // The marks of extensions and of strict key exchange stand at the end of the list: the exchanges go before them.
    let (exchanges, marks) = EXCHANGES_TO_ASSETS.split_at(EXCHANGES_TO_ASSETS.len() - MARKS);
    let with = |legacy_exchanges: &[kex::Name]| [exchanges, legacy_exchanges, marks].concat();
    Preferred {
        kex: Cow::Owned(with(if legacy { LEGACY_EXCHANGES } else { &[] })),
        key: Cow::Owned(keys),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned([CIPHERS, if legacy { LEGACY_CIPHERS } else { &[] }].concat()),
        mac: Cow::Owned([MACS, if legacy { LEGACY_MACS } else { &[] }].concat()),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

/// Whether a signature algorithm that a client names may be used: SHA-1 signatures may not, whatever key they come from.
#[must_use]
pub(in crate::ssh) fn signature_allowed(algorithm: &Algorithm) -> bool {
    KEYS.contains(algorithm)
}

/// A key exchange that came to nothing since the two sides have no algorithm in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unmatched {
    /// Of which kind.
    pub(crate) kind: &'static str,
    /// What the peer offers, safe to show and bounded.
    pub(crate) theirs: String,
    /// What is allowed here.
    pub(crate) ours: String,
}

/// Characters of a peer's list that are kept.
const LONGEST_LIST: usize = 400;

impl Unmatched {
    /// If that is what the error says.
    pub(crate) fn of(error: &russh::Error) -> Option<Self> {
        let russh::Error::NoCommonAlgo { kind, ours, theirs } = error else { return None };
        let kind = match kind {
            AlgorithmKind::Kex => "key exchange",
            AlgorithmKind::Key => "kind of host key",
            AlgorithmKind::Cipher => "cipher",
            AlgorithmKind::Compression => "compression",
            AlgorithmKind::Mac => "MAC",
        };
        let listed = |names: &[String]| sallyport_plain::excerpt(&names.join(", "), LONGEST_LIST);
        Some(Self { kind, theirs: listed(theirs), ours: listed(ours) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn nothing_that_terrapin_attacks_is_offered() {
        let strict = towards_people(Algorithms::Strict);
        assert!(strict.cipher.iter().all(|c| c.as_ref().contains("gcm")));
        for offered in [
            strict,
            towards_people(Algorithms::Standard),
            towards_asset(&[Algorithm::Ed25519], AssetAlgorithms::Standard),
        ] {
            assert!(offered.cipher.iter().all(|c| c.as_ref().contains("gcm") || c.as_ref().contains("ctr")));
            assert!(offered.cipher[0].as_ref().contains("gcm"), "the best comes first");
            assert!(offered.mac.iter().all(|mac| mac.as_ref().contains("sha2")));
            assert!(offered.compression.iter().all(|c| *c == compression::NONE));
        }
    }

    #[test]
    fn what_is_weak_is_offered_to_a_legacy_asset_alone_and_last() {
        let rsa = [Algorithm::Rsa { hash: Some(HashAlg::Sha512) }];
        let (standard, legacy) =
            (towards_asset(&rsa, AssetAlgorithms::Standard), towards_asset(&rsa, AssetAlgorithms::Legacy));
        let weak = |name: &str| name.ends_with("sha1") || name.contains("sha1-") || name.contains("chacha20");
        let names = |offered: &Preferred| -> Vec<String> {
            let kex = offered.kex.iter().map(|name| name.as_ref().to_owned());
            let cipher = offered.cipher.iter().map(|name| name.as_ref().to_owned());
            kex.chain(cipher).chain(offered.mac.iter().map(|name| name.as_ref().to_owned())).collect()
        };
        assert!(!names(&standard).iter().any(|name| weak(name)), "{:?}", names(&standard));
        assert_eq!(names(&legacy).iter().filter(|name| weak(name)).count(), 4, "{:?}", names(&legacy));
        assert!(!standard.key.contains(&Algorithm::Rsa { hash: None }));
        assert_eq!(legacy.key.last(), Some(&Algorithm::Rsa { hash: None }));
        for offered in [&standard, &legacy] {
            assert_eq!(offered.kex.first(), Some(&kex::MLKEM768X25519_SHA256));
            assert_eq!(offered.kex.last(), Some(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER));
        }
        assert!(
            !towards_asset(&[Algorithm::Ed25519], AssetAlgorithms::Legacy).key.contains(&Algorithm::Rsa { hash: None })
        );
    }

    #[test]
    fn what_a_peer_offers_is_told_in_bounds() {
        let theirs = vec!["aes128-cbc".to_owned(), "\x1b[2J".to_owned(), "x".repeat(10_000)];
        let error =
            russh::Error::NoCommonAlgo { kind: AlgorithmKind::Cipher, ours: vec!["aes256-ctr".to_owned()], theirs };
        let told = Unmatched::of(&error).unwrap();
        assert_eq!((told.kind, told.ours.as_str()), ("cipher", "aes256-ctr"));
        assert!(told.theirs.starts_with("aes128-cbc, ") && told.theirs.len() < 600 && !told.theirs.contains('\x1b'));
        assert_eq!(Unmatched::of(&russh::Error::Disconnect), None);
    }

    #[test]
    fn sha1_signatures_are_refused() {
        assert!(!signature_allowed(&Algorithm::Rsa { hash: None }));
        assert!(signature_allowed(&Algorithm::Rsa { hash: Some(HashAlg::Sha512) }));
    }
}
