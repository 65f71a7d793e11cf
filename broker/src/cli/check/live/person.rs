//! Whoever tries to get in: an ssh client that shows what it is told to show.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, Disconnect};
use tokio::net::TcpSocket;
use tokio::time::timeout;

/// Why it is not known what the broker would have done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    /// The connection.
    #[error("the canary's door cannot be reached: {0}")]
    Connection(#[from] std::io::Error),
    /// What is spoken on it.
    #[error("the canary's door does not speak ssh: {0}")]
    Ssh(#[from] russh::Error),
    /// What was asked for in it is neither done nor refused.
    #[error("the session had ended")]
    Ended,
    /// It took too long.
    #[error("the canary did not answer in time")]
    TooLate,
}

/// What somebody shows at the door.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) name: &'a str,
    pub(super) key: Option<&'a PrivateKey>,
    /// To each question one; to more, nothing.
    pub(super) answers: Vec<String>,
    /// The address they come from.
    pub(super) from: Ipv4Addr,
}

/// Somebody who is in.
pub(super) struct Within(client::Handle<Anybody>);

/// The canary's own host key is as new as the canary.
struct Anybody;

impl client::Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

impl Shown<'_> {
    /// Tries to get in. Nothing: they were refused.
    ///
    /// # Errors
    /// It is not known: nobody was let in, and nobody refused.
    pub(super) async fn at(self, door: SocketAddr) -> Result<Option<Within>, Unanswered> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = timeout(CANARY_ANSWERS_WITHIN, socket.connect(door)).await.map_err(|_| Unanswered::TooLate)??;
        let config = Arc::new(client::Config::default());
        let connecting = timeout(CANARY_ANSWERS_WITHIN, client::connect_stream(config, stream, Anybody));
        let mut handle = connecting.await.map_err(|_| Unanswered::TooLate)??;
        let shown = timeout(CANARY_ANSWERS_WITHIN, self.show(&mut handle)).await.map_err(|_| Unanswered::TooLate)?;
        match shown {
            Ok(true) => Ok(Some(Within(handle))),
            // Whoever is turned away in the middle is turned away.
            Ok(false) | Err(_) => Ok(None),
        }
    }

    async fn show(self, handle: &mut client::Handle<Anybody>) -> Result<bool, russh::Error> {
        let first = match self.key {
            Some(key) => {
                let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None);
                handle.authenticate_publickey(self.name, key).await?
            }
            None => handle.authenticate_none(self.name).await?,
        };
        if matches!(first, AuthResult::Success) {
            return Ok(true);
        }
        let mut answers = self.answers.into_iter();
        let mut asked = handle.authenticate_keyboard_interactive_start(self.name, None).await?;
        for _ in 0..MOST_QUESTIONS {
            match asked {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let said = prompts.iter().map(|_| answers.next().unwrap_or_default()).collect();
                    asked = handle.authenticate_keyboard_interactive_respond(said).await?;
                }
            }
        }
        Ok(false)
    }
}

impl Within {
    /// Asks for a connection to a target. Nothing: it was refused.
    ///
    /// # Errors
    /// It is not known.
    pub(super) async fn open(&self, host: &str, port: u16) -> Result<Option<Channel<client::Msg>>, Unanswered> {
        let opening = self.0.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        match timeout(CANARY_ANSWERS_WITHIN, opening).await {
            Ok(Ok(channel)) => Ok(Some(channel)),
            Ok(Err(russh::Error::ChannelOpenFailure(_))) => Ok(None),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Unanswered::TooLate),
        }
    }

    /// Leaves.
    pub(super) async fn leave(self) {
        // The canary goes with it anyhow.
        drop(self.0.disconnect(Disconnect::ByApplication, "", "").await);
    }
}

/// For each question to the canary.
pub(super) const CANARY_ANSWERS_WITHIN: Duration = Duration::from_secs(15);
const MOST_QUESTIONS: usize = 12;
