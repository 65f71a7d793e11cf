//! Events leave the broker: to every receiver of `[[siem]]` all of them, to those of `[alarm]` the alarms.
//!
//! ```text
//!  audit writer ─ hands over, never waits ─┐
//!                                          ├─► follower ─► queue on disk ─► delivery ─► link ─► receiver
//!  the chain itself ─ what was not ────────┘      │            (one of each for every receiver)
//!                                                 └─► how far it is
//! ```
//!
//! Nobody waits for any of this: not a session, not a login, not the audit writer. What a queue cannot hold is counted, and is in the chain.

mod cef;
mod cursor;
mod delivery;
mod fed;
mod follow;
mod link;
mod look;
mod message;
mod queue;
mod reports;
mod syslog;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use cursor::{Cursor, Progress, Reached};
use delivery::Delivery;
use fed::Fed;
use follow::Follower;
use link::{Link, LinkError};
pub(crate) use look::{Seen, look};
use message::Alarms;
use queue::Queue;
use reports::Reports;

use crate::audit::{Audit, GENESIS, OnRecord};
use crate::config;
use crate::store::Store;

/// Everybody who is told of what is on record, set up and not told yet.
pub(crate) struct Receivers {
    follower: Follower,
    deliveries: Vec<Delivery>,
    handed: mpsc::Receiver<OnRecord>,
}

/// Why receivers cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// What is named for a receiver.
    #[error("receiver `{receiver}`: {source}")]
    Link {
        /// Which.
        receiver: String,
        /// What.
        source: LinkError,
    },
    /// The folder of the queues, or one of them.
    #[error("the queue of receivers in `{}`: {source}; name a folder of the broker's own as `dir` in `[outbound]`", path.display())]
    Queue {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Receivers {
    /// Opens the queues. Whoever was never told is told from here on. Nothing where nobody is to be told.
    ///
    /// # Errors
    /// A file that a receiver needs is not there or is no such file, or a queue cannot be opened.
    pub(crate) async fn open(
        config: &config::Outbound,
        broker: &str,
        store: &Store,
        audit: &Audit,
    ) -> Result<Option<Self>, OutboundError> {
        if config.receivers.is_empty() {
            return Ok(None);
        }
        let failed = |path: &PathBuf| {
            let path = path.clone();
            move |source| OutboundError::Queue { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&config.dir).map_err(failed(&config.dir))?;
        let (alarms, reports) = (Alarms::new(config.alarm_codes.clone()), Reports::start(audit.clone()));
        let (mut queues, mut deliveries) = (Vec::new(), Vec::new());
        for receiver in &config.receivers {
            let link = Link::new(receiver)
                .map_err(|source| OutboundError::Link { receiver: receiver.name.clone(), source })?;
            let folder = config.dir.join(&receiver.name);
            let queue = Arc::new(Queue::open(&folder, receiver.most_waiting).map_err(failed(&folder))?);
            let name = receiver.name.clone();
            queues.push(Fed::new(name.clone(), receiver.takes, Arc::clone(&queue), reports.clone()));
            deliveries.push(Delivery::new(name, queue, link, alarms.clone(), reports.clone()));
        }
        let cursor = Cursor::in_folder(&config.dir);
        let progress = match cursor.load() {
            Some(progress) => progress,
            None => {
                // Noted at once: a crash in the first moment must not begin later.
                let progress = Progress { reached: end_of_chain(store).await, ..Progress::default() };
                cursor.save(&progress).map_err(failed(&config.dir))?;
                progress
            }
        };
        let (store, broker, database) = (store.clone(), broker.to_owned(), store.available());
        let follower = Follower { store, database, broker, alarms, reports, cursor, progress, queues };
        Ok(Some(Self { follower, deliveries, handed: audit.follow() }))
    }

    /// Tells, until it is stopped and what waits has gone out or does not within a moment.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { follower, deliveries, handed } = self;
        info!(receivers = deliveries.len(), "Events go to their receivers");
        let last = CancellationToken::new();
        let mut delivering: JoinSet<()> = deliveries.into_iter().map(|delivery| delivery.run(last.clone())).collect();
        tokio::select! {
            () = follower.run(handed, stop) => {}
            ended = delivering.join_next() => {
                warn!(?ended, "A task that brings events to a receiver has ended");
                return;
            }
        }
        last.cancel();
        let farewell = async { while delivering.join_next().await.is_some() {} };
        if timeout(LAST_SENT_WITHIN, farewell).await.is_err() {
            info!("What waits for receivers is sent at the next start");
        }
    }
}

impl std::fmt::Debug for Receivers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receivers").field("receivers", &self.deliveries.len()).finish_non_exhaustive()
    }
}

/// Nothing while the database is away: then the end is looked for again.
async fn end_of_chain(store: &Store) -> Option<Reached> {
    let head = store.audit_head().await.ok()?;
    let (seq, hash) = head.unwrap_or_else(|| (0, GENESIS.to_owned()));
    Some(Reached { seq, hash })
}

/// For what is still to go out when the broker stops.
const LAST_SENT_WITHIN: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
