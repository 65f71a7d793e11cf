//! The connection to the asset.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

/// How long an asset may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no connection. Its text is for log and recording: it may hold what the person is not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("nothing listens there: {0}")]
    Refused(#[source] io::Error),
    #[error("it did not answer: {0}")]
    Unreachable(#[source] io::Error),
    #[error("it did not answer within {} s", CONNECT_LIMIT.as_secs())]
    TooSlow,
}

impl ConnectError {
    /// One plain sentence for the person.
    pub(crate) fn sentence(&self, asset: &str, service: &str) -> String {
        match self {
            ConnectError::Refused(_) => {
                format!("{asset} answers, but its {service} service refuses connections. Is it running?")
            }
            ConnectError::Unreachable(_) | ConnectError::TooSlow => {
                format!("{asset} does not answer. Is it switched on and on the network?")
            }
        }
    }
}

/// Opens a connection whose small messages are sent at once.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let connecting = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address));
    let socket = match connecting.await {
        Ok(connected) => connected.map_err(classify)?,
        Err(_) => return Err(ConnectError::TooSlow),
    };
    socket.set_nodelay(true).map_err(classify)?;
    Ok(socket)
}

fn classify(error: io::Error) -> ConnectError {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => ConnectError::Refused(error),
        ErrorKind::TimedOut => ConnectError::TooSlow,
        _ => ConnectError::Unreachable(error),
    }
}
