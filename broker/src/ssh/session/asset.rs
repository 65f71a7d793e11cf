//! The leg towards the asset: a new connection, a pinned host key, an injected credential.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::ssh_key::{Certificate, PrivateKey, PublicKey};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg};
use russh::{Channel, MethodKind, SshId};
use sallyport_policy::{AccountName, AssetAlgorithms};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::asset_handler::{AssetHandler, Conduct};
use crate::ssh::abortable::Abortable;
use crate::ssh::algorithms::{self, Unmatched};
use crate::ssh::backlog::ASSET_BUFFER;
use crate::ssh::channel::flow::Flow;
use crate::vault::Secret;

/// How often an asset may ask again for the same password by keyboard-interactive.
const PROMPT_ROUNDS: usize = 3;

/// What the account logs in with.
pub(crate) enum AssetCredential {
    /// A key made for this session, and the certificate that the broker's user CA signed for it.
    Certificate { key: Arc<PrivateKey>, certificate: Box<Certificate> },
    /// A key from the vault.
    Key(Arc<PrivateKey>),
    /// A password, from the vault or typed by the person for this one login.
    Password(Secret<String>),
}

/// An asset, its address and the keys it must prove to have.
pub(crate) struct Peer<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) pinned: &'a [PublicKey],
    /// What it may be spoken with.
    pub(crate) algorithms: AssetAlgorithms,
    pub(crate) account: &'a AccountName,
    /// What the connection will hold.
    pub(crate) flow: Flow,
}

/// Why there is no connection to the asset.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its service does not speak ssh")]
    NotSsh,
    #[error("no host key is pinned")]
    Unpinned,
    #[error("it did not answer: {0}")]
    Unreachable(#[source] std::io::Error),
    #[error("it did not finish the login within {} s", .0.as_secs())]
    TooSlow(Duration),
    #[error("it showed the host key {shown}, which is not pinned")]
    HostKey { shown: String },
    #[error("it did not accept the credential of the account")]
    Login,
    #[error("no credential is kept for the account")]
    NoCredential,
    #[error("the vault gave no credential: {0}")]
    Vault(String),
    #[error("no {} in common: it offers {}; allowed are {}", .0.kind, .0.theirs, .0.ours)]
    NothingInCommon(Unmatched),
    #[error("the SSH protocol failed: {0}")]
    Protocol(#[source] russh::Error),
}

/// A logged-in connection to an asset. Dropping the last clone closes it.
#[derive(Clone)]
pub(crate) struct AssetConnection {
    handle: Arc<client::Handle<AssetHandler>>,
    closed: CancellationToken,
    conduct: Arc<Conduct>,
    strict_exchange: bool,
}

impl AssetConnection {
    /// Resolves when the asset has closed the connection.
    pub(crate) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// What the asset asked for by itself, where that was so much that it was cut off.
    pub(crate) fn misbehaved(&self) -> Option<String> {
        self.conduct.misbehaved()
    }

    /// Whether the key exchange was strict (OpenSSH PROTOCOL, section 1.10).
    pub(crate) fn strict_exchange(&self) -> bool {
        self.strict_exchange
    }

    /// A new session channel.
    pub(crate) async fn open_session(&self) -> Result<Channel<client::Msg>, russh::Error> {
        self.handle.channel_open_session().await
    }

    /// A new connection that the asset makes to itself.
    pub(crate) async fn open_loopback(&self, host: &str, port: u16) -> Result<Channel<client::Msg>, russh::Error> {
        self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await
    }

    /// Says goodbye. A peer that is gone already is no error.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.handle.disconnect(russh::Disconnect::ByApplication, "session ended", "en").await {
            tracing::debug!(%error, "The asset's connection was closed already");
        }
    }
}

/// Connects, checks the host key, logs in: all of it within `limit`.
pub(crate) async fn dial(
    peer: Peer<'_>,
    credential: AssetCredential,
    limit: Duration,
) -> Result<AssetConnection, DialError> {
    if peer.pinned.is_empty() {
        return Err(DialError::Unpinned);
    }
    tokio::time::timeout(limit, connect(peer, credential)).await.map_err(|_| DialError::TooSlow(limit))?
}

/// Connects and checks the host key, within `limit`, and leaves again: nobody logs in.
pub(crate) async fn meet(peer: Peer<'_>, limit: Duration) -> Result<(), DialError> {
    if peer.pinned.is_empty() {
        return Err(DialError::Unpinned);
    }
    let met = tokio::time::timeout(limit, greet(&peer)).await.map_err(|_| DialError::TooSlow(limit))??;
    met.into_connection().close().await;
    Ok(())
}

async fn connect(peer: Peer<'_>, credential: AssetCredential) -> Result<AssetConnection, DialError> {
    let mut met = greet(&peer).await?;
    log_in(&mut met.handle, peer.account, credential).await?;
    Ok(met.into_connection())
}

/// An asset that has proven who it is, and that nobody has logged in to.
struct Met {
    handle: client::Handle<AssetHandler>,
    closed: CancellationToken,
    conduct: Arc<Conduct>,
}

impl Met {
    fn into_connection(self) -> AssetConnection {
        let Self { handle, closed, conduct } = self;
        let strict_exchange = conduct.strict_exchange();
        AssetConnection { handle: Arc::new(handle), closed, conduct, strict_exchange }
    }
}

async fn greet(peer: &Peer<'_>) -> Result<Met, DialError> {
    let socket = TcpStream::connect(peer.address).await.map_err(DialError::Unreachable)?;
    socket.set_nodelay(true).map_err(DialError::Unreachable)?;
    let conduct = Arc::new(Conduct::default());
    let closed = CancellationToken::new();
    let handler = AssetHandler::new(peer.pinned.to_vec(), Arc::clone(&conduct), closed.clone().drop_guard());
    let socket = Abortable::new(peer.flow.meter(socket), conduct.cut());
    let pinned: Vec<_> = peer.pinned.iter().map(PublicKey::algorithm).collect();
    let connected = client::connect_stream(config(&pinned, peer.algorithms), socket, handler).await;
    let refused_key = || conduct.wrong_key().map(|shown| DialError::HostKey { shown });
    let handle = connected.map_err(|error| refused_key().unwrap_or_else(|| classify(error)))?;
    Ok(Met { handle, closed, conduct })
}

fn classify(error: russh::Error) -> DialError {
    if let Some(unmatched) = Unmatched::of(&error) {
        return DialError::NothingInCommon(unmatched);
    }
    match error {
        russh::Error::IO(error) => DialError::Unreachable(error),
        other => DialError::Protocol(other),
    }
}

async fn log_in(
    handle: &mut client::Handle<AssetHandler>,
    account: &AccountName,
    credential: AssetCredential,
) -> Result<(), DialError> {
    let result = match credential {
        AssetCredential::Certificate { key, certificate } => {
            handle.authenticate_openssh_cert(account.as_str(), key, *certificate).await
        }
        AssetCredential::Key(key) => {
            let hash = key.algorithm().is_rsa().then_some(HashAlg::Sha512);
            handle.authenticate_publickey(account.as_str(), PrivateKeyWithHashAlg::new(key, hash)).await
        }
        AssetCredential::Password(password) => return log_in_by_password(handle, account, &password).await,
    };
    match result.map_err(DialError::Protocol)? {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { .. } => Err(DialError::Login),
    }
}

/// Old equipment often knows only keyboard-interactive: the same password answers its hidden prompts.
async fn log_in_by_password(
    handle: &mut client::Handle<AssetHandler>,
    account: &AccountName,
    password: &Secret<String>,
) -> Result<(), DialError> {
    let result = handle
        .authenticate_password(account.as_str(), password.expose().as_str())
        .await
        .map_err(DialError::Protocol)?;
    let AuthResult::Failure { remaining_methods, .. } = result else { return Ok(()) };
    if !remaining_methods.contains(&MethodKind::KeyboardInteractive) {
        return Err(DialError::Login);
    }
    let mut answer =
        handle.authenticate_keyboard_interactive_start(account.as_str(), None).await.map_err(DialError::Protocol)?;
    for _ in 0..PROMPT_ROUNDS {
        match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(()),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Err(DialError::Login),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answers =
                    prompts.iter().map(|p| if p.echo { String::new() } else { password.expose().clone() }).collect();
                answer =
                    handle.authenticate_keyboard_interactive_respond(answers).await.map_err(DialError::Protocol)?;
            }
        }
    }
    match answer {
        KeyboardInteractiveAuthResponse::Success => Ok(()),
        KeyboardInteractiveAuthResponse::Failure { .. } | KeyboardInteractiveAuthResponse::InfoRequest { .. } => {
            Err(DialError::Login)
        }
    }
}

fn config(pinned: &[russh::keys::Algorithm], offered: AssetAlgorithms) -> Arc<client::Config> {
    Arc::new(client::Config {
        client_id: SshId::Standard("SSH-2.0-Sallyport".into()),
        preferred: algorithms::towards_asset(pinned, offered),
        channel_buffer_size: ASSET_BUFFER,
        keepalive_interval: Some(Duration::from_secs(20)),
        keepalive_max: 3,
        inactivity_timeout: None,
        nodelay: true,
        ..client::Config::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use ssh_key::private::Ed25519Keypair;

    use super::*;

    #[tokio::test]
    async fn an_asset_that_says_nothing_is_given_up_at_the_limit() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pinned = [PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32])).public_key().clone()];
        let account = "operator".parse().unwrap();
        let peer = Peer {
            address: silent.local_addr().unwrap(),
            pinned: &pinned,
            algorithms: AssetAlgorithms::Standard,
            account: &account,
            flow: Flow::default(),
        };
        let limit = Duration::from_millis(100);
        let dialled = dial(peer, AssetCredential::Password(Secret::new("x".to_owned())), limit);
        let dialled = tokio::time::timeout(Duration::from_secs(10), dialled).await.unwrap();
        assert!(matches!(dialled, Err(DialError::TooSlow(given_up)) if given_up == limit));
    }
}
