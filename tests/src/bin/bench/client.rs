//! A light client for hundreds of sessions at once: OpenSSH's own processes would be what is measured.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use russh::ChannelMsg;
use russh::client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key};

/// Takes any host key.
struct Client;

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Where and as whom.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) user: String,
    key: PrivateKeyWithHashAlg,
}

impl Target {
    pub(crate) fn new(port: u16, user: &str, key: &Path) -> Target {
        let key = load_secret_key(key, None).expect("a key");
        Target { port, user: user.to_owned(), key: PrivateKeyWithHashAlg::new(Arc::new(key), None) }
    }

    async fn connect(&self) -> Handle<Client> {
        let config = client::Config { nodelay: true, ..client::Config::default() };
        let mut handle =
            client::connect(Arc::new(config), ("127.0.0.1", self.port), Client).await.expect("a connection");
        let answer = handle.authenticate_publickey(&self.user, self.key.clone()).await.expect("an answer");
        if !matches!(answer, AuthResult::Success) {
            // The lease covers the second factor, if it is asked for at all.
            let answer = handle.authenticate_keyboard_interactive_start(&self.user, None).await.expect("an answer");
            assert!(matches!(answer, KeyboardInteractiveAuthResponse::Success), "no login: {answer:?}");
        }
        handle
    }
}

/// An ssh connection. What was forwarded on it ends with it.
pub(crate) struct Connection {
    _handle: Handle<Client>,
}

/// A forwarded channel.
pub(crate) type Forwarded = russh::ChannelStream<client::Msg>;

impl Target {
    /// One connection with so many channels forwarded to a service, as `ssh -L` opens them.
    pub(crate) async fn forward(&self, (host, port): (&str, u16), count: usize) -> (Connection, Vec<Forwarded>) {
        let handle = self.connect().await;
        let mut channels = Vec::new();
        for _ in 0..count {
            let channel = handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await;
            channels.push(channel.expect("a forwarded channel").into_stream());
        }
        (Connection { _handle: handle }, channels)
    }
}

/// Sessions with a terminal at which nobody types.
pub(crate) struct IdleSessions {
    runtime: tokio::runtime::Runtime,
    sessions: Vec<(Handle<Client>, russh::Channel<client::Msg>)>,
}

impl IdleSessions {
    pub(crate) fn new() -> IdleSessions {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        IdleSessions { runtime: runtime.expect("a runtime"), sessions: Vec::new() }
    }

    /// Opens more, until there are so many; each has shown its prompt.
    pub(crate) fn grow_to(&mut self, count: usize, target: &Target) {
        while self.sessions.len() < count {
            let session = self.runtime.block_on(async {
                let handle = target.connect().await;
                let mut channel = handle.channel_open_session().await.expect("a channel");
                channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.expect("a terminal");
                channel.request_shell(true).await.expect("a shell");
                loop {
                    match channel.wait().await.expect("the session goes on") {
                        ChannelMsg::Data { .. } => break,
                        _ => continue,
                    }
                }
                (handle, channel)
            });
            self.sessions.push(session);
        }
    }
}

/// Logs in and runs `true`, again and again, by so many at once; gives sessions per second.
pub(crate) fn sessions_per_second(target: &Target, at_once: usize, lasting: Duration) -> f64 {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let started = Instant::now();
    let done: usize = runtime.block_on(async {
        let workers: Vec<_> = (0..at_once)
            .map(|_| {
                let target = target.clone();
                tokio::spawn(async move {
                    let mut done = 0;
                    while started.elapsed() < lasting {
                        let handle = target.connect().await;
                        let mut channel = handle.channel_open_session().await.expect("a channel");
                        channel.exec(true, "true").await.expect("a command");
                        let mut ended = None;
                        while let Some(message) = channel.wait().await {
                            if let ChannelMsg::ExitStatus { exit_status } = message {
                                ended = Some(exit_status);
                            }
                        }
                        assert_eq!(ended, Some(0));
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for worker in workers {
            done += worker.await.expect("a worker ends");
        }
        done
    });
    f64::from(u32::try_from(done).expect("a small number")) / started.elapsed().as_secs_f64()
}
