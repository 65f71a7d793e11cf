//! Syslog over a stream: TLS (RFC 5425), TCP (RFC 6587, counted octets) or a local socket (lines).
//!
//! A stream says nothing of what has come. So what was sent stays in the queue until the connection has stood for longer than the
//! kernel waits for an acknowledgement, or was closed in good order; after any other end it is sent again. A receiver may get an event
//! twice then, by the same id, and misses none that its own system had not acknowledged.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use super::dial::dial;
use super::tls::Tls;
use super::{Broken, SendError, away};
use crate::config::{Format, Remote};
use crate::outbound::message::Message;
use crate::outbound::syslog;

/// A connection that messages of syslog go over.
pub(in crate::outbound) struct Stream {
    peer: Peer,
    format: Format,
    facility: u8,
    open: Option<Box<dyn Socket>>,
}

/// Who is at the other end.
pub(super) enum Peer {
    Tls(Remote, Tls),
    Tcp(Remote),
    Unix(PathBuf),
}

/// What a connection is, whatever it is over.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync {
    /// What the kernel has found wrong with it since the last time.
    fn fault(&self) -> io::Result<Option<io::Error>>;
}

impl Socket for TcpStream {
    fn fault(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

impl Socket for TlsStream<TcpStream> {
    fn fault(&self) -> io::Result<Option<io::Error>> {
        self.get_ref().0.take_error()
    }
}

impl Socket for UnixStream {
    fn fault(&self) -> io::Result<Option<io::Error>> {
        self.take_error()
    }
}

impl Stream {
    pub(super) fn new(peer: Peer, format: Format, facility: u8) -> Self {
        Self { peer, format, facility, open: None }
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        let mut text = String::new();
        for message in messages {
            let rendered = syslog::rendered(message, self.format, self.facility);
            match self.peer {
                Peer::Tls(..) | Peer::Tcp(_) => text.push_str(&syslog::counted(&rendered)),
                Peer::Unix(_) => text.extend([rendered.as_str(), "\n"]),
            }
        }
        let socket = match self.open.take() {
            Some(socket) => socket,
            None => self.peer.connect().await?,
        };
        let socket = self.open.insert(socket);
        let sent = async {
            socket.write_all(text.as_bytes()).await?;
            socket.flush().await
        };
        sent.await.map_err(|error| away("the connection", &error))
    }

    pub(super) async fn broken(&mut self) -> Broken {
        match &mut self.open {
            Some(socket) => ended(socket.as_mut()).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn let_go(&mut self) {
        self.open = None;
    }

    pub(super) async fn finish(&mut self) -> Option<Broken> {
        let mut socket = self.open.take()?;
        let finished = async {
            match socket.shutdown().await {
                Ok(()) => ended(socket.as_mut()).await,
                Err(error) => Broken::Cut(error.to_string()),
            }
        };
        timeout(FINISHED_WITHIN, finished).await.ok()
    }

    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        drop(self.peer.connect().await?);
        Ok(match &self.peer {
            Peer::Tls(remote, _) => format!("`{remote}` answers over TLS, by a certificate that is trusted"),
            Peer::Tcp(remote) => format!("`{remote}` answers"),
            Peer::Unix(path) => format!("`{}` answers", path.display()),
        })
    }
}

impl Peer {
    async fn connect(&self) -> Result<Box<dyn Socket>, SendError> {
        Ok(match self {
            Self::Tls(remote, tls) => Box::new(tls.over(dial(remote).await?).await?),
            Self::Tcp(remote) => Box::new(dial(remote).await?),
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(socket) => Box::new(socket),
                Err(error) => return Err(away(&format!("`{}`", path.display()), &error)),
            },
        })
    }
}

/// Reads to the end, whatever is said: a receiver of syslog has nothing to say.
async fn ended(socket: &mut dyn Socket) -> Broken {
    let mut said = [0; 1024];
    loop {
        match socket.read(&mut said).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return Broken::Cut(error.to_string()),
        }
    }
    // What was still on its way when the other side closed, is answered with a reset.
    sleep(RESET_WITHIN).await;
    match socket.fault() {
        Ok(None) => Broken::Closed,
        Ok(Some(error)) | Err(error) => Broken::Cut(error.to_string()),
    }
}

const FINISHED_WITHIN: Duration = Duration::from_millis(1500);
const RESET_WITHIN: Duration = Duration::from_millis(300);
