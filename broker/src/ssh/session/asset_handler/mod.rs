//! What an asset does by itself on its connection: the key it shows, and the channels it tries to open. Every one is refused, and an
//! asset that goes on is cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russh::client::{self, ChannelOpenHandle, Msg, Session};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What an asset may ask for by itself on one connection. sshd announces its host keys once.
const MOST_UNASKED: u32 = 48;

/// What has been seen of an asset on one connection.
#[derive(Debug, Default)]
pub(in crate::ssh) struct Conduct {
    seen: Mutex<Seen>,
    cut: CancellationToken,
}

#[derive(Debug, Default)]
struct Seen {
    wrong_key: Option<String>,
    strict_exchange: bool,
    /// By kind, how often it asked for what nobody had asked it for.
    unasked: BTreeMap<&'static str, u32>,
}

impl Conduct {
    /// Cancelled to cut the connection.
    pub(in crate::ssh) fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// The key it showed, where that is none of the pinned ones.
    pub(in crate::ssh) fn wrong_key(&self) -> Option<String> {
        self.seen().wrong_key.clone()
    }

    /// Whether the key exchange was strict.
    pub(in crate::ssh) fn strict_exchange(&self) -> bool {
        self.seen().strict_exchange
    }

    /// What it asked for, where that was so much that it was cut off.
    pub(in crate::ssh) fn misbehaved(&self) -> Option<String> {
        let seen = self.seen();
        let kinds: Vec<_> = seen.unasked.iter().map(|(kind, times)| format!("{times} x {kind}")).collect();
        (seen.total() > MOST_UNASKED)
            .then(|| format!("it asked for what nobody had asked it for: {}", kinds.join(", ")))
    }

    /// It asks for something by itself, which is refused. Too much of it, and the connection is cut.
    fn unasked(&self, kind: &'static str) -> Result<(), russh::Error> {
        let total = {
            let mut seen = self.seen();
            *seen.unasked.entry(kind).or_default() += 1;
            seen.total()
        };
        if total == 1 {
            tracing::info!(kind, "An asset asked for something by itself, which was refused");
        }
        if total <= MOST_UNASKED {
            return Ok(());
        }
        self.cut.cancel();
        Err(russh::Error::Disconnect)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn total(&self) -> u32 {
        self.unasked.values().sum()
    }
}

/// Answers for the broker on the connection to an asset. russh's defaults accept what an asset opens: each is refused here.
pub(crate) struct AssetHandler {
    pinned: Vec<PublicKey>,
    conduct: Arc<Conduct>,
    _closed: DropGuard,
}

impl AssetHandler {
    /// For an asset that must prove to have one of the `pinned` keys; `closed` goes with the connection.
    pub(in crate::ssh) fn new(pinned: Vec<PublicKey>, conduct: Arc<Conduct>, closed: DropGuard) -> Self {
        Self { pinned, conduct, _closed: closed }
    }

    async fn refuse(&self, kind: &'static str, reply: ChannelOpenHandle) -> Result<(), russh::Error> {
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        self.conduct.unasked(kind)
    }
}

impl client::Handler for AssetHandler {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // Only bare keys are asked for (`host_key_certificates` is empty): a certificate here is not what was pinned.
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => Some(key),
            PublicKeyOrCertificate::Certificate(_) => None,
        };
        let pinned = key.is_some_and(|key| self.pinned.iter().any(|p| p.key_data() == key.key_data()));
        if !pinned {
            let shown = key.map_or_else(|| "a certificate".to_owned(), |k| k.fingerprint(HashAlg::Sha256).to_string());
            self.conduct.seen().wrong_key = Some(shown);
        }
        Ok(pinned)
    }

    async fn kex_done(
        &mut self,
        _shared_secret: Option<&[u8]>,
        names: &Names,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.conduct.seen().strict_exchange |= names.strict_kex();
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("session", reply).await
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("direct-tcpip", reply).await
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("direct-streamlocal@openssh.com", reply).await
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("forwarded-tcpip", reply).await
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("forwarded-streamlocal@openssh.com", reply).await
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("auth-agent@openssh.com", reply).await
    }

    async fn server_channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("x11", reply).await
    }

    async fn should_accept_unknown_server_channel(&mut self, _id: ChannelId, _kind: &str) -> bool {
        if self.conduct.unasked("a channel of an unknown kind").is_err() {
            tracing::debug!("An asset is cut off");
        }
        false
    }

    async fn server_channel_open_unknown(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.refuse("a channel of an unknown kind", reply).await
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        _keys: Vec<PublicKey>,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.conduct.unasked("host keys announced")
    }
}

#[cfg(test)]
mod tests;
