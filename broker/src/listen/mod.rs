//! Listening sockets, whatever is spoken behind them: who is taken, how many, how fast, and how they are let go.
//!
//! ```text
//! socket ──accept──► Door (rate, source, room, all) ──Pass──► what is spoken behind it ──enter──► logged in
//! ```
//!
//! One [`Door`] stands before all the addresses of a broker: its limits hold for them together.

mod dismissal;
mod door;
mod inherited;
mod known;
mod rate;
mod shared;
mod turned;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use dismissal::STOPPED_WITHIN;
pub(crate) use dismissal::{Dismissal, dismissed, overdue};
#[cfg(test)]
pub(crate) use door::Slot;
pub(crate) use door::{Crowded, Door, Limits, Pass, Progress};
pub(crate) use inherited::{For, Inherited, InheritedError};
pub(crate) use shared::Shared;

use crate::logging::counted;

/// After an accept error (no file descriptors left, mostly), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Until when a listener works.
pub(crate) struct Until {
    /// Cancelled when nobody is taken any more.
    pub(crate) accepting: CancellationToken,
    /// Cancelled when those who were taken have to go, too.
    pub(crate) stop: CancellationToken,
}

/// Takes whoever comes to these sockets, and serves them until `stop`, each connection by `serve`, and beside them whatever else the `tasks` do; returns
/// when all of it is over or the farewell is.
pub(crate) async fn listen<Serving>(
    door: &Arc<Door>,
    listeners: Vec<TcpListener>,
    tasks: TaskTracker,
    Until { accepting, stop }: Until,
    serve: impl Fn(TcpStream, SocketAddr, Pass) -> Serving + Clone + Send + 'static,
) where
    Serving: Future<Output = ()> + Send + 'static,
{
    for listener in listeners {
        let (door, serve, connections) = (Arc::clone(door), serve.clone(), tasks.clone());
        tasks.spawn(accept(listener, accepting.clone(), move |socket, peer| {
            take(&door, &connections, socket, peer, &serve);
        }));
    }
    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(STOPPED_WITHIN, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "Connections were still open when the broker stopped");
    }
}

/// Behind a dual-stack socket, IPv4 addresses come mapped; policy, leases and logs mean the plain one.
fn take<Serving>(
    door: &Arc<Door>,
    tasks: &TaskTracker,
    socket: TcpStream,
    peer: SocketAddr,
    serve: &impl Fn(TcpStream, SocketAddr, Pass) -> Serving,
) where
    Serving: Future<Output = ()> + Send + 'static,
{
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    match door.admit(peer.ip(), Instant::now()) {
        Ok(slot) => {
            metrics::gauge!("sallyport_connections_waiting")
                .set(f64::from(u32::try_from(door.waiting()).unwrap_or(u32::MAX)));
            let serving = serve(socket, peer, slot.pass());
            tasks.spawn(async move {
                serving.await;
                // It keeps its slot until it is really over.
                drop(slot);
            });
        }
        // How many were turned away is told together.
        Err(turned) => tracing::debug!(%peer, ?turned, "A connection was turned away"),
    }
}

/// Accepts on one socket until `stop`.
pub(crate) async fn accept(
    listener: TcpListener,
    stop: CancellationToken,
    mut take: impl FnMut(TcpStream, SocketAddr),
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => take(socket, peer),
            Err(error) => {
                counted!(warn, "A connection could not be accepted", %error);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
}
