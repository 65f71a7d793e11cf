//! The demo: a broker and a simulated plant in one process, on SQLite, in one folder.
//!
//! Nothing is special about it but who is on the other side: the same listener, policy, store and recorder as `serve`,
//! with their default sizes. The assets are those of the crate `sallyport-simulated-plant`.

mod banner;
mod code;
mod envelopes;
mod plant;
mod prepare;
mod service;

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use sallyport_simulated_plant::{Cell, CellError};
use tokio_util::sync::CancellationToken;

use crate::app::{App, RunError, StartError};
use crate::audit::AuditError;
use crate::config::ConfigError;
use crate::identity::admin::AdminError;
use crate::logging;
use crate::store::StoreError;
use crate::vault::{KeyName, VaultError};
pub(crate) use code::current_code;
use service::Service;

/// Where the broker of the demo listens unless told otherwise.
pub(crate) const SSH_PORT: u16 = 2222;
/// Where its portal is unless told otherwise, or unless something else is there.
const PORTAL_PORT: u16 = 8443;

/// The ports of the demo's broker, on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ports {
    ssh: u16,
    portal: u16,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// A file of the folder.
    #[error("`{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// A key of the folder.
    #[error("`{}`: {source}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: ssh_key::Error,
    },
    /// The folder could not be made, or holds something else.
    #[error("{0}")]
    Folder(String),
    /// The configuration in the folder.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The database in the folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys in the folder.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// alice and bob.
    #[error(transparent)]
    Identity(#[from] AdminError),
    /// The envelopes of the demo.
    #[error("an envelope: {0}")]
    Envelope(#[from] AuditError),
    /// The plant of the demo.
    #[error("the plant of the demo: {0}")]
    Plant(String),
    /// A simulated asset.
    #[error("the simulated plant: {0}")]
    Asset(#[from] CellError),
    /// The broker ended otherwise than in good order.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Starts everything, says what to paste, and serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// What cannot be made or started; a port that is taken is named.
pub(crate) async fn run(
    dir: &Path,
    ssh_port: u16,
    portal_port: Option<u16>,
    print: impl FnOnce(&str),
) -> Result<(), DemoError> {
    let home = prepare::Home::in_folder(dir)?;
    let ports = Ports { ssh: ssh_port, portal: portal_port.unwrap_or_else(free_port) };
    let config = home.configure(ports).await?;
    logging::begin(&config.log).map_err(DemoError::Folder)?;
    let app = App::start(config, false).await?;
    let broker = app.broker();

    let user_ca = broker.vault.public_key(KeyName::UserCa);
    let before = Service::ports(home.services_before());
    let cell = Cell::bind(before, home.asset_key()?, user_ca, &home.files()).await?;
    let services = Service::all(cell.places()?);
    let people = home.people(broker).await?;
    let policy = home.apply_plant(broker, &services).await?;
    home.write_client_files(broker, &policy, &services, &people)?;
    let envelopes = home.envelopes(broker).await?;
    print(&banner::text(&home, ports, &people, &envelopes));

    let stop = CancellationToken::new();
    let assets = tokio::spawn(cell.serve(stop.clone()));
    let ended = app.run(stop.clone()).await;
    stop.cancel();
    if let Err(error) = assets.await {
        tracing::error!(%error, "The simulated plant failed");
    }
    Ok(ended?)
}

/// The usual port of the portal, or any where something else is there: nobody has to know it, it is said.
fn free_port() -> u16 {
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| listener.local_addr());
    free(PORTAL_PORT).or_else(|_| free(0)).map_or(PORTAL_PORT, |address| address.port())
}
