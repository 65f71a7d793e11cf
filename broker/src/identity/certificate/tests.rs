#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use jiff::SignedDuration;
use ssh_key::PrivateKey;
use ssh_key::certificate::Builder;
use ssh_key::private::Ed25519Keypair;

use super::*;

const SOURCE: &str = "10.0.0.7";

fn now() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn key() -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::random(&mut rand::rng()))
}

/// A certificate that would be accepted, but for what the test changes.
struct Case {
    authority: PrivateKey,
    key: PrivateKey,
    host: bool,
    principals: Vec<&'static str>,
    options: Vec<(&'static str, &'static str)>,
    starts: i64,
    ends: i64,
    revoked: Vec<String>,
    source: &'static str,
}

impl Case {
    fn good() -> Self {
        Self {
            authority: key(),
            key: key(),
            host: false,
            principals: vec!["alice"],
            options: vec![],
            starts: -60,
            ends: 3600,
            revoked: vec![],
            source: SOURCE,
        }
    }

    fn certificate(&self) -> Certificate {
        let second = |offset| u64::try_from((now() + SignedDuration::from_secs(offset)).as_second()).unwrap();
        let public = self.key.public_key().key_data().clone();
        let mut builder =
            Builder::new_with_random_nonce(&mut rand::rng(), public, second(self.starts), second(self.ends)).unwrap();
        builder.cert_type(if self.host { CertType::Host } else { CertType::User }).unwrap();
        builder.serial(42).unwrap().key_id("alice@laptop").unwrap();
        if self.principals.is_empty() {
            builder.all_principals_valid().unwrap();
        }
        for principal in &self.principals {
            builder.valid_principal(*principal).unwrap();
        }
        for (name, value) in &self.options {
            builder.critical_option(*name, *value).unwrap();
        }
        builder.sign(&self.authority).unwrap()
    }

    fn check(&self) -> Result<(), CertificateFault> {
        self.check_against(&self.authority)
    }

    fn check_against(&self, authority: &PrivateKey) -> Result<(), CertificateFault> {
        let revoked = self.revoked.iter().map(|text| text.parse().unwrap());
        let rules = CertificateRules::new([authority.public_key()], revoked).unwrap();
        rules.check(&self.certificate(), "alice", self.source.parse().unwrap(), now())
    }
}

#[test]
fn a_good_certificate_is_accepted() {
    assert_eq!(Case::good().check(), Ok(()));
}

#[test]
fn another_authority_is_not_trusted() {
    let fault = Case::good().check_against(&key()).unwrap_err();
    assert!(matches!(fault, CertificateFault::Authority(_)));
}

#[test]
fn a_host_certificate_is_nobody() {
    assert_eq!(Case { host: true, ..Case::good() }.check(), Err(CertificateFault::Host));
}

#[test]
fn no_principals_is_nobody_and_other_principals_are_somebody_else() {
    assert_eq!(Case { principals: vec![], ..Case::good() }.check(), Err(CertificateFault::NoPrincipals));
    for principals in [vec!["bob"], vec!["Alice"], vec!["alic*"], vec![""]] {
        assert_eq!(Case { principals, ..Case::good() }.check(), Err(CertificateFault::Principal));
    }
    assert_eq!(Case { principals: vec!["bob", "alice"], ..Case::good() }.check(), Ok(()));
}

#[test]
fn its_time_counts_to_the_second() {
    let check = |starts, ends| Case { starts, ends, ..Case::good() }.check();
    assert_eq!(check(0, 1), Ok(()));
    assert!(matches!(check(-10, 0), Err(CertificateFault::Validity { .. })));
    assert!(matches!(check(1, 10), Err(CertificateFault::Validity { .. })));
}

#[test]
fn source_addresses_are_honoured() {
    let check = |source, list| Case { source, options: vec![("source-address", list)], ..Case::good() }.check();
    for (source, list) in [
        (SOURCE, "10.0.0.7"),
        (SOURCE, "192.0.2.0/24,10.0.0.0/8"),
        ("::ffff:10.0.0.7", "10.0.0.0/8"),
        ("2001:db8::7", "2001:db8::/32"),
    ] {
        assert_eq!(check(source, list), Ok(()), "{source} in {list}");
    }
    for list in ["10.0.0.8", "10.0.1.0/24", "", "10.0.0.7,rubbish", "!10.0.0.8", "10.0.0.7/8", "2001:db8::/32"] {
        assert_eq!(check(SOURCE, list), Err(CertificateFault::Source(SOURCE.parse().unwrap())), "{list}");
    }
}

#[test]
fn conditions_that_would_not_be_kept_are_refused() {
    for option in ["force-command", "verify-required", "x@example.com"] {
        let fault = Case { options: vec![(option, "x")], ..Case::good() }.check().unwrap_err();
        assert_eq!(fault, CertificateFault::CriticalOption(option.to_owned()));
    }
}

#[test]
fn revoked_by_key_authority_serial_or_key_id() {
    let good = Case::good();
    let print = |key: &PrivateKey| format!("key:{}", key.fingerprint(HashAlg::Sha256));
    let (mine, authority) = (print(&good.key), print(&good.authority));
    let serial_and_id = ["serial:42".to_owned(), "id:alice@laptop".to_owned()];
    let mut case = good;
    for revocation in [mine, authority].into_iter().chain(serial_and_id) {
        case.revoked = vec!["serial:41".to_owned(), revocation.clone()];
        assert!(matches!(case.check(), Err(CertificateFault::Revoked(_))), "{revocation}");
    }
    case.revoked = vec!["serial:41".to_owned(), "id:alice".to_owned()];
    assert_eq!(case.check(), Ok(()));
}

#[test]
fn a_changed_certificate_is_noticed() {
    let case = Case { principals: vec!["bobby"], ..Case::good() };
    let mut bytes = case.certificate().to_bytes().unwrap();
    let at = bytes.windows(5).position(|window| window == b"bobby").unwrap();
    bytes[at..at + 5].copy_from_slice(b"alice");
    let forged = Certificate::from_bytes(&bytes).unwrap();
    let rules = CertificateRules::new([case.authority.public_key()], []).unwrap();
    let fault = rules.check(&forged, "alice", SOURCE.parse().unwrap(), now());
    assert_eq!(fault, Err(CertificateFault::Signature));
}

#[test]
fn revocations_that_cannot_be_read_are_refused() {
    for revoked in ["alice", "key:rubbish", "serial:x", "id:", "uid:1"] {
        assert!(revoked.parse::<Revoked>().is_err(), "{revoked}");
    }
}
