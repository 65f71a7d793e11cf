//! The connection to the asset.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// Why there is no connection. Its text is for log and recording: it may hold what the person is not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("nothing listens there: {0}")]
    Refused(#[source] io::Error),
    #[error("it did not answer: {0}")]
    Unreachable(#[source] io::Error),
    #[error("it did not answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl ConnectError {
    /// One plain sentence for the person.
    pub(crate) fn sentence(&self, asset: &str, service: &str) -> String {
        match self {
            ConnectError::Refused(_) => {
                format!("{asset} answers, but its {service} service refuses connections. Is it running?")
            }
            ConnectError::Unreachable(_) | ConnectError::TooSlow(_) => {
                format!("{asset} does not answer. Is it switched on and on the network?")
            }
        }
    }
}

/// Opens a connection whose small messages are sent at once, within `limit`.
pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> Result<TcpStream, ConnectError> {
    let socket = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(connected) => connected.map_err(classify)?,
        Err(_) => return Err(ConnectError::TooSlow(limit)),
    };
    socket.set_nodelay(true).map_err(classify)?;
    Ok(socket)
}

fn classify(error: io::Error) -> ConnectError {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ConnectError::Refused(error),
        _ => ConnectError::Unreachable(error),
    }
}
