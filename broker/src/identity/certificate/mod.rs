//! SSH user certificates as a first factor. The SSH library checks the certificate's own signature and window, and nothing
//! else; everything that makes a certificate mean something is checked here.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use jiff::Timestamp;
use ssh_key::certificate::{CertType, Certificate};
use ssh_key::{Algorithm, Fingerprint, HashAlg, PublicKey};

use super::key;

/// Which certificate authorities are trusted to name people, and what is revoked.
#[derive(Clone, Debug, Default)]
pub struct CertificateRules {
    authorities: Vec<Fingerprint>,
    revoked: BTreeSet<Revoked>,
}

/// Something that no longer counts: `key:SHA256:…` (a person's key, a certificate's, or an authority's), `serial:42`,
/// `id:alice@laptop` (a certificate's key id).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// A key by its fingerprint.
    Key(String),
    /// A certificate by its serial number, of whatever authority.
    Serial(u64),
    /// A certificate by its key id.
    KeyId(String),
}

impl fmt::Display for Revoked {
    /// As it is written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "key:{fingerprint}"),
            Self::Serial(serial) => write!(f, "serial:{serial}"),
            Self::KeyId(id) => write!(f, "id:{id}"),
        }
    }
}

/// What is wrong with the configured rules.
#[derive(Debug, thiserror::Error)]
pub enum CertificateRulesError {
    /// An authority's key is too weak, or of a kind that is not accepted.
    #[error("user certificate authority {fingerprint}: {fault}")]
    Authority {
        /// Which one.
        fingerprint: String,
        /// What is wrong with it.
        fault: key::KeyFault,
    },
    /// Not a revocation.
    #[error("`{0}` is not a revocation: expected `key:SHA256:…`, `serial:NUMBER` or `id:TEXT`")]
    Revoked(String),
}

/// Why a certificate is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate for people.
    #[error("it is a host certificate")]
    Host,
    /// Signed by an authority that nobody configured.
    #[error("its authority {0} is not trusted")]
    Authority(String),
    /// Signed with SHA-1, or not rightly signed at all.
    #[error("its signature is not valid, or made with SHA-1")]
    Signature,
    /// Not yet, or no longer.
    #[error("it is valid from {from} until {until} (seconds since 1970), and it is {now}")]
    Validity {
        /// Start.
        from: u64,
        /// End.
        until: u64,
        /// Now.
        now: i64,
    },
    /// Without principals OpenSSH lets it be anybody: here it is nobody.
    #[error("it names no principal")]
    NoPrincipals,
    /// It is somebody else's.
    #[error("it does not name this identity")]
    Principal,
    /// A condition that this broker cannot keep.
    #[error("it has the critical option `{0}`, which is not supported here")]
    CriticalOption(String),
    /// `source-address` that does not hold, or cannot be read.
    #[error("it is not valid from {0}")]
    Source(IpAddr),
    /// Revoked by the configuration.
    #[error("it is revoked ({0})")]
    Revoked(&'static str),
    /// A key of a kind that is not accepted.
    #[error("its key: {0}")]
    Key(key::KeyFault),
}

impl CertificateRules {
    /// From the public keys of the authorities, and what is revoked.
    pub fn new<'a>(
        authorities: impl IntoIterator<Item = &'a PublicKey>,
        revoked: impl IntoIterator<Item = Revoked>,
    ) -> Result<Self, CertificateRulesError> {
        let authorities = authorities.into_iter().map(|authority| {
            let fingerprint = authority.fingerprint(HashAlg::Sha256);
            match key::factor_of(authority.key_data()) {
                Ok(_) => Ok(fingerprint),
                Err(fault) => Err(CertificateRulesError::Authority { fingerprint: fingerprint.to_string(), fault }),
            }
        });
        Ok(Self { authorities: authorities.collect::<Result<_, _>>()?, revoked: revoked.into_iter().collect() })
    }

    /// Whether there is any authority.
    #[must_use]
    pub(super) fn trusts_any(&self) -> bool {
        !self.authorities.is_empty()
    }

    /// Whether a key is revoked, and by what.
    pub(super) fn key_revoked(&self, fingerprint: &str) -> Option<CertificateFault> {
        self.revoked.contains(&Revoked::Key(fingerprint.to_owned())).then_some(CertificateFault::Revoked("key"))
    }

    /// Every condition under which a certificate is a proof that `name` is here, from `source`, at `now`.
    pub fn check(
        &self,
        certificate: &Certificate,
        name: &str,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<(), CertificateFault> {
        if certificate.cert_type() != CertType::User {
            return Err(CertificateFault::Host);
        }
        self.check_authority(certificate)?;
        key::factor_of(certificate.public_key()).map_err(CertificateFault::Key)?;
        check_validity(certificate, now)?;
        check_principals(certificate, name)?;
        check_critical_options(certificate, source)?;
        self.check_revocation(certificate)
    }

    fn check_authority(&self, certificate: &Certificate) -> Result<(), CertificateFault> {
        let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
        if !self.authorities.contains(&authority) {
            return Err(CertificateFault::Authority(authority.to_string()));
        }
        if matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
            return Err(CertificateFault::Signature);
        }
        // At its own first second: the window is judged apart, so that the log can tell the two faults apart.
        certificate.validate_at(certificate.valid_after(), &self.authorities).map_err(|_| CertificateFault::Signature)
    }

    fn check_revocation(&self, certificate: &Certificate) -> Result<(), CertificateFault> {
        for key in [certificate.public_key(), certificate.signature_key()] {
            if let Some(fault) = self.key_revoked(&key::fingerprint(key)) {
                return Err(fault);
            }
        }
        if self.revoked.contains(&Revoked::Serial(certificate.serial())) {
            return Err(CertificateFault::Revoked("serial"));
        }
        if self.revoked.contains(&Revoked::KeyId(certificate.key_id().to_owned())) {
            return Err(CertificateFault::Revoked("key id"));
        }
        Ok(())
    }
}

impl CertificateFault {
    /// A short stable word for the audit.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Host => "certificate-host",
            Self::Authority(_) => "certificate-authority",
            Self::Signature => "certificate-signature",
            Self::Validity { .. } => "certificate-validity",
            Self::NoPrincipals => "certificate-no-principals",
            Self::Principal => "certificate-principal",
            Self::CriticalOption(_) => "certificate-critical-option",
            Self::Source(_) => "certificate-source",
            Self::Revoked(_) => "certificate-revoked",
            Self::Key(_) => "certificate-key",
        }
    }
}

impl FromStr for Revoked {
    type Err = CertificateRulesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || CertificateRulesError::Revoked(text.to_owned());
        match text.split_once(':').ok_or_else(fault)? {
            ("key", print) => {
                let print: Fingerprint = print.parse().map_err(|_| fault())?;
                // Keys are looked up by their SHA-256; another hash would silently never match.
                if print.is_sha256() { Ok(Self::Key(print.to_string())) } else { Err(fault()) }
            }
            ("serial", number) => Ok(Self::Serial(number.parse().map_err(|_| fault())?)),
            ("id", id) if !id.is_empty() => Ok(Self::KeyId(id.to_owned())),
            _ => Err(fault()),
        }
    }
}

/// `valid after <= now < valid before` (OpenSSH, PROTOCOL.certkeys).
fn check_validity(certificate: &Certificate, now: Timestamp) -> Result<(), CertificateFault> {
    let (from, until) = (certificate.valid_after(), certificate.valid_before());
    match u64::try_from(now.as_second()) {
        Ok(second) if from <= second && second < until => Ok(()),
        _ => Err(CertificateFault::Validity { from, until, now: now.as_second() }),
    }
}

fn check_principals(certificate: &Certificate, name: &str) -> Result<(), CertificateFault> {
    if certificate.valid_principals().is_empty() {
        return Err(CertificateFault::NoPrincipals);
    }
    if certificate.valid_principals().iter().any(|principal| principal == name) {
        Ok(())
    } else {
        Err(CertificateFault::Principal)
    }
}

/// `source-address` is honoured. Everything else is a condition that would not be kept: `force-command` above all.
fn check_critical_options(certificate: &Certificate, source: IpAddr) -> Result<(), CertificateFault> {
    for (option, value) in certificate.critical_options().iter() {
        match option.as_str() {
            "source-address" if source_is_in(value, source.to_canonical()) => {}
            "source-address" => return Err(CertificateFault::Source(source)),
            other => return Err(CertificateFault::CriticalOption(other.to_owned())),
        }
    }
    Ok(())
}

/// A list of addresses and CIDR networks. One that cannot be read makes the whole list worthless, as in OpenSSH.
fn source_is_in(list: &str, source: IpAddr) -> bool {
    let inside: Option<Vec<bool>> = list.split(',').map(|network| is_in(network, source)).collect();
    inside.is_some_and(|inside| inside.contains(&true))
}

/// Nothing for what is not a network, or has bits set beyond its prefix.
fn is_in(network: &str, source: IpAddr) -> Option<bool> {
    let (base, prefix) = match network.split_once('/') {
        Some((base, prefix)) => (base.parse::<IpAddr>().ok()?, Some(prefix.parse::<u32>().ok()?)),
        None => (network.parse::<IpAddr>().ok()?, None),
    };
    let (bits, width) = bits(base);
    let rest = width.checked_sub(prefix.unwrap_or(width))?;
    let prefix_of = |bits: u128| bits.checked_shr(rest).unwrap_or(0);
    if prefix_of(bits).checked_shl(rest).unwrap_or(0) != bits {
        return None;
    }
    let (source, source_width) = self::bits(source);
    Some(source_width == width && prefix_of(source) == prefix_of(bits))
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests;
