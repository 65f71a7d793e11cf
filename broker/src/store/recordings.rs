//! The catalogue of recordings: one row each, from the moment one begins until long after its file is gone.

use jiff::Timestamp;
use sqlx::{AnyConnection, FromRow};

use super::grouped::{Applied, Grouped};
use super::{Store, StoreError, Write, micros, timestamp};

/// A recording that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecording {
    /// Its session, whose id is also its own.
    pub session: String,
    /// The broker that makes it.
    pub broker: String,
    /// Its file, below the broker's folder of recordings.
    pub path: String,
    /// The asset's zone, for retention.
    pub zone: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// How far a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingState {
    /// Being made.
    Open,
    /// Ended by its seal.
    Sealed,
    /// Found open at a broker's start, and sealed then.
    Interrupted,
    /// The recorder failed, or the file does not verify; what there is of it is kept.
    Failed,
    /// Its file was removed by retention.
    Removed,
}

impl RecordingState {
    /// The word in the store and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Removed => "removed",
        }
    }

    fn parse(word: &str) -> Result<Self, StoreError> {
        [Self::Open, Self::Sealed, Self::Interrupted, Self::Failed, Self::Removed]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| StoreError::damaged("recordings", format!("unknown state `{word}`")))
    }
}

/// A recording as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What was known when it began.
    pub start: NewRecording,
    /// How far it has come.
    pub state: RecordingState,
    /// Its length, once closed.
    pub bytes: u64,
    /// The chain value over all of it, hex, once closed.
    pub head: Option<String>,
    /// True while retention must leave it alone.
    pub legal_hold: bool,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When its file was removed.
    pub removed_at: Option<Timestamp>,
}

/// How a recording was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingClosed {
    /// Its session.
    pub session: String,
    /// What it is now.
    pub state: RecordingState,
    /// Its length.
    pub bytes: u64,
    /// The chain value over all of it, hex.
    pub head: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A recording with what its session was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRecording {
    /// The recording.
    pub recording: Recording,
    /// The person.
    pub identity: String,
    /// The address the person came from.
    pub source: String,
    /// The asset.
    pub asset: String,
    /// The service.
    pub service: String,
    /// The login on the asset.
    pub account: String,
    /// `jump`, `direct` or `lobby`.
    pub form: String,
    /// The word of the session's end.
    pub end: Option<String>,
}

/// Which recordings to list; every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordingFilter {
    /// Of this identity.
    pub identity: Option<String>,
    /// Of this asset.
    pub asset: Option<String>,
    /// Of an asset in this zone.
    pub zone: Option<String>,
    /// Begun at or after.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// Also those whose file is gone.
    pub removed: bool,
    /// At most so many, the newest first.
    pub limit: Option<u32>,
}

impl RecordingFilter {
    /// How many a list without a limit gives.
    pub const DEFAULT_LIMIT: u32 = 1000;
}

impl NewRecording {
    async fn insert(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO recordings (session, broker, path, zone, state, started_at) VALUES ($1, $2, $3, $4, 'open', $5)",
        )
        .bind(&self.session)
        .bind(&self.broker)
        .bind(&self.path)
        .bind(&self.zone)
        .bind(micros(self.started_at))
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Grouped for NewRecording {
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c> {
        Box::pin(async move { self.insert(connection).await.map(|()| true) })
    }
}

impl RecordingClosed {
    async fn enter(&self, connection: &mut AnyConnection) -> Result<bool, StoreError> {
        let bytes = i64::try_from(self.bytes).map_err(|error| StoreError::damaged("recordings", error))?;
        let done = sqlx::query(
            "UPDATE recordings SET state = $2, bytes = $3, head = $4, closed_at = $5
             WHERE session = $1 AND state <> 'removed'",
        )
        .bind(&self.session)
        .bind(self.state.as_str())
        .bind(bytes)
        .bind(&self.head)
        .bind(micros(self.at))
        .execute(connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Grouped for RecordingClosed {
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c> {
        Box::pin(self.enter(connection))
    }
}

impl Store {
    /// Enters a recording that has begun.
    pub async fn add_recording(&self, recording: &NewRecording) -> Result<(), StoreError> {
        self.grouped(recording.clone()).await.map(drop)
    }

    /// Enters how a recording was closed. Says `false` for one that is not in the catalogue, or whose file is gone.
    pub async fn close_recording(&self, closed: &RecordingClosed) -> Result<bool, StoreError> {
        self.grouped(closed.clone()).await
    }

    /// The recordings of a broker that its last run did not close: not sealed, or sealed when their session's end could
    /// not be entered any more.
    pub async fn unsealed_recordings(&self, broker: &str) -> Result<Vec<Recording>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM recordings WHERE broker = $1 AND (state IN ('open', 'failed') OR state = 'sealed' AND session IN
               (SELECT id FROM sessions WHERE broker = $1 AND ended_at IS NULL)) ORDER BY started_at, session",
        )
        .bind(broker)
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(Recording::try_from).collect()
    }

    /// The sessions of which a broker has ever had a recording in the catalogue.
    pub async fn recorded_sessions(&self, broker: &str) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT session FROM recordings WHERE broker = $1")
            .bind(broker)
            .fetch_all(self.reader()?)
            .await?;
        Ok(rows.into_iter().map(|(session,)| session).collect())
    }

    /// The sessions of which the catalogue has a recording of a broker that is closed and not removed.
    pub async fn closed_recordings(&self, broker: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT session FROM recordings WHERE broker = $1 AND state IN ('sealed', 'interrupted', 'failed')
             ORDER BY session",
        )
        .bind(broker)
        .fetch_all(self.reader()?)
        .await?)
    }

    /// Enters that a recording's file goes, unless it is held: then nothing is written and the answer is `false`. The
    /// caller commits, with the audit event in the same write.
    pub async fn remove_recording(&self, write: &mut Write, session: &str, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE recordings SET state = 'removed', removed_at = $2
             WHERE session = $1 AND legal_hold = 0 AND state IN ('sealed', 'interrupted', 'failed')",
        )
        .bind(session)
        .bind(micros(at))
        .execute(&mut **write)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets or lifts the hold on a recording; `false` when there is no such recording or its file is gone. The caller
    /// commits, with the audit event in the same write.
    pub async fn hold_recording(&self, write: &mut Write, session: &str, hold: bool) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE recordings SET legal_hold = $2 WHERE session = $1 AND state <> 'removed'")
            .bind(session)
            .bind(i64::from(hold))
            .execute(&mut **write)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The recording of the session whose id is, or begins with, what is given.
    pub async fn recording(&self, session: &str) -> Result<Recording, StoreError> {
        let id = self.session(session).await?.start.id;
        self.recording_of(&id).await?.ok_or(StoreError::Missing { kind: "recording", key: id })
    }

    /// The recording of a session, by its whole id.
    pub async fn recording_of(&self, session: &str) -> Result<Option<Recording>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM recordings WHERE session = $1")
            .bind(session)
            .fetch_optional(self.reader()?)
            .await?;
        row.map(Recording::try_from).transpose()
    }

    /// The recording of a session with what the session was, by its whole id, unless its file is gone.
    pub async fn listed_recording(&self, session: &str) -> Result<Option<ListedRecording>, StoreError> {
        let row: Option<ListedRow> = sqlx::query_as(
            "SELECT r.*, s.identity, s.source, s.asset, s.service, s.account, s.form, s.ended
             FROM recordings r JOIN sessions s ON s.id = r.session WHERE r.session = $1 AND r.state <> 'removed'",
        )
        .bind(session)
        .fetch_optional(self.reader()?)
        .await?;
        row.map(ListedRecording::try_from).transpose()
    }

    /// Recordings with their sessions, the newest first.
    pub async fn recordings(&self, filter: &RecordingFilter) -> Result<Vec<ListedRecording>, StoreError> {
        let rows: Vec<ListedRow> = sqlx::query_as(
            "SELECT r.*, s.identity, s.source, s.asset, s.service, s.account, s.form, s.ended
             FROM recordings r JOIN sessions s ON s.id = r.session
             WHERE ($1 IS NULL OR s.identity = $1) AND ($2 IS NULL OR s.asset = $2) AND ($3 IS NULL OR r.zone = $3)
               AND ($4 IS NULL OR r.started_at >= $4) AND ($5 IS NULL OR r.started_at < $5)
               AND ($6 = 1 OR r.state <> 'removed')
             ORDER BY r.started_at DESC, r.session DESC LIMIT $7",
        )
        .bind(&filter.identity)
        .bind(&filter.asset)
        .bind(&filter.zone)
        .bind(filter.since.map(micros))
        .bind(filter.until.map(micros))
        .bind(i64::from(filter.removed))
        .bind(i64::from(filter.limit.unwrap_or(RecordingFilter::DEFAULT_LIMIT)))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(ListedRecording::try_from).collect()
    }
}

#[derive(FromRow)]
struct Row {
    session: String,
    broker: String,
    path: String,
    zone: String,
    state: String,
    bytes: i64,
    head: Option<String>,
    legal_hold: i64,
    started_at: i64,
    closed_at: Option<i64>,
    removed_at: Option<i64>,
}

#[derive(FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    recording: Row,
    identity: String,
    source: String,
    asset: String,
    service: String,
    account: String,
    form: String,
    ended: Option<String>,
}

impl TryFrom<Row> for Recording {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |micros| timestamp("recordings", micros);
        Ok(Self {
            state: RecordingState::parse(&row.state)?,
            bytes: u64::try_from(row.bytes).map_err(|error| StoreError::damaged("recordings", error))?,
            head: row.head,
            legal_hold: row.legal_hold != 0,
            closed_at: row.closed_at.map(time).transpose()?,
            removed_at: row.removed_at.map(time).transpose()?,
            start: NewRecording {
                started_at: time(row.started_at)?,
                session: row.session,
                broker: row.broker,
                path: row.path,
                zone: row.zone,
            },
        })
    }
}

impl TryFrom<ListedRow> for ListedRecording {
    type Error = StoreError;

    fn try_from(row: ListedRow) -> Result<Self, StoreError> {
        Ok(Self {
            recording: row.recording.try_into()?,
            identity: row.identity,
            source: row.source,
            asset: row.asset,
            service: row.service,
            account: row.account,
            form: row.form,
            end: row.ended,
        })
    }
}
