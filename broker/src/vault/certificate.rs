//! What the broker's certificate authorities sign: a login on an asset for one session, and the broker's own host keys.

use jiff::{SignedDuration, Timestamp};
use ssh_key::certificate::{Builder, CertType, Certificate};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{PrivateKey, PublicKey};

/// A login on an asset, to be signed: the asset's own log will name the identity and the session.
#[derive(Clone, Copy, Debug)]
pub struct AssetLogin<'a> {
    /// The account on the asset: the certificate's only principal.
    pub account: &'a str,
    /// Who logs in.
    pub identity: &'a str,
    /// In which session.
    pub session: &'a str,
    /// What the asset may allow. Nothing else is granted.
    pub extensions: &'a [Extension],
    /// In an emergency: whatever the broker's clock says. Its key lives in this process alone, and only for the session.
    pub at_any_time: bool,
}

/// What a certificate lets its holder ask of the asset's sshd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A terminal.
    Pty,
    /// direct-tcpip to the asset's own loopback.
    PortForwarding,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A host certificate for no name would be valid for every name.
    #[error("a certificate without a principal would be valid for everybody")]
    NoPrincipal,
    /// The time is not one that a certificate can hold.
    #[error("the clock stands before 1970")]
    Clock,
    /// The certificate could not be built.
    #[error("cannot sign a certificate: {0}")]
    Build(#[from] ssh_key::Error),
}

/// An ephemeral key and a certificate for it that is good for this login, now.
pub(super) fn asset_login(
    user_ca: &PrivateKey,
    login: &AssetLogin<'_>,
    now: Timestamp,
) -> Result<(PrivateKey, Certificate), SignError> {
    let key = ephemeral();
    let certificate = user_certificate(user_ca, key.public_key(), login, now)?;
    Ok((key, certificate))
}

/// Signs `key` for one login: one principal, valid for a minute to either side of `now`, unless an emergency must not hang on a clock.
pub(super) fn user_certificate(
    user_ca: &PrivateKey,
    key: &PublicKey,
    login: &AssetLogin<'_>,
    now: Timestamp,
) -> Result<Certificate, SignError> {
    if login.account.is_empty() {
        return Err(SignError::NoPrincipal);
    }
    let mut builder = match login.at_any_time {
        false => builder(key, moment(now - USER_VALIDITY)?, moment(now + USER_VALIDITY)?)?,
        true => builder(key, 0, FOREVER)?,
    };
    builder.cert_type(CertType::User)?;
    builder.key_id(format!("identity={} session={}", login.identity, login.session))?;
    builder.valid_principal(login.account)?;
    for extension in login.extensions {
        builder.extension(extension.name(), "")?;
    }
    Ok(builder.sign(user_ca)?)
}

/// Signs the broker's host key for the names under which it answers. It does not end: people's clients judge it by their clocks, and whoever
/// comes with an envelope must not be kept out by the broker's, which may have lost its battery. A bound would protect nothing, since the
/// authority's key lies beside the one that it is for.
pub(super) fn host_certificate(
    host_ca: &PrivateKey,
    key: &PublicKey,
    principals: &[String],
) -> Result<Certificate, SignError> {
    let mut builder = builder(key, 0, FOREVER)?;
    builder.cert_type(CertType::Host)?;
    let first = principals.iter().find(|name| !name.is_empty()).ok_or(SignError::NoPrincipal)?;
    builder.key_id(format!("sallyport host {first}"))?;
    for principal in principals.iter().filter(|name| !name.is_empty()) {
        builder.valid_principal(principal)?;
    }
    Ok(builder.sign(host_ca)?)
}

impl Extension {
    fn name(self) -> &'static str {
        match self {
            Self::Pty => "permit-pty",
            Self::PortForwarding => "permit-port-forwarding",
        }
    }
}

fn moment(time: Timestamp) -> Result<u64, SignError> {
    u64::try_from(time.as_second()).map_err(|_| SignError::Clock)
}

/// `from` and `to` in seconds since 1970.
fn builder(key: &PublicKey, from: u64, to: u64) -> Result<Builder, SignError> {
    let mut random = rand::rng();
    let mut builder = Builder::new_with_random_nonce(&mut random, key.key_data().clone(), from, to)?;
    // Random, so that two brokers on one database need not agree on a counter; 63 bits do not meet twice.
    builder.serial(rand::random::<u64>() >> 1)?;
    Ok(builder)
}

fn ephemeral() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::random(&mut rand::rng()))
}

/// Long enough for a dial and for clocks that differ a little; short enough to be worthless afterwards.
const USER_VALIDITY: SignedDuration = SignedDuration::from_secs(60);
/// `valid before` of a certificate that does not end (OpenSSH's PROTOCOL.certkeys).
const FOREVER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_asset_login_names_person_and_session_and_grants_nothing_else() {
        let ca = ephemeral();
        let login = AssetLogin {
            account: "operator",
            identity: "alice",
            session: "01j",
            extensions: &[Extension::Pty],
            at_any_time: false,
        };
        let (key, certificate) = asset_login(&ca, &login, now()).unwrap();
        assert_eq!(certificate.public_key(), key.public_key().key_data());
        assert_eq!(certificate.cert_type(), CertType::User);
        assert_eq!(certificate.key_id(), "identity=alice session=01j");
        assert_eq!(certificate.valid_principals(), ["operator"]);
        assert_eq!(certificate.valid_before() - certificate.valid_after(), 120);
        assert_eq!(certificate.extensions().keys().collect::<Vec<_>>(), ["permit-pty"]);
        assert!(certificate.critical_options().is_empty());
        let trusted = [ca.fingerprint(ssh_key::HashAlg::Sha256)];
        let at = |seconds: i64| u64::try_from(now().as_second() + seconds).unwrap();
        assert!(certificate.validate_at(at(0), &trusted).is_ok());
        assert!(certificate.validate_at(at(60), &trusted).is_err(), "over after a minute");
        assert!(certificate.validate_at(at(-61), &trusted).is_err(), "not before");
    }

    #[test]
    fn an_emergency_reaches_an_asset_whatever_the_clock_says() {
        let ca = ephemeral();
        let login =
            AssetLogin { account: "operator", identity: "glass", session: "01j", extensions: &[], at_any_time: true };
        let trusted = [ca.fingerprint(ssh_key::HashAlg::Sha256)];
        for now in ["1969-12-31T23:00:00Z", "2026-11-23T08:00:00Z", "2099-01-01T00:00:00Z"] {
            let (_, certificate) = asset_login(&ca, &login, now.parse().unwrap()).unwrap();
            let real = u64::try_from(self::now().as_second()).unwrap();
            assert!(certificate.validate_at(real, &trusted).is_ok(), "by a clock that says {now}");
            assert_eq!(certificate.valid_principals(), ["operator"]);
        }
    }

    #[test]
    fn two_logins_share_neither_key_nor_serial() {
        let ca = ephemeral();
        let login =
            AssetLogin { account: "operator", identity: "alice", session: "01j", extensions: &[], at_any_time: false };
        let (one, first) = asset_login(&ca, &login, now()).unwrap();
        let (two, second) = asset_login(&ca, &login, now()).unwrap();
        assert_ne!(one.public_key(), two.public_key());
        assert_ne!(first.serial(), second.serial());
    }

    #[test]
    fn no_certificate_is_made_for_everybody() {
        let ca = ephemeral();
        let login = AssetLogin { account: "", identity: "alice", session: "01j", extensions: &[], at_any_time: false };
        assert!(matches!(asset_login(&ca, &login, now()), Err(SignError::NoPrincipal)));
        let none = host_certificate(&ca, ephemeral().public_key(), &[String::new()]);
        assert!(matches!(none, Err(SignError::NoPrincipal)));
    }

    /// As a person's client judges it, whatever the broker's clock said when it was made.
    #[test]
    fn a_host_certificate_names_its_hosts_and_does_not_end() {
        let (ca, key) = (ephemeral(), ephemeral());
        let names = ["ews-1".to_owned(), "10.10.1.20".to_owned()];
        let certificate = host_certificate(&ca, key.public_key(), &names).unwrap();
        assert_eq!(certificate.cert_type(), CertType::Host);
        assert_eq!(certificate.valid_principals(), names);
        let trusted = [ca.fingerprint(ssh_key::HashAlg::Sha256)];
        for clock in [0, u64::try_from(now().as_second()).unwrap(), 4_000_000_000] {
            assert!(certificate.validate_at(clock, &trusted).is_ok(), "{clock}");
        }
    }
}
