//! A stream that tells what the client calls itself: the line that every SSH client begins with (RFC 4253 section 4.2). The library
//! keeps it to itself until after the login.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::login::ClientName;

/// The longest line that RFC 4253 allows.
const LONGEST: usize = 255;

/// `S`, whose first line is heard on the way.
pub(in crate::ssh) struct Introduced<S> {
    inner: S,
    client: ClientName,
    /// The first line so far; `None` once it is over.
    line: Option<Vec<u8>>,
}

impl<S> Introduced<S> {
    pub(in crate::ssh) fn new(inner: S, client: ClientName) -> Self {
        Self { inner, client, line: Some(Vec::new()) }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let Some(line) = &mut self.line else { return };
        let taken = bytes.iter().copied().take_while(|byte| *byte != b'\n').take(LONGEST - line.len());
        let before = line.len();
        line.extend(taken);
        if line.len() - before < bytes.len() || line.len() == LONGEST {
            self.client.is(String::from_utf8_lossy(line).trim_end());
            self.line = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Introduced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if self.line.is_some() && matches!(read, Poll::Ready(Ok(()))) {
            self.hear(&buffer.filled()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Introduced<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        Pin::new(&mut self.inner).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_heard_however_it_is_cut_and_nothing_after_it() {
        for parts in [
            vec!["SSH-2.0-OpenSSH_9.2p1\r\nkey exchange"],
            vec!["SSH-2.0-Open", "SSH_9.2p1\r", "\n", "SSH-2.0-other\n"],
        ] {
            let client = ClientName::default();
            let mut stream = Introduced::new((), client.clone());
            parts.iter().for_each(|part| stream.hear(part.as_bytes()));
            assert_eq!(client.as_str(), "SSH-2.0-OpenSSH_9.2p1");
        }
    }

    #[test]
    fn a_line_without_an_end_is_heard_up_to_its_bound() {
        let client = ClientName::default();
        let mut stream = Introduced::new((), client.clone());
        (0..100).for_each(|_| stream.hear(b"ten bytes."));
        assert_eq!(client.as_str().len(), LONGEST);
    }
}
