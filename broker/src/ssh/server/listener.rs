//! Listens, and serves each connection that the door takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::serve::{self, FAREWELL};
use super::shared::Server;
use crate::broker::Broker;
use crate::listen::accept;

/// Serves all listening sockets until `stop`, under one set of limits; returns when every connection is closed or the
/// farewell is over.
pub async fn listen(broker: Arc<Broker>, listeners: Vec<TcpListener>, stop: CancellationToken) {
    let server = Server::new(broker);
    let tasks = TaskTracker::new();
    tasks.spawn(Arc::clone(&server).tell_waves(stop.clone()));
    tasks.spawn(Arc::clone(&server).follow_leases(stop.clone()));
    tasks.spawn(Arc::clone(&server.lobbies).watch(Arc::clone(&server.broker), stop.clone()));
    for listener in listeners {
        let (server, serving, ending) = (Arc::clone(&server), tasks.clone(), stop.clone());
        tasks.spawn(accept(listener, stop.clone(), move |socket, peer| {
            take(&server, &serving, &ending, socket, peer);
        }));
    }
    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(FAREWELL, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "Connections were still open when the broker stopped");
    }
}

/// Behind a dual-stack socket, IPv4 addresses come mapped; policy, leases and logs mean the plain one.
fn take(server: &Arc<Server>, tasks: &TaskTracker, stop: &CancellationToken, socket: TcpStream, peer: SocketAddr) {
    match server.door.admit(peer.ip().to_canonical(), Instant::now()) {
        Ok(slot) => {
            let (server, stop) = (Arc::clone(server), stop.clone());
            tasks.spawn(async move {
                serve::outer(server, socket, peer, &slot, stop).await;
                // It keeps its slot until it is really over.
                drop(slot);
            });
        }
        // How many were turned away is told together.
        Err(turned) => tracing::debug!(%peer, ?turned, "A connection was turned away"),
    }
}
