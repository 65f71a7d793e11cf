//! What all doors of a broker share: whom they let wait, and what is told of those who are refused.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::refusals::{Refusals, Wave};
use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::listen::{Door, Limits};
use crate::logging::{counted, tell_counted};

/// From the connection to the first line of what is spoken behind the door.
const SILENCE: Duration = Duration::from_secs(10);
/// Whether a wave of refused logins is over is looked at this often.
const WAVES: Duration = Duration::from_secs(10);
/// Who was turned away at the door goes on the record this often.
const SOURCES: Duration = Duration::from_secs(60);
/// From where people hold leases is looked up this often.
const LEASES: Duration = Duration::from_secs(30);

/// So much of a name that nobody has proven is put on the record.
const LONGEST_TOLD: usize = 64;

/// Before every door of this broker: the limits hold over all of them together, and so does what is told.
#[derive(Debug)]
pub(crate) struct Entrance {
    pub(crate) broker: Arc<Broker>,
    pub(crate) door: Arc<Door>,
    pub(super) refusals: Refusals,
}

impl Entrance {
    pub(crate) fn new(broker: Arc<Broker>) -> Arc<Self> {
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
        Arc::new(Self { broker, door, refusals: Refusals::default() })
    }

    /// What goes on the record of a first factor that was refused; nothing where a flood of them is counted instead.
    pub(super) fn first_refused(
        &self,
        name: &str,
        source: IpAddr,
        factor: &'static str,
        reason: String,
    ) -> Option<AuditEvent> {
        let identity = name.chars().take(LONGEST_TOLD).collect();
        let event =
            AuditEvent::FactorRefused { identity, source: source.to_string(), factor: factor.to_owned(), reason };
        self.refusals.note(source, Instant::now()).event(event)
    }

    /// What goes on the record of an envelope that opens nothing; nothing where a flood of them is counted instead.
    pub(super) fn glass_refused(&self, source: IpAddr, event: AuditEvent) -> Option<AuditEvent> {
        self.refusals.note(source, Instant::now()).event(event)
    }

    /// Keeps what it knows fresh and tells what it has counted, until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.tell_waves(&stop), self.follow_leases(&stop));
    }

    /// Puts on the record how many refusals each wave had, when it is over or the broker stops; and who was turned away.
    async fn tell_waves(&self, stop: &CancellationToken) {
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
    async fn follow_leases(&self, stop: &CancellationToken) {
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
            if let Err(error) = self.broker.audit.record(wave.event()).await {
                tracing::error!(%error, ?wave, "A wave of refused logins could not be audited");
            }
        }
    }
}
