//! The connections of a simulated asset: as many as it has room for, until it stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Binds a loopback port of an asset's own address: the one it had before, or any other when somebody else took it since
/// (the plant file says which).
pub(super) async fn bind(address: [u8; 4], port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((std::net::Ipv4Addr::from(address), port)).await {
        Err(_) if port != 0 => TcpListener::bind((std::net::Ipv4Addr::from(address), 0)).await,
        bound => bound,
    }
}

/// Serves each connection in a task of its own. One more than `most` is closed at once.
pub(super) async fn serve<F>(
    listener: TcpListener,
    asset: &'static str,
    most: usize,
    stop: CancellationToken,
    each: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(most));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                warn!(asset, %error, "Could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            debug!(asset, most, "No room for another connection");
            continue;
        };
        let nodelay = socket.set_nodelay(true);
        let (served, stop) = (each(socket), stop.clone());
        tokio::spawn(async move {
            let served = async { nodelay.and(served.await) };
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = served => ended,
            };
            debug!(asset, ?ended, "A connection ended");
            drop(place);
        });
    }
}
