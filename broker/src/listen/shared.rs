//! A socket that a library serves and that the broker still sees: whether its peer has gone.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How soon a peer that has gone is found out where bytes of it are still unread.
const GONE_LOOK: Duration = Duration::from_millis(250);

/// One of several holders of a socket.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<TcpStream>);

/// Resolves when the peer has closed its side, or the whole connection.
///
/// A library that awaits an answer before it reads on cannot see that nobody waits for the answer any more.
pub(crate) async fn gone(socket: &TcpStream) {
    loop {
        match socket.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(GONE_LOOK).await,
            Ok(_) | Err(_) => return,
        }
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&self.0, Shutdown::Write).map_err(io::Error::from))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match self.0.try_write_vectored(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, Shared) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, Shared(Arc::new(listener.accept().await.unwrap().0)))
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_the_end_is_told() {
        let (mut near, mut shared) = pair().await;
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            shared.write_all(&copy).await.unwrap();
            shared.shutdown().await.unwrap();
            shared.read_u8().await.unwrap()
        });
        let mut got = Vec::new();
        near.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
        near.write_u8(7).await.unwrap();
        assert_eq!(writing.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_peer_that_goes_is_seen_though_nobody_reads() {
        let (mut near, shared) = pair().await;
        near.write_all(b"never read").await.unwrap();
        let still = tokio::time::timeout(Duration::from_millis(400), gone(&shared.0)).await;
        assert!(still.is_err(), "a peer that waits was taken for gone");
        drop(near);
        tokio::time::timeout(Duration::from_secs(5), gone(&shared.0)).await.unwrap();
    }
}
