//! A person's client, a bare gate and an asset in one process, with the relay between them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::{Channel, ChannelId, ChannelMsg, Sig, client, server};
use sallyport_policy::{ChannelKind, FileTransfer, Terms};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

mod notebook;
mod program;

pub(crate) use notebook::{Notebook, Strike, weighed};
use program::program_on_the_asset;

use crate::session::Record;
use crate::ssh::channel::ChannelRequest;
use crate::ssh::channel::flow::Flow;
use crate::ssh::channel::item::{Item, batch_cost, joined, same_batch};
use crate::ssh::channel::reader::{Drain, Received};
use crate::ssh::channel::{ChannelAnswer, SessionChannel};
use crate::ssh::channel::{ChannelContext, RefusedRequest};
use crate::ssh::transfer::FileReport;

/// What arrived at the asset, by channel in order of opening.
#[derive(Default)]
pub(crate) struct AssetLog {
    pub(crate) input: Arc<Mutex<Vec<u8>>>,
    /// What a program called `wired` says.
    pub(crate) says: tokio::sync::Mutex<Option<mpsc::Receiver<Vec<u8>>>>,
    pub(crate) requests: Mutex<Vec<String>>,
}

/// Everything of one test.
pub(crate) struct Bed {
    pub(crate) notebook: Arc<Notebook>,
    pub(crate) asset: Arc<AssetLog>,
    pub(crate) reports: mpsc::Receiver<FileReport>,
    pub(crate) refused: mpsc::Receiver<RefusedRequest>,
    pub(crate) context: ChannelContext,
    pub(crate) client: client::Handle<Person>,
    /// The connection that a jump goes through.
    pub(crate) outer: Option<client::Handle<Person>>,
    pub(crate) port: u16,
}

pub(crate) fn terms(file_transfer: FileTransfer, channels: &[ChannelKind]) -> Terms {
    Terms { file_transfer, channels: channels.iter().copied().collect(), ..Terms::default() }
}

/// A person connected through a gate, by these terms, to an asset.
pub(crate) async fn bed(terms: Terms, notebook: Notebook) -> Bed {
    let notebook = Arc::new(notebook);
    let record = Record::new(notebook.clone(), terms.recorder_trouble);
    bed_on(terms, notebook, record).await
}

/// The same with this record, which is kept in that notebook.
pub(crate) async fn bed_on(terms: Terms, notebook: Arc<Notebook>, record: Record) -> Bed {
    let asset = Arc::new(AssetLog::default());
    let (report, reports) = mpsc::channel(64);
    let (refusals, refused) = mpsc::channel(64);
    let context = ChannelContext {
        record,
        terms: Arc::new(terms),
        ending: CancellationToken::new(),
        report,
        refused: refusals,
        person: Flow::default(),
        asset: Flow::default(),
    };
    let asset_port = listen(server_config(), {
        let asset = asset.clone();
        move || {
            let flow = Flow::default();
            (Asset::new(asset.clone(), flow.clone()), flow)
        }
    })
    .await;
    let gate_port = listen(gate_config(), {
        let context = context.clone();
        move || {
            let gate = Gate { context: context.clone(), asset_port, asset: None, channels: HashMap::new() };
            let flow = context.person.clone();
            (gate, flow)
        }
    })
    .await;
    let client = connect(gate_port).await;
    Bed { notebook, asset, reports, refused, context, client, outer: None, port: gate_port }
}

fn server_config() -> Arc<server::Config> {
    Arc::new(plain_config())
}

/// As the broker has it towards an asset.
fn asset_config() -> client::Config {
    client::Config { channel_buffer_size: crate::ssh::backlog::ASSET_BUFFER, ..client::Config::default() }
}

/// As the broker has it.
fn gate_config() -> Arc<server::Config> {
    Arc::new(server::Config {
        window_size: crate::ssh::channel::flow::WINDOW,
        channel_buffer_size: crate::ssh::backlog::CHANNEL_BUFFER,
        maximum_packet_size: crate::ssh::backlog::LARGEST_PACKET,
        event_buffer_size: 100,
        ..plain_config()
    })
}

fn plain_config() -> server::Config {
    let mut rng = russh::keys::key::safe_rng();
    server::Config {
        keys: vec![PrivateKey::random(&mut rng, russh::keys::Algorithm::Ed25519).unwrap()],
        auth_rejection_time: Duration::from_millis(1),
        nodelay: true,
        ..server::Config::default()
    }
}

async fn listen<H: server::Handler + Send + 'static>(
    config: Arc<server::Config>,
    make: impl Fn() -> (H, Flow) + Send + 'static,
) -> u16
where
    H::Error: std::fmt::Debug,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (config, (handler, flow)) = (config.clone(), make());
            tokio::spawn(async move {
                if let Ok(running) = server::run_stream(config, flow.meter(stream), handler).await {
                    let _ends_somehow = running.await;
                }
            });
        }
    });
    port
}

pub(crate) async fn connect(port: u16) -> client::Handle<Person> {
    connect_with(port, client::Config::default(), &Flow::default()).await
}

/// The same with a configuration of its own.
pub(crate) async fn connect_with(port: u16, config: client::Config, flow: &Flow) -> client::Handle<Person> {
    let config = Arc::new(client::Config { nodelay: true, ..config });
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut handle = client::connect_stream(config, flow.meter(stream), Person).await.unwrap();
    assert!(handle.authenticate_none("alice").await.unwrap().success());
    handle
}

pub(crate) struct Person;

impl client::Handler for Person {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// The person's side of a jump: OpenSSH's two processes with pipes between them never wait for each other.
fn person_pipe(channel: Channel<client::Msg>) -> tokio::io::DuplexStream {
    let (near, far) = tokio::io::duplex(256 * 1024);
    let (mut from_far, mut to_far) = tokio::io::split(far);
    let (read, write) = channel.split();
    let received = Received::start(read, None, Drain { stop: CancellationToken::new(), impatient: Box::new(|| false) });
    tokio::spawn(async move {
        while let Some(items) = received.queue.take(same_batch).await {
            let Some(Item::Data(_)) = items.first() else { break };
            if to_far.write_all(&joined(&items)).await.is_err() {
                break;
            }
            received.queue.release(batch_cost(&items));
        }
    });
    tokio::spawn(async move {
        let mut block = bytes::BytesMut::new();
        loop {
            block.reserve(64 * 1024);
            if from_far.read_buf(&mut block).await.unwrap_or(0) == 0
                || write.data_bytes(block.split().freeze()).await.is_err()
            {
                break;
            }
        }
    });
    near
}

/// The least that a broker does around the relay.
struct Gate {
    context: ChannelContext,
    asset_port: u16,
    asset: Option<client::Handle<Person>>,
    channels: HashMap<ChannelId, SessionChannel>,
}

impl Gate {
    fn another(&self) -> Self {
        let context = ChannelContext { person: Flow::default(), asset: Flow::default(), ..self.context.clone() };
        Self { context, asset_port: self.asset_port, asset: None, channels: HashMap::new() }
    }

    async fn pass(
        &mut self,
        id: ChannelId,
        request: ChannelRequest,
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        match self.channels.get_mut(&id).unwrap().request(request).await {
            ChannelAnswer::Success | ChannelAnswer::Refused => session.channel_success(id),
            ChannelAnswer::Failure => session.channel_failure(id),
        }
    }
}

impl server::Handler for Gate {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        if self.asset.is_none() {
            self.asset = Some(connect_with(self.asset_port, asset_config(), &self.context.asset).await);
        }
        let _seat = self.context.record.activity.seat();
        let asset = self.asset.as_ref().unwrap().channel_open_session().await?;
        let id = channel.id();
        let joined = SessionChannel::open(channel, session.handle(), asset, self.context.clone()).await;
        self.channels.insert(id, joined.map_err(|_| russh::Error::Inconsistent)?);
        reply.accept().await;
        Ok(())
    }

    /// Port 22 is a jump to a gate of its own; any other is a connection of the asset's.
    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<server::Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: server::ChannelOpenHandle,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        if port == 22 {
            let inner = self.another();
            reply.accept().await;
            let stream = inner.context.person.meter(crate::ssh::pipe(channel, self.context.person.clone()).0);
            tokio::spawn(async move {
                if let Ok(running) = server::run_stream(gate_config(), stream, inner).await {
                    let _ends_somehow = running.await;
                }
            });
            return Ok(());
        }
        if self.asset.is_none() {
            self.asset = Some(connect_with(self.asset_port, asset_config(), &self.context.asset).await);
        }
        let asset = self.asset.as_ref().unwrap().channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await?;
        let port = u16::try_from(port).unwrap();
        crate::ssh::relay_forward(channel, asset, self.context.clone(), host, port)
            .map_err(|_| russh::Error::Inconsistent)?;
        reply.accept().await;
        Ok(())
    }

    fn adjust_window(&mut self, channel: ChannelId, current: u32) -> u32 {
        self.context.person.incoming().next_window(channel.into(), current)
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut server::Session) -> Result<(), Self::Error> {
        if let Some(pause) = self.context.person.incoming().pause() {
            tokio::time::sleep(pause).await;
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
        modes: &[(russh::Pty, u32)],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        let request =
            ChannelRequest::Pty { term: term.to_owned(), cols, rows, pixels: (width, height), modes: modes.to_vec() };
        self.pass(channel, request, session).await
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.pass(channel, ChannelRequest::Env { name: name.to_owned(), value: value.to_owned() }, session).await
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), Self::Error> {
        self.pass(channel, ChannelRequest::Shell, session).await
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.pass(channel, ChannelRequest::Exec(data.to_vec()), session).await
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.pass(channel, ChannelRequest::Subsystem(name.to_owned()), session).await
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        cols: u32,
        rows: u32,
        width: u32,
        height: u32,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.channels[&channel].window_changed(cols, rows, (width, height)).await;
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.channels[&channel].signal(signal).await;
        Ok(())
    }
}

/// An asset whose commands are what the tests need.
struct Asset {
    log: Arc<AssetLog>,
    /// Its connection is read no more.
    frozen: bool,
    /// A program that does not read stops nobody beside it, as with sshd.
    flow: Flow,
    channels: HashMap<ChannelId, Channel<server::Msg>>,
}

impl Asset {
    fn new(log: Arc<AssetLog>, flow: Flow) -> Self {
        Self { log, frozen: false, flow, channels: HashMap::new() }
    }

    fn asked(&self, request: String) {
        self.log.requests.lock().unwrap().push(request);
    }
}

impl server::Handler for Asset {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<server::Auth, Self::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<server::Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: server::ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("connect {host}:{port}"));
        reply.accept().await;
        tokio::spawn(run("cat".to_owned(), channel, (session.handle(), self.flow.clone()), self.log.clone()));
        Ok(())
    }

    fn adjust_window(&mut self, channel: ChannelId, current: u32) -> u32 {
        self.flow.incoming().next_window(channel.into(), current)
    }

    async fn data(&mut self, _: ChannelId, _: &[u8], _: &mut server::Session) -> Result<(), Self::Error> {
        if let Some(pause) = self.flow.incoming().pause() {
            tokio::time::sleep(pause).await;
        }
        if self.frozen {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        cols: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("pty {term} {cols}x{rows}"));
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("env {name}={value}"));
        if name == "LC_REFUSED" { session.channel_failure(channel) } else { session.channel_success(channel) }
    }

    async fn window_change_request(
        &mut self,
        _channel: ChannelId,
        cols: u32,
        rows: u32,
        _width: u32,
        _height: u32,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("window {cols}x{rows}"));
        Ok(())
    }

    async fn signal(
        &mut self,
        _channel: ChannelId,
        signal: Sig,
        _session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("signal {signal:?}"));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        self.asked(format!("subsystem {name}"));
        let taken = self.channels.remove(&channel).unwrap();
        tokio::spawn(run(
            "real /usr/lib/openssh/sftp-server".to_owned(),
            taken,
            (session.handle(), self.flow.clone()),
            self.log.clone(),
        ));
        session.channel_success(channel)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut server::Session) -> Result<(), Self::Error> {
        self.asked("shell".to_owned());
        let taken = self.channels.remove(&channel).unwrap();
        tokio::spawn(run("cat".to_owned(), taken, (session.handle(), self.flow.clone()), self.log.clone()));
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut server::Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(data).into_owned();
        self.asked(format!("exec {command}"));
        if command == "refuse" {
            return session.channel_failure(channel);
        }
        if command == "mute" {
            return Ok(());
        }
        self.frozen |= command == "freeze";
        let taken = self.channels.remove(&channel).unwrap();
        tokio::spawn(run(command, taken, (session.handle(), self.flow.clone()), self.log.clone()));
        session.channel_success(channel)
    }
}

async fn run(
    command: String,
    channel: Channel<server::Msg>,
    (handle, flow): (server::Handle, Flow),
    log: Arc<AssetLog>,
) {
    if let Some(program) = command.strip_prefix("real ").or(command.starts_with("scp ").then_some(command.as_str())) {
        return program_on_the_asset(program, channel, &flow).await;
    }
    let id = channel.id();
    let (read, write) = channel.split();
    let received = Received::windowed(read, id, &flow, CancellationToken::new());
    let mut words = command.split(' ');
    let outcome: Result<(), russh::Error> = async {
        match words.next().unwrap() {
            // The channel is held, and never read.
            "stall" | "freeze" => tokio::time::sleep(Duration::from_secs(3600)).await,
            "cat" | "sftp" | "scp" | "log" => {
                while let Some(items) = received.queue.take(same_batch).await {
                    match items.first() {
                        Some(Item::Data(_)) => {
                            let bytes = joined(&items);
                            if command == "cat" {
                                write.data_bytes(bytes).await?;
                            } else {
                                log.input.lock().unwrap().extend_from_slice(&bytes);
                            }
                        }
                        _ => break,
                    }
                    received.queue.release(batch_cost(&items));
                }
                write.exit_status(0).await?;
            }
            "wired" => {
                let mut says = log.says.lock().await.take().unwrap();
                loop {
                    tokio::select! {
                        items = received.queue.take(same_batch) => {
                            let Some(items) = items else { break };
                            let Some(Item::Data(_)) = items.first() else { break };
                            log.input.lock().unwrap().extend_from_slice(&joined(&items));
                            received.queue.release(batch_cost(&items));
                        }
                        said = says.recv() => match said {
                            Some(bytes) => write.data_bytes(bytes).await?,
                            None => break,
                        },
                    }
                }
            }
            "sink" => {
                let mut total = 0;
                while let Some(items) = received.queue.take(same_batch).await {
                    if !matches!(items.first(), Some(Item::Data(_))) {
                        break;
                    }
                    total += joined(&items).len();
                    received.queue.release(batch_cost(&items));
                }
                write.data_bytes(format!("{total}\n")).await?;
                write.exit_status(0).await?;
            }
            "flood" => {
                let mut left: usize = words.next().unwrap().parse().unwrap();
                let block = bytes::Bytes::from(vec![7; 64 * 1024]);
                while left > 0 {
                    let piece = block.slice(..left.min(block.len()));
                    left -= piece.len();
                    tokio::select! {
                        sent = write.data_bytes(piece) => sent?,
                        () = received.gone.cancelled() => break,
                    }
                }
                write.exit_status(0).await?;
            }
            "say" => {
                write.data_bytes("out").await?;
                write.extended_data_bytes(1, "err").await?;
                write.exit_status(3).await?;
            }
            "killed" => {
                let sent = handle.exit_signal_request(id, Sig::KILL, true, "gone".to_owned(), String::new()).await;
                sent.map_err(|()| russh::Error::SendError)?;
            }
            "reaped-late" => {
                // As sshd does when the program's output is closed before the program is reaped.
                write.eof().await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                write.exit_status(3).await?;
                return write.close().await;
            }
            "vanish" => return write.close().await,
            _ => write.exit_status(127).await?,
        }
        write.eof().await?;
        write.close().await
    }
    .await;
    if let Err(error) = outcome {
        log.requests.lock().unwrap().push(format!("ended: {error}"));
    }
}

/// What a person's side got from a channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    /// Everything but data, in order.
    pub(crate) events: Vec<String>,
}

/// Listens to a channel to its end.
pub(crate) async fn hear(mut read: russh::ChannelReadHalf) -> Heard {
    let mut heard = Heard::default();
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => heard.out.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => heard.err.push_str(std::str::from_utf8(&data).unwrap()),
            ChannelMsg::Eof => heard.events.push("eof".to_owned()),
            ChannelMsg::Close => heard.events.push("close".to_owned()),
            ChannelMsg::Success => heard.events.push("success".to_owned()),
            ChannelMsg::Failure => heard.events.push("failure".to_owned()),
            ChannelMsg::ExitStatus { exit_status } => heard.events.push(format!("exit {exit_status}")),
            ChannelMsg::ExitSignal { signal_name, core_dumped, .. } => {
                heard.events.push(format!("signal {signal_name:?} {core_dumped}"));
            }
            _ => {}
        }
    }
    heard
}

/// Fails a test that hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

impl Bed {
    /// Bytes that the real recorder has written.
    pub(crate) fn recorded(&self) -> u64 {
        self.notebook.recorder.as_ref().unwrap().lock().unwrap().len()
    }

    /// The same person, connected by a jump through the first connection.
    pub(crate) async fn jump(&mut self) {
        self.jump_with(client::Config::default()).await;
    }

    /// The same with a configuration of its own for the connection inside.
    pub(crate) async fn jump_with(&mut self, config: client::Config) {
        let channel = self.client.channel_open_direct_tcpip("ews-1", 22, "127.0.0.1", 1).await.unwrap();
        let mut inner = client::connect_stream(Arc::new(config), person_pipe(channel), Person).await.unwrap();
        assert!(inner.authenticate_none("operator").await.unwrap().success());
        self.outer = Some(std::mem::replace(&mut self.client, inner));
    }

    /// Runs a command with this input, which ends with EOF.
    pub(crate) async fn exec(&self, command: &str, input: &[u8]) -> Heard {
        let (read, write) = soon(self.client.channel_open_session()).await.unwrap().split();
        write.exec(true, command).await.unwrap();
        let heard = tokio::spawn(hear(read));
        if !input.is_empty() {
            write.data_bytes(input.to_vec()).await.unwrap();
        }
        write.eof().await.unwrap();
        soon(heard).await.unwrap()
    }
}
