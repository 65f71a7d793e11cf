//! A certificate of our own making, for a trial and for the first hours: it vouches for itself, and a browser says so.

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use super::fingerprint;
use crate::vault::Secret;

/// How long it is valid: browsers believe none that is valid for much more than a year.
const DAYS: i64 = 397;
/// The name under which a machine reaches itself.
const LOCALHOST: &str = "localhost";

/// A new certificate and its key, both in PEM.
#[derive(Debug)]
pub(crate) struct MadeCertificate {
    /// The certificate.
    pub(crate) certificate: String,
    /// Its private key.
    pub(crate) key: Secret<String>,
    /// SHA-256 over the certificate, as browsers show it.
    pub(crate) fingerprint: String,
}

/// Makes one for a name; for `localhost`, also for the addresses that it means.
///
/// # Errors
/// The name is none that a certificate can hold.
pub(crate) fn make(name: &str, now: Timestamp) -> Result<MadeCertificate, rcgen::Error> {
    let mut names = vec![name.to_owned()];
    if name == LOCALHOST {
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let today = now.to_zoned(TimeZone::UTC).date();
    // From yesterday: a clock that is a little behind must not find it not valid yet.
    let day = |date: jiff::civil::Date| {
        let part = |part: i8| u8::try_from(part).unwrap_or(1);
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = day(today.saturating_sub(1.day()));
    params.not_after = day(today.saturating_add(DAYS.days()));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(MadeCertificate {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem()),
        fingerprint: fingerprint(certificate.der()),
    })
}
