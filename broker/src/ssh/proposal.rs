//! What a client proposes, heard before the broker's own list is sent.
//!
//! Of the algorithms that both sides have, the client's first is taken (RFC 4253 section 7.1), and OpenSSH before 10.0 names AES-CTR
//! before AES-GCM. CTR with HMAC costs the broker half as much CPU again for each byte, and stands in its list for those alone who have no GCM:
//! so whoever proposes GCM is offered nothing else. The library sends its list as soon as it has read the client's identification
//! and keeps that to itself until after the login; here both are read first, and then given to it as if they had just come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::login::ClientName;

/// What the broker calls itself (RFC 4253 section 4.2), without the end of the line.
pub(in crate::ssh) const IDENTIFICATION: &str = "SSH-2.0-Sallyport";
const IDENTIFICATION_LINE: &str = "SSH-2.0-Sallyport\r\n";

/// The longest line of identification that RFC 4253 allows.
const LONGEST_LINE: usize = 255;
/// The longest packet that section 6.1 of it asks everybody to take.
const LONGEST_PACKET: usize = 35_000;
/// Whoever waits for the broker's list before sending their own gets it after this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// SSH_MSG_KEXINIT
const KEXINIT: u8 = 20;
/// The names of AES-GCM (RFC 5647) as OpenSSH has them.
const GCM: [&str; 2] = ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"];

/// How far a client's ciphers are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ssh) enum Proposal {
    /// It has AES-GCM for both directions.
    Gcm,
    /// It has not, or did not say.
    Other,
}

/// A client's stream as if nothing had been said on it.
#[derive(Debug)]
pub(in crate::ssh) struct Heard<S> {
    inner: S,
    /// What was read ahead, and how much of it was read again.
    ahead: Vec<u8>,
    read: usize,
    /// What is still to come of the broker's own identification, which was sent.
    identification: &'static [u8],
}

/// Says who the broker is and hears the client's identification and proposal, within their bounds. What is not SSH is left to the library
/// to refuse; how long all of this may take is the caller's matter.
///
/// # Errors
///
/// If the stream fails.
pub(in crate::ssh) async fn hear<S>(mut inner: S, client: &ClientName) -> io::Result<(Heard<S>, Proposal)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    inner.write_all(IDENTIFICATION_LINE.as_bytes()).await?;
    inner.flush().await?;
    let mut ahead = Vec::with_capacity(2048);
    let mut ended = false;
    while !ended && line(&ahead).is_none() && ahead.len() < LONGEST_LINE {
        ended = inner.read_buf(&mut ahead).await? == 0;
    }
    let end = line(&ahead).unwrap_or(ahead.len().min(LONGEST_LINE));
    if end > 0 {
        client.is(String::from_utf8_lossy(&ahead[..end]).trim_end());
    }
    let packet = end + 1;
    let listening = async {
        while !ended && more_is_due(ahead.get(packet..).unwrap_or_default()) {
            ended = inner.read_buf(&mut ahead).await? == 0;
        }
        Ok::<_, io::Error>(())
    };
    // Nothing is lost if this comes to nothing: `read_buf` keeps what it read.
    if let Ok(heard) = tokio::time::timeout(PATIENCE, listening).await {
        heard?;
    }
    let proposal = proposal(ahead.get(packet..).unwrap_or_default()).unwrap_or(Proposal::Other);
    Ok((Heard { inner, ahead, read: 0, identification: IDENTIFICATION_LINE.as_bytes() }, proposal))
}

/// Where the first line ends, if it does within its bound.
fn line(bytes: &[u8]) -> Option<usize> {
    bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n')
}

/// Whether these are the beginning of a packet that may be a proposal.
fn more_is_due(bytes: &[u8]) -> bool {
    match bytes.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
        None => true,
        Some(length) => length <= LONGEST_PACKET && bytes.len() < 4 + length,
    }
}

/// Reads a whole packet (RFC 4253 section 6) with a proposal (section 7.1): a cookie, and lists of exchanges, kinds of host key, and ciphers of
/// each direction.
fn proposal(packet: &[u8]) -> Option<Proposal> {
    let (length, rest) = packet.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (padding, rest) = rest.get(..length)?.split_first()?;
    let payload = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
    let (kind, rest) = payload.split_first()?;
    if *kind != KEXINIT {
        return None;
    }
    let mut rest = rest.get(16..)?;
    let mut list = || {
        let (length, after) = rest.split_first_chunk()?;
        let (names, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = after;
        Some(names)
    };
    let (_exchanges, _keys) = (list()?, list()?);
    let both = [list()?, list()?];
    let gcm = |names: &[u8]| names.split(|byte| *byte == b',').any(|name| GCM.iter().any(|gcm| gcm.as_bytes() == name));
    Some(if both.into_iter().all(gcm) { Proposal::Gcm } else { Proposal::Other })
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ahead = &self.ahead[self.read..];
        if ahead.is_empty() {
            return Pin::new(&mut self.inner).poll_read(context, buffer);
        }
        let taken = ahead.len().min(buffer.remaining());
        buffer.put_slice(&ahead[..taken]);
        self.read += taken;
        if self.read == self.ahead.len() {
            (self.ahead, self.read) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.identification.is_empty() {
            return Pin::new(&mut self.inner).poll_write(context, bytes);
        }
        let taken = self.identification.len().min(bytes.len());
        // The key exchange signs what was said: another line than the one that was sent would only fail later.
        if bytes[..taken] != self.identification[..taken] {
            return Poll::Ready(Err(io::Error::other("the library calls the broker by another name")));
        }
        self.identification = &self.identification[taken..];
        Poll::Ready(Ok(taken))
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
        if self.identification.is_empty() {
            return Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        }
        let first = bytes.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        Poll::Ready(Ok(ready!(self.poll_write(context, first))?))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    /// A packet with these ciphers towards the server and from it.
    fn kexinit(ciphers: [&str; 2]) -> Vec<u8> {
        let mut payload = vec![KEXINIT];
        payload.extend([7; 16]);
        for list in ["curve25519-sha256", "ssh-ed25519", ciphers[0], ciphers[1], "hmac-sha2-256"] {
            payload.extend(u32::try_from(list.len()).unwrap().to_be_bytes());
            payload.extend(list.as_bytes());
        }
        let padding = 9;
        let mut packet = u32::try_from(1 + payload.len() + padding).unwrap().to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).unwrap());
        packet.extend(payload);
        packet.extend(vec![0; padding]);
        packet
    }

    const CTR: &str = "aes128-ctr,aes256-ctr";
    const BOTH: &str = "chacha20-poly1305@openssh.com,aes128-ctr,aes256-gcm@openssh.com";

    #[test]
    fn gcm_counts_where_both_directions_have_it() {
        assert_eq!(proposal(&kexinit([BOTH, BOTH])), Some(Proposal::Gcm));
        for ciphers in [[CTR, CTR], [BOTH, CTR], [CTR, BOTH], ["", ""], ["aes256-gcm@openssh.com.x", BOTH]] {
            assert_eq!(proposal(&kexinit(ciphers)), Some(Proposal::Other), "{ciphers:?}");
        }
    }

    #[test]
    fn whatever_is_cut_or_lies_about_its_length_is_no_proposal() {
        let whole = kexinit([BOTH, BOTH]);
        for end in 0..whole.len() {
            assert_eq!(proposal(&whole[..end]), None, "{end}");
        }
        for at in [0, 5, 22, 43] {
            let mut lies = whole.clone();
            lies[at] = 0xff;
            assert_eq!(proposal(&lies), None, "{at}");
        }
    }

    /// A client that sends this in pieces, and what the library then reads.
    async fn heard(pieces: &[&[u8]]) -> (ClientName, Proposal, Vec<u8>) {
        let (near, mut far) = tokio::io::duplex(8);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let client = ClientName::default();
        let sending = async move {
            let mut line = [0; IDENTIFICATION_LINE.len()];
            far.read_exact(&mut line).await.unwrap();
            assert_eq!(line, IDENTIFICATION_LINE.as_bytes());
            for piece in pieces {
                far.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            far.shutdown().await.unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            rest
        };
        let hearing = async {
            let (mut stream, proposal) = hear(near, &client).await.unwrap();
            // As the library does: its identification, which was sent, and what comes after that.
            stream.write_all(IDENTIFICATION_LINE.as_bytes()).await.unwrap();
            stream.write_all(b"after").await.unwrap();
            let mut read = Vec::new();
            stream.read_to_end(&mut read).await.unwrap();
            (proposal, read)
        };
        let (rest, (proposal, read)) = tokio::join!(sending, hearing);
        assert_eq!(rest, b"after");
        (client, proposal, read)
    }

    #[tokio::test]
    async fn the_library_reads_what_was_heard_however_it_was_cut() {
        let packet = kexinit([BOTH, BOTH]);
        let whole = [b"SSH-2.0-OpenSSH_9.2p1\r\n", packet.as_slice(), b"more"].concat();
        for size in [1, 7, 22, 23, 24, whole.len()] {
            let pieces: Vec<&[u8]> = whole.chunks(size).collect();
            let (client, proposal, read) = heard(&pieces).await;
            assert_eq!((client.as_str(), proposal), ("SSH-2.0-OpenSSH_9.2p1", Proposal::Gcm), "{size}");
            assert_eq!(read, whole, "{size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_ssh_is_bounded_and_passed_on() {
        for bytes in
            [vec![b'x'; 5000], b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"SSH-2.0-x\r\n\xff\xff\xff\xff\x01".to_vec()]
        {
            let (client, proposal, read) = heard(&[&bytes]).await;
            assert_eq!(proposal, Proposal::Other);
            assert!(client.as_str().len() <= LONGEST_LINE);
            assert_eq!(read, bytes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_list_of_the_broker_gets_it() {
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(b"SSH-2.0-waits\n").await.unwrap();
        let begun = tokio::time::Instant::now();
        let (_, proposal) = hear(near, &ClientName::default()).await.unwrap();
        assert_eq!((proposal, begun.elapsed()), (Proposal::Other, PATIENCE));
    }
}
