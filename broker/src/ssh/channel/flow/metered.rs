//! A socket that tells when everything that russh had for it is written, and does not keep russh from reading meanwhile.
//!
//! russh reads nothing while it writes. A peer that waits with its reading until it has sent would wait for ever: PuTTY's `plink`
//! does as another one's `-proxycmd`, through a pipe. So what the socket does not take at once waits here, and goes on whenever
//! russh reads. No more waits than the broker has handed over, which is counted, and a little for what russh says by itself.
//!
//! A peer that sends nothing either is not helped by reading, and russh would go on asking whether it is alive, and give it up: a
//! person who has paused their output lives. From there on russh's writes wait, and its clocks with them, until the peer does
//! one or the other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Outgoing;

/// What may wait beside what was handed over: window adjustments and answers to requests, which a peer causes.
pub(super) const BESIDE_HANDED: usize = 32 * 1024;
/// A peer that takes nothing and has sent nothing for so long waits for nobody. Shorter than any keepalive.
const QUIET: Duration = Duration::from_millis(500);
/// What is read of a quiet peer before russh asks for it.
const AHEAD: usize = 1024;

/// `S`, and a count of what was handed over for it.
pub(crate) struct Metered<S> {
    socket: S,
    /// Taken from russh, and not yet by the socket.
    behind: BytesMut,
    /// Read, and not yet asked for.
    ahead: BytesMut,
    /// When reading found nothing for the first time since something came.
    quiet_since: Option<Instant>,
    outgoing: Arc<Outgoing>,
}

impl<S> Metered<S> {
    pub(super) fn new(socket: S, outgoing: Arc<Outgoing>) -> Self {
        Self { socket, behind: BytesMut::new(), ahead: BytesMut::new(), quiet_since: None, outgoing }
    }

    /// Bytes that may wait here now.
    fn room(&self) -> usize {
        let may = self.outgoing.held.load(Ordering::Acquire) + BESIDE_HANDED;
        may.saturating_sub(self.behind.len())
    }
}

impl<S: AsyncRead + Unpin> Metered<S> {
    fn poll_socket(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        match read {
            Poll::Pending if self.quiet_since.is_none() => self.quiet_since = Some(Instant::now()),
            Poll::Pending => {}
            Poll::Ready(_) => self.quiet_since = None,
        }
        read
    }

    /// Whether the peer has sent nothing for a while. If so, the caller is woken when it does.
    fn poll_quiet(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        if self.quiet_since.is_none_or(|since| since.elapsed() < QUIET) {
            return Ok(false);
        }
        // The clock alone would take a broker that was stopped for a peer that was quiet.
        let mut room = [0; AHEAD];
        let mut buffer = ReadBuf::new(&mut room);
        match self.poll_socket(context, &mut buffer)? {
            Poll::Pending => Ok(true),
            Poll::Ready(()) => {
                self.ahead.extend_from_slice(buffer.filled());
                Ok(false)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Metered<S> {
    /// Writes what waits, as far as the socket takes it.
    fn poll_catch_up(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.behind.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_write(context, &self.behind))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.behind.advance(written),
            }
        }
        // What one slow moment took is given back.
        self.behind = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    fn poll_all_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_catch_up(context))?;
        ready!(Pin::new(&mut self.socket).poll_flush(context))?;
        self.outgoing.all_written();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.behind.is_empty()
            && let Poll::Ready(Err(error)) = self.poll_all_written(context)
        {
            return Poll::Ready(Err(error));
        }
        if !self.ahead.is_empty() {
            let taken = self.ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.ahead.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        self.poll_socket(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.outgoing.writing.store(true, Ordering::Release);
        if self.poll_catch_up(context)?.is_ready()
            && let Poll::Ready(written) = Pin::new(&mut self.socket).poll_write(context, bytes)?
        {
            return Poll::Ready(Ok(written));
        }
        match self.room().min(bytes.len()) {
            0 => Poll::Pending,
            _ if self.poll_quiet(context)? => Poll::Pending,
            taken => {
                self.behind.extend_from_slice(&bytes[..taken]);
                Poll::Ready(Ok(taken))
            }
        }
    }

    /// russh flushes when its buffer is written, and only then. It does not wait for what waits here.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_all_written(context) {
            Poll::Pending if !self.behind.is_empty() => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_all_written(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
