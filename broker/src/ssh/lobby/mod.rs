//! Logged in without a target: a list of what there is to reach, a choice, and jumps.

mod code;
mod direct_tcpip;
mod listing;
mod menu;
mod registry;

pub(in crate::ssh) use direct_tcpip::DirectTcpip;
pub(in crate::ssh) use menu::Later;
pub(in crate::ssh) use registry::Lobbies;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{self, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use sallyport_policy::{AssetId, ServiceName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

use self::code::renew;
use self::listing::Listing;
use self::menu::{Choosing, Reader};
use self::registry::Entered;
use crate::login::breaking::break_glass;
use crate::login::target::{Lead, Nowhere};
use crate::session::{Activity, Authenticated, Seat, Session};
use crate::ssh::abortable::Lifeline;
use crate::ssh::backlog::{Backlog, Full};
use crate::ssh::channel::flow::Flow;
use crate::ssh::server::Server;
use crate::ssh::session::Voice;
use crate::ssh::{ChannelAnswer, ChannelRequest, say_and_close};

/// Jumps and streams open at once through one connection.
const MOST_THROUGH: usize = 64;
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
";

/// The lobby of one connection.
pub(in crate::ssh) struct Lobby {
    server: Arc<Server>,
    session: Arc<Session<Authenticated>>,
    handle: server::Handle,
    line: Lifeline,
    channels: HashMap<ChannelId, InLobby>,
    /// For what leads through to the plant.
    slots: Arc<Semaphore>,
    /// Everything open on this connection.
    open: Activity,
    /// Cancelled with the connection.
    gone: CancellationToken,
    _gone: DropGuard,
    _entered: Entered,
}

/// A way to an asset's own login through this connection.
pub(in crate::ssh) struct Jump {
    pub(in crate::ssh) asked: DirectTcpip,
    pub(in crate::ssh) asset: AssetId,
    pub(in crate::ssh) service: ServiceName,
    /// Whose it is.
    pub(in crate::ssh) session: Session<Authenticated>,
    /// What the connection around it holds.
    pub(in crate::ssh) outer: Flow,
    /// Its place among what is open through that connection, as long as it is served.
    pub(in crate::ssh) place: (OwnedSemaphorePermit, Seat),
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
    ) -> Self {
        let gone = CancellationToken::new();
        let open = Activity::new();
        let identity = session.proof().identity().clone();
        let entered = server.lobbies.enter(identity, open.clone(), handle.clone(), line.cut.clone());
        Self {
            server,
            session: Arc::new(session),
            handle,
            line,
            channels: HashMap::new(),
            slots: Arc::new(Semaphore::new(MOST_THROUGH)),
            open,
            gone: gone.clone(),
            _gone: gone.drop_guard(),
            _entered: entered,
        }
    }

    pub(in crate::ssh) async fn open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        self.channels.retain(|_, held| !held.is_over());
        if self.channels.len() >= MOST_IN_LOBBY {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        let (backlog, seat) = (Backlog::default(), self.open.seat());
        self.channels.insert(channel.id(), InLobby::Idle { channel, terminal: None, backlog, seat });
        reply.accept().await;
    }

    /// Whether this person has been denied so much that the connection should end.
    pub(in crate::ssh) fn denied_too_often(&self) -> bool {
        self.session.denied_too_often()
    }

    pub(in crate::ssh) fn closed(&mut self, id: ChannelId) {
        self.channels.remove(&id);
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
                self.answer(id, seat, print(channel, Listing::of(&self.session).text()))
            }
            (Some(InLobby::Idle { channel, seat, .. }), ChannelRequest::Exec(command)) => match command.as_slice() {
                b"ls" => self.answer(id, seat, print(channel, Listing::of(&self.session).text())),
                b"ls --json" => self.answer(id, seat, print(channel, Listing::of(&self.session).json())),
                b"code" => {
                    let renewing = renew(channel, Arc::clone(&self.session));
                    self.answer(id, seat, async { drop(tokio::time::timeout(RENEWING, renewing).await) })
                }
                line if line == b"break-glass" || line.starts_with(b"break-glass ") => {
                    let words = String::from_utf8_lossy(&line[b"break-glass".len()..]).into_owned();
                    self.answer(id, seat, broken(channel, Arc::clone(&self.session), words))
                }
                b"help" | b"--help" => self.answer(id, seat, print(channel, HELP.to_owned())),
                _ => {
                    let words = "The broker itself runs only `ls`, `code`, `break-glass` and `help`. Name an asset, as in ssh alice:ews-1@broker.";
                    self.answer(id, seat, say_and_close(Some(channel), words.to_owned()))
                }
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

    /// A direct-tcpip channel: `-J`, `-L`, `-W`, `-D`. Gives a jump, to be served; a stream is carried in a task of its own,
    /// because the handler runs inside the outer connection's loop, which must go on.
    pub(in crate::ssh) async fn through(&mut self, asked: DirectTcpip) -> Option<Jump> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            let reason = "more channels through one connection than it may have";
            let sentence = format!("More than {MOST_THROUGH} connections through one login are not allowed.");
            asked.refuse(&self.session, Nowhere { reason, sentence }).await;
            return None;
        };
        let lead = match asked.lead(&self.session) {
            Ok(lead) => lead,
            Err(nowhere) => {
                let session = Arc::clone(&self.session);
                tokio::spawn(async move {
                    asked.refuse(&session, nowhere).await;
                    drop(slot);
                });
                return None;
            }
        };
        let seat = self.open.seat();
        match lead {
            Lead::Jump { asset, service } => {
                let (session, outer) = (self.session.another(), self.line.flow.clone());
                Some(Jump { asked, asset, service, session, outer, place: (slot, seat) })
            }
            Lead::Stream(target) => {
                let (session, gone) = (Arc::clone(&self.session), self.gone.clone());
                let flow = self.line.flow.clone();
                tokio::spawn(async move {
                    direct_tcpip::stream(session, target, asked, gone, flow).await;
                    drop((slot, seat));
                });
                None
            }
        }
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
