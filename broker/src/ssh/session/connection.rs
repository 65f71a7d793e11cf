//! A connection that is bound to one asset: its channels are relayed, or all answered with one sentence.

use std::collections::HashMap;
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure, Sig};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use super::client::{Ask, Client, Unopened, Voice};
use crate::audit::shortened;
use crate::session::{Authorized, Carrier, Session};
use crate::ssh::backlog::{Backlog, Full};
use crate::ssh::{ChannelAnswer, ChannelRequest, SessionChannel};
use crate::vault::Secret;

/// Channels that may wait for the dial.
const WAITING: usize = 16;
/// Channels in one connection, open and waiting.
const MOST_ON_CONNECTION: usize = 64;

/// The person's end of a session. Dropping it (with the handler, when the connection is gone) tells the session.
pub(in crate::ssh) struct SessionConnection {
    asks: mpsc::Sender<Ask>,
    voice: Voice,
    channels: HashMap<ChannelId, Held>,
    /// So long a channel's first request waits for the asset.
    opening: Duration,
    _gone: DropGuard,
}

enum Held {
    /// The asset has not answered yet.
    Opening(oneshot::Receiver<Result<SessionChannel, Unopened>>, Backlog),
    /// Relayed.
    Open(Box<SessionChannel>),
    /// Refused: the sentence is said when the client asks for a shell, a command or a subsystem.
    Refused(Unopened, Backlog),
    /// The sentence is being said, or was.
    Answered(AbortOnDropHandle<()>),
    /// The asset opened none, which the client has been told; or the session ended before it had answered, and the connection is about to
    /// be closed with a sentence.
    Lost(Backlog),
}

impl SessionConnection {
    /// Starts the session in a task of its own.
    pub(in crate::ssh) fn to_session(
        authorized: Session<Authorized>,
        typed: Option<Secret<String>>,
        voice: Voice,
        opening: Duration,
    ) -> Self {
        let (bound, client) = Self::new(voice, typed, opening);
        tokio::spawn(async move {
            // Both outcomes are on the record, and the person has been told.
            match authorized.run(client).await {
                Ok(end) => tracing::debug!(end = end.word(), "Session over"),
                Err(refusal) => tracing::debug!(%refusal, "Session not started"),
            }
        });
        bound
    }

    /// Answers every channel with one sentence.
    pub(in crate::ssh) fn refused(sentence: String, voice: Voice, opening: Duration) -> Self {
        let (bound, client) = Self::new(voice, None, opening);
        tokio::spawn(async move { client.turn_away(sentence).await });
        bound
    }

    fn new(voice: Voice, typed: Option<Secret<String>>, opening: Duration) -> (Self, Client) {
        let (asks, receiver) = mpsc::channel(WAITING);
        let gone = CancellationToken::new();
        let client = Client { asks: receiver, gone: gone.clone(), voice: voice.clone(), typed };
        (Self { asks, voice, channels: HashMap::new(), opening, _gone: gone.drop_guard() }, client)
    }

    /// The client opens a session channel: answered when the asset has answered, and as it has.
    pub(in crate::ssh) async fn open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        self.forget_what_is_over();
        if self.channels.len() >= MOST_ON_CONNECTION {
            let reason = format!("more than {MOST_ON_CONNECTION} channels on one connection");
            return reply.reject(ChannelOpenFailure::Other { code: 4, reason }).await;
        }
        let id = channel.id();
        let (sender, receiver) = oneshot::channel();
        match self.asks.try_send(Ask::Session { channel, opening: Some(reply), reply: sender }) {
            Ok(()) => {
                self.channels.insert(id, Held::Opening(receiver, Backlog::default()));
            }
            // The ask that comes back is dropped, and with it what rejects the channel.
            Err(_) => tracing::info!("More channels asked for than the session can open"),
        }
    }

    /// The client wants a connection from the asset: to its own loopback, if anywhere.
    pub(in crate::ssh) async fn open_loopback(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        reply: ChannelOpenHandle,
    ) {
        // Whether it may be is for the session to say, which puts a refusal on the record.
        let host = shortened(host);
        let ask = Ask::Loopback { channel, reply, host, port };
        // A full queue drops the ask, and with it `reply`, which rejects.
        if self.asks.try_send(ask).is_err() {
            tracing::info!("More channels asked for than the session can open");
        }
    }

    /// So many bytes have come for a channel. While it waits for the asset, or for what it will be told, nobody takes them.
    pub(in crate::ssh) fn received(&mut self, id: ChannelId, bytes: usize) -> Result<(), Full> {
        let Some(held) = self.channels.get_mut(&id) else { return Ok(()) };
        held.look();
        match held {
            Held::Opening(_, backlog) | Held::Refused(_, backlog) | Held::Lost(backlog) => backlog.add(bytes),
            Held::Open(_) | Held::Answered(_) => Ok(()),
        }
    }

    /// One request on a channel, answered as the asset answers it.
    pub(in crate::ssh) async fn request(&mut self, id: ChannelId, request: ChannelRequest) -> ChannelAnswer {
        let terminal = matches!(request, ChannelRequest::Pty { .. });
        let Some(held) = self.channels.get_mut(&id) else { return ChannelAnswer::Failure };
        held.settle(self.opening).await;
        match held {
            Held::Open(channel) => {
                let answer = channel.request(request).await;
                if terminal && matches!(answer, ChannelAnswer::Success) {
                    self.voice.has_terminal(id);
                }
                answer
            }
            Held::Refused(Unopened { channel, sentence }, _) => {
                use ChannelRequest::{Exec, Shell, Subsystem};
                if matches!(request, Shell | Exec(_) | Subsystem(_)) {
                    let saying = crate::ssh::say_and_close(channel.take(), std::mem::take(sentence));
                    *held = Held::Answered(AbortOnDropHandle::new(tokio::spawn(saying)));
                }
                ChannelAnswer::Success
            }
            Held::Answered(_) | Held::Lost(_) => ChannelAnswer::Success,
            Held::Opening(..) => ChannelAnswer::Failure,
        }
    }

    /// The window of a channel's terminal has a new size.
    pub(in crate::ssh) async fn window_changed(&mut self, id: ChannelId, cols: u32, rows: u32, pixels: (u32, u32)) {
        if let Some(Held::Open(channel)) = self.channels.get(&id) {
            channel.window_changed(cols, rows, pixels).await;
        }
    }

    /// A signal for a channel's program.
    pub(in crate::ssh) async fn signal(&mut self, id: ChannelId, signal: Sig) {
        if let Some(Held::Open(channel)) = self.channels.get(&id) {
            channel.signal(signal).await;
        }
    }

    /// russh tells nothing of the client's close where the broker has closed first: most channels end that way.
    fn forget_what_is_over(&mut self) {
        let voice = &self.voice;
        self.channels.retain(|id, held| {
            let over = held.is_over();
            if over {
                voice.closed(*id);
            }
            !over
        });
    }

    /// The client has closed a channel.
    pub(in crate::ssh) fn closed(&mut self, id: ChannelId) {
        self.channels.remove(&id);
        self.voice.closed(id);
    }
}

impl Held {
    /// Waits for the asset's answer, where it is still due.
    async fn settle(&mut self, opening: Duration) {
        let Held::Opening(answer, _) = self else { return };
        *self = match tokio::time::timeout(opening, answer).await {
            Ok(Ok(answer)) => Held::answered(answer),
            Ok(Err(_)) | Err(_) => Held::Lost(Backlog::default()),
        };
    }

    fn answered(answer: Result<SessionChannel, Unopened>) -> Self {
        match answer {
            Ok(channel) => Held::Open(Box::new(channel)),
            Err(refused) => Held::Refused(refused, Backlog::default()),
        }
    }

    /// Takes the asset's answer if it is there.
    fn look(&mut self) {
        let Held::Opening(answer, _) = self else { return };
        match answer.try_recv() {
            Ok(answer) => *self = Held::answered(answer),
            Err(TryRecvError::Closed) => *self = Held::Lost(Backlog::default()),
            Err(TryRecvError::Empty) => {}
        }
    }

    fn is_over(&mut self) -> bool {
        self.look();
        match self {
            Held::Open(channel) => channel.is_over(),
            Held::Answered(saying) => saying.is_finished(),
            Held::Lost(_) => true,
            Held::Opening(..) | Held::Refused(..) => false,
        }
    }
}
