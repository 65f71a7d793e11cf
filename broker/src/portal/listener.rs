//! Opens the portal's ports, and serves each connection that the door takes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate::{self, PemError, Reloading};
use super::pages;
use super::serve::{self, Served};
use super::site::Site;
use crate::config::Portal;
use crate::listen::{For, Inherited, Until};
use crate::login::Entrance;

/// A portal that listens, but does not serve yet.
#[derive(Debug)]
pub(crate) struct Listening {
    settings: Portal,
    listeners: Vec<TcpListener>,
    certificate: Arc<Reloading>,
    tls: Arc<ServerConfig>,
}

/// Why there is no portal.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// A port cannot be had.
    #[error("the portal cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Its certificate.
    #[error("the portal's certificate: {0}; `sallyport portal check` says more")]
    Certificate(#[from] PemError),
    /// TLS cannot be spoken.
    #[error("the portal cannot speak TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Listening {
    /// Reads the certificate and binds the ports.
    ///
    /// # Errors
    /// Either cannot be done: nothing is served then.
    pub(crate) async fn open(settings: Portal, inherited: &mut Inherited) -> Result<Self, PortalError> {
        let certificate = Reloading::read(&settings)?;
        let tls = certificate::tls(Arc::clone(&certificate))?;
        let listening = inherited.listen(For::Portal, &settings.listen).await;
        let listeners = listening.map_err(|(address, source)| PortalError::Listen { address, source })?;
        tracing::info!(origin = settings.origin, "The portal's origin");
        tracing::info!(fingerprint = certificate.fingerprint(), "The portal's certificate");
        Ok(Self { settings, listeners, certificate, tls })
    }

    /// Takes whoever comes until `accepting` is cancelled, and serves them until `stop`; returns when every connection is closed or the farewell is over.
    pub(crate) async fn serve(self, entrance: Arc<Entrance>, accepting: CancellationToken, stop: CancellationToken) {
        let Self { settings, listeners, certificate, tls } = self;
        let site = Site::new(Arc::clone(&entrance), settings, certificate, tls);
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&site).keep(stop.clone()));
        let served = Served { pages: pages::all(Arc::clone(&site)), site };
        let stopping = stop.clone();
        let serve = move |socket, peer, pass| serve::serve(served.clone(), socket, peer, pass, stopping.clone());
        crate::listen::listen(&entrance.door, listeners, tasks, Until { accepting, stop }, serve).await;
    }
}
