//! `ews-1`: a simulated engineering workstation. A real SSH server on a loopback port that trusts the broker's user
//! authority and nothing else, with files below one folder.

mod authority;
mod channel;
mod line;
mod root;
mod sftp;
mod shell;
mod station;

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use russh::keys::ssh_key::{Certificate, PrivateKey, PublicKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session};
use russh::{Channel, ChannelId, Preferred, Pty, SshId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::connections;
use crate::process::Process;
use authority::Authority;
use root::Root;
use station::Station;

/// The one login.
const ACCOUNT: &str = "operator";

/// The workstation, ready to serve.
#[derive(Debug)]
pub(super) struct Workstation {
    listener: TcpListener,
    config: Arc<server::Config>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    station: Station,
    authority: Authority,
}

/// Why there is no workstation.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkstationError {
    #[error("the workstation's files: {0}")]
    Files(std::io::Error),
    #[error("the workstation's port: {0}")]
    Port(std::io::Error),
}

impl Workstation {
    /// Binds the port it had before (`0`: any), or another, and opens the folder.
    pub(super) async fn bind(
        port: u16,
        host_key: PrivateKey,
        user_ca: &PublicKey,
        folder: &Path,
        process: Process,
    ) -> Result<Self, WorkstationError> {
        let listener = connections::bind(ADDRESS, port).await.map_err(WorkstationError::Port)?;
        let root = Root::open_folder(folder).map_err(WorkstationError::Files)?;
        let config = Arc::new(server::Config {
            server_id: SshId::Standard("SSH-2.0-ews-1".into()),
            auth_rejection_time: Duration::from_millis(300),
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![host_key],
            channel_buffer_size: 1000,
            nodelay: true,
            inactivity_timeout: Some(Duration::from_secs(3600)),
            preferred: Preferred {
                cipher: Cow::Borrowed(&[russh::cipher::AES_256_GCM, russh::cipher::AES_128_GCM]),
                ..Preferred::DEFAULT
            },
            ..server::Config::default()
        });
        let shared = Shared { station: Station::new(root, process), authority: Authority::new(user_ca) };
        Ok(Self { listener, config, shared: Arc::new(shared) })
    }

    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub(super) async fn serve(self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let handler =
                        Connection { shared: Arc::clone(&self.shared), peer: peer.ip(), channels: HashMap::new() };
                    let (config, stop) = (Arc::clone(&self.config), stop.clone());
                    tokio::spawn(async move {
                        if let Err(error) = socket.set_nodelay(true) {
                            return debug!(%error, "A connection to ews-1 was gone at once");
                        }
                        let served = async { server::run_stream(config, socket, handler).await?.await };
                        let ended = tokio::select! {
                            () = stop.cancelled() => return,
                            ended = served => ended,
                        };
                        debug!(?ended, "A connection to ews-1 ended");
                    });
                }
                Err(error) => {
                    warn!(%error, "ews-1 could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    peer: IpAddr,
    channels: HashMap<ChannelId, Opened>,
}

struct Opened {
    channel: Channel<Msg>,
    terminal: bool,
}

/// What runs on a channel.
enum Run {
    Shell,
    Exec(String),
    Sftp,
}

impl Connection {
    fn run(&mut self, id: ChannelId, run: Run, session: &mut Session) -> Result<(), russh::Error> {
        let Some(Opened { channel, terminal }) = self.channels.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let shared = Arc::clone(&self.shared);
        let terminal = terminal && !matches!(run, Run::Sftp);
        tokio::spawn(async move {
            let (mut input, output) = channel::split(channel, terminal);
            let station = &shared.station;
            let ended = match &run {
                Run::Shell if terminal => shell::at_terminal(station, &mut input, &output).await,
                Run::Shell => shell::without_terminal(station, &mut input, &output).await,
                Run::Exec(command) => shell::exec(station, command, &mut input, &output).await,
                Run::Sftp => sftp::serve(station.root.clone(), &mut input, &output).await,
            };
            let finished = match ended {
                Ok(status) => output.finish(status).await,
                Err(gone) => Err(gone),
            };
            if let Err(gone) = finished {
                debug!(%gone, "A channel of ews-1 ended early");
            }
        });
        Ok(())
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(&mut self, _user: &str, _offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        // Only the bare key of a certificate is seen here; the certificate itself is judged below.
        Ok(Auth::Accept)
    }

    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Self::Error> {
        match self.shared.authority.admits(certificate, ACCOUNT, self.peer, Timestamp::now()) {
            Ok(()) if user == ACCOUNT => {
                // What a real asset's own log says too: who it was, and in which session.
                info!(asset = "ews-1", account = user, id = certificate.key_id(), "Login on the asset");
                Ok(Auth::Accept)
            }
            Ok(()) => Ok(Auth::reject()),
            Err(fault) => {
                info!(asset = "ews-1", account = user, %fault, "Login refused by the asset");
                Ok(Auth::reject())
            }
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() < MOST_CHANNELS {
            self.channels.insert(channel.id(), Opened { channel, terminal: false });
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&id);
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.channels.get_mut(&id) {
            Some(opened) => {
                opened.terminal = true;
                session.channel_success(id)
            }
            None => session.channel_failure(id),
        }
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // Taken and not used: nothing here depends on it.
        session.channel_success(id)
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.run(id, Run::Shell, session)
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        self.run(id, Run::Exec(String::from_utf8_lossy(command).into_owned()), session)
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut Session) -> Result<(), Self::Error> {
        match name {
            "sftp" => self.run(id, Run::Sftp, session),
            _ => session.channel_failure(id),
        }
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }
}

const ADDRESS: [u8; 4] = [127, 0, 0, 1];
const MOST_CHANNELS: usize = 32;
