//! Listening sockets, whatever is spoken behind them: who is taken, how many, how fast, and how they are let go.
//!
//! ```text
//! socket ──accept──► Door (rate, source, room, all) ──Slot──► the protocol behind it ──Pass──► logged in
//! ```
//!
//! One [`Door`] stands before all the addresses of a protocol: its limits hold for them together.

mod door;
mod known;
mod rate;
mod shared;
mod turned;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(crate) use door::{Crowded, Door, Limits, Pass, Progress, Slot};
pub(crate) use shared::{Shared, gone};

use crate::logging::counted;

/// After an accept error (no file descriptors left, mostly), before the next try.
const PAUSE: Duration = Duration::from_millis(100);

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
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}
