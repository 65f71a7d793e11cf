//! Leases: second factors that still count.

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{Witness, witness};
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

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
        let mac = write.row_mac().await?;
        let witness = witness(&mut write, &lease.identity).await?;
        let row = Row {
            id: lease.id.clone(),
            identity: lease.identity.clone(),
            credential: lease.credential.clone(),
            source: lease.source.clone(),
            factor: lease.factor.as_str().to_owned(),
            proved_at: micros(lease.proved_at),
            expires_at: micros(lease.expires_at),
            revoked_at: None,
            revoked_by: None,
            event: witness.before_lease().map(ToOwned::to_owned),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO leases (id, identity, credential, source, factor, proved_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&row.id)
        .bind(&row.identity)
        .bind(&row.credential)
        .bind(&row.source)
        .bind(&row.factor)
        .bind(row.proved_at)
        .bind(row.expires_at)
        .execute(&mut *write)
        .await?;
        write.set_mac(&row, Some(mac.make(&row.text()))).await?;
        write.commit().await
    }

    /// The leases that count for this identity, credential and source, the newest proof first.
    pub async fn leases_that_count(
        &self,
        identity: &str,
        credential: &str,
        source: &str,
        now: Timestamp,
    ) -> Result<Vec<Genuine<LeaseRow>>, StoreError> {
        let ids: Vec<(String,)> = sqlx::query_as(
            "SELECT id FROM leases WHERE identity = $1 AND credential = $2 AND source = $3 AND revoked_at IS NULL
                AND proved_at <= $4 AND expires_at > $4 ORDER BY proved_at DESC LIMIT 64",
        )
        .bind(identity)
        .bind(credential)
        .bind(source)
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        let mut leases = Vec::new();
        for (id,) in ids {
            // Whatever the first read found: what is returned is genuine, and of whom it was asked for.
            leases.extend(self.standing_lease(&id).await?.filter(|lease| {
                (&*lease.identity, &*lease.credential, &*lease.source) == (identity, credential, source)
            }));
        }
        Ok(leases)
    }

    /// The sources from which a lease counts, those with the newest proof first.
    /// They are not asked for being genuine: nobody is let in by them, only room is kept.
    pub async fn leased_sources(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT source FROM leases WHERE revoked_at IS NULL AND proved_at <= $1 AND expires_at > $1
                GROUP BY source ORDER BY MAX(proved_at) DESC LIMIT 10000",
        )
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        Ok(rows.into_iter().map(|(source,)| source).collect())
    }

    /// Leases, the newest proof first: of one identity or of all, those that count or all of them.
    /// Those that were not revoked carry what is wrong with them, if something is.
    pub async fn leases(
        &self,
        identity: Option<&str>,
        all: bool,
        now: Timestamp,
    ) -> Result<Vec<Listed<LeaseRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM leases WHERE ($1 IS NULL OR identity = $1)
                AND ($2 = 1 OR (revoked_at IS NULL AND expires_at > $3)) ORDER BY proved_at DESC, id LIMIT 10000",
        )
        .bind(identity)
        .bind(i64::from(all))
        .bind(micros(now))
        .fetch_all(self.reader()?)
        .await?;
        self.listed(rows).await
    }

    /// The lease with this id, whether it still counts or not; one that was not revoked and is not genuine is not there.
    pub async fn find_lease(&self, id: &str) -> Result<Option<LeaseRow>, StoreError> {
        let query = sqlx::query_as::<_, Row>("SELECT * FROM leases WHERE id = $1").bind(id.to_lowercase());
        let Some(row) = query.fetch_optional(self.reader()?).await? else { return Ok(None) };
        if row.revoked_at.is_some() {
            return Ok(LeaseRow::try_from(row).ok());
        }
        match self.standing_lease(&row.id).await? {
            Some(lease) => Ok(Some(lease.into_inner())),
            None => Ok(None),
        }
    }

    /// A lease that was not revoked, where it is genuine.
    async fn standing_lease(&self, id: &str) -> Result<Option<Genuine<LeaseRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM leases WHERE id = $1 AND revoked_at IS NULL").bind(id);
            Ok(query.fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
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
            "UPDATE leases SET revoked_at = $2, revoked_by = $3, mac = NULL WHERE id = $1 AND revoked_at IS NULL RETURNING *",
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
            "UPDATE leases SET revoked_at = $3, revoked_by = $4, mac = NULL
             WHERE ($1 IS NULL OR identity = $1) AND ($2 IS NULL OR credential = $2) AND revoked_at IS NULL
             RETURNING *",
        )
        .bind(identity)
        .bind(credential)
        .bind(micros(at))
        .bind(by)
        .fetch_all(&mut **self)
        .await?;
        // All are revoked; a row that means nothing, which somebody else wrote, must not hinder that.
        let mut rows: Vec<LeaseRow> = rows.into_iter().filter_map(|row| LeaseRow::try_from(row).ok()).collect();
        rows.sort_by(|one, other| (&one.identity, &one.id).cmp(&(&other.identity, &other.id)));
        Ok(rows)
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    identity: String,
    credential: String,
    source: String,
    factor: String,
    proved_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    revoked_by: Option<String>,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "leases";
    const ALL: &'static str = "SELECT * FROM leases WHERE revoked_at IS NULL";
    const SET: &'static str = "UPDATE leases SET event = $1, mac = $2 WHERE id = $3 AND $4 = ''";

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
            .text(&self.credential)
            .text(&self.source)
            .text(&self.factor)
            .number(self.proved_at)
            .number(self.expires_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.lease_counts(&self.id, &self.credential, self.event())
    }

    fn counts(&self) -> bool {
        self.revoked_at.is_none()
    }

    /// Never: who has one proves the second factor once more.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
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
