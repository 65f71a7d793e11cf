//! A person's side that is a plain socket: only the benchmark and tests build this.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::lane::{Fault, Outlet};
use super::person::{FromPerson, Heard, IntoPerson, Person};

/// What is read at once.
const READ: usize = 16 * 1024;

impl Person {
    /// On a plain socket.
    pub(crate) fn on_socket(socket: TcpStream) -> Self {
        let (read, write) = socket.into_split();
        Self {
            from: FromPerson::Socket(FromSocket { half: read, buffer: BytesMut::new() }),
            to: IntoPerson::Socket(ToSocket(write)),
            gone: CancellationToken::new(),
        }
    }
}

pub(super) struct FromSocket {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

impl FromSocket {
    pub(super) async fn next(&mut self) -> Heard<'_> {
        self.buffer = BytesMut::new();
        if self.half.readable().await.is_err() {
            return Heard::Left;
        }
        self.buffer.reserve(READ);
        match self.half.read_buf(&mut self.buffer).await {
            Ok(0) => Heard::Finished,
            Ok(_) => Heard::Bytes(&self.buffer),
            Err(_) => Heard::Left,
        }
    }
}

pub(super) struct ToSocket(OwnedWriteHalf);

impl ToSocket {
    pub(super) async fn close(&mut self) {
        if self.finish().await.is_err() {
            tracing::debug!("A plain socket was gone before it was closed");
        }
    }
}

impl Outlet for ToSocket {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Fault> {
        self.0.write_all(&bytes).await.map_err(|_| Fault::Person)
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.0.shutdown().await.map_err(|_| Fault::Person)
    }
}
