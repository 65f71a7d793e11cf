//! Emergencies and their reviews, as the audit chain tells of them: there is no other list. Each opening leaves a duty: somebody else looks
//! at what was done, and says what they think of it. Where nobody does in time, that is an alarm every day.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::BreakGlass;
use serde::{Deserialize, Serialize};

use super::Emergencies;
use crate::audit::{AuditEntry, AuditError, AuditEvent, AuditFilter};
use crate::store::{Store, StoreError};

/// An emergency, and what was said of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Emergency {
    pub(crate) opening: String,
    pub(crate) opened_at: Timestamp,
    pub(crate) who: String,
    pub(crate) source: String,
    pub(crate) rule: String,
    pub(crate) envelopes: Vec<i64>,
    pub(crate) reason: String,
    pub(crate) review: Review,
}

/// Whether somebody else has looked at an emergency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Review {
    /// Somebody has.
    Done { verdict: String, by: String },
    /// Nobody has, and there is time.
    Due { until: Timestamp },
    /// Nobody has in time.
    Overdue { since: Timestamp },
}

/// The entry that tells of an opening.
#[derive(Deserialize)]
struct ToldOpening {
    identity: String,
    source: String,
    opening: String,
    rule: String,
    envelopes: Vec<i64>,
    reason: String,
    review_until: Timestamp,
}

/// The entry that tells of a review.
#[derive(Deserialize)]
struct ToldReview {
    opening: String,
    verdict: String,
}

/// Why emergencies cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReviewsError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry of the chain is no broker's.
    #[error("entry {seq} of the audit chain cannot be read: {error}")]
    Entry {
        /// Its number.
        seq: i64,
        /// What is wrong.
        error: serde_json::Error,
    },
}

impl Emergency {
    /// Every emergency, the newest first.
    pub(crate) async fn all(store: &Store, now: Timestamp) -> Result<Vec<Self>, ReviewsError> {
        let mut reviews = BTreeMap::new();
        for entry in entries(store, REVIEWED).await? {
            let told: ToldReview = read(&entry)?;
            reviews.insert(told.opening, Review::Done { verdict: told.verdict, by: entry.actor });
        }
        let mut all = Vec::new();
        for entry in entries(store, BROKEN).await? {
            let told: ToldOpening = read(&entry)?;
            let due = match told.review_until {
                since if since <= now => Review::Overdue { since },
                until => Review::Due { until },
            };
            all.push(Self {
                review: reviews.get(&told.opening).cloned().unwrap_or(due),
                opened_at: entry.time().unwrap_or(now),
                opening: told.opening,
                who: told.identity,
                source: told.source,
                rule: told.rule,
                envelopes: told.envelopes,
                reason: told.reason,
            });
        }
        all.sort_by(|one, other| (other.opened_at, &other.opening).cmp(&(one.opened_at, &one.opening)));
        Ok(all)
    }
}

/// Why no envelope is sealed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSealed {
    /// The plant file wants the review first.
    #[error(
        "nobody has reviewed emergency {opening}, which was due by {since:.0}, and no envelope of `{rule}` is sealed before: \
         `sallyport break-glass review {opening}`"
    )]
    Overdue {
        /// Which emergency.
        opening: String,
        /// By which section.
        rule: String,
        /// Since when.
        since: Timestamp,
    },
    /// It cannot be looked up.
    #[error(transparent)]
    Reviews(#[from] ReviewsError),
}

/// Whether envelopes of this section may be sealed now.
///
/// # Errors
/// Why not. Where it cannot be looked up, they may not.
pub(crate) async fn may_seal(glass: &BreakGlass, store: &Store, now: Timestamp) -> Result<(), NotSealed> {
    if !glass.overdue_stops_sealing {
        return Ok(());
    }
    let rule = &glass.rule.name;
    // The newest is first; the oldest has waited longest.
    for Emergency { opening, review, .. } in
        Emergency::all(store, now).await?.into_iter().rev().filter(|emergency| emergency.rule == *rule)
    {
        match review {
            Review::Overdue { since } => return Err(NotSealed::Overdue { opening, rule: rule.clone(), since }),
            Review::Done { .. } | Review::Due { .. } => {}
        }
    }
    Ok(())
}

impl Emergencies {
    /// Puts on record, once a day whichever broker is first, which emergencies nobody has looked at in time.
    pub(super) async fn remind(&self, now: Timestamp) -> Result<(), RemindError> {
        let mut reminded = BTreeMap::new();
        for entry in entries(self.store(), OVERDUE).await? {
            let opening = read::<ToldName>(&entry)?.opening;
            reminded.insert(opening, entry.time().unwrap_or(now));
        }
        let all = Emergency::all(self.store(), now).await?;
        let count = |wanted: fn(&Review) -> bool| all.iter().filter(|emergency| wanted(&emergency.review)).count();
        let (due, overdue) = (
            count(|review| matches!(review, Review::Due { .. })),
            count(|review| matches!(review, Review::Overdue { .. })),
        );
        metrics::gauge!("sallyport_reviews_due").set(gauged(due));
        metrics::gauge!("sallyport_reviews_overdue").set(gauged(overdue));
        for emergency in all {
            let Review::Overdue { since } = emergency.review else { continue };
            let lately = |at: &Timestamp| now.duration_since(*at) < DAILY;
            if reminded.get(&emergency.opening).is_none_or(|at| !lately(at)) {
                let (opening, rule) = (emergency.opening, emergency.rule);
                self.put(AuditEvent::GlassReviewOverdue { opening, rule, review_until: since }).await?;
            }
        }
        Ok(())
    }
}

/// Why nobody is reminded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemindError {
    #[error(transparent)]
    Reviews(#[from] ReviewsError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// An entry of which only the opening counts that it tells of.
#[derive(Deserialize)]
struct ToldName {
    opening: String,
}

/// Whether the chain tells what became of an opening that was begun.
pub(super) async fn is_told(store: &Store, opening: &str) -> Result<bool, ReviewsError> {
    for code in [BROKEN, CUT_OFF] {
        for entry in entries(store, code).await? {
            if read::<ToldName>(&entry)?.opening == opening {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn gauged(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

async fn entries(store: &Store, code: &str) -> Result<Vec<AuditEntry>, ReviewsError> {
    let filter = AuditFilter { code: Some(code.to_owned()), limit: Some(MOST), ..AuditFilter::default() };
    Ok(store.audit_entries(&filter).await?)
}

fn read<'e, T: Deserialize<'e>>(entry: &'e AuditEntry) -> Result<T, ReviewsError> {
    serde_json::from_str(&entry.event).map_err(|error| ReviewsError::Entry { seq: entry.seq, error })
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { verdict, by } => write!(f, "{verdict} by {by}"),
            Self::Due { until } => write!(f, "due by {until:.0}"),
            Self::Overdue { since } => write!(f, "OVERDUE since {since:.0}"),
        }
    }
}

const BROKEN: &str = "SP-8001";
const REVIEWED: &str = "SP-8006";
const OVERDUE: &str = "SP-8007";
const CUT_OFF: &str = "SP-8008";
/// More emergencies than a plant has.
const MOST: u32 = 100_000;
/// How often one reminder is repeated.
const DAILY: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;
    use crate::audit::{Audit, AuditConfig};
    use crate::store::DatabaseConfig;
    use crate::vault::{MasterKey, Vault};

    fn opened(opening: &str, review_until: Timestamp) -> AuditEvent {
        AuditEvent::GlassBroken {
            identity: "glass".to_owned(),
            source: "10.0.0.10".to_owned(),
            opening: opening.to_owned(),
            rule: "control-room".to_owned(),
            envelopes: vec![1],
            reason: "line 4".to_owned(),
            ends_at: review_until,
            review_until,
            clock_trusted: true,
            database: true,
        }
    }

    fn reviewed(opening: &str) -> AuditEvent {
        let (verdict, note) = ("justified".to_owned(), String::new());
        AuditEvent::GlassReviewed { opening: opening.to_owned(), verdict, note }
    }

    #[tokio::test]
    async fn an_emergency_that_nobody_has_looked_at_in_time_is_an_alarm_once_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("gate.db").display());
        let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
        let master = MasterKey::create(&folder.path().join("master.key")).unwrap();
        let (vault, _) = Vault::init(store.clone(), &master, Timestamp::now()).await.unwrap();
        let key = vault.evidence_key().unwrap();
        let (broker, actor) = ("gate-1".to_owned(), "gate-1".to_owned());
        let config = AuditConfig { store: store.clone(), key: key.clone(), broker, actor, spool: None };
        let audit = Audit::start(config).await.unwrap();
        let emergencies = Emergencies::new(folder.path(), store.clone(), vault, audit.clone(), key, None).unwrap();
        let now = Timestamp::now();
        let hours = |hours| now.saturating_add(SignedDuration::from_hours(hours)).unwrap();
        audit
            .record_all([opened("late", hours(-1)), opened("in-time", hours(1)), opened("done", hours(-1))])
            .await
            .unwrap();
        audit.record(reviewed("done")).await.unwrap();
        let overdue = || async { entries(&store, OVERDUE).await.unwrap().len() };
        emergencies.remind(now).await.unwrap();
        emergencies.remind(hours(1)).await.unwrap();
        // The second is overdue by then.
        assert_eq!(overdue().await, 2);
        emergencies.remind(hours(30)).await.unwrap();
        assert_eq!(overdue().await, 4, "a day later, both again");
        audit.record_all([reviewed("late"), reviewed("in-time")]).await.unwrap();
        emergencies.remind(hours(60)).await.unwrap();
        assert_eq!(overdue().await, 4);
        let told: Vec<String> =
            Emergency::all(&store, now).await.unwrap().iter().map(|found| found.review.to_string()).collect();
        assert_eq!(told, ["justified by gate-1"; 3]);
    }
}
