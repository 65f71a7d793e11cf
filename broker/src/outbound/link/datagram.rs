//! Syslog in datagrams: UDP (RFC 5426), or a local socket as `/dev/log`. What is sent has gone; nobody knows whether it came.

use std::io;
use std::path::PathBuf;

use tokio::net::{UdpSocket, UnixDatagram, lookup_host};

use super::{SendError, away};
use crate::config::{Format, Remote};
use crate::outbound::message::{Message, What};
use crate::outbound::syslog;

/// A socket that takes messages of syslog, one by one.
pub(in crate::outbound) struct Datagrams {
    to: To,
    format: Format,
    facility: u8,
    open: Option<Socket>,
}

/// Where it leads.
pub(super) enum To {
    Udp(Remote),
    Unix(PathBuf),
}

enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Datagrams {
    pub(super) fn new(to: To, format: Format, facility: u8) -> Self {
        Self { to, format, facility, open: None }
    }

    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        let socket = match self.open.take() {
            Some(socket) => socket,
            None => self.to.open().await?,
        };
        let socket = self.open.insert(socket);
        for message in messages {
            let mut text = syslog::rendered(message, self.format, self.facility);
            if text.len() > LARGEST {
                text = syslog::rendered(&cut(message), self.format, self.facility);
            }
            let sent = match socket {
                Socket::Udp(socket) => socket.send(text.as_bytes()).await,
                Socket::Unix(socket) => socket.send(text.as_bytes()).await,
            };
            sent.map_err(|error| away("a datagram was not taken", &error))?;
        }
        Ok(())
    }

    pub(super) fn let_go(&mut self) {
        self.open = None;
    }

    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        drop(self.to.open().await?);
        Ok(match &self.to {
            To::Udp(remote) => format!("`{remote}` is an address; UDP does not tell whether anybody listens"),
            To::Unix(path) => format!("`{}` takes datagrams", path.display()),
        })
    }
}

impl To {
    async fn open(&self) -> Result<Socket, SendError> {
        let opened = async {
            match self {
                Self::Udp(remote) => {
                    let mut found = lookup_host((remote.host.as_str(), remote.port)).await?;
                    let address = found.next().ok_or_else(|| io::Error::other("the name has no address"))?;
                    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    let socket = UdpSocket::bind(any).await?;
                    socket.connect(address).await?;
                    Ok(Socket::Udp(socket))
                }
                Self::Unix(path) => {
                    let socket = UnixDatagram::unbound()?;
                    socket.connect(path)?;
                    Ok::<_, io::Error>(Socket::Unix(socket))
                }
            }
        };
        opened.await.map_err(|error| match self {
            Self::Udp(remote) => away(&format!("`{remote}`"), &error),
            Self::Unix(path) => away(&format!("`{}`", path.display()), &error),
        })
    }
}

/// The event without its fields: where it stands whole is said by its number.
fn cut(message: &Message) -> Message {
    let mut cut = message.clone();
    if let What::Event(event) = &mut cut.what {
        event.event = serde_json::json!({ "event": event.name, "cut": true });
        cut.body = serde_json::json!({
            "at": message.at.as_microsecond(), "broker": message.broker, "code": event.code, "event": event.event,
            "hash": event.hash, "id": event.id, "identity": event.identity, "seq": event.seq, "session": event.session,
        })
        .to_string();
    }
    cut
}

/// What an IPv4 packet of UDP can carry, less some.
const LARGEST: usize = 60_000;
