//! Accepts connections, and bounds what a stranger can take: number, time, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::server;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cut::{Cuttable, Lifeline};
use super::front::Front;
use super::person::Person;
use super::waiting_room::Progress;
use crate::app::Broker;

/// After an accept error (no file descriptors left, mostly), before the next try.
const PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take to close when the broker stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long somebody who has not logged in may take to hear that they must go. russh says nothing during a key
/// exchange, and a stranger's exchange need never end.
pub(super) const DISMISSAL: Duration = Duration::from_millis(50);

/// Serves one listening socket until `stop`; returns when every connection is closed or the farewell is over.
pub async fn listen(broker: Arc<Broker>, listener: TcpListener, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(broker.config.ssh.max_connections));
    let front = Front::new(broker);
    let tasks = TaskTracker::new();
    tasks.spawn(Arc::clone(&front).tell_waves(stop.clone()));
    tasks.spawn(Arc::clone(&front.lobbies).watch(Arc::clone(&front.broker), stop.clone()));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let Ok(slot) = Arc::clone(&connections).try_acquire_owned() else {
                    tracing::warn!(%peer, "Refused: as many connections as allowed are open");
                    continue;
                };
                let (front, stop) = (Arc::clone(&front), stop.clone());
                tasks.spawn(async move {
                    serve(front, socket, peer, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "A connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tasks.close();
    if tokio::time::timeout(FAREWELL, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "Connections were still open when the broker stopped");
    }
}

async fn serve(front: Arc<Front>, socket: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    // Behind a dual-stack socket, IPv4 addresses come mapped; policy, leases and logs mean the plain one.
    let source = peer.ip().to_canonical();
    let config = match front.outer() {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "No host certificate, so no connection"),
    };
    if let Err(error) = socket.set_nodelay(true) {
        return tracing::debug!(%peer, %error, "The connection was gone at once");
    }
    let limits = front.room.limits();
    let place = front.room.enter(source);
    metrics::gauge!("sallyport_connections_waiting")
        .set(f64::from(u32::try_from(front.room.waiting()).unwrap_or(u32::MAX)));
    let (ejected, marker) = (place.ejected(), place.marker());
    let line = Lifeline::default();
    let deadline = tokio::time::Instant::now() + limits.login;
    let person = Person::outer(Arc::clone(&front), source, place, line.clone());
    let stream = Cuttable::new(socket, &line.cut);
    let running = tokio::select! {
        running = tokio::time::timeout(limits.silence, server::run_stream(config, stream, person)) => running,
        () = ejected.cancelled() => return,
        () = stop.cancelled() => return,
    };
    let Ok(Ok(mut running)) = running else {
        return tracing::debug!(%peer, "Said nothing that is SSH");
    };
    marker.reached(Progress::Identified);
    let handle = running.handle();
    let (reason, patience) = tokio::select! {
        result = &mut running => return log_end(peer, &result),
        () = stop.cancelled() => ("the broker is stopping", FAREWELL),
        reason = overdue(&line.logged_in, &ejected, deadline) => (reason, DISMISSAL),
    };
    // Sessions end by themselves when the broker stops, and say so; the cut is for what hangs.
    let closed = async {
        if handle.disconnect(russh::Disconnect::ByApplication, reason.to_owned(), "en".to_owned()).await.is_ok() {
            log_end(peer, &(&mut running).await);
        }
    };
    if tokio::time::timeout(patience, closed).await.is_err() {
        tracing::debug!(%peer, reason, "Connection cut");
        line.cut.cancel();
        // It keeps its slot until it is really over.
        log_end(peer, &running.await);
    }
}

/// Resolves when a connection that has not logged in must go; never for one that has.
async fn overdue(
    logged_in: &CancellationToken,
    ejected: &CancellationToken,
    deadline: tokio::time::Instant,
) -> &'static str {
    tokio::select! {
        biased;
        () = logged_in.cancelled() => std::future::pending().await,
        () = ejected.cancelled() => "too many connections wait for their login",
        () = tokio::time::sleep_until(deadline) => "the login took too long",
    }
}

/// How clients leave is their matter: most just close the socket.
fn log_end(peer: SocketAddr, result: &Result<(), russh::Error>) {
    match result {
        Ok(()) => tracing::debug!(%peer, "Connection closed"),
        Err(error) => tracing::debug!(%peer, %error, "Connection closed"),
    }
}
