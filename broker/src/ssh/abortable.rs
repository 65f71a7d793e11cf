//! A stream that can be cut from outside: a peer that neither reads nor leaves cannot keep a session's connection open.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::login::ClientName;
use crate::ssh::channel::flow::Flow;

/// What the task of a connection and its handler tell each other.
#[derive(Debug, Clone, Default)]
pub(in crate::ssh) struct Lifeline {
    /// Cancelled at login: the deadline no longer holds.
    pub(in crate::ssh) logged_in: CancellationToken,
    /// Cancelled to cut the connection.
    pub(in crate::ssh) cut: CancellationToken,
    /// What the connection holds.
    pub(in crate::ssh) flow: Flow,
    /// What the client calls itself.
    pub(in crate::ssh) client: ClientName,
}

/// `S` until the token is cancelled, an aborted connection afterwards.
pub(in crate::ssh) struct Abortable<S> {
    inner: S,
    // russh reads and writes in two tasks' wakers: one waiter for each, so that neither loses its wake-up.
    read_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    write_cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Abortable<S> {
    pub(in crate::ssh) fn new(inner: S, cut: &CancellationToken) -> Self {
        let waiter = || Box::pin(cut.clone().cancelled_owned());
        Self { inner, read_cut: waiter(), write_cut: waiter() }
    }

    fn write_is_cut(&mut self, context: &mut Context<'_>) -> bool {
        self.write_cut.as_mut().poll(context).is_ready()
    }
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Abortable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read_cut.as_mut().poll(context).is_ready() {
            return cut();
        }
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Abortable<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_is_cut(context) {
            return cut();
        }
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_is_cut(context) {
            return cut();
        }
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_is_cut(context) {
            return cut();
        }
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_write_that_waits_for_a_reader_is_cut() {
        let (near, _far) = tokio::io::duplex(16);
        let token = CancellationToken::new();
        let mut stream = Abortable::new(near, &token);
        let writing = tokio::spawn(async move { stream.write_all(&[0; 1024]).await });
        tokio::task::yield_now().await;
        token.cancel();
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn a_read_that_waits_for_a_writer_is_cut() {
        let (near, _far) = tokio::io::duplex(16);
        let token = CancellationToken::new();
        let mut stream = Abortable::new(near, &token);
        let reading = tokio::spawn(async move { stream.read_u8().await });
        tokio::task::yield_now().await;
        token.cancel();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
