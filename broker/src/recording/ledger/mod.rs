//! What the audit chain says of recordings: the beginning of each, its end, holds, and its removal.
//!
//! The tables are an index that others may write; the chain is signed. Whoever re-seals, removes or proves recordings goes by
//! this. A few words are kept of each session, never its events.

use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Deserialize;

use crate::audit::AuditEntry;
use crate::store::{Store, StoreError};

/// What the chain says of all recordings, entry by entry.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: BTreeMap<String, Facts>,
    /// Bytes that a broker has of a zone: closed and not removed.
    kept: BTreeMap<(Arc<str>, Arc<str>), u64>,
    /// Each broker's runs.
    runs: BTreeMap<Arc<str>, Run>,
}

/// What the chain says of one session's recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its beginning.
    pub start: Option<Start>,
    /// When it was first said to be closed, in microseconds since the Unix epoch.
    pub closed_at: Option<i64>,
    /// Its head, once it has one.
    pub head: Option<Head>,
    /// The entry that holds it, while it is held.
    pub held: Option<i64>,
    /// The entry that removed it.
    pub removed: Option<i64>,
    /// What should not have happened to it.
    pub faults: Vec<String>,
}

/// How a session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// The entry that says so.
    pub seq: i64,
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// The broker that carried it.
    pub broker: Arc<str>,
    /// The asset's zone.
    pub zone: Arc<str>,
}

/// The end of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The entry that says so.
    pub seq: i64,
    /// The chain value over all of it.
    pub hash: [u8; 32],
    /// Its length.
    pub bytes: u64,
}

impl Facts {
    /// What is wrong with a recording of which this head was found.
    #[must_use]
    pub(crate) fn against(&self, found: Option<&str>) -> Vec<String> {
        let mut faults = self.faults.clone();
        if let (Some(head), Some(found)) = (&self.head, found)
            && head.hex() != found
        {
            let (expected, bytes) = (head.hex(), head.bytes);
            faults.push(format!("the audit chain has head {expected} over {bytes} bytes, the recording {found}"));
        }
        if let Some(entry) = self.removed {
            faults.push(format!("the audit chain has its removal (entry {entry})"));
        }
        faults
    }
}

impl Head {
    /// The chain value, hex.
    #[must_use]
    pub(crate) fn hex(&self) -> String {
        HEXLOWER.encode(&self.hash)
    }
}

/// The runs of one broker, by the entries that began them.
#[derive(Debug, Default)]
struct Run {
    latest: i64,
    /// The latest run that has served: what was open before it has been closed by then.
    served: i64,
}

/// The fields of the events that are read here.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    zone: String,
    recording_head: Option<String>,
    recording_bytes: Option<u64>,
    #[serde(default)]
    reason: String,
    keep_days: Option<u64>,
    keep_bytes: Option<u64>,
}

impl Ledger {
    /// What the chain says of one session's recording. Each entry must match its hash; that none is missing, only the whole
    /// chain can prove.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) async fn of_session(store: &Store, session: &str) -> Result<Facts, StoreError> {
        let mut ledger = Self::default();
        let mut edited = Vec::new();
        let codes = [SESSION_STARTED, SESSION_ENDED, INTERRUPTED, REMOVED, HELD, RELEASED];
        for entry in store.audit_of_session(session, codes).await? {
            if entry.expected_hash() != entry.hash {
                edited.push(format!("entry {} of the audit chain was edited", entry.seq));
            }
            ledger.entry(&entry);
        }
        let mut facts = ledger.sessions.remove(session).unwrap_or_default();
        facts.faults.extend(edited);
        Ok(facts)
    }

    /// Takes the next entry of the chain.
    pub(crate) fn entry(&mut self, entry: &AuditEntry) {
        if entry.code == BROKER_STARTED {
            return self.run(&entry.broker).latest = entry.seq;
        }
        let (Some(session), true) = (&entry.session, OF_RECORDINGS.contains(&entry.code.as_str())) else { return };
        let mut facts = self.sessions.remove(session).unwrap_or_default();
        match serde_json::from_str::<Event>(&entry.event) {
            Ok(event) => self.event(&mut facts, entry, event),
            Err(error) => facts.faults.push(format!("entry {} of the audit chain cannot be read: {error}", entry.seq)),
        }
        self.sessions.insert(session.clone(), facts);
    }

    fn event(&mut self, facts: &mut Facts, entry: &AuditEntry, event: Event) {
        match entry.code.as_str() {
            SESSION_STARTED => self.started(facts, entry, &event),
            SESSION_ENDED | INTERRUPTED => self.closed(facts, entry, &event),
            HELD => facts.held = Some(entry.seq),
            RELEASED => facts.held = None,
            REMOVED => self.removed(facts, entry, &event),
            // Damaged: that is an end too, and the only one that such a recording may ever have.
            _ => {
                facts.closed_at.get_or_insert(entry.at);
            }
        }
    }

    fn started(&mut self, facts: &mut Facts, entry: &AuditEntry, event: &Event) {
        let run = self.run(&entry.broker);
        run.served = run.latest;
        if let Some(before) = &facts.start {
            return facts
                .faults
                .push(format!("it begins twice in the audit chain: entries {} and {}", before.seq, entry.seq));
        }
        let (broker, zone) = self.names(&entry.broker, &event.zone);
        facts.start = Some(Start { seq: entry.seq, at: entry.at, broker, zone });
    }

    fn closed(&mut self, facts: &mut Facts, entry: &AuditEntry, event: &Event) {
        facts.closed_at.get_or_insert(entry.at);
        let Some(text) = &event.recording_head else { return };
        let Ok(Ok(hash)) = HEXLOWER.decode(text.as_bytes()).map(<[u8; 32]>::try_from) else {
            return facts.faults.push(format!("entry {} of the audit chain has no head that could be one", entry.seq));
        };
        let head = Head { seq: entry.seq, hash, bytes: event.recording_bytes.unwrap_or(0) };
        match &facts.head {
            None => {
                *self.kept(facts) += head.bytes;
                facts.head = Some(head);
            }
            Some(first) if first.hash == head.hash => {}
            Some(first) => facts.faults.push(format!(
                "the audit chain has two heads of it: {} over {} bytes (entry {}), then {} over {} bytes (entry {})",
                first.hex(),
                first.bytes,
                first.seq,
                head.hex(),
                head.bytes,
                head.seq
            )),
        }
    }

    fn removed(&mut self, facts: &mut Facts, entry: &AuditEntry, event: &Event) {
        let seq = entry.seq;
        if let Some(hold) = facts.held {
            facts.faults.push(format!("it was removed (entry {seq}) while it was held (entry {hold})"));
        }
        let age = facts.closed_at.or(facts.start.as_ref().map(|start| start.at)).map(|at| entry.at.saturating_sub(at));
        let kept = *self.kept(facts);
        match (event.keep_days.or_else(|| days_in(&event.reason)), event.keep_bytes, age) {
            (_, _, None) => {
                facts.faults.push(format!("it was removed (entry {seq}), and the audit chain never saw it made"));
            }
            (Some(days), _, Some(age)) if age < micros_of_days(days).saturating_sub(SLACK) => {
                let minutes = age / 60_000_000;
                facts.faults.push(format!("it was removed (entry {seq}) {minutes} minutes old, not after {days} days"));
            }
            (None, Some(most), _) if kept <= most => facts.faults.push(format!(
                "it was removed (entry {seq}) to keep {most} bytes, when there were {kept} bytes of its zone"
            )),
            _ => {}
        }
        if facts.removed.is_none() {
            let bytes = facts.head.as_ref().map_or(0, |head| head.bytes);
            let kept = self.kept(facts);
            *kept = kept.saturating_sub(bytes);
        }
        facts.removed = Some(seq);
    }

    /// What the chain says of this session's recording.
    #[must_use]
    pub(crate) fn get(&self, session: &str) -> Option<&Facts> {
        self.sessions.get(session)
    }

    /// All of them, the oldest session first.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.sessions.iter().map(|(session, facts)| (session.as_str(), facts))
    }

    /// Whether the broker of this session has been started since, and has served: then it has closed what it found open.
    #[must_use]
    pub(crate) fn closed_out(&self, start: &Start) -> bool {
        self.runs.get(&start.broker).is_some_and(|run| start.seq < run.served)
    }

    /// Drops what is known of a recording that is gone.
    pub(super) fn forget(&mut self, session: &str) {
        self.sessions.remove(session);
    }

    /// The bytes of the zone that this recording's broker has.
    fn kept(&mut self, facts: &Facts) -> &mut u64 {
        let place = match &facts.start {
            Some(start) => (Arc::clone(&start.broker), Arc::clone(&start.zone)),
            None => (Arc::from(""), Arc::from("")),
        };
        self.kept.entry(place).or_default()
    }

    /// The bytes that a broker has of a zone: closed and not removed.
    #[must_use]
    pub(crate) fn bytes(&self, start: &Start) -> u64 {
        self.kept.get(&(Arc::clone(&start.broker), Arc::clone(&start.zone))).copied().unwrap_or(0)
    }

    fn run(&mut self, broker: &str) -> &mut Run {
        if !self.runs.contains_key(broker) {
            self.runs.insert(Arc::from(broker), Run::default());
        }
        self.runs.entry(Arc::from(broker)).or_default()
    }

    /// Two names, kept once however many sessions have them.
    fn names(&self, broker: &str, zone: &str) -> (Arc<str>, Arc<str>) {
        let known = self.kept.keys().find(|(a, b)| **a == *broker && **b == *zone);
        known.map_or_else(|| (Arc::from(broker), Arc::from(zone)), |(a, b)| (Arc::clone(a), Arc::clone(b)))
    }
}

/// The days that earlier releases wrote into the reason alone.
fn days_in(reason: &str) -> Option<u64> {
    reason.strip_suffix(" days")?.rsplit(' ').next()?.parse().ok()
}

fn micros_of_days(days: u64) -> i64 {
    i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(24 * 3600 * 1_000_000)
}

/// A time of the chain as the calendar has it.
pub(super) fn time(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros).ok()
}

/// Between a recording's end and the entry that says so lies a moment.
const SLACK: i64 = 60_000_000;

const SESSION_STARTED: &str = "SP-3001";
const SESSION_ENDED: &str = "SP-3002";
const REMOVED: &str = "SP-4004";
const HELD: &str = "SP-4005";
const RELEASED: &str = "SP-4006";
const INTERRUPTED: &str = "SP-4007";
const DAMAGED: &str = "SP-4008";
const BROKER_STARTED: &str = "SP-6001";
const OF_RECORDINGS: [&str; 7] = [SESSION_STARTED, SESSION_ENDED, REMOVED, HELD, RELEASED, INTERRUPTED, DAMAGED];

#[cfg(test)]
mod tests;
