//! A person's side that is a plain socket: only the benchmark and tests build this.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use super::person::{Gone, Hear, Heard, Person, Speak};

/// What is read at once.
const READ: usize = 16 * 1024;

impl Person<FromSocket, ToSocket> {
    /// On a plain socket.
    pub(crate) fn on_socket(socket: TcpStream) -> Self {
        let (read, write) = socket.into_split();
        Self { from: FromSocket(read), to: ToSocket(write), gone: CancellationToken::new() }
    }
}

pub(crate) struct FromSocket(OwnedReadHalf);

impl Hear for FromSocket {
    async fn next(&mut self) -> Heard {
        if self.0.readable().await.is_err() {
            return Heard::Left;
        }
        let mut buffer = BytesMut::with_capacity(READ);
        match self.0.read_buf(&mut buffer).await {
            Ok(0) => Heard::Finished,
            Ok(_) => Heard::Bytes(buffer.freeze()),
            Err(_) => Heard::Left,
        }
    }

    fn release(&mut self, _: usize) {}

    fn close(&mut self) {}
}

pub(crate) struct ToSocket(OwnedWriteHalf);

impl Speak for ToSocket {
    async fn send(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.0.write_all(&bytes).await.map_err(|_| Gone)
    }

    async fn finish(&mut self) -> Result<(), Gone> {
        self.0.shutdown().await.map_err(|_| Gone)
    }

    async fn close(&mut self) {
        if self.finish().await.is_err() {
            tracing::debug!("A plain socket was gone before it was closed");
        }
    }
}
