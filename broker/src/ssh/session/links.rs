//! The connections of one session to its asset: one, and others where the asset opens no further channel on those there are (`MaxSessions` of
//! sshd, 10 unless it says more). Each is dialled like the first: pinned key, the same account, on the session's record.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use russh::{Channel, ChannelOpenFailure, client};
use sallyport_policy::AccountAuth;
use tokio::sync::{mpsc, oneshot};

use super::asset::{AssetConnection, DialError};
use super::dial::{connect, not_dialled};
use crate::live::End;
use crate::session::{Leg, Recorded};
use crate::ssh::Flow;

/// Connections to its asset that one session may have.
const MOST_CONNECTIONS: usize = 8;
/// Who may wait at once for one more: every channel that a session may have.
const MOST_WANTED: usize = 64;

/// The connections that there are.
#[derive(Clone)]
pub(super) struct Links {
    connections: Arc<Mutex<Vec<AssetConnection>>>,
    wanted: mpsc::Sender<Wanted>,
}

/// A channel found no room on so many connections.
struct Wanted {
    found: usize,
    /// Whether there is one more.
    made: oneshot::Sender<bool>,
}

/// A channel of the asset's, and what its connection holds.
pub(super) struct Opened {
    pub(super) channel: Channel<client::Msg>,
    pub(super) flow: Flow,
}

/// One more connection, under way.
type Dial<'a> = Pin<Box<dyn Future<Output = Result<AssetConnection, DialError>> + Send + 'a>>;

/// Makes connections when they are wanted.
pub(super) struct Linking<'a> {
    recorded: &'a Recorded,
    links: Links,
    wants: mpsc::Receiver<Wanted>,
    waiting: Vec<oneshot::Sender<bool>>,
    dial: Option<Dial<'a>>,
}

impl Links {
    /// With the connection that a session begins with.
    pub(super) fn new(recorded: &Recorded, first: AssetConnection) -> (Self, Linking<'_>) {
        let (wanted, wants) = mpsc::channel(MOST_WANTED);
        let links = Self { connections: Arc::new(Mutex::new(vec![first])), wanted };
        let linking = Linking { recorded, links: links.clone(), wants, waiting: Vec::new(), dial: None };
        (links, linking)
    }

    /// A new session channel, on whichever connection has room.
    pub(super) async fn open_session(&self) -> Result<Opened, russh::Error> {
        loop {
            let connections = self.all();
            let mut full = None;
            // The one that was made last has most room.
            for connection in connections.iter().rev() {
                match connection.open_session().await {
                    Ok(channel) => return Ok(Opened { channel, flow: connection.flow() }),
                    Err(error) if is_full(&error) => full = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let full = full.ok_or(russh::Error::Disconnect)?;
            if !self.another(connections.len()).await {
                return Err(full);
            }
        }
    }

    /// A new connection that the asset makes to itself: these count for nothing.
    pub(super) async fn open_loopback(&self, host: &str, port: u16) -> Result<Opened, russh::Error> {
        let first = self.all().into_iter().next().ok_or(russh::Error::Disconnect)?;
        Ok(Opened { channel: first.open_loopback(host, port).await?, flow: first.flow() })
    }

    /// Says goodbye on each.
    pub(super) async fn close(&self) {
        for connection in self.all() {
            connection.close().await;
        }
    }

    async fn another(&self, found: usize) -> bool {
        let (made, answer) = oneshot::channel();
        self.wanted.send(Wanted { found, made }).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// Those that live, and the first.
    fn all(&self) -> Vec<AssetConnection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = true;
        connections.retain(|connection| std::mem::take(&mut first) || !connection.closed().is_cancelled());
        connections.clone()
    }
}

impl Linking<'_> {
    /// Hears who wants one more, and dials. Gives what that came to, for [`Self::made`]. Whoever stops waiting and asks again misses
    /// nothing.
    pub(super) async fn next(&mut self) -> Option<Result<AssetConnection, DialError>> {
        let Self { dial, wants, .. } = self;
        let dialled = async {
            match dial {
                Some(dial) => dial.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            dialled = dialled => {
                self.dial = None;
                Some(dialled)
            }
            wanted = wants.recv() => {
                if let Some(Wanted { found, made }) = wanted {
                    self.wanted(found, made);
                }
                None
            }
        }
    }

    fn wanted(&mut self, found: usize, made: oneshot::Sender<bool>) {
        let connections = self.links.all();
        // A password that was typed is not kept for a second login.
        let may = connections.len() < MOST_CONNECTIONS
            && !matches!(self.recorded.leg(), Leg::Ssh { auth: AccountAuth::Prompt, .. });
        if connections.len() != found || !may {
            tracing::trace!(told = made.send(connections.len() > found).is_ok(), "No further connection was made");
            return;
        }
        self.waiting.push(made);
        if self.dial.is_none() {
            let beside = connections.into_iter().next();
            let recorded = self.recorded;
            self.dial = Some(Box::pin(async move { connect(recorded, None, Flow::default(), beside.as_ref()).await }));
        }
    }

    /// A further connection is there, on the record first, or none could be made; whoever waits is told.
    ///
    /// # Errors
    /// The end of the session that it came to: the asset is another one than it was, or nothing can be put on record.
    pub(super) async fn made(&mut self, dialled: Result<AssetConnection, DialError>) -> Result<(), End> {
        let made = match dialled {
            Ok(connection) => {
                self.recorded.notice(serde_json::json!({
                    "notice": "connected",
                    "address": self.recorded.address().to_string(),
                    "connection": self.links.all().len() + 1,
                }))?;
                self.links.connections.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                true
            }
            Err(error) => match not_dialled(self.recorded, &error).await {
                // What was refused is one channel, and the others go on.
                End::AssetUnreachable | End::AssetRefusedLogin | End::AssetNotUnderstood { .. } => false,
                end => return Err(end),
            },
        };
        for waits in self.waiting.drain(..) {
            tracing::trace!(told = waits.send(made).is_ok(), made, "A further connection");
        }
        Ok(())
    }
}

/// Did the asset refuse a channel because it has as many as it takes? sshd says so by "connect failed".
fn is_full(error: &russh::Error) -> bool {
    matches!(
        error,
        russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed | ChannelOpenFailure::ResourceShortage)
    )
}
