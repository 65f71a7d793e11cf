//! A plain TCP listener on loopback whose connections are forwarded without ssh, to isolate what filter and record cost.
//!
//! Whoever reaches it is taken for one identity, as long as that identity has a lease. So it is behind the feature
//! `bench-listener`, which only the benchmark sets and which the `sallyport` binary does not compile with. From the lease on
//! a connection goes the way of every forwarded stream: authorized, recorded, judged by the identity's rules.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::ssh_key::PublicKey;
use sallyport_policy::{AssetId, ServiceName};
use tokio::net::{TcpListener, TcpStream};

use crate::broker::Broker;
use crate::identity::{MultiFactor, Refused};
use crate::live::{Form, Target};
use crate::login::lease::longest;
use crate::session::{Authorization, Session};
use crate::tcp::bench::Plain;

/// For whom, and where to.
#[derive(Debug, Clone)]
pub struct Stand {
    /// The identity that every connection counts as.
    pub identity: String,
    /// The key that it logged in with when it got its lease.
    pub key: PublicKey,
    /// The asset.
    pub asset: AssetId,
    /// Its Modbus service.
    pub service: ServiceName,
}

/// What becomes of the record of what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// It is kept, as everywhere.
    Kept,
    /// It is dropped: what is left is the filter alone.
    Dropped,
}

/// Why a connection was not forwarded.
#[derive(Debug, thiserror::Error)]
enum NotForwarded {
    #[error("only loopback is served")]
    NotLoopback,
    #[error("the identity has no lease from here: {0}")]
    Login(#[from] Refused),
    #[error("the identity has no lease from here")]
    NoLease,
    #[error("no account is granted there")]
    NoAccount,
    #[error("not authorized: {0}")]
    NotAuthorized(String),
    #[error(transparent)]
    Start(#[from] crate::session::StartRefusal),
}

/// Forwards what is accepted. Returns when the listener fails.
pub async fn listen(broker: Arc<Broker>, listener: TcpListener, stand: Stand, record: Record) {
    loop {
        match listener.accept().await {
            Ok((socket, from)) => {
                let (broker, stand) = (Arc::clone(&broker), stand.clone());
                tokio::spawn(async move {
                    if let Err(error) = forward(broker, stand, record, socket, from).await {
                        tracing::error!(%error, "A plain connection was not forwarded");
                    }
                });
            }
            Err(error) => return tracing::error!(%error, "The bench listener ended"),
        }
    }
}

async fn forward(
    broker: Arc<Broker>,
    stand: Stand,
    record: Record,
    socket: TcpStream,
    from: SocketAddr,
) -> Result<(), NotForwarded> {
    if !from.ip().is_loopback() {
        return Err(NotForwarded::NotLoopback);
    }
    if let Err(error) = socket.set_nodelay(true) {
        tracing::warn!(%error, "Small messages may wait for each other");
    }
    let proof = proof(&broker, &stand, from).await?;
    let granted = broker.policy.current().accounts(proof.subject(), &stand.asset, &stand.service);
    let account = granted.into_iter().next().ok_or(NotForwarded::NoAccount)?;
    let target = Target { asset: stand.asset, service: stand.service, account, form: Form::Forward };
    let session = Session::accepted(broker, from.ip()).authenticate(proof);
    match session.authorize(target).await {
        Authorization::Authorized(authorized) => {
            let end = authorized.run(Plain { socket, kept: record == Record::Kept }).await?;
            tracing::debug!(end = end.word(), "Plain stream over");
            Ok(())
        }
        refused @ (Authorization::NeedFactors(_) | Authorization::NeedApproval(_) | Authorization::Denied(_)) => {
            Err(NotForwarded::NotAuthorized(format!("{refused:?}")))
        }
    }
}

async fn proof(broker: &Broker, stand: &Stand, from: SocketAddr) -> Result<MultiFactor, NotForwarded> {
    let now = broker.now();
    let verified = broker.identities.first_factor_key(&stand.identity, &stand.key, from.ip(), now).await?;
    let longest = longest(broker, verified.subject());
    broker.identities.lease(&verified, longest, now).await?.ok_or(NotForwarded::NoLease)
}
