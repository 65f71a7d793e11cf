//! Whom the workstation lets in: who shows a certificate of the one authority it trusts, as an sshd with `TrustedUserCAKeys`
//! would have it. The SSH library checks the certificate's own signature and window, and leaves the rest to its user.

use std::net::IpAddr;

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::{CertType, Certificate};
use russh::keys::ssh_key::{Fingerprint, HashAlg, PublicKey};

/// The authority that is trusted.
#[derive(Debug)]
pub(super) struct Authority(Fingerprint);

/// Why somebody stays outside.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no certificate for people")]
    Kind,
    #[error("the trusted authority did not sign it, or it does not hold now")]
    Signature,
    #[error("it does not name this account")]
    Account,
    #[error("its option `{0}` cannot be kept, or does not hold here")]
    Option(String),
}

impl Authority {
    pub(super) fn new(key: &PublicKey) -> Self {
        Self(key.fingerprint(HashAlg::Sha256))
    }

    pub(super) fn admits(
        &self,
        certificate: &Certificate,
        account: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if certificate.cert_type() != CertType::User {
            return Err(Refused::Kind);
        }
        let now = u64::try_from(now.as_second()).map_err(|_| Refused::Signature)?;
        certificate.validate_at(now, [&self.0]).map_err(|_| Refused::Signature)?;
        // One that names nobody would be good for everybody.
        if !certificate.valid_principals().iter().any(|principal| principal == account) {
            return Err(Refused::Account);
        }
        for (option, value) in certificate.critical_options().iter() {
            let held = option == "source-address"
                && value.split(',').any(|network| covers(network, from.to_canonical()) == Some(true));
            if !held {
                return Err(Refused::Option(option.clone()));
            }
        }
        Ok(())
    }
}

/// Is the address in the network (`10.0.0.0/8`), or the one that is named? Nothing for what is neither.
fn covers(network: &str, address: IpAddr) -> Option<bool> {
    let (base, length) = network.split_once('/').map_or((network, None), |(base, length)| (base, Some(length)));
    let (base, length) = (base.parse().ok()?, length.map(str::parse::<u32>).transpose().ok()?);
    let (differ, width): (u128, u32) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => ((base.to_bits() ^ address.to_bits()).into(), 32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits() ^ address.to_bits(), 128),
        _ => return Some(false),
    };
    let beyond = width.checked_sub(length.unwrap_or(width))?;
    Some(differ.checked_shr(beyond).unwrap_or(0) == 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use russh::keys::ssh_key::PrivateKey;
    use russh::keys::ssh_key::certificate::Builder;
    use russh::keys::ssh_key::private::Ed25519Keypair;

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    /// Signed by the key of `signer`, from second 100 to 200, for `principal`, with these options.
    fn certificate(signer: u8, kind: CertType, principal: &str, options: &[(&str, &str)]) -> Certificate {
        let mut builder =
            Builder::new_with_random_nonce(&mut rand::rng(), key(9).public_key().key_data().clone(), 100, 200).unwrap();
        builder.cert_type(kind).unwrap();
        builder.valid_principal(principal).unwrap();
        for (name, value) in options {
            builder.critical_option(*name, *value).unwrap();
        }
        builder.sign(&key(signer)).unwrap()
    }

    fn judged(certificate: &Certificate, at: i64) -> Result<(), Refused> {
        let authority = Authority::new(key(1).public_key());
        let from = "127.0.0.1".parse().unwrap();
        authority.admits(certificate, "operator", from, Timestamp::from_second(at).unwrap())
    }

    #[test]
    fn only_who_the_authority_sends_now_to_this_account_from_there_is_let_in() {
        let user = CertType::User;
        assert_eq!(judged(&certificate(1, user, "operator", &[]), 150), Ok(()));
        assert_eq!(judged(&certificate(2, user, "operator", &[]), 150), Err(Refused::Signature), "another authority");
        assert_eq!(judged(&certificate(1, user, "operator", &[]), 99), Err(Refused::Signature), "too early");
        assert_eq!(judged(&certificate(1, user, "operator", &[]), 200), Err(Refused::Signature), "too late");
        assert_eq!(judged(&certificate(1, CertType::Host, "operator", &[]), 150), Err(Refused::Kind));
        assert_eq!(judged(&certificate(1, user, "root", &[]), 150), Err(Refused::Account));
        let with = |option, value| judged(&certificate(1, user, "operator", &[(option, value)]), 150);
        for there in ["127.0.0.1", "10.0.0.0/8,127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0"] {
            assert_eq!(with("source-address", there), Ok(()), "{there}");
        }
        for elsewhere in ["10.0.0.1", "::1", "128.0.0.0/1", "127.0.0.1/33", "", "localhost"] {
            assert!(with("source-address", elsewhere).is_err(), "{elsewhere}");
        }
        assert_eq!(with("force-command", "true"), Err(Refused::Option("force-command".to_owned())));
    }
}
