//! Logged in without a target: a list of what there is to reach, a choice, and jumps.

mod code;
mod direct_tcpip;
mod listing;
mod menu;
mod registry;
mod requests;
mod through;

pub(in crate::ssh) use direct_tcpip::DirectTcpip;
pub(in crate::ssh) use menu::Later;
pub(in crate::ssh) use registry::Lobbies;
pub(in crate::ssh) use through::{Jump, ServeJump};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{self, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use self::code::renew;
use self::listing::Listing;
use self::menu::{Choosing, Reader};
use self::registry::Entered;
use self::requests::{Said, answer_to};
use self::through::{Places, Ways};
use crate::login::breaking::break_glass;
use crate::session::{Activity, Authenticated, Seat, Session};
use crate::ssh::abortable::Lifeline;
use crate::ssh::backlog::{Backlog, Full};
use crate::ssh::server::Server;
use crate::ssh::session::Voice;
use crate::ssh::{ChannelAnswer, ChannelRequest, say_and_close};

/// Session channels in the lobby at once.
const MOST_IN_LOBBY: usize = 8;
/// A fresh code is given within this, by somebody who also reads.
const RENEWING: Duration = Duration::from_secs(150);

const HELP: &str = "\
ssh alice@broker               choose from a list
ssh alice@broker ls [--json]   print the list
ssh alice:ews-1@broker         go straight to ews-1
ssh -J alice@broker operator@ews-1
                               the same through a jump, for scp, sftp, Ansible, VS Code
ssh -N -L 5020:plc-1:502 alice@broker
                               port 5020 of your machine leads to port 502 of plc-1
ssh alice@broker code          give a fresh code for connections that ask for one
ssh alice@broker break-glass ews-1 WHY
                               in an emergency: what asks for an approval, or is outside its hours
ssh alice@broker request ews-1 --for 2h --permit PTW-17 WHY
                               ask others to approve what needs it
ssh alice@broker requests      what you ask for, and what others ask you
ssh alice@broker withdraw ID   do not ask any more
ssh bob@broker approve ID      approve what somebody else asks for
ssh bob@broker deny ID WHY     deny it, also after it was approved
";

const ONLY: &str = "The broker itself runs only `ls`, `code`, `break-glass`, `request`, `requests`, `withdraw`, `approve`, `deny` and \
     `help`. Name an asset, as in ssh alice:ews-1@broker.";

/// The lobby of one connection.
pub(in crate::ssh) struct Lobby {
    server: Arc<Server>,
    session: Arc<Session<Authenticated>>,
    handle: server::Handle,
    line: Lifeline,
    channels: HashMap<ChannelId, InLobby>,
    /// To what leads through to the plant.
    ways: Arc<Ways>,
    /// Everything open on this connection.
    open: Activity,
    /// For what all who choose here are told.
    notices: Voice,
    _gone: DropGuard,
    _entered: Entered,
}

enum InLobby {
    /// Open; nothing asked for yet but perhaps a terminal.
    Idle { channel: Channel<Msg>, terminal: Option<ChannelRequest>, backlog: Backlog, seat: Seat },
    /// Somebody chooses, or has chosen: what comes next goes there.
    Choosing { later: mpsc::Sender<Later>, backlog: Arc<Backlog>, task: JoinHandle<()>, _left: DropGuard },
    /// Text is being printed, and the channel closed. A person who does not read it keeps the place.
    Answering(AbortOnDropHandle<()>),
}

impl Lobby {
    pub(in crate::ssh) fn new(
        server: Arc<Server>,
        session: Session<Authenticated>,
        handle: server::Handle,
        line: Lifeline,
        serve_jump: ServeJump,
    ) -> Self {
        let gone = CancellationToken::new();
        let open = Activity::new();
        let entered = server.lobbies.enter(&session, open.clone(), handle.clone(), line.cut.clone());
        let session = Arc::new(session);
        let notices = Voice::new(handle.clone(), line.cut.clone(), line.flow.clone());
        let ways = Ways {
            server: Arc::clone(&server),
            session: Arc::clone(&session),
            serve_jump,
            notices: notices.clone(),
            flow: line.flow.clone(),
            open: open.clone(),
            gone: gone.clone(),
            places: Places::default(),
        };
        Self {
            server,
            session,
            handle,
            line,
            channels: HashMap::new(),
            ways: Arc::new(ways),
            open,
            notices,
            _gone: gone.drop_guard(),
            _entered: entered,
        }
    }

    pub(in crate::ssh) async fn open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let notices = &self.notices;
        self.channels.retain(|id, held| {
            let over = held.is_over();
            if over {
                notices.closed(*id);
            }
            !over
        });
        if self.channels.len() >= MOST_IN_LOBBY {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        let (backlog, seat) = (Backlog::default(), self.open.seat());
        self.channels.insert(channel.id(), InLobby::Idle { channel, terminal: None, backlog, seat });
        reply.accept().await;
    }

    pub(in crate::ssh) fn closed(&mut self, id: ChannelId) {
        self.channels.remove(&id);
        self.notices.closed(id);
    }

    /// So many bytes have come for a channel. Where somebody chooses, they are taken, if not at once.
    pub(in crate::ssh) async fn received(&mut self, id: ChannelId, bytes: usize) -> Result<(), Full> {
        match self.channels.get(&id) {
            Some(InLobby::Idle { backlog, .. }) => backlog.add(bytes),
            Some(InLobby::Choosing { backlog, .. }) => match backlog.add(bytes) {
                Ok(()) => Ok(()),
                Err(Full) => tokio::time::timeout(self.server.opening(), backlog.room()).await.map_err(|_| Full),
            },
            Some(InLobby::Answering(_)) | None => Ok(()),
        }
    }

    pub(in crate::ssh) async fn request(&mut self, id: ChannelId, request: ChannelRequest) -> ChannelAnswer {
        match (self.channels.remove(&id), request) {
            (Some(InLobby::Idle { channel, backlog, seat, .. }), request @ ChannelRequest::Pty { .. }) => {
                self.channels.insert(id, InLobby::Idle { channel, terminal: Some(request), backlog, seat });
                ChannelAnswer::Success
            }
            (Some(InLobby::Idle { channel, terminal: Some(terminal), backlog, seat }), ChannelRequest::Shell) => {
                let choosing = self.choose(channel, terminal, backlog, seat);
                self.channels.insert(id, choosing);
                ChannelAnswer::Success
            }
            (Some(InLobby::Idle { channel, terminal: None, seat, .. }), ChannelRequest::Shell) => {
                self.answer(id, seat, listed(channel, Arc::clone(&self.session)))
            }
            (Some(InLobby::Idle { channel, seat, .. }), ChannelRequest::Exec(command)) => match command.as_slice() {
                b"ls" => self.answer(id, seat, listed(channel, Arc::clone(&self.session))),
                b"ls --json" => self.answer(id, seat, listed_as_json(channel, Arc::clone(&self.session))),
                b"code" => {
                    let renewing = renew(channel, Arc::clone(&self.session));
                    self.answer(id, seat, async { drop(tokio::time::timeout(RENEWING, renewing).await) })
                }
                line if line == b"break-glass" || line.starts_with(b"break-glass ") => {
                    let words = String::from_utf8_lossy(&line[b"break-glass".len()..]).into_owned();
                    self.answer(id, seat, broken(channel, Arc::clone(&self.session), words))
                }
                b"help" | b"--help" => self.answer(id, seat, print(channel, HELP.to_owned())),
                line => match Said::read(line) {
                    Some(said) => self.answer(id, seat, answer_to(said, channel, Arc::clone(&self.session))),
                    None => self.answer(id, seat, say_and_close(Some(channel), ONLY.to_owned())),
                },
            },
            (Some(InLobby::Idle { channel, seat, .. }), ChannelRequest::Subsystem(_)) => {
                let words = "Files are on the assets, not on the broker. Name one, as in sftp alice:ews-1@broker.";
                self.answer(id, seat, say_and_close(Some(channel), words.to_owned()))
            }
            (Some(other), _) => {
                self.channels.insert(id, other);
                ChannelAnswer::Failure
            }
            (None, _) => ChannelAnswer::Failure,
        }
    }

    fn choose(&self, channel: Channel<Msg>, terminal: ChannelRequest, backlog: Backlog, seat: Seat) -> InLobby {
        let (later, requests) = mpsc::channel(16);
        let (backlog, left) = (Arc::new(backlog), CancellationToken::new());
        self.notices.has_terminal(channel.id());
        let voice = Voice::new(self.handle.clone(), self.line.cut.clone(), self.line.flow.clone());
        let reader = Reader { channel, backlog: Arc::clone(&backlog), left: left.clone() };
        let choosing = Choosing::new(Arc::clone(&self.session), voice, reader, terminal, requests);
        let task = tokio::spawn(async move {
            choosing.run().await;
            drop(seat);
        });
        InLobby::Choosing { later, backlog, task, _left: left.drop_guard() }
    }

    fn answer(
        &mut self,
        id: ChannelId,
        seat: Seat,
        answering: impl Future<Output = ()> + Send + 'static,
    ) -> ChannelAnswer {
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            answering.await;
            drop(seat);
        }));
        self.channels.insert(id, InLobby::Answering(task));
        ChannelAnswer::Success
    }

    /// What needs no answer: the window, a signal. A full queue drops it; the next window change makes up for one.
    pub(in crate::ssh) fn later(&mut self, id: ChannelId, later: Later) {
        if let Some(InLobby::Choosing { later: requests, .. }) = self.channels.get(&id) {
            tracing::trace!(taken = requests.try_send(later).is_ok(), "Passed on to the lobby");
        }
    }

    /// A direct-tcpip channel: `-J`, `-L`, `-W`, `-D`.
    pub(in crate::ssh) async fn through(&mut self, asked: DirectTcpip) {
        Arc::clone(&self.ways).lead(asked).await;
    }
}

impl InLobby {
    /// russh tells nothing of the client's close where the broker has closed first.
    fn is_over(&self) -> bool {
        match self {
            InLobby::Idle { .. } => false,
            InLobby::Choosing { task, .. } => task.is_finished(),
            InLobby::Answering(task) => task.is_finished(),
        }
    }
}

async fn listed(channel: Channel<Msg>, session: Arc<Session<Authenticated>>) {
    let text = Listing::of(&session).await.text();
    print(channel, text).await;
}

async fn listed_as_json(channel: Channel<Msg>, session: Arc<Session<Authenticated>>) {
    let text = Listing::of(&session).await.json();
    print(channel, text).await;
}

async fn broken(channel: Channel<Msg>, session: Arc<Session<Authenticated>>, words: String) {
    match break_glass(&session, &words).await {
        Ok(sentence) => print(channel, format!("{sentence}\n")).await,
        Err(sentence) => say_and_close(Some(channel), sentence).await,
    }
}

async fn print(channel: Channel<Msg>, text: String) {
    let (_, writer) = channel.split();
    let said = async {
        writer.data_bytes(text).await?;
        writer.exit_status(0).await?;
        writer.eof().await?;
        writer.close().await
    };
    if said.await.is_err() {
        tracing::debug!("The person left before the answer");
    }
}
