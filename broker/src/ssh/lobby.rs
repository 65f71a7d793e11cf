//! Logged in without a target: a list of what there is to reach, a choice, and jumps.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use russh::server::{self, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure};
use sallyport_policy::{Decision, Protocol, Reach};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::choosing::{Choosing, Later};
use super::cut::{Cuttable, Lifeline};
use super::front::Front;
use super::outer::ssh_service;
use super::person::Person;
use super::{Answer, ChannelRequest, pipe, say_and_close};
use crate::session::{Authenticated, Session, Voice, not_for_you};

/// Jumps open at once through one connection.
const MOST_JUMPS: usize = 64;
/// Session channels in the lobby at once.
const MOST_CHANNELS: usize = 8;

const HELP: &str = "\
ssh alice@broker               choose from a list
ssh alice@broker ls [--json]   print the list
ssh alice:ews-1@broker         go straight to ews-1
ssh -J alice@broker operator@ews-1
                               the same through a jump, for scp, sftp, Ansible, VS Code
";

/// The lobby of one connection.
pub(super) struct Lobby {
    front: Arc<Front>,
    session: Arc<Session<Authenticated>>,
    handle: server::Handle,
    cut: CancellationToken,
    channels: HashMap<ChannelId, InLobby>,
    jumps: Arc<Semaphore>,
}

enum InLobby {
    /// Open; nothing asked for yet but perhaps a terminal.
    Idle { channel: Channel<Msg>, terminal: Option<ChannelRequest> },
    /// Somebody chooses, or has chosen: what comes next goes there.
    Choosing(mpsc::Sender<Later>),
}

impl Lobby {
    pub(super) fn new(
        front: Arc<Front>,
        session: Session<Authenticated>,
        handle: server::Handle,
        cut: CancellationToken,
    ) -> Self {
        Self {
            front,
            session: Arc::new(session),
            handle,
            cut,
            channels: HashMap::new(),
            jumps: Arc::new(Semaphore::new(MOST_JUMPS)),
        }
    }

    pub(super) async fn open_session(&mut self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        if self.channels.len() >= MOST_CHANNELS {
            return reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        self.channels.insert(channel.id(), InLobby::Idle { channel, terminal: None });
        reply.accept().await;
    }

    pub(super) fn closed(&mut self, id: ChannelId) {
        self.channels.remove(&id);
    }

    pub(super) async fn request(&mut self, id: ChannelId, request: ChannelRequest) -> Answer {
        match (self.channels.remove(&id), request) {
            (Some(InLobby::Idle { channel, .. }), request @ ChannelRequest::Pty { .. }) => {
                self.channels.insert(id, InLobby::Idle { channel, terminal: Some(request) });
                Answer::Success
            }
            (Some(InLobby::Idle { channel, terminal: Some(terminal) }), ChannelRequest::Shell) => {
                let (requests, receiver) = mpsc::channel(16);
                self.channels.insert(id, InLobby::Choosing(requests));
                let voice = Voice::new(self.handle.clone(), self.cut.clone());
                let choosing = Choosing::new(Arc::clone(&self.session), voice, channel, terminal, receiver);
                tokio::spawn(choosing.run());
                Answer::Success
            }
            (Some(InLobby::Idle { channel, terminal: None }), ChannelRequest::Shell) => {
                tokio::spawn(print(channel, list(&self.session, false)));
                Answer::Success
            }
            (Some(InLobby::Idle { channel, .. }), ChannelRequest::Exec(command)) => {
                match command.as_slice() {
                    b"ls" => tokio::spawn(print(channel, list(&self.session, false))),
                    b"ls --json" => tokio::spawn(print(channel, list(&self.session, true))),
                    b"help" | b"--help" => tokio::spawn(print(channel, HELP.to_owned())),
                    _ => tokio::spawn(say_and_close(
                        Some(channel),
                        "The broker itself runs only `ls` and `help`. Name an asset, as in ssh alice:ews-1@broker."
                            .to_owned(),
                    )),
                };
                Answer::Success
            }
            (Some(InLobby::Idle { channel, .. }), ChannelRequest::Subsystem(_)) => {
                let words = "Files are on the assets, not on the broker. Name one, as in sftp alice:ews-1@broker.";
                tokio::spawn(say_and_close(Some(channel), words.to_owned()));
                Answer::Success
            }
            (Some(other), _) => {
                self.channels.insert(id, other);
                Answer::Failure
            }
            (None, _) => Answer::Failure,
        }
    }

    /// What needs no answer: the window, a signal. A full queue drops it; the next window change makes up for one.
    pub(super) fn later(&mut self, id: ChannelId, later: Later) {
        if let Some(InLobby::Choosing(requests)) = self.channels.get(&id) {
            tracing::trace!(taken = requests.try_send(later).is_ok(), "Passed on to the lobby");
        }
    }

    /// `-J`: one service of the plant file, or nothing. No socket is opened before the inner login is through.
    pub(super) async fn jump(&mut self, channel: Channel<Msg>, host: &str, port: u32, reply: ChannelOpenHandle) {
        let port = u16::try_from(port).unwrap_or(0);
        let policy = self.front.broker.policy.current();
        // `ssh -J` without a port says 22: by its plant name, that is the asset's one ssh service, wherever it listens.
        let by_name = || ssh_service(&policy, host).filter(|_| port == 22);
        let Some((asset, service)) = policy.locate(host, port).or_else(by_name) else {
            return match self.session.refuse_on_record(host, port, "not a service of the plant file").await {
                Ok(()) | Err(_) => refuse(reply, not_for_you(host)).await,
            };
        };
        if policy.accounts(self.session.proof().subject(), &asset.id, &service.name).is_empty() {
            return match self.session.refuse_on_record(host, port, "no grant names it for this identity").await {
                Ok(()) | Err(_) => refuse(reply, not_for_you(host)).await,
            };
        }
        if service.protocol != Protocol::Ssh {
            return refuse(reply, format!("{} services are not available yet", service.protocol)).await;
        }
        let Ok(slot) = Arc::clone(&self.jumps).try_acquire_owned() else {
            return refuse(reply, format!("more than {MOST_JUMPS} jumps through one connection")).await;
        };
        let config = match self.front.inner(asset) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "No host certificate, so no jump");
                return refuse(reply, "the broker cannot answer for this asset now".to_owned()).await;
            }
        };
        let line = Lifeline::default();
        let person = Person::inner(
            Arc::clone(&self.front),
            self.session.another(),
            asset.id.clone(),
            service.name.clone(),
            line.clone(),
        );
        let deadline = self.front.room.limits().login;
        reply.accept().await;
        // In a task of its own: the handler runs inside the outer connection's loop, which must go on.
        tokio::spawn(async move {
            serve_inner(config, channel, person, line, deadline).await;
            drop(slot);
        });
    }
}

async fn refuse(reply: ChannelOpenHandle, reason: String) {
    reply.reject(ChannelOpenFailure::Other { code: 1, reason }).await;
}

async fn serve_inner(
    config: Arc<server::Config>,
    channel: Channel<Msg>,
    person: Person,
    line: Lifeline,
    deadline: std::time::Duration,
) {
    let end = tokio::time::Instant::now() + deadline;
    let stream = Cuttable::new(pipe(channel), &line.cut);
    let Ok(started) = tokio::time::timeout_at(end, server::run_stream(config, stream, person)).await else {
        return tracing::debug!("A jump was opened and nothing said");
    };
    let mut running = match started {
        Ok(running) => running,
        Err(error) => return tracing::debug!(%error, "A jump did not begin"),
    };
    let handle = running.handle();
    tokio::select! {
        result = &mut running => return tracing::debug!(ok = result.is_ok(), "Jump closed"),
        () = async {
            tokio::select! {
                biased;
                () = line.logged_in.cancelled() => std::future::pending().await,
                () = tokio::time::sleep_until(end) => {}
            }
        } => {}
    }
    if handle.disconnect(russh::Disconnect::ByApplication, "the login took too long".into(), "en".into()).await.is_err()
    {
        tracing::debug!("A jump was closed already");
    }
}

/// What this person may reach, as a table or as JSON.
fn list(session: &Session<Authenticated>, json: bool) -> String {
    let reach = reachable(session);
    if json {
        let rows: Vec<_> = reach
            .iter()
            .map(|r| {
                serde_json::json!({
                    "asset": r.asset, "service": r.service, "account": r.account, "now": state(&r.decision),
                })
            })
            .collect();
        return format!("{}\n", serde_json::Value::from(rows));
    }
    if reach.is_empty() {
        return "There is nothing that you may reach. Your administrator can change that.\n".to_owned();
    }
    table(&reach)
}

pub(super) fn reachable(session: &Session<Authenticated>) -> Vec<Reach> {
    let broker = session.broker();
    broker.policy.current().reach(session.proof().subject(), session.proof().proofs(), &[], broker.now())
}

pub(super) fn table(reach: &[Reach]) -> String {
    let mut text = format!("{:>3}  {:<24} {:<8} {:<16} {}\n", "", "ASSET", "SERVICE", "ACCOUNT", "NOW");
    for (number, r) in (1..).zip(reach) {
        // Writing to a string cannot fail.
        let (asset, service, account) = (r.asset.as_str(), r.service.as_str(), r.account.as_str());
        let written = writeln!(text, "{number:>3}  {asset:<24} {service:<8} {account:<16} {}", state(&r.decision));
        debug_assert!(written.is_ok());
    }
    text
}

fn state(decision: &Decision) -> &'static str {
    match decision {
        Decision::Permit(_) => "yes",
        Decision::NeedFactors(_) => "after another code",
        Decision::NeedApproval(_) => "after an approval",
        Decision::Deny(_) => "not now",
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
