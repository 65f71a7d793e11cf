//! TLS to a receiver: whose certificate it may show is in a file that the configuration names, and nothing else counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{SendError, away};
use crate::config::Trust;

/// How TLS is spoken with one receiver.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// Why TLS cannot be spoken with a receiver.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// A file holds nothing of its kind.
    #[error("`{}` holds no {what} in PEM that can be used: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// Certificate and key do not go together.
    #[error("`{}` and its key cannot be used together: {reason}", path.display())]
    Own {
        /// The file of the certificate.
        path: PathBuf,
        /// Why not.
        reason: rustls::Error,
    },
    /// The library is without what it needs.
    #[error("tls cannot be spoken: {0}")]
    Unusable(rustls::Error),
    /// The receiver's name is none.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
}

impl Tls {
    pub(super) fn new(host: &str, trust: &Trust) -> Result<Self, TlsFileError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFileError::Name(host.to_owned()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .map_err(TlsFileError::Unusable)?
            .with_root_certificates(roots(&trust.ca)?);
        let config = match &trust.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = certificates(&own.certificate)?;
                let key = PrivateKeyDer::from_pem_file(&own.key)
                    .map_err(|error| unusable(&own.key, "private key", &error))?;
                let path = own.certificate.clone();
                builder.with_client_auth_cert(chain, key).map_err(|reason| TlsFileError::Own { path, reason })?
            }
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Speaks TLS on a connection.
    pub(super) async fn over(&self, socket: TcpStream) -> Result<TlsStream<TcpStream>, SendError> {
        match timeout(SPOKEN_WITHIN, self.connector.connect(self.name.clone(), socket)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(away("tls", &error)),
            Err(_) => Err(SendError::Away("tls: no answer".to_owned())),
        }
    }
}

fn roots(ca: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(ca)?);
    match added {
        0 => Err(unusable(ca, "certificate", &"none is of an authority")),
        _ => Ok(roots),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(unusable(path, "certificate", &"there is none")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, "certificate", &error)),
    }
}

fn unusable(path: &Path, what: &'static str, reason: &impl std::fmt::Display) -> TlsFileError {
    TlsFileError::File { path: path.to_owned(), what, reason: reason.to_string() }
}

const SPOKEN_WITHIN: Duration = Duration::from_secs(5);
