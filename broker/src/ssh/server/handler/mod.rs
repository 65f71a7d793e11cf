//! The one russh handler for people: it translates callbacks into the typed stages behind each door.

mod passing;

use std::net::IpAddr;
use std::sync::Arc;

use russh::keys::ssh_key::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session as Connection, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};

use super::jump_login::{JumpLogin, LoginAnswer};
use super::notice::before_login;
use super::outer_login::{OuterLogin, ask};
use super::shared::Server;
use crate::audit::Tally;
use crate::listen::Pass;
use crate::login::Entry;
use crate::ssh::ChannelRequest;
use crate::ssh::abortable::Lifeline;
use crate::ssh::lobby::{DirectTcpip, Later, Lobby, ServeJump};
use crate::ssh::session::{SessionConnection, Voice};

/// Why the handler ends a connection.
pub(in crate::ssh) type Error = russh::Error;

/// One connection of a person, outer or inner.
pub(in crate::ssh) struct PersonHandler {
    server: Arc<Server>,
    door: Door,
    /// Who, once they are known.
    identity: Option<String>,
    line: Lifeline,
    serve_jump: ServeJump,
    /// Requests for what is carried for nobody.
    refused: Tally,
}

enum Door {
    Outer(Box<OuterLogin>),
    Inner(Box<JumpLogin>),
    Lobby(Box<Lobby>),
    Session(SessionConnection),
    /// Between two doors; nothing is open.
    Shut,
}

impl PersonHandler {
    /// Somebody at the broker's own port.
    pub(in crate::ssh) fn outer(
        server: Arc<Server>,
        source: IpAddr,
        pass: Pass,
        line: Lifeline,
        serve_jump: ServeJump,
    ) -> Self {
        let login = OuterLogin::new(Arc::clone(&server.entrance), source, pass, line.client.clone());
        Self { server, door: Door::Outer(Box::new(login)), identity: None, line, serve_jump, refused: Tally::default() }
    }

    /// Somebody known, inside a jump.
    pub(in crate::ssh) fn inner(server: Arc<Server>, login: JumpLogin, line: Lifeline, serve_jump: ServeJump) -> Self {
        let identity = Some(login.identity().to_string());
        Self { server, door: Door::Inner(Box::new(login)), identity, line, serve_jump, refused: Tally::default() }
    }
}

impl Handler for PersonHandler {
    type Error = Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Error> {
        let outer = matches!(self.door, Door::Outer(_));
        Ok(outer.then(|| before_login(&self.server.broker)).flatten())
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        match &mut self.door {
            Door::Outer(login) => login.none(user),
            Door::Inner(login) => inner_auth(login.none(user).await),
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        match &mut self.door {
            Door::Outer(login) => unless_cut(&self.line, login.password(user, password)).await,
            Door::Inner(login) => unless_cut(&self.line, async { inner_auth(login.none(user).await) }).await,
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        match &mut self.door {
            Door::Outer(login) => unless_cut(&self.line, login.offered(user, offer.public_key, offer.algorithm)).await,
            Door::Inner(login) => inner_auth(login.offered(user)),
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        match &mut self.door {
            Door::Outer(login) => unless_cut(&self.line, login.key(user, key.public_key, key.algorithm)).await,
            Door::Inner(login) => unless_cut(&self.line, async { inner_auth(login.none(user).await) }).await,
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Error> {
        match &mut self.door {
            Door::Outer(login) => unless_cut(&self.line, login.certificate(user, certificate)).await,
            Door::Inner(login) => unless_cut(&self.line, async { inner_auth(login.none(user).await) }).await,
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        // One question, one answer: whatever else comes in the same message is not looked at.
        let answer = response.map(|mut answers| answers.next().unwrap_or_default());
        let answer = answer.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap_or_default());
        match &mut self.door {
            Door::Outer(login) => unless_cut(&self.line, login.interactive(user, answer)).await,
            Door::Inner(login) => {
                unless_cut(&self.line, async { inner_auth(login.interactive(user, answer).await) }).await
            }
            Door::Lobby(_) | Door::Session(_) | Door::Shut => Err(Error::Inconsistent),
        }
    }

    async fn auth_succeeded(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let entry = match std::mem::replace(&mut self.door, Door::Shut) {
            Door::Outer(login) => login.into_entered().map(|(identity, entry)| {
                self.identity = Some(identity.to_string());
                entry
            }),
            Door::Inner(login) => login.into_entry(),
            Door::Lobby(_) | Door::Session(_) | Door::Shut => None,
        };
        let voice = Voice::new(connection.handle(), self.line.cut.clone(), self.line.flow.clone());
        let opening = self.server.opening();
        let entry = entry.ok_or(Error::Inconsistent)?;
        // Who is one too many still has to be gone by the deadline.
        if !matches!(entry, Entry::Crowded(_)) {
            self.line.logged_in.cancel();
        }
        self.door = match entry {
            Entry::Lobby(session) => {
                let (server, line) = (Arc::clone(&self.server), self.line.clone());
                Door::Lobby(Box::new(Lobby::new(server, session, connection.handle(), line, self.serve_jump)))
            }
            Entry::Session { authorized, typed } => {
                Door::Session(SessionConnection::to_session(*authorized, typed, voice, opening))
            }
            Entry::Crowded(sentence) => {
                connection.disconnect(russh::Disconnect::TooManyConnections, &sentence, "en")?;
                Door::Shut
            }
            Entry::Refused(sentence) => Door::Session(SessionConnection::refused(sentence, voice, opening)),
        };
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _connection: &mut Connection,
    ) -> Result<(), Error> {
        match &mut self.door {
            Door::Session(session) => session.open_session(channel, reply).await,
            Door::Lobby(lobby) => lobby.open_session(channel, reply).await,
            Door::Outer(_) | Door::Inner(_) | Door::Shut => {
                reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            }
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        originator: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _connection: &mut Connection,
    ) -> Result<(), Error> {
        match &mut self.door {
            Door::Session(session) => session.open_loopback(channel, host, port, reply).await,
            Door::Lobby(lobby) => {
                lobby.through(DirectTcpip::new(channel, reply, host, port, (originator, originator_port))).await;
            }
            Door::Outer(_) | Door::Inner(_) | Door::Shut => {
                reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            }
        }
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.refuse_channel(reply, "an X11 channel", connection).await
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.refuse_channel(reply, "a forwarded connection from a client", connection).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        let what = format!("a connection to the Unix socket {}", path.escape_debug());
        self.refuse_channel(reply, &what, connection).await
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        connection: &mut Connection,
    ) -> Result<bool, Error> {
        self.refuse(&format!("remote forward of {}:{port}", address.escape_debug()), connection).await?;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, connection: &mut Connection) -> Result<bool, Error> {
        self.refuse(&format!("remote forward of the Unix socket {}", path.escape_debug()), connection).await?;
        Ok(false)
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _connection: &mut Connection) -> Result<(), Error> {
        self.data_received(channel, data).await
    }

    async fn extended_data(
        &mut self,
        channel: ChannelId,
        _kind: u32,
        data: &[u8],
        _connection: &mut Connection,
    ) -> Result<(), Error> {
        self.data_received(channel, data).await
    }

    fn adjust_window(&mut self, channel: ChannelId, current: u32) -> u32 {
        self.line.flow.incoming().next_window(channel.into(), current)
    }

    async fn window_adjusted(&mut self, channel: ChannelId, _size: u32, _: &mut Connection) -> Result<(), Error> {
        self.received(channel, 0).await
    }

    async fn channel_eof(&mut self, channel: ChannelId, _connection: &mut Connection) -> Result<(), Error> {
        self.received(channel, 0).await
    }

    async fn channel_close(&mut self, channel: ChannelId, _connection: &mut Connection) -> Result<(), Error> {
        match &mut self.door {
            Door::Session(session) => session.closed(channel),
            Door::Lobby(lobby) => lobby.closed(channel),
            Door::Outer(_) | Door::Inner(_) | Door::Shut => {}
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        cols: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        connection: &mut Connection,
    ) -> Result<(), Error> {
        let request =
            ChannelRequest::Pty { term: term.to_owned(), cols, rows, pixels: (width, height), modes: modes.to_vec() };
        self.request(channel, request, connection).await
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        let request = ChannelRequest::Env { name: name.to_owned(), value: value.to_owned() };
        self.request(channel, request, connection).await
    }

    async fn shell_request(&mut self, channel: ChannelId, connection: &mut Connection) -> Result<(), Error> {
        self.request(channel, ChannelRequest::Shell, connection).await
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.request(channel, ChannelRequest::Exec(command.to_vec()), connection).await
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        self.request(channel, ChannelRequest::Subsystem(name.to_owned()), connection).await
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        cols: u32,
        rows: u32,
        width: u32,
        height: u32,
        _connection: &mut Connection,
    ) -> Result<(), Error> {
        self.received(channel, 0).await?;
        let pixels = (width, height);
        match &mut self.door {
            Door::Session(session) => session.window_changed(channel, cols, rows, pixels).await,
            Door::Lobby(lobby) => lobby.later(channel, Later::Window { cols, rows, pixels }),
            Door::Outer(_) | Door::Inner(_) | Door::Shut => {}
        }
        Ok(())
    }

    async fn signal(&mut self, channel: ChannelId, signal: Sig, _connection: &mut Connection) -> Result<(), Error> {
        let name = if let Sig::Custom(name) = &signal { name.len() } else { 0 };
        self.received(channel, name).await?;
        match &mut self.door {
            Door::Session(session) => session.signal(channel, signal).await,
            Door::Lobby(lobby) => lobby.later(channel, Later::Signal(signal)),
            Door::Outer(_) | Door::Inner(_) | Door::Shut => {}
        }
        Ok(())
    }

    async fn agent_request(&mut self, channel: ChannelId, connection: &mut Connection) -> Result<bool, Error> {
        // Answered and recorded by this; what is returned would answer a second time, if the client still waited.
        self.request(channel, ChannelRequest::Agent, connection).await?;
        Ok(false)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        protocol: &str,
        cookie: &str,
        _screen: u32,
        connection: &mut Connection,
    ) -> Result<(), Error> {
        // Its words are counted apart: the request itself does not keep them.
        self.received(channel, protocol.len() + cookie.len()).await?;
        self.request(channel, ChannelRequest::X11, connection).await
    }
}

/// What a stranger waits for ends with their connection: otherwise it would keep its place in the queue for a password's
/// hash, and every other, until it is through.
async fn unless_cut<T>(line: &Lifeline, waiting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = line.cut.cancelled() => Err(Error::Disconnect),
        answer = waiting => answer,
    }
}

fn inner_auth(answer: LoginAnswer) -> Result<Auth, Error> {
    match answer {
        LoginAnswer::Accept => Ok(Auth::Accept),
        LoginAnswer::Reject => Ok(Auth::Reject {
            proceed_with_methods: Some(MethodSet::from(&[MethodKind::KeyboardInteractive][..])),
            partial_success: false,
        }),
        LoginAnswer::Ask(question) => Ok(ask(question)),
        LoginAnswer::HangUp => Err(Error::Disconnect),
    }
}
