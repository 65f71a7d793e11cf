//! The head of an HTTP/1 request, byte by byte as the standard has it: lines end with CR and LF.
//!
//! The library behind takes a lone LF for the end of a line (RFC 9112 allows that, section 2.2), and some that could stand between do
//! not: on that they may be made to disagree about where a request ends. One connection carries one request of HTTP/1, so that only
//! its first head need be looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose first head is looked at as it is read.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    head: Head,
}

/// What was read of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Within a line; whether its last byte was a CR, and whether it has others.
    Line { carriage: bool, empty: bool },
    /// The empty line was read, or nobody looks.
    Over,
}

impl<S> Strict<S> {
    /// A stream of HTTP/1.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, head: Head::Line { carriage: false, empty: true } }
    }

    /// A stream of another protocol.
    pub(super) fn lenient(stream: S) -> Self {
        Self { stream, head: Head::Over }
    }
}

impl Head {
    fn take(self, bytes: &[u8]) -> io::Result<Self> {
        bytes.iter().try_fold(self, |head, byte| head.next(*byte))
    }

    fn next(self, byte: u8) -> io::Result<Self> {
        let Self::Line { carriage, empty } = self else { return Ok(self) };
        match (byte, carriage) {
            (b'\n', true) if empty => Ok(Self::Over),
            (b'\n', true) => Ok(Self::Line { carriage: false, empty: true }),
            (b'\r', false) => Ok(Self::Line { carriage: true, empty }),
            (b'\n' | 0, false) | (_, true) => Err(io::Error::new(io::ErrorKind::InvalidData, "a line ends otherwise")),
            (_, false) => Ok(Self::Line { carriage: false, empty: false }),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        self.head = self.head.take(read)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Head> {
        let begin = Head::Line { carriage: false, empty: true };
        // However it is cut.
        let whole = begin.take(text.as_bytes()).ok();
        let singly = text.bytes().try_fold(begin, |head, byte| head.take(&[byte])).ok();
        assert_eq!(whole, singly, "{text:?}");
        whole
    }

    #[test]
    fn a_head_whose_lines_end_as_they_must_is_taken_and_what_follows_is_not_looked_at() {
        assert_eq!(read("GET / HTTP/1.1\r\nhost: gate\r\n\r\n"), Some(Head::Over));
        assert_eq!(read("POST / HTTP/1.1\r\nhost: gate\r\n\r\na\nb\0c"), Some(Head::Over));
        assert!(matches!(read("GET / HTTP/1.1\r\nhost: g"), Some(Head::Line { .. })));
    }

    #[test]
    fn lines_that_end_otherwise_are_refused() {
        for text in [
            "GET / HTTP/1.1\n",
            "GET / HTTP/1.1\r\nhost: gate\nx: y\r\n",
            "GET / HTTP/1.1\r\nhost: gate\r\n\n",
            "GET / HTTP/1.1\r\nx: a\rb\r\n",
            "GET / HTTP/1.1\r\nx: a\r\r\n",
            "GET / HTTP/1.1\r\nx: a\0b\r\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
