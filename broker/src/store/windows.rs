//! Write windows: who may write which points of an asset for a time.

use jiff::Timestamp;
use sallyport_policy::{AssetId, IdentityId, ServiceName, WriteWindow};
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::Witness;
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

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
    /// Windows, the latest to open first: those that are open or will be, or all of them; also those that are not genuine.
    pub async fn write_windows(&self, all: bool, now: Timestamp) -> Result<Vec<Listed<WindowRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM write_windows WHERE $1 = 1 OR (closed_at IS NULL AND closes_at > $2)
             ORDER BY opens_at DESC, id DESC LIMIT 10000",
        )
        .bind(i64::from(all))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        self.listed(rows).await
    }

    /// The windows of a person on a service that are open or will be.
    pub async fn windows_of(
        &self,
        identity: &IdentityId,
        asset: &AssetId,
        service: &ServiceName,
        now: Timestamp,
    ) -> Result<Vec<WriteWindow>, StoreError> {
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM write_windows WHERE identity = $1 AND asset = $2 AND service = $3
                AND closed_at IS NULL AND closes_at > $4 ORDER BY id LIMIT 1000",
        )
        .bind(identity.as_str())
        .bind(asset.as_str())
        .bind(service.as_str())
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        let mut windows = Vec::new();
        for (id,) in ids {
            // Whatever the first read found: what is returned is genuine, and of what it was asked for.
            let window = self.standing_window(&id).await?.map(|row| row.into_inner().window);
            windows.extend(window.filter(|window| {
                (&window.identity, &window.asset, &window.service) == (identity, asset, service) && now < window.until
            }));
        }
        Ok(windows)
    }

    /// A window that was not closed, where it is genuine.
    async fn standing_window(&self, id: &str) -> Result<Option<Genuine<WindowRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM write_windows WHERE id = $1 AND closed_at IS NULL");
            Ok(query.bind(id).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }
}

impl Write {
    /// Enters a window. The caller commits, with the audit entry of this id in the same write; brokers act on it at once.
    pub async fn open_window(&mut self, window: &WriteWindow, entry: &str) -> Result<(), StoreError> {
        let mac = self.row_mac().await?;
        let row = Row {
            id: window.id.as_str().to_owned(),
            identity: window.identity.as_str().to_owned(),
            asset: window.asset.as_str().to_owned(),
            service: window.service.as_str().to_owned(),
            points: window.points.to_string(),
            unit: window.unit.map(i64::from),
            opens_at: micros(window.from),
            closes_at: micros(window.until),
            opened_by: window.opened_by.as_str().to_owned(),
            ticket: window.ticket.clone(),
            closed_at: None,
            closed_by: None,
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO write_windows (id, identity, asset, service, points, unit, opens_at, closes_at, opened_by, ticket)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&row.id)
        .bind(&row.identity)
        .bind(&row.asset)
        .bind(&row.service)
        .bind(&row.points)
        .bind(row.unit)
        .bind(row.opens_at)
        .bind(row.closes_at)
        .bind(&row.opened_by)
        .bind(&row.ticket)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Closes a window before its time. Nothing when it is over or closed already, or there is none.
    pub async fn close_window(&mut self, id: &str, by: &str, at: Timestamp) -> Result<Option<WindowRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "UPDATE write_windows SET closed_at = $2, closed_by = $3, mac = NULL
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
            "UPDATE write_windows SET closed_at = $1, closed_by = $2, mac = NULL
             WHERE closed_at IS NULL AND closes_at > $1 RETURNING *",
        )
        .bind(micros(at))
        .bind(by)
        .fetch_all(&mut **self)
        .await?;
        // All are closed; a row that means nothing, which somebody else wrote, must not hinder that.
        Ok(rows.into_iter().filter_map(|row| WindowRow::try_from(row).ok()).collect())
    }
}

#[derive(FromRow)]
pub(super) struct Row {
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
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "write_windows";
    const ALL: &'static str = "SELECT * FROM write_windows WHERE closed_at IS NULL";
    const SET: &'static str = "UPDATE write_windows SET event = $1, mac = $2 WHERE id = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.id.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.id)
            .text(&self.identity)
            .text(&self.asset)
            .text(&self.service)
            .text(&self.points)
            .maybe_number(self.unit)
            .number(self.opens_at)
            .number(self.closes_at)
            .text(&self.opened_by)
            .maybe_text(self.ticket.as_deref())
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.window_lasts(&self.id)
    }

    fn counts(&self) -> bool {
        self.closed_at.is_none()
    }

    fn adopt(&mut self, witness: &Witness) -> bool {
        let Some((entry, event)) = witness.windows.get(&self.id) else { return false };
        self.event = Some(entry.clone());
        let said = |name: &str| event.get(name).and_then(serde_json::Value::as_str);
        let at = |name: &str| said(name).and_then(|text| text.parse::<Timestamp>().ok()).map(micros);
        [("asset", &self.asset), ("service", &self.service), ("points", &self.points), ("opened_by", &self.opened_by)]
            .iter()
            .all(|(name, value)| said(name) == Some(value.as_str()))
            && (at("from"), at("until")) == (Some(self.opens_at), Some(self.closes_at))
            && witness.window_lasts(&self.id)
    }
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
