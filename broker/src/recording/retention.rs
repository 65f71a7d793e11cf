//! How long recordings are kept: by age and by size, per zone, unless they are held.
//!
//! Age, size and hold are the audit chain's, which is signed. The catalogue only says where the file is.

use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use ed25519_dalek::VerifyingKey;
use jiff::{SignedDuration, Timestamp};

use super::RecordingPath;
use super::history::{Broken, History};
use super::ledger::{Facts, Head, time};
use super::permits::stepping_out;
use super::recordings::{Recordings, RecordingsError};
use crate::audit::AuditEvent;
use crate::config::RecordingConfig;
use crate::store::{Store, StoreError};

/// After a jump of the clock, an administrator has so long to mend it.
const DISTRUST: Duration = Duration::from_secs(24 * 3600);

/// More recordings than this are not reported in one run of the broker.
const MOST_REPORTS: usize = 1000;

/// One recording that retention removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its session.
    pub session: String,
    /// Which rule.
    pub reason: String,
}

/// A rule that lets a recording go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Days(u32),
    Bytes(u64),
}

impl Recordings {
    /// The calendar cannot be trusted: nothing is removed for a while, since no recording comes back.
    pub fn distrust_the_clock(&self) {
        let until = Instant::now() + DISTRUST;
        *self.inner.retain_from.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        tracing::warn!(hours = DISTRUST.as_secs() / 3600, "Retention pauses: the clock has jumped");
    }

    /// Whether the calendar may be believed about the age of recordings.
    pub(super) fn trusts_the_clock(&self) -> bool {
        let from = *self.inner.retain_from.lock().unwrap_or_else(PoisonError::into_inner);
        from.is_none_or(|from| from <= Instant::now())
    }

    /// Reads the audit chain as far as it goes, which takes a while the first time. May be dropped half-way.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub(super) async fn read_history(&self) -> Result<(), RecordingsError> {
        if self.inner.config.removes()
            && let Err(broken) = self.inner.history.lock().await.read(&self.inner.store).await?
        {
            self.stop(&broken).await?;
        }
        Ok(())
    }

    /// Removes what retention lets go. The audit chain has it before the file goes.
    ///
    /// # Errors
    /// When the catalogue or the audit chain cannot be read or written; nothing is removed then that is not on record.
    pub async fn retain(&self, now: Timestamp) -> Result<Vec<Removed>, RecordingsError> {
        let mut removed = Vec::new();
        if !self.inner.config.removes() {
            return Ok(removed);
        }
        let mut history = self.inner.history.lock().await;
        if let Err(broken) = history.read(&self.inner.store).await? {
            return self.stop(&broken).await.map(|()| removed);
        }
        let sessions: Vec<String> = history.ledger().sessions().map(|(session, _)| session.to_owned()).collect();
        for session in sessions {
            if self.rule(&history, &session, now).is_none() {
                continue;
            }
            match self.remove(&mut history, &session, now).await? {
                Outcome::Removed(reason) => removed.push(Removed { session, reason }),
                Outcome::Stays => {}
                Outcome::Disputed(fault) => self.dispute(&session, fault).await?,
                Outcome::Stopped(broken) => return self.stop(&broken).await.map(|()| removed),
            }
        }
        self.report_unknown(&history).await?;
        Ok(removed)
    }

    /// The rule that lets a recording go by what the chain says of it.
    fn rule(&self, history: &History, session: &str, now: Timestamp) -> Option<Rule> {
        let facts = history.ledger().get(session)?;
        rule(&self.inner.config, facts, history.ledger().bytes(facts.start.as_ref()?), now)
    }

    async fn remove(&self, history: &mut History, session: &str, now: Timestamp) -> Result<Outcome, RecordingsError> {
        let inner = &self.inner;
        let path = match self.place(session).await? {
            Ok(path) => path,
            Err(fault) => return Ok(Outcome::Disputed(fault)),
        };
        let mut write = inner.store.begin_quiet_write().await?;
        if !inner.store.remove_recording(&mut write, session, now).await? {
            // Held since the chain was read; or the catalogue has it as held, live or gone, and the chain has not.
            return Ok(Outcome::Stays);
        }
        // From here on nobody else enters anything: what the chain says now holds until this is on record.
        write.take_audit_head().await?;
        if let Err(broken) = history.read(&inner.store).await? {
            return Ok(Outcome::Stopped(broken));
        }
        let Some((rule, facts)) = self.rule(history, session, now).zip(history.ledger().get(session)) else {
            return Ok(Outcome::Stays);
        };
        let reason = rule.in_words(facts);
        let event = removal(session, rule, facts);
        inner.audit.record_in(&mut write, event).await?;
        write.commit().await?;
        if let Err(error) = stepping_out(|| path.remove(&inner.config.dir)) {
            tracing::error!(session, %path, %error, "A recording's file could not be removed");
        }
        if let Err(broken) = history.read(&inner.store).await? {
            self.stop(&broken).await?;
        }
        Ok(Outcome::Removed(reason))
    }

    /// Where the catalogue has it, if a recording is there.
    async fn place(&self, session: &str) -> Result<Result<RecordingPath, String>, RecordingsError> {
        let inner = &self.inner;
        let Some(recording) = inner.store.recording_of(session).await? else {
            return Ok(Err("the catalogue has no such recording".to_owned()));
        };
        if recording.start.broker != inner.broker {
            return Ok(Err("the catalogue has it as another broker's".to_owned()));
        }
        Ok(match RecordingPath::parse(&recording.start.path, session) {
            Err(bad) => Err(bad.to_string()),
            Ok(path) => match stepping_out(|| path.open(&inner.config.dir)) {
                Err(error) => Err(format!("its file `{path}` cannot be read: {error}")),
                Ok(_) => Ok(path),
            },
        })
    }

    /// What the catalogue has as closed, and the chain does not know as something to keep.
    async fn report_unknown(&self, history: &History) -> Result<(), RecordingsError> {
        let mut unknown = self.inner.store.closed_recordings(&self.inner.broker).await?;
        let known = |session: &String| {
            history.ledger().get(session).is_some_and(|facts| facts.start.is_some() && facts.closed_at.is_some())
        };
        unknown.retain(|session| !known(session));
        let suspects: HashSet<String> = unknown.into_iter().take(MOST_REPORTS).collect();
        let before = std::mem::replace(&mut self.inner.reports().suspects, suspects.clone());
        for session in suspects.intersection(&before) {
            let fault = "the catalogue has it as closed and kept, and the audit chain does not".to_owned();
            self.dispute(session, fault).await?;
        }
        Ok(())
    }

    /// Each is reported once in a run of the broker.
    async fn dispute(&self, session: &str, fault: String) -> Result<(), RecordingsError> {
        {
            let mut reports = self.inner.reports();
            if reports.disputed.len() >= MOST_REPORTS || !reports.disputed.insert(session.to_owned()) {
                return Ok(());
            }
        }
        tracing::error!(session, fault, "Retention leaves a recording alone: catalogue and audit chain do not agree");
        self.inner.audit.record(AuditEvent::RecordingDisputed { session: session.to_owned(), fault }).await?;
        Ok(())
    }

    async fn stop(&self, broken: &Broken) -> Result<(), RecordingsError> {
        if std::mem::replace(&mut self.inner.reports().stopped, true) {
            return Ok(());
        }
        metrics::gauge!("sallyport_audit_chain_broken").set(1.0);
        tracing::error!(fault = %broken, "Retention removes nothing: the audit chain does not verify");
        self.inner.audit.record(AuditEvent::RetentionStopped { fault: broken.0.clone() }).await?;
        Ok(())
    }
}

/// A recording that retention lets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    /// Its session.
    pub(crate) session: String,
    /// The asset's zone.
    pub(crate) zone: String,
    /// When it was closed.
    pub(crate) closed_at: Option<Timestamp>,
    /// Its length.
    pub(crate) bytes: u64,
    /// Which rule.
    pub(crate) reason: String,
}

/// What the retention of a broker lets go at a time, the oldest first, if nothing else happens until then. Nothing is removed.
///
/// # Errors
/// The database cannot be read; or the chain does not verify, and then nothing ever goes.
pub(crate) async fn due(
    config: &RecordingConfig,
    broker: &str,
    keys: &[VerifyingKey],
    store: &Store,
    at: Timestamp,
) -> Result<Result<Vec<Due>, Broken>, StoreError> {
    let mut history = History::new(broker, keys);
    if let Err(broken) = history.read(store).await? {
        return Ok(Err(broken));
    }
    let ledger = history.ledger();
    let mut freed: BTreeMap<&str, u64> = BTreeMap::new();
    let mut all = Vec::new();
    for (session, facts) in ledger.sessions() {
        let Some(start) = &facts.start else { continue };
        let freed = freed.entry(&start.zone).or_default();
        let Some(rule) = rule(config, facts, ledger.bytes(start).saturating_sub(*freed), at) else { continue };
        let bytes = facts.head.as_ref().map_or(0, |head| head.bytes);
        *freed = freed.saturating_add(bytes);
        all.push(Due {
            session: session.to_owned(),
            zone: start.zone.to_string(),
            closed_at: facts.closed_at.and_then(time),
            bytes,
            reason: rule.in_words(facts),
        });
    }
    Ok(Ok(all))
}

/// The rule that lets a recording go, of whose zone the broker has so many bytes.
fn rule(config: &RecordingConfig, facts: &Facts, bytes: u64, now: Timestamp) -> Option<Rule> {
    let (start, closed) = (facts.start.as_ref()?, time(facts.closed_at?)?);
    if facts.held.is_some() || facts.removed.is_some() {
        return None;
    }
    let keep = config.retention(&start.zone);
    let old = |days: &u32| now.duration_since(closed) > SignedDuration::from_hours(24 * i64::from(*days));
    let by_age = keep.days.filter(old).map(Rule::Days);
    by_age.or_else(|| keep.bytes.filter(|most| bytes > *most).map(Rule::Bytes))
}

/// What became of a recording that a rule lets go.
enum Outcome {
    Removed(String),
    Stays,
    Disputed(String),
    Stopped(Broken),
}

impl Rule {
    fn in_words(self, facts: &Facts) -> String {
        let zone = facts.start.as_ref().map_or("", |start| &start.zone);
        match self {
            Self::Days(days) => format!("zone {zone} keeps recordings for {days} days"),
            Self::Bytes(most) => format!("zone {zone} keeps {most} bytes of recordings, the newest"),
        }
    }
}

fn removal(session: &str, rule: Rule, facts: &Facts) -> AuditEvent {
    AuditEvent::RecordingRemoved {
        session: session.to_owned(),
        reason: rule.in_words(facts),
        recording_head: facts.head.as_ref().map(Head::hex),
        recording_bytes: facts.head.as_ref().map_or(0, |head| head.bytes),
        closed_at: facts.closed_at.and_then(time),
        keep_days: match rule {
            Rule::Days(days) => Some(u64::from(days)),
            Rule::Bytes(_) => None,
        },
        keep_bytes: match rule {
            Rule::Bytes(most) => Some(most),
            Rule::Days(_) => None,
        },
    }
}
