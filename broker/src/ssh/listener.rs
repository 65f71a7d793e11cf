//! Serves each connection that the door took, and bounds what a stranger can take: number, time, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::server;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cut::{Cuttable, Lifeline};
use super::front::Front;
use super::person::Person;
use crate::broker::Broker;
use crate::listen::{Progress, Shared, Slot, accept, gone};
use crate::logging::counted;

/// How long connections may take to close when the broker stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long somebody who has not logged in may take to hear that they must go. russh says nothing during a key
/// exchange, and a stranger's exchange need never end.
pub(super) const DISMISSAL: Duration = Duration::from_millis(50);

/// Serves all listening sockets until `stop`, under one set of limits; returns when every connection is closed or the
/// farewell is over.
pub async fn listen(broker: Arc<Broker>, listeners: Vec<TcpListener>, stop: CancellationToken) {
    let front = Front::new(broker);
    let tasks = TaskTracker::new();
    tasks.spawn(Arc::clone(&front).tell_waves(stop.clone()));
    tasks.spawn(Arc::clone(&front).follow_leases(stop.clone()));
    tasks.spawn(Arc::clone(&front.lobbies).watch(Arc::clone(&front.broker), stop.clone()));
    for listener in listeners {
        let (front, serving, ending) = (Arc::clone(&front), tasks.clone(), stop.clone());
        tasks.spawn(accept(listener, stop.clone(), move |socket, peer| {
            take(&front, &serving, &ending, socket, peer);
        }));
    }
    stop.cancelled().await;
    tasks.close();
    if tokio::time::timeout(FAREWELL, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "Connections were still open when the broker stopped");
    }
}

/// Behind a dual-stack socket, IPv4 addresses come mapped; policy, leases and logs mean the plain one.
fn take(front: &Arc<Front>, tasks: &TaskTracker, stop: &CancellationToken, socket: TcpStream, peer: SocketAddr) {
    match front.door.admit(peer.ip().to_canonical(), Instant::now()) {
        Ok(slot) => {
            let (front, stop) = (Arc::clone(front), stop.clone());
            tasks.spawn(async move {
                serve(front, socket, peer, &slot, stop).await;
                // It keeps its slot until it is really over.
                drop(slot);
            });
        }
        // How many were turned away is told together.
        Err(turned) => tracing::debug!(%peer, ?turned, "A connection was turned away"),
    }
}

async fn serve(front: Arc<Front>, socket: TcpStream, peer: SocketAddr, slot: &Slot, stop: CancellationToken) {
    let config = match front.outer() {
        Ok(config) => config,
        Err(error) => return counted!(error, "No host certificate, so no connection", %error),
    };
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "The connection was gone at once");
    }
    let limits = front.door.limits();
    metrics::gauge!("sallyport_connections_waiting")
        .set(f64::from(u32::try_from(front.door.waiting()).unwrap_or(u32::MAX)));
    let line = Lifeline::default();
    let deadline = tokio::time::Instant::now() + limits.login;
    let person = Person::outer(Arc::clone(&front), peer.ip().to_canonical(), slot.pass(), line.clone());
    let socket = Arc::new(socket);
    let stream = Cuttable::new(line.flow.meter(Shared(Arc::clone(&socket))), &line.cut);
    let running = tokio::select! {
        running = tokio::time::timeout(limits.silence, server::run_stream(config, stream, person)) => running,
        () = slot.ejected().cancelled() => return,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(mut running)) = running else {
        return tracing::debug!(%peer, "Said nothing that is SSH");
    };
    slot.pass().reached(Progress::Identified);
    let handle = running.handle();
    let (reason, patience) = tokio::select! {
        result = &mut running => return log_end(peer, &result),
        () = stop.cancelled() => ("the broker is stopping", FAREWELL),
        dismissed = overdue(&line.logged_in, slot.ejected(), &socket, deadline) => dismissed,
    };
    // Sessions end by themselves when the broker stops, and say so; the cut is for what hangs.
    let closed = async {
        if handle.disconnect(russh::Disconnect::ByApplication, reason.to_owned(), "en".to_owned()).await.is_ok() {
            log_end(peer, &(&mut running).await);
        }
    };
    if tokio::time::timeout(patience, closed).await.is_err() {
        tracing::debug!(%peer, reason, "Connection cut");
        // The handler ends with it, wherever it waits, and leaves every queue.
        line.cut.cancel();
        log_end(peer, &running.await);
    }
}

/// Resolves when a connection that has not logged in must go: with the reason, and how long it may take to hear it. Never
/// for one that has.
async fn overdue(
    logged_in: &CancellationToken,
    ejected: &CancellationToken,
    socket: &TcpStream,
    deadline: tokio::time::Instant,
) -> (&'static str, Duration) {
    tokio::select! {
        biased;
        () = logged_in.cancelled() => std::future::pending().await,
        () = ejected.cancelled() => ("too many connections wait for their login", DISMISSAL),
        () = tokio::time::sleep_until(deadline) => ("the login took too long", DISMISSAL),
        () = gone(socket) => ("the client has gone", DISMISSAL),
    }
}

/// How clients leave is their matter: most just close the socket.
fn log_end(peer: SocketAddr, result: &Result<(), russh::Error>) {
    match result {
        Ok(()) => tracing::debug!(%peer, "Connection closed"),
        Err(error) => tracing::debug!(%peer, %error, "Connection closed"),
    }
}
