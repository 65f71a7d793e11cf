//! Listens, and serves each connection that the door takes.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::serve;
use super::shared::Server;
use crate::listen::Until;
use crate::login::Entrance;

/// Takes whoever comes until `accepting` is cancelled, and serves them until `stop`; returns when every connection is closed or the
/// farewell is over.
pub(crate) async fn listen(
    entrance: Arc<Entrance>,
    listeners: Vec<TcpListener>,
    accepting: CancellationToken,
    stop: CancellationToken,
) {
    let server = Server::new(Arc::clone(&entrance));
    let tasks = TaskTracker::new();
    tasks.spawn(Arc::clone(&server.lobbies).watch(Arc::clone(&server.broker), stop.clone()));
    let stopping = stop.clone();
    let serve = move |socket, peer, pass| serve::outer(Arc::clone(&server), socket, peer, pass, stopping.clone());
    crate::listen::listen(&entrance.door, listeners, tasks, Until { accepting, stop }, serve).await;
}
