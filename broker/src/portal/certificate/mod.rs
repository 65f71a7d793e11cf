//! The certificate that the portal shows, from two PEM files, and read anew when they change.
//!
//! Bad new files change nothing: the certificate that was good stays, and that the new one is not is said loudly. At the start they are
//! an error.

mod examined;
mod made;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

pub(crate) use examined::{Examined, examine};
#[cfg(test)]
use made::MadeCertificate;
pub(crate) use made::make;

use crate::config::Portal;

/// HTTP/2, as TLS names it.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The files are looked at this often.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);
/// The largest file of either that is read.
const LARGEST: u64 = 256 << 10;

/// What tells whether the files have changed.
type Print = [u8; digest::SHA256_OUTPUT_LEN];

/// Why files are no certificate and key.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// A file cannot be read.
    #[error("`{}`: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is larger than any such file.
    #[error("`{}` is larger than {LARGEST} bytes", .0.display())]
    TooLarge(PathBuf),
    /// The file of the certificate holds none.
    #[error("`{}` holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The file of the key holds none.
    #[error("`{}` holds no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// The two do not go together, or are of a kind that is not spoken.
    #[error("certificate and key cannot be used together: {0}")]
    Unusable(rustls::Error),
}

/// A certificate that is read anew when its files change.
#[derive(Debug)]
pub(super) struct Reloading {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
    /// What the files held at the start.
    begun: Print,
}

/// Both files as they were read.
struct Files {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Reloading {
    /// Reads both files.
    ///
    /// # Errors
    /// They are not there, or are no certificate and key.
    pub(super) fn read(portal: &Portal) -> Result<Arc<Self>, PemError> {
        let (certificate, key) = (portal.certificate.clone(), portal.key.clone());
        let files = Files::read(&certificate, &key)?;
        let current = RwLock::new(Arc::new(files.certified(&certificate, &key)?));
        Ok(Arc::new(Self { certificate, key, current, begun: files.print() }))
    }

    /// Looks at the files until `stop`.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut seen = Some(self.begun);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(CERTIFICATE_LOOK) => {}
            }
            let now = self.seen().await;
            if now != seen {
                seen = now;
                self.reload().await;
            }
        }
    }

    /// What the files hold now, as far as a change shows.
    async fn seen(self: &Arc<Self>) -> Option<Print> {
        Some(self.files().await.ok()?.print())
    }

    async fn files(self: &Arc<Self>) -> Result<Files, PemError> {
        let this = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || Files::read(&this.certificate, &this.key));
        read.await.unwrap_or_else(|error| {
            Err(PemError::Read { path: self.certificate.clone(), source: io::Error::other(error) })
        })
    }

    async fn reload(self: &Arc<Self>) {
        let read = self.files().await.and_then(|files| files.certified(&self.certificate, &self.key));
        match read {
            Ok(certified) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                tracing::info!(fingerprint = self.fingerprint(), "The portal's certificate was read anew");
            }
            Err(error) => {
                tracing::error!(%error, "The portal's new certificate cannot be used; the one before stays");
            }
        }
    }

    /// SHA-256 over the certificate, as browsers show it.
    pub(super) fn fingerprint(&self) -> String {
        self.current().cert.first().map_or_else(String::new, |certificate| fingerprint(certificate))
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, PemError> {
        Ok(Self { certificate: bounded(certificate)?.to_vec(), key: bounded(key)? })
    }

    fn certified(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, PemError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| PemError::NoCertificate(certificate.to_owned()))?;
        let private = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| PemError::NoKey(key.to_owned()))?;
        CertifiedKey::from_der(chain, private, &provider()).map_err(PemError::Unusable)
    }

    fn print(&self) -> Print {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.certificate.len().to_be_bytes());
        context.update(&self.certificate);
        context.update(&self.key);
        let mut print = Print::default();
        print.copy_from_slice(context.finish().as_ref());
        print
    }
}

/// TLS 1.3 alone, with no ticket: nothing is resumed, and no data comes before the handshake is over.
pub(super) fn tls(certificate: Arc<Reloading>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13])?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Reads a file, and no more of it than any such file has.
fn bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let fault = |source| PemError::Read { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new(Vec::new());
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(fault)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(PemError::TooLarge(path.to_owned()));
    }
    Ok(bytes)
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

/// `AA:BB:…`
fn fingerprint(certificate: &[u8]) -> String {
    let print = digest::digest(&digest::SHA256, certificate);
    let bytes: Vec<String> = print.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests;
