//! What every connection of this broker shares: host keys and certificates, and the entrance with its limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::ssh_key::Certificate;
use russh::server::Config;
use russh::{MethodKind, MethodSet, SshId};
use sallyport_policy::Asset;

use crate::broker::Broker;
use crate::config::Algorithms;
use crate::login::Entrance;
use crate::ssh::algorithms;
use crate::ssh::backlog::{CHANNEL_BUFFER, LARGEST_PACKET};
use crate::ssh::channel::flow::{WINDOW, WINDOW_WITHIN};
use crate::ssh::lobby::Lobbies;
use crate::ssh::proposal::{IDENTIFICATION, Proposal};
use crate::vault::SignError;

/// Every refusal takes this long, whatever its reason, counted from the request. OpenSSH's first `none` is free.
const REJECTION: Duration = Duration::from_millis(300);

/// Shared by every connection.
pub(in crate::ssh) struct Server {
    pub(in crate::ssh) broker: Arc<Broker>,
    pub(in crate::ssh) entrance: Arc<Entrance>,
    pub(in crate::ssh) lobbies: Arc<Lobbies>,
    configs: Mutex<HashMap<String, Made>>,
}

/// What is kept for a while for those who come next.
struct Made {
    /// What its certificate is for.
    names: Vec<String>,
    offers: Offers,
}

/// What is offered to a client, by what it proposes.
#[derive(Clone)]
pub(super) struct Offers {
    /// AES-GCM alone.
    gcm: Arc<Config>,
    /// All that the configuration allows.
    every: Arc<Config>,
}

impl Offers {
    pub(super) fn to(&self, proposal: Proposal) -> Arc<Config> {
        match proposal {
            Proposal::Gcm => Arc::clone(&self.gcm),
            Proposal::Other => Arc::clone(&self.every),
        }
    }
}

/// How a connection stands: on a socket, or within a channel of another.
struct Layer {
    keepalive: Option<Duration>,
    /// The largest window of its channels.
    window: u32,
}

impl Server {
    pub(in crate::ssh) fn new(entrance: Arc<Entrance>) -> Arc<Self> {
        let broker = Arc::clone(&entrance.broker);
        Arc::new(Self { broker, entrance, lobbies: Arc::default(), configs: Mutex::default() })
    }

    /// How long a channel's first request waits for the asset: a little longer than it may take to be reached.
    pub(in crate::ssh) fn opening(&self) -> Duration {
        self.broker.config.ssh.dial_timeout + Duration::from_secs(5)
    }

    /// For the broker's own port.
    pub(super) fn outer(&self) -> Result<Offers, SignError> {
        let methods = [MethodKind::PublicKey, MethodKind::Password];
        self.config(
            "",
            &self.broker.greetings.now().names,
            &methods,
            Layer { keepalive: Some(self.broker.config.ssh.keepalive), window: WINDOW },
        )
    }

    /// For the inner login of a jump: the broker answers in the asset's name, by a certificate of its host CA.
    pub(super) fn inner(&self, asset: &Asset) -> Result<Offers, SignError> {
        let names = [asset.id.to_string(), asset.address.to_string()];
        let methods = [MethodKind::None, MethodKind::KeyboardInteractive];
        // The outer connection's keepalives find a dead client; a second layer would only cost.
        self.config(asset.id.as_str(), &names, &methods, Layer { keepalive: None, window: WINDOW_WITHIN })
    }

    fn config(&self, key: &str, names: &[String], methods: &[MethodKind], layer: Layer) -> Result<Offers, SignError> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = configs.get(key).filter(|made| made.names == names) {
            return Ok(made.offers.clone());
        }
        let vault = &self.broker.vault;
        let certificate = vault.host_certificate(names)?;
        let config = |offered| Config {
            server_id: SshId::Standard(IDENTIFICATION.into()),
            methods: MethodSet::from(methods),
            auth_rejection_time: REJECTION,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![vault.host_key().clone()],
            certificates: vec![Certificate::clone(&certificate)],
            channel_buffer_size: CHANNEL_BUFFER,
            window_size: layer.window,
            maximum_packet_size: LARGEST_PACKET,
            event_buffer_size: 100,
            preferred: algorithms::towards_people(offered),
            // The handler counts for itself; this is only the backstop behind it.
            max_auth_attempts: 60,
            // Idle limits are the terms' matter; russh's own would cut quiet sessions.
            inactivity_timeout: None,
            keepalive_interval: layer.keepalive,
            keepalive_max: 3,
            nodelay: true,
            ..Config::default()
        };
        let (gcm, every) = (config(Algorithms::Strict), config(self.broker.config.ssh.algorithms));
        let offers = Offers { gcm: Arc::new(gcm), every: Arc::new(every) };
        let made = Made { names: names.to_vec(), offers: offers.clone() };
        configs.insert(key.to_owned(), made);
        Ok(offers)
    }
}
