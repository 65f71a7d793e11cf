//! The person's side of an SSH session: what they ask for, and a voice to speak to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::server::{self, ChannelOpenHandle};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::ssh::{Flow, SessionChannel};
use crate::vault::Secret;

/// How long channels may take to close after the end.
pub(in crate::ssh) const LEFT_WITHIN: Duration = Duration::from_secs(2);
/// How long a client may take from login to its first channel, where that channel only hears why not.
pub(in crate::ssh) const FIRST_CHANNEL: Duration = Duration::from_secs(10);
/// How long all terminals together may take to take a sentence.
const SAYING: Duration = Duration::from_millis(200);

/// The person's side of a session: what their SSH connection asks for, and a voice to speak to them.
#[derive(Debug)]
pub(in crate::ssh) struct Client {
    /// What they ask for; closed when they are gone.
    pub(in crate::ssh) asks: mpsc::Receiver<Ask>,
    /// Cancelled when they are gone.
    pub(in crate::ssh) gone: CancellationToken,
    /// Speaks to them.
    pub(in crate::ssh) voice: Voice,
    /// What they typed for an account with `auth = "prompt"`.
    pub(in crate::ssh) typed: Option<Secret<String>>,
}

/// One thing that a person's connection asks for.
pub(in crate::ssh) enum Ask {
    /// A session channel. The answer comes once the asset has opened its own.
    Session {
        /// Their end.
        channel: Channel<server::Msg>,
        /// Accepts or rejects it, as the asset does: clients that share a connection make another where no more are opened. None where
        /// it is open already, for the menu.
        opening: Option<ChannelOpenHandle>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<SessionChannel, Unopened>>,
    },
    /// A connection from the asset to an address, of which only its own loopback is ever reached.
    Loopback {
        /// Their end.
        channel: Channel<server::Msg>,
        /// Accepts or rejects it.
        reply: ChannelOpenHandle,
        /// The host, as written.
        host: String,
        /// The port, as written.
        port: u32,
    },
}

/// A channel that was not opened: the person's own end, if it is still open, and the sentence for it.
#[derive(Debug)]
pub(in crate::ssh) struct Unopened {
    /// Their end, to say it on.
    pub(in crate::ssh) channel: Option<Channel<server::Msg>>,
    /// One plain sentence.
    pub(in crate::ssh) sentence: String,
}

/// Speaks to a person on the channels that they have open.
#[derive(Debug, Clone)]
pub(in crate::ssh) struct Voice {
    handle: server::Handle,
    /// Cuts the connection of somebody who neither reads nor leaves.
    cut: CancellationToken,
    flow: Flow,
    terminals: Arc<Mutex<BTreeSet<ChannelId>>>,
}

impl Voice {
    /// A voice for this connection, with no terminal yet.
    #[must_use]
    pub(in crate::ssh) fn new(handle: server::Handle, cut: CancellationToken, flow: Flow) -> Self {
        Self { handle, cut, flow, terminals: Arc::default() }
    }

    /// The connection's handle.
    #[must_use]
    pub(in crate::ssh) fn handle(&self) -> &server::Handle {
        &self.handle
    }

    /// What the connection holds.
    pub(in crate::ssh) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// A channel has got a terminal: warnings are shown on it.
    pub(in crate::ssh) fn has_terminal(&self, channel: ChannelId) {
        self.terminals.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
    }

    /// A channel is closed.
    pub(in crate::ssh) fn closed(&self, channel: ChannelId) {
        self.terminals.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
    }

    /// Closes the connection: with words, and where nobody takes them, without.
    pub(in crate::ssh) async fn hang_up(&self, words: &str, gone: &CancellationToken) {
        let told = self.handle.disconnect(russh::Disconnect::ByApplication, words.to_owned(), "en".to_owned());
        let closed = async {
            if told.await.is_ok() {
                gone.cancelled().await;
            }
        };
        if tokio::time::timeout(LEFT_WITHIN, closed).await.is_err() {
            tracing::debug!("The person's connection did not close by itself");
        }
        self.cut.cancel();
    }

    /// Says a sentence on every terminal. Commands and file transfers are not disturbed, and nobody is waited for.
    pub(in crate::ssh) async fn say(&self, sentence: &str) {
        let terminals: Vec<_> = self.terminals.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let said = async {
            for channel in terminals {
                let said = self.handle.extended_data(channel, 1, format!("\r\nsallyport: {sentence}\r\n")).await;
                tracing::trace!(delivered = said.is_ok(), "Spoke to a terminal");
            }
        };
        if tokio::time::timeout(SAYING, said).await.is_err() {
            tracing::debug!("A person takes no more");
        }
    }
}

/// A client whose asset is down hears one plain sentence, on the channel that it opens in a moment at the latest.
pub(in crate::ssh) async fn refuse_waiting(
    asks: &mut mpsc::Receiver<Ask>,
    gone: &CancellationToken,
    sentence: &str,
    patience: Duration,
) {
    let until = tokio::time::Instant::now() + patience;
    let mut answered = false;
    loop {
        // Once one channel was answered, only those that wait already are.
        let until = if answered { tokio::time::Instant::now() } else { until };
        match tokio::time::timeout_at(until, asks.recv()).await {
            Ok(Some(ask)) => {
                refuse(ask, sentence.to_owned()).await;
                answered = true;
            }
            Ok(None) | Err(_) => break,
        }
    }
    if answered {
        // The person's client closes by itself once its channel is closed.
        let left = tokio::time::timeout(LEFT_WITHIN, gone.cancelled()).await;
        tracing::trace!(left = left.is_ok(), "Refused the waiting channels");
    }
}

pub(in crate::ssh) async fn refuse(ask: Ask, sentence: String) {
    match ask {
        Ask::Session { channel, opening, reply } => {
            // A sentence needs a channel to be said on.
            accept(opening).await;
            if reply.send(Err(Unopened { channel: Some(channel), sentence })).is_err() {
                tracing::debug!("The person left before their channel was refused");
            }
        }
        Ask::Loopback { reply, .. } => reply.reject(ChannelOpenFailure::Other { code: 1, reason: sentence }).await,
    }
}

pub(in crate::ssh) async fn accept(opening: Option<ChannelOpenHandle>) {
    if let Some(opening) = opening {
        opening.accept().await;
    }
}
