//! What a browser would see in a certificate, read for `sallyport portal check`.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::{Files, PemError, fingerprint};
use crate::config::Portal;

/// A certificate, as far as a browser asks.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The names and addresses it is for.
    pub(crate) names: Vec<String>,
    /// Whether the portal's name is one of them.
    pub(crate) covers_name: bool,
    /// From when.
    pub(crate) not_before: Timestamp,
    /// Until when.
    pub(crate) not_after: Timestamp,
    /// Whether it vouches for itself.
    pub(crate) self_made: bool,
    /// How many certificates of authorities come with it.
    pub(crate) authorities: usize,
    /// SHA-256 over it, as browsers show it.
    pub(crate) fingerprint: String,
}

/// Reads the portal's certificate and key.
///
/// # Errors
/// They are not there, or cannot be used.
pub(crate) fn examine(portal: &Portal) -> Result<Examined, PemError> {
    let files = Files::read(&portal.certificate, &portal.key)?;
    let certified = files.certified(&portal.certificate, &portal.key)?;
    let none = || PemError::NoCertificate(portal.certificate.clone());
    let der: &CertificateDer<'_> = certified.cert.first().ok_or_else(none)?;
    let (_, parsed) = parse_x509_certificate(der).map_err(|_| none())?;
    let covers_name = ServerName::try_from(portal.name.as_str()).is_ok_and(|name| {
        ParsedCertificate::try_from(der)
            .is_ok_and(|certificate| rustls::client::verify_server_name(&certificate, &name).is_ok())
    });
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default();
    let moment = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN);
    Ok(Examined {
        names,
        covers_name,
        not_before: moment(parsed.validity().not_before.timestamp()),
        not_after: moment(parsed.validity().not_after.timestamp()),
        self_made: parsed.subject() == parsed.issuer(),
        authorities: certified.cert.len() - 1,
        fingerprint: fingerprint(der),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            address.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    }
}
