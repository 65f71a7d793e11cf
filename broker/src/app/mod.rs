//! The application: every long-lived task of a broker, started and joined in one place.

mod follow_plant;
mod ground;
mod health;
mod lost;
mod notify;
mod presence;
mod reload;
mod signals;
mod start;
mod start_error;
mod tasks;
mod without_database;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

pub(crate) use ground::ISSUER;
use health::Ended;
pub(crate) use lost::{ClosedOut, Closing};
pub use presence::PresenceError;
pub(crate) use presence::all_silent;
use presence::{Alone, Presence};
pub use start_error::StartError;
pub(crate) use without_database::kept;

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::config::Config;
use crate::detect;
use crate::listen::Inherited;
use crate::live::Registry;
use crate::login::Entrance;
use crate::metrics::MetricsServer;
use crate::outbound::Receivers;
use crate::portal;
use crate::session;
use crate::ssh;

/// A broker that has opened everything it needs and listens, but does not serve yet.
#[derive(Debug)]
pub struct App {
    broker: Arc<Broker>,
    listeners: Vec<TcpListener>,
    portal: Option<portal::Listening>,
    metrics: Option<MetricsServer>,
    outbound: Option<Receivers>,
    mode: Mode,
    /// Somebody else keeps the sockets while this broker is away: whoever comes waits for the next one.
    kept_open: bool,
}

/// What a broker can do.
#[derive(Debug)]
enum Mode {
    /// Everything, under its name.
    Whole(Presence),
    /// Emergencies and nothing else, since the database did not answer when it started.
    EmergenciesOnly(#[expect(dead_code, reason = "held for as long as the broker runs")] Alone),
}

/// Why a broker that ran has stopped otherwise than in good order.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A task that lasts as long as the broker ended before it.
    #[error("the task `{0}` ended by itself; the broker stops rather than run without it")]
    TaskEnded(&'static str),
    /// A task panicked.
    #[error("a task of the broker failed: {0}")]
    TaskFailed(tokio::task::JoinError),
    /// It could serve emergencies alone, and can serve everybody now.
    #[error("the database is back: the broker must be started again, to serve more than emergencies")]
    DatabaseBack,
    /// The signals cannot be listened for.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

impl App {
    /// Opens database, vault, policy, audit and recordings, mends what an earlier run left open, and binds the ports. With
    /// `takeover`, it does not ask whether another broker of its name lives.
    ///
    /// # Errors
    /// Whatever is missing or does not fit: nothing is served then.
    pub async fn start(config: Config, takeover: bool) -> Result<Self, StartError> {
        start::start(config, takeover, Inherited::default()).await
    }

    /// The same, listening on what a service manager has opened.
    ///
    /// # Errors
    /// As [`App::start`]; also where one of the sockets is for nothing here.
    pub async fn start_on(config: Config, takeover: bool, inherited: Inherited) -> Result<Self, StartError> {
        start::start(config, takeover, inherited).await
    }

    /// What the running broker shares.
    #[must_use]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Where it listens for ssh.
    #[must_use]
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until a signal, `stop`, or the end of a task that must not end.
    ///
    /// # Errors
    /// When it stopped for another reason than having been asked to.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { broker, listeners, portal, metrics, outbound, mode, kept_open } = self;
        let mut signals = signals::Signals::listen(&broker).map_err(RunError::Signals)?;

        // Cancelled where nobody is taken any more, and those who were go on.
        let accepting = stop.child_token();
        let mut tasks = Tasks { running: JoinSet::new(), stop: stop.clone(), ended: Ended::default() };
        let entrance = Entrance::new(Arc::clone(&broker));
        tasks.spawn("entrance", Arc::clone(&entrance).keep(stop.clone()));
        if let Some(portal) = portal {
            tasks.spawn("portal", portal.serve(Arc::clone(&entrance), accepting.clone(), stop.clone()));
        }
        tasks.spawn("ssh", ssh::listen(entrance, listeners, accepting.clone(), stop.clone()));
        match &mode {
            Mode::Whole(presence) => {
                tasks.spawn("policy", follow_plant::follow(Arc::clone(&broker), stop.clone()));
                let instance = presence.instance.clone();
                tasks.spawn("heartbeat", tasks::heartbeat(Arc::clone(&broker), instance, stop.clone()));
            }
            Mode::EmergenciesOnly(_) => {
                tasks.spawn(WAIT_FOR_DATABASE, tasks::wait_for_database(Arc::clone(&broker), stop.clone()));
            }
        }
        tasks.spawn("watch", session::keep_watch(Arc::clone(&broker), stop.clone()));
        tasks.spawn("recordings", tasks::look_after_recordings(Arc::clone(&broker), stop.clone()));
        tasks.spawn("emergencies", Arc::clone(&broker.emergencies).keep(stop.clone()));
        tasks.spawn("rows", tasks::watch_over_rows(Arc::clone(&broker), stop.clone()));
        tasks.spawn("detect", detect::watch(Arc::clone(&broker), stop.clone()));
        tasks.spawn("clock", tasks::watch_the_clock(Arc::clone(&broker), stop.clone()));
        if let Some(metrics) = metrics {
            let probes = health::probes(&broker, &tasks.ended);
            tasks.spawn("metrics", metrics.serve(probes, stop.clone()));
        }
        // Apart from the others: it tells of the broker's own end, too.
        let last = CancellationToken::new();
        let telling = outbound.map(|outbound| {
            let (ending, telling) = (tasks.ended.with("outbound"), outbound.run(last.clone()));
            AbortOnDropHandle::new(tokio::spawn(async move {
                telling.await;
                drop(ending);
            }))
        });
        // The audit writer started with `Audit::start`; it ends when the last handle is gone.

        notify::ready();
        info!(broker = %broker.config.name, version = env!("CARGO_PKG_VERSION"), "Broker is ready");
        let reason = tokio::select! {
            () = stop.cancelled() => Ok("asked to".to_owned()),
            signal = signals.stop() => Ok(signal.to_owned()),
            ended = tasks.first_to_end() => Err(ended),
        };

        notify::stopping();
        match &reason {
            Ok(reason) => info!(reason, sessions = broker.live.len(), "Broker is stopping"),
            Err(error) => error!(%error, sessions = broker.live.len(), "Broker is stopping"),
        }
        if kept_open {
            accepting.cancel();
        }
        if reason.is_ok() {
            drain(&broker.live, broker.config.drain, &mut signals).await;
        }
        sessions_end(&broker.live).await;
        stop.cancel();
        tasks.join().await;
        farewell(&broker, &mode, &reason).await;
        last.cancel();
        if let Some(telling) = telling
            && let Err(error) = telling.await
        {
            error!(%error, "Receivers of events were not told to the end");
        }
        reason.map(drop)
    }
}

/// Lets what is live go on for a while, and nothing new begin. A second signal ends the wait.
async fn drain(live: &Registry, longest: Duration, signals: &mut signals::Signals) {
    live.drain();
    if longest.is_zero() || live.is_empty() {
        return;
    }
    info!(sessions = live.len(), seconds = longest.as_secs(), "No session begins any more; live ones may go on");
    let minutes = longest.as_secs().div_ceil(60);
    live.tell_everybody(&format!(
        "the broker restarts: please end what you do. In {minutes} min. this session ends by itself."
    ));
    let over = async {
        while !live.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = over => {}
        () = tokio::time::sleep(longest) => warn!(sessions = live.len(), "Sessions are still live; they end now"),
        signal = signals.stop() => info!(signal, sessions = live.len(), "Asked again to stop; sessions end now"),
    }
}

/// Ends every session and waits, within a bound, until each has its end on the record: recording sealed, row and event
/// written. A session that starts meanwhile is ended too.
async fn sessions_end(live: &Registry) {
    let ended = async {
        while !live.is_empty() {
            live.end_all();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(SESSIONS_END_WITHIN, ended).await.is_err() {
        warn!(sessions = live.len(), "Sessions did not end in time; the next start closes them as interrupted");
    }
}

/// The one task that may end by itself.
const WAIT_FOR_DATABASE: &str = "database";
/// Longer than a session's farewell to its person.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(8);

/// Every long-lived task, by name.
struct Tasks {
    running: JoinSet<&'static str>,
    stop: CancellationToken,
    ended: Ended,
}

impl Tasks {
    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let ending = self.ended.with(name);
        self.running.spawn(async move {
            task.await;
            drop(ending);
            name
        });
    }

    /// Resolves when a task has ended although nobody asked for it.
    async fn first_to_end(&mut self) -> RunError {
        match self.running.join_next().await {
            Some(Ok(WAIT_FOR_DATABASE)) => RunError::DatabaseBack,
            Some(Ok(name)) => RunError::TaskEnded(name),
            Some(Err(error)) => RunError::TaskFailed(error),
            // No task at all: then there is nothing to wait for but the stop.
            None => {
                self.stop.cancelled().await;
                RunError::TaskEnded("none")
            }
        }
    }

    async fn join(mut self) {
        let all = async {
            while let Some(ended) = self.running.join_next().await {
                if let Err(error) = ended {
                    error!(%error, "A task failed while the broker stopped");
                }
            }
        };
        if tokio::time::timeout(LONGEST_STOP, all).await.is_err() {
            warn!("Some tasks did not end in time and are dropped");
        }
    }
}

async fn farewell(broker: &Broker, mode: &Mode, reason: &Result<String, RunError>) {
    let reason = match reason {
        Ok(reason) => reason.clone(),
        Err(error) => error.to_string(),
    };
    let recorded = broker.audit.record_enduring(AuditEvent::BrokerStopped { reason });
    match tokio::time::timeout(LONGEST_FAREWELL, recorded).await {
        Ok(Ok(())) => info!("Broker has stopped"),
        Ok(Err(error)) => error!(%error, "The broker's stop is not in the audit chain"),
        Err(_) => error!("The broker's stop is not in the audit chain: no answer"),
    }
    let Mode::Whole(presence) = mode else { return broker.store.close().await };
    let stopped = broker.store.broker_stopped(&broker.config.name, &presence.instance, broker.now());
    match tokio::time::timeout(LONGEST_FAREWELL, stopped).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            warn!(%error, "That this broker has stopped is not in the database; the next start listens first")
        }
        Err(_) => warn!("That this broker has stopped is not in the database: no answer; the next start listens first"),
    }
    broker.store.close().await;
}

/// How long tasks may take to end: sessions need a moment to seal their recordings.
const LONGEST_STOP: Duration = Duration::from_secs(10);
/// How long the last audit event may take.
const LONGEST_FAREWELL: Duration = Duration::from_secs(6);
