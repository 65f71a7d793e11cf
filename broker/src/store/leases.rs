//! Leases: second factors that still count.

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};

/// A lease about to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLease {
    /// Its id: a ULID in lower case.
    pub id: String,
    /// Whose it is.
    pub identity: String,
    /// Which first factor it goes with: a key's fingerprint, or `password`.
    pub credential: String,
    /// The address it counts from.
    pub source: String,
    /// The second factor that was proven.
    pub factor: FactorKind,
    /// When it was proven.
    pub proved_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
}

/// A lease as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub identity: String,
    /// Which first factor it goes with.
    pub credential: String,
    /// The address it counts from.
    pub source: String,
    /// The second factor that was proven.
    pub factor: FactorKind,
    /// When it was proven.
    pub proved_at: Timestamp,
    /// Until when it counts.
    pub expires_at: Timestamp,
    /// When and by whom it was revoked.
    pub revoked: Option<(Timestamp, String)>,
}

impl Store {
    /// Grants a lease.
    pub async fn insert_lease(&self, lease: &NewLease) -> Result<(), StoreError> {
        let mut write = self.begin_quiet_write().await?;
        sqlx::query(
            "INSERT INTO leases (id, identity, credential, source, factor, proved_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&lease.id)
        .bind(&lease.identity)
        .bind(&lease.credential)
        .bind(&lease.source)
        .bind(lease.factor.as_str())
        .bind(micros(lease.proved_at))
        .bind(micros(lease.expires_at))
        .execute(&mut *write)
        .await?;
        write.commit().await
    }

    /// The leases that count for this identity, credential and source, the newest proof first.
    pub async fn leases_that_count(
        &self,
        identity: &str,
        credential: &str,
        source: &str,
        now: Timestamp,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM leases WHERE identity = $1 AND credential = $2 AND source = $3 AND revoked_at IS NULL
                AND proved_at <= $4 AND expires_at > $4 ORDER BY proved_at DESC LIMIT 8",
        )
        .bind(identity)
        .bind(credential)
        .bind(source)
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(LeaseRow::try_from).collect()
    }

    /// Leases, the newest proof first: of one identity or of all, those that count or all of them.
    pub async fn leases(&self, identity: Option<&str>, all: bool, now: Timestamp) -> Result<Vec<LeaseRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM leases WHERE ($1 IS NULL OR identity = $1)
                AND ($2 = 1 OR (revoked_at IS NULL AND expires_at > $3)) ORDER BY proved_at DESC, id LIMIT 10000",
        )
        .bind(identity)
        .bind(i64::from(all))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter().map(LeaseRow::try_from).collect()
    }

    /// The lease with this id, whether it still counts or not.
    pub async fn find_lease(&self, id: &str) -> Result<Option<LeaseRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM leases WHERE id = $1")
            .bind(id.to_lowercase())
            .fetch_optional(self.reader()?)
            .await?;
        row.map(LeaseRow::try_from).transpose()
    }

    /// Revokes every lease that counts, of one identity or credential or of all, and says which.
    pub async fn revoke_leases(
        &self,
        identity: Option<&str>,
        credential: Option<&str>,
        by: &str,
        at: Timestamp,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let mut write = self.begin_write().await?;
        let revoked = write.revoke_leases(identity, credential, by, at).await?;
        write.commit().await?;
        Ok(revoked)
    }
}

impl Write {
    /// Revokes one lease. Nothing when it was revoked before, or there is none.
    pub async fn revoke_lease(&mut self, id: &str, by: &str, at: Timestamp) -> Result<Option<LeaseRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "UPDATE leases SET revoked_at = $2, revoked_by = $3 WHERE id = $1 AND revoked_at IS NULL RETURNING *",
        )
        .bind(id.to_lowercase())
        .bind(micros(at))
        .bind(by)
        .fetch_optional(&mut **self)
        .await?;
        row.map(LeaseRow::try_from).transpose()
    }

    /// As [`Store::revoke_leases`], within a larger change. Leases that have expired are revoked as well: a clock that goes
    /// back must not bring them to life.
    pub async fn revoke_leases(
        &mut self,
        identity: Option<&str>,
        credential: Option<&str>,
        by: &str,
        at: Timestamp,
    ) -> Result<Vec<LeaseRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "UPDATE leases SET revoked_at = $3, revoked_by = $4
             WHERE ($1 IS NULL OR identity = $1) AND ($2 IS NULL OR credential = $2) AND revoked_at IS NULL
             RETURNING *",
        )
        .bind(identity)
        .bind(credential)
        .bind(micros(at))
        .bind(by)
        .fetch_all(&mut **self)
        .await?;
        let mut rows = rows.into_iter().map(LeaseRow::try_from).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by(|one, other| (&one.identity, &one.id).cmp(&(&other.identity, &other.id)));
        Ok(rows)
    }
}

#[derive(FromRow)]
struct Row {
    id: String,
    identity: String,
    credential: String,
    source: String,
    factor: String,
    proved_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    revoked_by: Option<String>,
}

impl TryFrom<Row> for LeaseRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |micros| timestamp("leases", micros);
        let revoked = row.revoked_at.map(time).transpose()?;
        Ok(Self {
            factor: row.factor.parse().map_err(|error| StoreError::damaged("leases", error))?,
            proved_at: time(row.proved_at)?,
            expires_at: time(row.expires_at)?,
            revoked: revoked.map(|at| (at, row.revoked_by.unwrap_or_default())),
            id: row.id,
            identity: row.identity,
            credential: row.credential,
            source: row.source,
        })
    }
}
