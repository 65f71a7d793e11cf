//! `hmi-1`: the panel of the simulated process. An RFB (VNC) server on a loopback port that draws the tank and takes
//! clicks.

mod canvas;
mod font;
mod picture;
mod pixel;
mod rfb;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::process::Process;

/// The panel, ready to serve.
#[derive(Debug)]
pub(super) struct Panel {
    listener: TcpListener,
    process: Process,
}

impl Panel {
    /// Binds the port it had before (`0`: any), or another.
    pub(super) async fn bind(port: u16, process: Process) -> io::Result<Self> {
        Ok(Self { listener: connections::bind(ADDRESS, port).await?, process })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let process = self.process;
        let each = |socket| rfb::connection(socket, process.clone());
        connections::serve(self.listener, "hmi-1", MOST_VIEWERS, stop, each).await;
    }
}

const ADDRESS: [u8; 4] = [127, 0, 0, 3];
/// Each has a picture of its own, some 150 KiB.
const MOST_VIEWERS: usize = 8;
