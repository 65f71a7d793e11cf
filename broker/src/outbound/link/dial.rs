//! To a host and port.

use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SendError, away};
use crate::config::Remote;

/// A connection that the kernel gives up when nothing that was sent is acknowledged for a while.
pub(super) async fn dial(remote: &Remote) -> Result<TcpStream, SendError> {
    let name = remote.to_string();
    let dialled = timeout(DIALLED_WITHIN, TcpStream::connect((remote.host.as_str(), remote.port))).await;
    let socket = match dialled {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Err(away(&format!("`{name}` cannot be reached"), &error)),
        Err(_) => return Err(SendError::Away(format!("`{name}` does not answer"))),
    };
    let set = sockopt::set_tcp_user_timeout(&socket, ACKNOWLEDGED_WITHIN)
        .and_then(|()| sockopt::set_socket_keepalive(&socket, true))
        .and_then(|()| sockopt::set_tcp_keepidle(&socket, KEEPALIVE_AFTER));
    set.map_err(|error| away("the connection cannot be set up", &error))?;
    Ok(socket)
}

const DIALLED_WITHIN: Duration = Duration::from_secs(5);
/// Milliseconds. INVARIANT: shorter than it takes until what was sent counts as come.
const ACKNOWLEDGED_WITHIN: u32 = 5_000;
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
