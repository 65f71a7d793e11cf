//! Sessions: one row each, from the moment one may begin to the word of its one end.

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, FromRow};

use super::end_asked::EndAsked;
use super::grouped::{Applied, Grouped};
use super::{Store, StoreError, micros, timestamp};

/// A session about to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id: a ULID in lower case.
    pub id: String,
    /// The broker that carries it.
    pub broker: String,
    /// Whose session it is.
    pub identity: String,
    /// Where it goes.
    pub asset: String,
    /// The asset's zone.
    pub zone: String,
    /// The asset's service.
    pub service: String,
    /// The login on the asset.
    pub account: String,
    /// How it came: `jump`, `direct` or `lobby`.
    pub form: String,
    /// The address it came from.
    pub source: String,
    /// The rule that permitted it.
    pub rule: String,
    /// The terms of the permit, JSON.
    pub terms: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// A session as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What was known at its start.
    pub start: NewSession,
    /// Its end, once it has one.
    pub end: Option<SessionEnd>,
    /// Who asked for its end, if somebody did.
    pub end_asked: Option<EndAsked>,
    /// When its broker was last heard of. A live session of a silent broker is probably over.
    pub broker_seen_at: Option<Timestamp>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// When.
    pub at: Timestamp,
    /// The stable word of the end.
    pub word: String,
    /// More about it, for people.
    pub detail: String,
}

/// Which sessions to list; every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this identity.
    pub identity: Option<String>,
    /// To this asset.
    pub asset: Option<String>,
    /// To an asset in this zone.
    pub zone: Option<String>,
    /// Carried by this broker.
    pub broker: Option<String>,
    /// Begun at or after.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// Only what has not ended.
    pub live: bool,
    /// At most so many, the newest first; [`SessionFilter::DEFAULT_LIMIT`] when `None`.
    pub limit: Option<u32>,
}

impl SessionFilter {
    /// How many sessions a list without a limit gives.
    pub const DEFAULT_LIMIT: u32 = 1000;
}

impl NewSession {
    /// Only under the limit; sessions of a broker that was not heard of lately are probably over and do not count, or a
    /// broker that is gone for good would keep people out for good. INVARIANT: whoever gives one holds the lock `sessions`.
    async fn insert(&self, connection: &mut AnyConnection, most: Option<u32>) -> Result<bool, StoreError> {
        // The grant, without the place in the file where it stands: an edit above it must not reset the count.
        let grant = self.rule.find(" (").map_or(&*self.rule, |end| &self.rule[..end + 2]);
        let entered = sqlx::query(
            "INSERT INTO sessions (id, broker, identity, asset, zone, service, account, form, source, rule, terms, started_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
             WHERE $13 < 0 OR (SELECT COUNT(*) FROM sessions s LEFT JOIN brokers b ON b.name = s.broker
                               WHERE s.identity = $3 AND s.ended_at IS NULL
                                 AND substr(s.rule, 1, CAST($16 AS INTEGER)) = $15
                                 AND (s.broker = $2 OR b.seen_at > $14)) < $13",
        )
        .bind(&self.id)
        .bind(&self.broker)
        .bind(&self.identity)
        .bind(&self.asset)
        .bind(&self.zone)
        .bind(&self.service)
        .bind(&self.account)
        .bind(&self.form)
        .bind(&self.source)
        .bind(&self.rule)
        .bind(&self.terms)
        .bind(micros(self.started_at))
        .bind(most.map_or(-1, i64::from))
        .bind(micros(self.started_at).saturating_sub(micros_of(BROKER_SILENT)))
        .bind(grant)
        .bind(i64::try_from(grant.chars().count()).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        Ok(entered.rows_affected() == 1)
    }
}

/// A session begins, unless its identity has `most` by the same grant already.
struct Begun {
    session: NewSession,
    most: Option<u32>,
}

impl Grouped for Begun {
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c> {
        Box::pin(self.session.insert(connection, self.most))
    }

    fn lock(&self) -> Option<&'static str> {
        self.most.map(|_| "sessions")
    }
}

/// The session `id` has ended.
struct Ended {
    id: String,
    end: SessionEnd,
}

impl Grouped for Ended {
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c> {
        Box::pin(self.end.enter(connection, &self.id))
    }
}

impl SessionEnd {
    async fn enter(&self, connection: &mut AnyConnection, id: &str) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE sessions SET ended_at = $2, ended = $3, end_detail = $4 WHERE id = $1 AND ended_at IS NULL",
        )
        .bind(id)
        .bind(micros(self.at))
        .bind(&self.word)
        .bind(&self.detail)
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Session {
    /// Probably over: its broker was not heard of lately. `here` is the broker that asks, which lives.
    #[must_use]
    pub fn is_orphaned(&self, here: &str, now: Timestamp) -> bool {
        let heard = |seen: Timestamp| now.duration_since(seen) < BROKER_SILENT;
        self.end.is_none() && self.start.broker != here && !self.broker_seen_at.is_some_and(heard)
    }
}

/// What stands for the id of the session that began last.
const LAST: &str = "last";
/// A broker that was not heard of for this long (it beats every five seconds) is taken for dead.
const BROKER_SILENT: SignedDuration = SignedDuration::from_secs(30);

/// Asked for every session that begins: of the few that live, and not of all that ever were.
pub(super) const LIVE_OF: &str = "SELECT s.*, b.seen_at FROM sessions s LEFT JOIN brokers b ON b.name = s.broker
    WHERE s.ended_at IS NULL AND s.identity = $1 ORDER BY s.started_at, s.id";

fn micros_of(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Store {
    /// Enters a session that is about to begin, unless the identity has `most` sessions by the same rule already; `false`
    /// then. Of two that race for the last place, on whichever brokers, one gets it.
    pub async fn start_session(&self, session: &NewSession, most: Option<u32>) -> Result<bool, StoreError> {
        self.grouped(Begun { session: session.clone(), most }).await
    }

    /// Enters a session that began while the database was away, if it is not there.
    pub async fn enter_late(&self, session: &NewSession) -> Result<(), StoreError> {
        let known: Option<(i64,)> = sqlx::query_as("SELECT started_at FROM sessions WHERE id = $1")
            .bind(&session.id)
            .fetch_optional(self.reader()?)
            .await?;
        if known.is_none() {
            self.start_session(session, None).await?;
        }
        Ok(())
    }

    /// Enters a session's end; `false` when it had ended before (the first end stays).
    pub async fn end_session(&self, id: &str, end: &SessionEnd) -> Result<bool, StoreError> {
        self.grouped(Ended { id: id.to_owned(), end: end.clone() }).await
    }

    /// Every session that has not ended, of one broker or of all, the oldest first.
    pub async fn live_sessions(&self, broker: Option<&str>) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT s.*, b.seen_at FROM sessions s LEFT JOIN brokers b ON b.name = s.broker
             WHERE s.ended_at IS NULL AND ($1 IS NULL OR s.broker = $1) ORDER BY s.started_at, s.id",
        )
        .bind(broker)
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// The sessions of an identity that have not ended, the oldest first.
    pub async fn live_sessions_of(&self, identity: &str) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(LIVE_OF).bind(identity).fetch_all(self.reader()?).await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Sessions, the newest first.
    pub async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT s.*, b.seen_at FROM sessions s LEFT JOIN brokers b ON b.name = s.broker
             WHERE ($1 IS NULL OR s.identity = $1) AND ($2 IS NULL OR s.asset = $2) AND ($3 IS NULL OR s.zone = $3)
               AND ($4 IS NULL OR s.broker = $4) AND ($5 IS NULL OR s.started_at >= $5)
               AND ($6 IS NULL OR s.started_at < $6) AND ($7 = 0 OR s.ended_at IS NULL)
             ORDER BY s.started_at DESC, s.id DESC LIMIT $8",
        )
        .bind(&filter.identity)
        .bind(&filter.asset)
        .bind(&filter.zone)
        .bind(&filter.broker)
        .bind(filter.since.map(micros))
        .bind(filter.until.map(micros))
        .bind(i64::from(filter.live))
        .bind(i64::from(filter.limit.unwrap_or(SessionFilter::DEFAULT_LIMIT)))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// The session whose id is, or begins with, what is given; `last` is the one that began last.
    pub async fn session(&self, id: &str) -> Result<Session, StoreError> {
        let prefix = id.to_ascii_lowercase();
        // No id begins so: they are written without the letter L.
        if prefix == LAST {
            let newest = SessionFilter { limit: Some(1), ..SessionFilter::default() };
            let missing = || StoreError::Missing { kind: "session", key: id.to_owned() };
            return self.sessions(&newest).await?.pop().ok_or_else(missing);
        }
        let mut rows: Vec<Row> = sqlx::query_as(
            "SELECT s.*, b.seen_at FROM sessions s LEFT JOIN brokers b ON b.name = s.broker
             WHERE substr(s.id, 1, CAST($2 AS INTEGER)) = $1 ORDER BY s.id LIMIT 10",
        )
        .bind(&prefix)
        .bind(i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX).min(64))
        .fetch_all(self.reader()?)
        .await?;
        let candidates: Vec<String> =
            rows.iter().map(|row| format!("{} ({} to {})", row.id, row.identity, row.asset)).collect();
        match (rows.len(), rows.pop()) {
            (1, Some(row)) => row.try_into(),
            (_, Some(_)) => Err(StoreError::Ambiguous { kind: "session", prefix, candidates }),
            (_, None) => Err(StoreError::Missing { kind: "session", key: id.to_owned() }),
        }
    }

    /// Gives every session of a broker that is still open the end `word`, and returns them as they were. For a broker's own
    /// start: what it finds open then was cut off.
    pub async fn interrupt_sessions(&self, broker: &str, end: &SessionEnd) -> Result<Vec<Session>, StoreError> {
        let open = self.live_sessions(Some(broker)).await?;
        let mut write = self.begin_quiet_write().await?;
        for session in &open {
            sqlx::query(
                "UPDATE sessions SET ended_at = $2, ended = $3, end_detail = $4 WHERE id = $1 AND ended_at IS NULL",
            )
            .bind(&session.start.id)
            .bind(micros(end.at))
            .bind(&end.word)
            .bind(&end.detail)
            .execute(&mut *write)
            .await?;
        }
        write.commit().await?;
        Ok(open)
    }
}

#[derive(FromRow)]
struct Row {
    id: String,
    broker: String,
    identity: String,
    asset: String,
    zone: String,
    service: String,
    account: String,
    form: String,
    source: String,
    rule: String,
    terms: String,
    started_at: i64,
    ended_at: Option<i64>,
    ended: Option<String>,
    end_detail: Option<String>,
    end_asked_at: Option<i64>,
    end_asked_by: Option<String>,
    end_asked_for: Option<String>,
    seen_at: Option<i64>,
}

impl TryFrom<Row> for Session {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |micros| timestamp("sessions", micros);
        let end = match (row.ended_at, row.ended) {
            (None, None) => None,
            (Some(at), Some(word)) => {
                Some(SessionEnd { at: time(at)?, word, detail: row.end_detail.unwrap_or_default() })
            }
            _ => return Err(StoreError::damaged("sessions", format!("`{}` has half an end", row.id))),
        };
        let end_asked = match (row.end_asked_at, row.end_asked_by) {
            (Some(at), by) => Some(EndAsked { at: time(at)?, by: by.unwrap_or_default(), reason: row.end_asked_for }),
            (None, _) => None,
        };
        Ok(Self {
            end,
            end_asked,
            broker_seen_at: row.seen_at.map(time).transpose()?,
            start: NewSession {
                started_at: time(row.started_at)?,
                id: row.id,
                broker: row.broker,
                identity: row.identity,
                asset: row.asset,
                zone: row.zone,
                service: row.service,
                account: row.account,
                form: row.form,
                source: row.source,
                rule: row.rule,
                terms: row.terms,
            },
        })
    }
}
