//! Write windows: who may write which points of an asset for a time.

use jiff::Timestamp;
use sallyport_policy::{AssetId, IdentityId, ServiceName, WriteWindow};
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};

/// A write window as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRow {
    /// What was opened.
    pub window: WriteWindow,
    /// When and by whom it was closed before its time.
    pub closed: Option<(Timestamp, String)>,
}

impl WindowRow {
    /// Is it open, or will it be?
    #[must_use]
    pub fn lasts(&self, now: Timestamp) -> bool {
        self.closed.is_none() && now < self.window.until
    }
}

impl Store {
    /// Windows, the latest to open first: those that are open or will be, or all of them.
    pub async fn write_windows(&self, all: bool, now: Timestamp) -> Result<Vec<WindowRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM write_windows WHERE $1 = 1 OR (closed_at IS NULL AND closes_at > $2)
             ORDER BY opens_at DESC, id DESC LIMIT 10000",
        )
        .bind(i64::from(all))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(WindowRow::try_from).collect()
    }

    /// The windows of a person on a service that are open or will be.
    pub async fn windows_of(
        &self,
        identity: &IdentityId,
        asset: &AssetId,
        service: &ServiceName,
        now: Timestamp,
    ) -> Result<Vec<WriteWindow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM write_windows WHERE identity = $1 AND asset = $2 AND service = $3
                AND closed_at IS NULL AND closes_at > $4 ORDER BY id LIMIT 1000",
        )
        .bind(identity.as_str())
        .bind(asset.as_str())
        .bind(service.as_str())
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(|row| WindowRow::try_from(row).map(|row| row.window)).collect()
    }
}

impl Write {
    /// Enters a window. The caller commits, with the audit event in the same write; brokers act on it at once.
    pub async fn open_window(&mut self, window: &WriteWindow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO write_windows (id, identity, asset, service, points, unit, opens_at, closes_at, opened_by, ticket)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(window.id.as_str())
        .bind(window.identity.as_str())
        .bind(window.asset.as_str())
        .bind(window.service.as_str())
        .bind(window.points.to_string())
        .bind(window.unit.map(i64::from))
        .bind(micros(window.from))
        .bind(micros(window.until))
        .bind(window.opened_by.as_str())
        .bind(&window.ticket)
        .execute(&mut **self)
        .await?;
        Ok(())
    }

    /// Closes a window before its time. Nothing when it is over or closed already, or there is none.
    pub async fn close_window(&mut self, id: &str, by: &str, at: Timestamp) -> Result<Option<WindowRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "UPDATE write_windows SET closed_at = $2, closed_by = $3
             WHERE id = $1 AND closed_at IS NULL AND closes_at > $2 RETURNING *",
        )
        .bind(id)
        .bind(micros(at))
        .bind(by)
        .fetch_optional(&mut **self)
        .await?;
        row.map(WindowRow::try_from).transpose()
    }
}

impl Write {
    /// Closes every window that is open or will be.
    pub async fn close_all_windows(&mut self, by: &str, at: Timestamp) -> Result<Vec<WindowRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "UPDATE write_windows SET closed_at = $1, closed_by = $2
             WHERE closed_at IS NULL AND closes_at > $1 RETURNING *",
        )
        .bind(micros(at))
        .bind(by)
        .fetch_all(&mut **self)
        .await?;
        rows.into_iter().map(WindowRow::try_from).collect()
    }
}

#[derive(FromRow)]
struct Row {
    id: String,
    identity: String,
    asset: String,
    service: String,
    points: String,
    unit: Option<i64>,
    opens_at: i64,
    closes_at: i64,
    opened_by: String,
    ticket: Option<String>,
    closed_at: Option<i64>,
    closed_by: Option<String>,
}

impl TryFrom<Row> for WindowRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        fn damaged(error: impl std::fmt::Display) -> StoreError {
            StoreError::damaged("write_windows", error)
        }
        let time = |micros| timestamp("write_windows", micros);
        let closed = row.closed_at.map(time).transpose()?;
        Ok(Self {
            window: WriteWindow {
                id: row.id.parse().map_err(damaged)?,
                identity: row.identity.parse().map_err(damaged)?,
                asset: row.asset.parse().map_err(damaged)?,
                service: row.service.parse().map_err(damaged)?,
                points: row.points.parse().map_err(damaged)?,
                unit: row.unit.map(u8::try_from).transpose().map_err(damaged)?,
                from: time(row.opens_at)?,
                until: time(row.closes_at)?,
                opened_by: row.opened_by.parse().map_err(damaged)?,
                ticket: row.ticket,
            },
            closed: closed.map(|at| (at, row.closed_by.unwrap_or_default())),
        })
    }
}
