//! The way to a receiver: what is open between it and this broker, if anything is.

mod command;
mod datagram;
mod dial;
mod file;
mod mail;
mod stream;
mod tls;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use super::message::Message;
use crate::config::{Receiver, SyslogTo, Way};

use command::Command;
use datagram::Datagrams;
use file::Lines;
use mail::Mailing;
use stream::{Peer, Stream};
use tls::{Tls, TlsFileError};
use webhook::Hook;

/// The way to a receiver.
pub(super) enum Link {
    Lines(Lines),
    Stream(Box<Stream>),
    Datagrams(Datagrams),
    Webhook(Box<Hook>),
    Command(Command),
    Mail(Box<Mailing>),
}

/// Why events did not come through.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The receiver is not there, or takes nothing now.
    #[error("{0}")]
    Away(String),
    /// It will not take this event, however often it is sent.
    #[error("it refuses this event: {0}")]
    Refused(String),
}

/// How a connection ended that nobody has ended here.
#[derive(Debug)]
pub(super) enum Broken {
    /// In good order: the other side had taken all that was sent.
    Closed,
    /// Otherwise: nobody knows what it took.
    Cut(String),
}

/// Why a receiver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Files of TLS.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
    /// What mail needs.
    #[error("mail cannot be sent as it is configured: {0}")]
    Mail(String),
    /// A secret's file cannot be read.
    #[error("cannot read the secret `{}`: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A secret that would protect nothing.
    #[error("the secret in `{}` is shorter than {least} characters; `openssl rand -hex 32` makes one", path.display())]
    ShortSecret {
        /// The file.
        path: PathBuf,
        /// The least.
        least: usize,
    },
}

impl Link {
    /// Reads what is needed for it; nothing is opened yet.
    pub(super) fn new(receiver: &Receiver) -> Result<Self, LinkError> {
        Ok(match &receiver.way {
            Way::File { path, format } => Self::Lines(Lines::new(path.clone(), *format)),
            Way::Syslog { to, format, facility } => {
                let stream = |peer| Self::Stream(Box::new(Stream::new(peer, *format, *facility)));
                let datagrams = |to| Self::Datagrams(Datagrams::new(to, *format, *facility));
                match to {
                    SyslogTo::Tls { remote, trust } => {
                        stream(Peer::Tls(remote.clone(), Tls::new(&remote.host, trust)?))
                    }
                    SyslogTo::Tcp(remote) => stream(Peer::Tcp(remote.clone())),
                    SyslogTo::UnixStream(path) => stream(Peer::Unix(path.clone())),
                    SyslogTo::Udp(remote) => datagrams(datagram::To::Udp(remote.clone())),
                    SyslogTo::UnixDatagram(path) => datagrams(datagram::To::Unix(path.clone())),
                }
            }
            Way::Webhook(webhook) => Self::Webhook(Box::new(Hook::new(webhook)?)),
            Way::Command(program) => Self::Command(Command::new(program.clone())),
            Way::Mail(mail) => Self::Mail(Box::new(Mailing::new(mail)?)),
        })
    }

    /// How many events it takes at once.
    pub(super) fn most(&self) -> usize {
        match self {
            Self::Lines(_) | Self::Stream(_) | Self::Datagrams(_) => 256,
            // Each is answered by itself.
            Self::Webhook(_) | Self::Command(_) | Self::Mail(_) => 1,
        }
    }

    /// Whether what was sent has come when it was sent.
    pub(super) fn confirms(&self) -> bool {
        !matches!(self, Self::Stream(_))
    }

    /// How long sending may take.
    pub(super) fn within(&self) -> Duration {
        match self {
            Self::Command(command) => command.within() + SENT_WITHIN,
            // The library bounds each of its steps.
            Self::Mail(_) => SENT_WITHIN * 3,
            Self::Lines(_) | Self::Stream(_) | Self::Datagrams(_) | Self::Webhook(_) => SENT_WITHIN,
        }
    }

    /// Sends events; on an error nobody knows how many of them came.
    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), SendError> {
        match self {
            Self::Lines(lines) => lines.send(messages).await,
            Self::Stream(stream) => stream.send(messages).await,
            Self::Datagrams(datagrams) => datagrams.send(messages).await,
            Self::Webhook(hook) => hook.send(messages).await,
            Self::Command(command) => command.send(messages).await,
            Self::Mail(mailing) => mailing.send(messages).await,
        }
    }

    /// Resolves when the connection has ended, if one stands.
    pub(super) async fn broken(&mut self) -> Broken {
        match self {
            Self::Stream(stream) => stream.broken().await,
            Self::Lines(_) | Self::Datagrams(_) | Self::Webhook(_) | Self::Command(_) | Self::Mail(_) => {
                std::future::pending().await
            }
        }
    }

    /// Ends the connection; the next event opens another.
    pub(super) fn let_go(&mut self) {
        match self {
            Self::Stream(stream) => stream.let_go(),
            Self::Lines(lines) => lines.let_go(),
            Self::Datagrams(datagrams) => datagrams.let_go(),
            Self::Webhook(_) | Self::Command(_) | Self::Mail(_) => {}
        }
    }

    /// Ends the connection in good order, and says how it ended.
    pub(super) async fn finish(&mut self) -> Option<Broken> {
        match self {
            Self::Stream(stream) => stream.finish().await,
            Self::Lines(_) | Self::Datagrams(_) | Self::Webhook(_) | Self::Command(_) | Self::Mail(_) => None,
        }
    }

    /// Whether the receiver can be reached now; it is told nothing.
    pub(super) async fn reach(&mut self) -> Result<String, SendError> {
        match self {
            Self::Lines(lines) => lines.reach().await,
            Self::Stream(stream) => stream.reach().await,
            Self::Datagrams(datagrams) => datagrams.reach().await,
            Self::Webhook(hook) => hook.reach().await,
            Self::Command(command) => command.reach(),
            Self::Mail(mailing) => mailing.reach().await,
        }
    }
}

/// What an error of a connection means for its receiver.
fn away(what: &str, error: &impl std::fmt::Display) -> SendError {
    SendError::Away(format!("{what}: {error}"))
}

/// A receiver that takes nothing for so long is let go.
const SENT_WITHIN: Duration = Duration::from_secs(10);
