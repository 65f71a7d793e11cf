//! Opens the portal's ports, and serves each connection that the door takes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::audience::Audience;
use super::certificate::{self, PemError, Reloading};
use super::pages;
use super::serve;
use super::served::Served;
use super::site::Site;
use crate::config::{Management, Portal};
use crate::listen::{For, Inherited, Until};
use crate::login::Entrance;

/// A portal that listens, but does not serve yet.
#[derive(Debug)]
pub(crate) struct Listening {
    settings: Portal,
    listeners: Vec<TcpListener>,
    /// Where administrators' and auditors' pages have addresses of their own.
    management: Vec<TcpListener>,
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
        let failed = |(address, source)| PortalError::Listen { address, source };
        let listeners = inherited.listen(For::Portal, &settings.listen).await.map_err(failed)?;
        tracing::info!(origin = settings.origin, "The portal's origin");
        let management = match &settings.management {
            Some(management) => {
                tracing::info!(origin = management.origin, "The origin of administrators' and auditors' pages");
                inherited.listen(For::Management, &management.listen).await.map_err(failed)?
            }
            None => Vec::new(),
        };
        tracing::info!(fingerprint = certificate.fingerprint(), "The portal's certificate");
        Ok(Self { settings, listeners, management, certificate, tls })
    }

    /// Takes whoever comes until `accepting` is cancelled, and serves them until `stop`; returns when every connection is closed or the farewell is over.
    pub(crate) async fn serve(self, entrance: Arc<Entrance>, accepting: CancellationToken, stop: CancellationToken) {
        let Self { settings, listeners, management, certificate, tls } = self;
        // Where they have no address of their own, everything lies at the one that there is.
        let (separate, origin) = (settings.management.clone(), settings.origin.clone());
        let site = Site::new(Arc::clone(&entrance), settings, certificate, tls);
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&site).keep(stop.clone()));
        let serve = |audience, origin: &str| {
            let pages = pages::all(Arc::clone(&site), audience);
            let served = Served { pages, site: Arc::clone(&site), origin: origin.into() };
            let stopping = stop.clone();
            move |socket, peer, pass| serve::serve(served.clone(), socket, peer, pass, stopping.clone())
        };
        let until = || Until { accepting: accepting.clone(), stop: stop.clone() };
        let door = &entrance.door;
        match &separate {
            None => {
                let all = serve(Audience::Management, &origin);
                crate::listen::listen(door, listeners, tasks, until(), all).await;
            }
            Some(Management { origin: apart, .. }) => {
                let (operators, managers) = (serve(Audience::Operators, &origin), serve(Audience::Management, apart));
                tokio::join!(
                    crate::listen::listen(door, listeners, tasks.clone(), until(), operators),
                    crate::listen::listen(door, management, tasks, until(), managers),
                );
            }
        }
    }
}
