//! What every connection of this broker shares: host keys and certificates, and the door with its limits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use russh::keys::ssh_key::Certificate;
use russh::server::Config;
use russh::{MethodKind, MethodSet, SshId};
use sallyport_policy::Asset;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::listen::{Door, Limits};
use crate::logging::{counted, tell_counted};
use crate::ssh::algorithms;
use crate::ssh::backlog::{CHANNEL_BUFFER, LARGEST_PACKET};
use crate::ssh::channel::flow::{WINDOW, WINDOW_WITHIN};
use crate::ssh::lobby::Lobbies;
use crate::ssh::refusals::{Refusals, Wave};
use crate::vault::SignError;

/// A host certificate is signed anew after this long; it is valid for a day.
const RENEW: Duration = Duration::from_secs(3600);
/// From the connection to the SSH identification line.
const SILENCE: Duration = Duration::from_secs(10);
/// Whether a wave of refused logins is over is looked at this often.
const WAVES: Duration = Duration::from_secs(10);
/// Who was turned away at the door goes on the record this often.
const SOURCES: Duration = Duration::from_secs(60);
/// From where people hold leases is looked up this often.
const LEASES: Duration = Duration::from_secs(30);
/// Every refusal takes this long, whatever its reason, counted from the request. OpenSSH's first `none` is free.
const REJECTION: Duration = Duration::from_millis(300);

/// Shared by every connection.
pub(in crate::ssh) struct Server {
    pub(in crate::ssh) broker: Arc<Broker>,
    pub(in crate::ssh) door: Arc<Door>,
    pub(in crate::ssh) refusals: Refusals,
    pub(in crate::ssh) lobbies: Arc<Lobbies>,
    configs: Mutex<HashMap<String, (Instant, Arc<Config>)>>,
}

/// How a connection stands: on a socket, or within a channel of another.
struct Layer {
    keepalive: Option<Duration>,
    /// The largest window of its channels.
    window: u32,
}

impl Server {
    pub(in crate::ssh) fn new(broker: Arc<Broker>) -> Arc<Self> {
        let ssh = &broker.config.ssh;
        let door = Door::new(Limits {
            in_all: ssh.max_connections,
            per_source: ssh.max_connections_per_source,
            waiting: ssh.max_unauthenticated,
            waiting_per_source: ssh.max_unauthenticated_per_source,
            rate_per_source: ssh.max_rate_per_source,
            silence: SILENCE.min(ssh.login_deadline),
            login: ssh.login_deadline,
        });
        Arc::new(Self {
            broker,
            door,
            refusals: Refusals::default(),
            lobbies: Arc::default(),
            configs: Mutex::default(),
        })
    }

    /// How long a channel's first request waits for the asset: a little longer than it may take to be reached.
    pub(in crate::ssh) fn opening(&self) -> Duration {
        self.broker.config.ssh.dial_timeout + Duration::from_secs(5)
    }

    /// Puts on the record how many refusals each wave had, when it is over or the broker stops; and who was turned away.
    pub(in crate::ssh) async fn tell_waves(self: Arc<Self>, stop: CancellationToken) {
        let mut told = Instant::now();
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep(WAVES) => false,
            };
            let waves = if stopping { self.refusals.all() } else { self.refusals.over(Instant::now()) };
            self.tell(waves).await;
            if stopping || told.elapsed() >= SOURCES {
                told = Instant::now();
                self.tell_sources().await;
            }
            self.tell_turned_away();
            tell_counted(Instant::now());
            if stopping {
                return;
            }
        }
    }

    /// Puts on the record who was turned away at the door.
    async fn tell_sources(&self) {
        for away in self.door.sources_turned_away() {
            let event = AuditEvent::ConnectionsTurnedAway {
                source: away.source.map_or_else(|| "other sources".to_owned(), |source| source.to_string()),
                count: away.reasons.sum(),
                reasons: away.reasons.each().map(|(turned, count)| format!("{} {count}", turned.word())).collect(),
            };
            if let Err(error) = self.broker.audit.record(event).await {
                tracing::error!(%error, ?away, "Who was turned away at the door could not be audited");
            }
        }
    }

    fn tell_turned_away(&self) {
        for (turned, count) in self.door.turned_away().each() {
            metrics::counter!("sallyport_connections_turned_away_total", "reason" => turned.word()).increment(count);
            tracing::warn!(count, reason = turned.word(), "Connections were turned away before login");
        }
    }

    /// Keeps known from where people come that hold a lease, also one that another broker of the installation granted.
    pub(in crate::ssh) async fn follow_leases(self: Arc<Self>, stop: CancellationToken) {
        loop {
            match self.broker.store.leased_sources(self.broker.now()).await {
                Ok(sources) => self.door.known().leased(sources.iter().filter_map(|source| source.parse().ok())),
                Err(error) => counted!(warn, "From where people hold leases could not be looked up", %error),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LEASES) => {}
            }
        }
    }

    async fn tell(&self, waves: Vec<Wave>) {
        for wave in waves {
            let event = AuditEvent::LoginThrottled {
                identity: None,
                source: wave.origin.to_string(),
                reason: format!("{} refused logins were not recorded one by one", wave.refusals),
            };
            if let Err(error) = self.broker.audit.record(event).await {
                tracing::error!(%error, ?wave, "A wave of refused logins could not be audited");
            }
        }
    }

    /// For the broker's own port.
    pub(in crate::ssh) fn outer(&self) -> Result<Arc<Config>, SignError> {
        let methods = [MethodKind::PublicKey, MethodKind::Password];
        self.config(
            "",
            &self.broker.config.ssh.names,
            &methods,
            Layer { keepalive: Some(self.broker.config.ssh.keepalive), window: WINDOW },
        )
    }

    /// For the inner login of a jump: the broker answers in the asset's name, by a certificate of its host CA.
    pub(in crate::ssh) fn inner(&self, asset: &Asset) -> Result<Arc<Config>, SignError> {
        let names = [asset.id.to_string(), asset.address.to_string()];
        let methods = [MethodKind::None, MethodKind::KeyboardInteractive];
        // The outer connection's keepalives find a dead client; a second layer would only cost.
        self.config(asset.id.as_str(), &names, &methods, Layer { keepalive: None, window: WINDOW_WITHIN })
    }

    fn config(
        &self,
        key: &str,
        names: &[String],
        methods: &[MethodKind],
        layer: Layer,
    ) -> Result<Arc<Config>, SignError> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, config)) = configs.get(key)
            && made.elapsed() < RENEW
        {
            return Ok(Arc::clone(config));
        }
        let vault = &self.broker.vault;
        let certificate = vault.host_certificate(names, self.broker.now())?;
        let config = Arc::new(Config {
            server_id: SshId::Standard("SSH-2.0-Sallyport".into()),
            methods: MethodSet::from(methods),
            auth_rejection_time: REJECTION,
            auth_rejection_time_initial: Some(Duration::ZERO),
            keys: vec![vault.host_key().clone()],
            certificates: vec![Certificate::clone(&certificate)],
            channel_buffer_size: CHANNEL_BUFFER,
            window_size: layer.window,
            maximum_packet_size: LARGEST_PACKET,
            event_buffer_size: 100,
            preferred: algorithms::towards_people(),
            // The handler counts for itself; this is only the backstop behind it.
            max_auth_attempts: 60,
            // Idle limits are the terms' matter; russh's own would cut quiet sessions.
            inactivity_timeout: None,
            keepalive_interval: layer.keepalive,
            keepalive_max: 3,
            nodelay: true,
            ..Config::default()
        });
        configs.insert(key.to_owned(), (Instant::now(), Arc::clone(&config)));
        Ok(config)
    }
}
