//! What single events do not say: that they belong together. A scan, a storm, guessing, a first factor in the wrong hands, one person in two
//! places, work at an hour at which somebody never works.
//!
//! ```text
//!  the audit chain ───────────────► Fact ─► Detector ─► an event on record (SP-9001 …)
//!  counts of live sessions ────────────────────┘  │
//!  earlier ends of one person's sessions ─► Hours ┘
//! ```
//!
//! Nobody waits for any of this, and nothing is refused by it: it reads what is on record. Each broker reads the whole chain, and tells of what
//! its own entries complete, so that a scan over two brokers is seen, and told once.

mod detector;
mod fact;
mod hours;
mod places;
mod spells;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::Protocol;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use detector::{Detector, Written};
use fact::{Begun, Fact, SESSION_ENDED, Who};
use hours::{Hours, Worked, hour_in_words, looked_back, not_of_today};
use places::Living;

use crate::audit::{AuditEntry, AuditEvent, AuditFilter};
use crate::broker::Broker;
use crate::logging::counted;
use crate::store::{StoreError, micros};

/// Watches until `stop`.
pub(crate) async fn watch(broker: Arc<Broker>, stop: CancellationToken) {
    for kind in AuditEvent::KINDS.iter().filter(|kind| kind.code.starts_with(OWN_CODES)) {
        // There from the start, or the first would be no increase.
        metrics::counter!("sallyport_detections_total", "kind" => kind.name).increment(0);
    }
    let mut watcher = Watcher::new(Arc::clone(&broker));
    let database = broker.store.available();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let available = *database.borrow();
        if available {
            match timeout(CHAIN_WATCHED_WITHIN, watcher.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => counted!(warn, "What is on record cannot be watched", %error),
                Err(_) => counted!(warn, "What is on record cannot be watched: no answer in time"),
            }
        }
        watcher.look_at_live().await;
    }
}

/// How far it has read, and what it knows.
struct Watcher {
    broker: Arc<Broker>,
    detector: Detector,
    /// The last entry that was read; nothing before the first look.
    reached: Option<i64>,
    /// Whose usual hours are known, and since when that was looked up.
    hours: HashMap<String, Known>,
    /// When an unusual hour was told of each person.
    told: HashMap<String, Timestamp>,
    /// Live sessions whose hour was looked at.
    looked_at: HashSet<String>,
}

struct Known {
    hours: Option<Hours>,
    sessions: u64,
    looked_up: Timestamp,
}

impl Known {
    fn unusual_at(&self, at: Timestamp) -> Option<u64> {
        self.hours.as_ref().filter(|hours| !hours.are_usual_at(at)).map(|_| self.sessions)
    }
}

/// A session that changes something, or can.
struct Acted<'a> {
    session: &'a str,
    identity: &'a str,
    asset: &'a str,
    at: Timestamp,
}

impl Watcher {
    fn new(broker: Arc<Broker>) -> Self {
        let detector = Detector::new(broker.config.detect.clone());
        let (hours, told, looked_at) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { broker, detector, reached: None, hours, told, looked_at }
    }

    /// Reads what has come on record.
    async fn look(&mut self) -> Result<(), StoreError> {
        if self.reached.is_none() {
            self.reached = Some(self.begin().await?);
        }
        for _ in 0..MOST_PAGES {
            let page = self.broker.store.audit_page(self.reached.unwrap_or(0), PAGE).await?;
            for entry in &page {
                self.take(entry).await;
                self.reached = Some(entry.seq);
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(())
    }

    /// What is remembered of the time before: a restart hides nobody. Nothing of it is told again.
    async fn begin(&mut self) -> Result<i64, StoreError> {
        let store = self.broker.store.clone();
        for row in store.live_sessions(None).await? {
            let who = Who { identity: row.start.identity, source: row.start.source };
            let living = Living { who, broker: row.start.broker, at: micros(row.start.started_at) };
            self.detector.lives(&row.start.id, living);
        }
        let head = store.audit_head().await?.map_or(0, |(seq, _)| seq);
        let longest = Detector::longest_window(&self.broker.config.detect);
        let since =
            SignedDuration::try_from(longest).ok().and_then(|window| self.broker.now().checked_sub(window).ok());
        let Some((first, _)) = store.audit_range(since, None).await? else { return Ok(head) };
        let mut reached = (first - 1).max(head - MOST_REMEMBERED);
        while reached < head {
            let page = store.audit_page(reached, PAGE).await?;
            let Some(last) = page.last() else { break };
            reached = last.seq;
            for entry in &page {
                if let Some(fact) = Fact::of(entry) {
                    drop(self.detector.hear(&fact, written(entry)));
                }
            }
        }
        Ok(reached)
    }

    async fn take(&mut self, entry: &AuditEntry) {
        let Some(fact) = Fact::of(entry) else { return };
        let told = self.detector.hear(&fact, written(entry));
        if entry.broker != self.broker.config.name {
            return;
        }
        for event in told {
            self.tell(event).await;
        }
        let Some(at) = entry.time() else { return };
        match &fact {
            Fact::Began(Begun { session, who, asset, service }) if !self.is_decoded(asset, service) => {
                self.acted(Acted { session, identity: &who.identity, asset, at }).await;
            }
            Fact::Ended { session, identity, writes } => {
                // One that was over before anybody looked at it while it lived.
                let unseen = !self.looked_at.remove(session);
                if unseen && writes.is_some_and(|writes| writes > 0) {
                    self.acted(Acted { session, identity, asset: "", at }).await;
                }
            }
            _ => {}
        }
    }

    /// Reads what live sessions have counted.
    async fn look_at_live(&mut self) {
        let now = self.broker.now();
        for live in self.broker.live.snapshot_to_count() {
            let asked = live.operations.take();
            let asset = live.target.asset.to_string();
            let who = Who { identity: live.subject.identity.to_string(), source: live.source.to_string() };
            for event in self.detector.asked(&who, &asset, &asked, micros(now)) {
                self.tell(event).await;
            }
            if live.operations.writes() > 0 && !self.looked_at.contains(&live.id) {
                if self.looked_at.len() >= MOST_KNOWN {
                    self.looked_at.clear();
                }
                self.looked_at.insert(live.id.clone());
                self.acted(Acted { session: &live.id, identity: &who.identity, asset: &asset, at: now }).await;
            }
        }
    }

    /// Whether the writes of a session are counted: then it is one that changes something when one of them has passed.
    fn is_decoded(&self, asset: &str, service: &str) -> bool {
        let policy = self.broker.policy.current();
        let asset = asset.parse().ok().and_then(|id| policy.asset(&id));
        let service = asset.zip(service.parse().ok()).and_then(|(asset, name)| asset.services.get(&name));
        service.is_some_and(|service| service.protocol == Protocol::Modbus)
    }

    /// Somebody changes something, or can: is that a usual hour?
    async fn acted(&mut self, acted: Acted<'_>) {
        let again = |told: &Timestamp| acted.at.duration_since(*told) < TOLD_AGAIN;
        if self.told.get(acted.identity).is_some_and(again) {
            return;
        }
        let sessions = match self.unusual(acted.identity, acted.at).await {
            Ok(Some(sessions)) => sessions,
            Ok(None) => return,
            Err(error) => return counted!(warn, "Somebody's usual hours could not be looked up", %error),
        };
        let event = AuditEvent::UnusualHourDetected {
            identity: acted.identity.to_owned(),
            session: acted.session.to_owned(),
            asset: acted.asset.to_owned(),
            hour: hour_in_words(acted.at),
            sessions,
        };
        if self.told.len() >= MOST_KNOWN {
            self.told.clear();
        }
        self.told.insert(acted.identity.to_owned(), acted.at);
        self.tell(event).await;
    }

    /// From how many sessions it is known that this is no usual hour of theirs; nothing where it is one, or nothing is known.
    async fn unusual(&mut self, identity: &str, at: Timestamp) -> Result<Option<u64>, StoreError> {
        let fresh = |known: &&Known| at.duration_since(known.looked_up).abs() < HOURS_KNOWN_FOR;
        if let Some(known) = self.hours.get(identity).filter(fresh) {
            return Ok(known.unusual_at(at));
        }
        // Looked up from time to time.
        let known = timeout(LOOKED_UP_WITHIN, look_up(&self.broker, identity, at)).await;
        let known = known.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())))?;
        let unusual = known.unusual_at(at);
        if self.hours.len() >= MOST_KNOWN {
            self.hours.clear();
        }
        self.hours.insert(identity.to_owned(), known);
        Ok(unusual)
    }

    async fn tell(&self, event: AuditEvent) {
        metrics::counter!("sallyport_detections_total", "kind" => event.kind().name).increment(1);
        tracing::warn!(code = event.kind().code, kind = event.kind().name, "Something was detected");
        if let Err(error) = self.broker.audit.record(event).await {
            tracing::error!(%error, "What was detected is not in the audit chain");
        }
    }
}

/// What the chain says of somebody's earlier sessions in which they changed something, or could.
async fn look_up(broker: &Broker, identity: &str, at: Timestamp) -> Result<Known, StoreError> {
    let filter = AuditFilter {
        since: at.checked_sub(looked_back()).ok(),
        until: at.checked_sub(not_of_today()).ok(),
        code: Some(SESSION_ENDED.to_owned()),
        identity: Some(identity.to_owned()),
        limit: Some(MOST_LOOKED_AT),
        ..AuditFilter::default()
    };
    let ends = broker.store.audit_entries(&filter).await?;
    let worked: Vec<Worked> = ends.iter().filter_map(worked).collect();
    let sessions = u64::try_from(worked.len()).unwrap_or(u64::MAX);
    Ok(Known { hours: Hours::learned(&worked, at), sessions, looked_up: at })
}

/// Nothing of a session in which nothing was written. When it began is in its id.
fn worked(entry: &AuditEntry) -> Option<Worked> {
    let Some(Fact::Ended { session, writes, .. }) = Fact::of(entry) else { return None };
    if writes == Some(0) {
        return None;
    }
    let until = entry.time()?;
    let id: ulid::Ulid = session.to_ascii_uppercase().parse().ok()?;
    let begun = i64::try_from(id.timestamp_ms()).ok().and_then(|begun| Timestamp::from_millisecond(begun).ok())?;
    Some(Worked { from: begun.min(until), until })
}

fn written(entry: &AuditEntry) -> Written<'_> {
    Written { at: entry.at, broker: &entry.broker }
}

/// What the codes of this room begin with.
const OWN_CODES: &str = "SP-90";
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// A database that hangs does not keep live sessions from being looked at.
const CHAIN_WATCHED_WITHIN: Duration = Duration::from_secs(30);
const LOOKED_UP_WITHIN: Duration = Duration::from_secs(5);
/// Entries read at once.
const PAGE: u32 = 500;
/// Pages in one look.
const MOST_PAGES: usize = 20;
/// Entries from before the start that are read at most.
const MOST_REMEMBERED: i64 = 20_000;
/// Sessions that somebody's usual hours are learned from at most: the newest.
const MOST_LOOKED_AT: u32 = 2000;
/// People of whom something is remembered.
const MOST_KNOWN: usize = 4096;
const HOURS_KNOWN_FOR: SignedDuration = SignedDuration::from_hours(1);
const TOLD_AGAIN: SignedDuration = SignedDuration::from_hours(24);
