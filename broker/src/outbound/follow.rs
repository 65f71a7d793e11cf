//! Follows what comes on record, and puts it into the queues: each event once, in the order of the chain.
//!
//! What the audit writer hands over is taken as it comes where it goes on from the last entry, and read from the chain where it does not:
//! whatever was not handed over (rows with their events, commands, other brokers, a flood, the time before a restart) is there. An event
//! that waits on disk while the database is away goes ahead of its place; when it enters the chain, it is passed over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::cursor::{Cursor, Progress, Reached};
use super::fed::Fed;
use super::message::{Alarms, Message};
use super::reports::Reports;
use crate::audit::{AuditEntry, AuditEvent, Draft, GENESIS, OnRecord};
use crate::config::Takes;
use crate::store::{Store, StoreError};

/// Puts what is on record into the queues.
pub(super) struct Follower {
    pub(super) store: Store,
    pub(super) database: watch::Receiver<bool>,
    pub(super) broker: String,
    pub(super) alarms: Alarms,
    pub(super) reports: Reports,
    pub(super) cursor: Cursor,
    pub(super) progress: Progress,
    pub(super) queues: Vec<Fed>,
}

/// Events on their way into the queues.
#[derive(Default)]
struct Bodies {
    everything: Vec<String>,
    alarms: Vec<String>,
}

impl Follower {
    /// Ends when it is stopped, and what was handed over until then is in the queues.
    pub(super) async fn run(mut self, mut handed: mpsc::Receiver<OnRecord>, stop: CancellationToken) {
        let mut look = interval(CHAIN_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut saved = (Instant::now(), self.progress.clone());
        loop {
            tokio::select! {
                biased;
                Some(what) = handed.recv() => self.take(what).await,
                _ = look.tick() => {
                    self.catch_up().await;
                    self.queues.iter().for_each(Fed::look);
                }
                () = stop.cancelled() => break,
            }
            if saved.0.elapsed() >= SAVED_WITHIN && self.progress != saved.1 {
                self.save().await;
                saved = (Instant::now(), self.progress.clone());
            }
        }
        self.catch_up().await;
        self.save().await;
    }

    async fn take(&mut self, what: OnRecord) {
        match what {
            OnRecord::Entered(entries) => {
                let goes_on = self
                    .progress
                    .reached
                    .as_ref()
                    .zip(entries.first())
                    .is_some_and(|(reached, first)| first.seq == reached.seq + 1 && first.previous == reached.hash);
                if goes_on {
                    self.enter(&entries).await;
                } else if !self.catch_up().await {
                    // The chain cannot be read, and what came between is not known: these must not wait for it.
                    let lines = entries.iter().map(Ahead::of_entry).collect();
                    self.go_ahead(lines).await;
                }
            }
            OnRecord::Waiting(drafts) => {
                let lines = drafts.iter().map(Ahead::of_draft).collect();
                self.go_ahead(lines).await;
            }
        }
    }

    /// Reads the chain from where the queues are, to its end. False when it cannot be read.
    async fn catch_up(&mut self) -> bool {
        // Known to be away: nothing waits for it here.
        while *self.database.borrow() {
            let page = timeout(CHAIN_READ_WITHIN, self.page()).await;
            match page {
                Ok(Ok(page)) if page.is_empty() => return true,
                Ok(Ok(page)) => self.enter(&page).await,
                Ok(Err(error)) => {
                    debug!(%error, "The audit chain cannot be read for those who follow it");
                    return false;
                }
                Err(_) => return false,
            }
        }
        false
    }

    /// The next entries behind those that are in the queues.
    async fn page(&mut self) -> Result<Vec<AuditEntry>, StoreError> {
        let Some(reached) = &self.progress.reached else {
            // The first time there is: nobody asked to be told of what was before.
            let head = self.store.audit_head().await?;
            let (seq, hash) = head.unwrap_or_else(|| (0, GENESIS.to_owned()));
            self.progress.reached = Some(Reached { seq, hash });
            return Ok(Vec::new());
        };
        let mut page = self.store.audit_page(reached.seq - 1, PAGE_READ).await?;
        let known = page.first().filter(|first| first.seq == reached.seq);
        if reached.seq > 0 && known.is_none_or(|known| known.hash != reached.hash) {
            self.chain_was_rewritten().await?;
            return Ok(Vec::new());
        }
        if known.is_some() {
            page.remove(0);
        }
        Ok(page)
    }

    /// The entry that was told last is not in the chain any more, or is another: says so, and goes on from the end that there is.
    async fn chain_was_rewritten(&mut self) -> Result<(), StoreError> {
        let head = self.store.audit_head().await?;
        let Some(reached) = &mut self.progress.reached else { return Ok(()) };
        metrics::gauge!("sallyport_audit_chain_broken").set(1.0);
        error!(
            seq = reached.seq,
            "The audit chain was rewritten: an entry that receivers were told of is gone or different"
        );
        self.reports.tell(AuditEvent::AuditRewritten { seq: reached.seq, expected: reached.hash.clone() });
        (reached.seq, reached.hash) = head.unwrap_or_else(|| (0, GENESIS.to_owned()));
        Ok(())
    }

    /// Puts entries into the queues that follow on those that are there, and the head that they end with.
    async fn enter(&mut self, entries: &[AuditEntry]) {
        let mut bodies = Bodies::default();
        let mut own = false;
        for entry in entries {
            // Other brokers of this chain tell of their own.
            if entry.broker != self.broker && entry.broker != COMMANDS {
                continue;
            }
            own = true;
            if !self.progress.ahead.remove(&entry.id) {
                bodies.add(Message::of_entry(entry), self.alarms.has(&entry.code));
            }
        }
        let signed = entries.iter().rev().find_map(|entry| Message::of_head(entry, &self.broker));
        bodies.everything.extend(signed.filter(|_| own));
        if let Some(last) = entries.last() {
            self.progress.reached = Some(Reached { seq: last.seq, hash: last.hash.clone() });
        }
        self.put(bodies).await;
    }

    async fn go_ahead(&mut self, lines: Vec<Ahead>) {
        let mut bodies = Bodies::default();
        for Ahead { id, code, body } in lines {
            let alarm = self.alarms.has(&code);
            let ahead = &mut self.progress.ahead;
            // More than that is told when it is in the chain. Alarms do not wait.
            if (alarm || ahead.len() < MOST_AHEAD) && ahead.insert(id) {
                bodies.add(body, alarm);
            }
        }
        self.put(bodies).await;
    }

    async fn put(&mut self, bodies: Bodies) {
        if bodies.everything.is_empty() {
            return;
        }
        let mut queues = std::mem::take(&mut self.queues);
        let put = move || {
            for fed in &mut queues {
                let events = match fed.takes {
                    Takes::Everything => &bodies.everything,
                    Takes::Alarms => &bodies.alarms,
                };
                if !events.is_empty() {
                    fed.put(events);
                }
            }
            queues
        };
        match tokio::task::spawn_blocking(put).await {
            Ok(queues) => self.queues = queues,
            Err(error) => error!(%error, "Events could not be put into the queues of their receivers"),
        }
    }

    /// First the queues, then how far they are: a crash between the two doubles, and loses nothing.
    async fn save(&self) {
        let progress = self.progress.clone();
        let (cursor, queues) = (self.cursor.clone(), self.queues.iter().map(|fed| Arc::clone(&fed.queue)));
        let queues: Vec<_> = queues.collect();
        let saved = tokio::task::spawn_blocking(move || {
            queues.iter().try_for_each(|queue| queue.sync())?;
            cursor.save(&progress)
        });
        match saved.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "How far receivers were told cannot be noted; a restart tells some again"),
            Err(error) => error!(%error, "How far receivers were told cannot be noted"),
        }
    }
}

/// An event that goes ahead of its place in the chain.
struct Ahead {
    id: String,
    code: String,
    body: String,
}

impl Ahead {
    fn of_entry(entry: &AuditEntry) -> Self {
        Self { id: entry.id.clone(), code: entry.code.clone(), body: Message::of_entry(entry) }
    }

    fn of_draft(draft: &Draft) -> Self {
        Self { id: draft.id.clone(), code: draft.code.clone(), body: Message::of_draft(draft) }
    }
}

impl Bodies {
    fn add(&mut self, body: String, alarm: bool) {
        if alarm {
            self.alarms.push(body.clone());
        }
        self.everything.push(body);
    }
}

/// What commands write in the place of a broker's name.
const COMMANDS: &str = "cli";
/// So long a change waits at most that nobody hands over: a row with its event, a command.
const CHAIN_LOOK: Duration = Duration::from_millis(250);
/// How long a page of the chain may take.
const CHAIN_READ_WITHIN: Duration = Duration::from_secs(2);
/// What a crash doubles.
const SAVED_WITHIN: Duration = Duration::from_secs(1);
/// Entries read at once.
const PAGE_READ: u32 = 500;
/// Events that went ahead and are remembered, besides alarms.
const MOST_AHEAD: usize = 10_000;
