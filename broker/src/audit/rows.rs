//! The rows of the chain in the database.

use jiff::Timestamp;

use super::AuditEntry;
use crate::store::{Store, StoreError, Write, micros};

/// Which audit entries to list; every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Happened at or after.
    pub since: Option<Timestamp>,
    /// Happened before.
    pub until: Option<Timestamp>,
    /// With this code.
    pub code: Option<String>,
    /// About this identity.
    pub identity: Option<String>,
    /// About this session.
    pub session: Option<String>,
    /// Only the newest so many; [`AuditFilter::DEFAULT_LIMIT`] when `None`.
    pub limit: Option<u32>,
}

impl AuditFilter {
    /// How many entries a list without a limit gives.
    pub const DEFAULT_LIMIT: u32 = 1000;
}

impl Store {
    /// The newest entries that match, in the order of the chain.
    pub async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        let mut entries: Vec<AuditEntry> = sqlx::query_as(
            "SELECT * FROM audit
             WHERE ($1 IS NULL OR at >= $1) AND ($2 IS NULL OR at < $2) AND ($3 IS NULL OR code = $3)
               AND ($4 IS NULL OR identity = $4) AND ($5 IS NULL OR session = $5)
             ORDER BY seq DESC LIMIT $6",
        )
        .bind(filter.since.map(micros))
        .bind(filter.until.map(micros))
        .bind(&filter.code)
        .bind(&filter.identity)
        .bind(&filter.session)
        .bind(i64::from(filter.limit.unwrap_or(AuditFilter::DEFAULT_LIMIT)))
        .fetch_all(self.reader()?)
        .await?;
        entries.reverse();
        Ok(entries)
    }

    /// The entries about a session with one of these codes, in the order of the chain.
    pub async fn audit_of_session(&self, session: &str, codes: [&str; 6]) -> Result<Vec<AuditEntry>, StoreError> {
        let query = "SELECT * FROM audit WHERE session = $1 AND code IN ($2, $3, $4, $5, $6, $7) ORDER BY seq";
        let query = codes.into_iter().fold(sqlx::query_as(query).bind(session), |query, code| query.bind(code));
        Ok(query.fetch_all(self.reader()?).await?)
    }

    /// The next `limit` entries of the chain after number `after`.
    pub async fn audit_page(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.reader()?)
            .await?)
    }

    /// The first and last number of what happened in this time.
    pub async fn audit_range(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let (first, last): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT MIN(seq), MAX(seq) FROM audit WHERE ($1 IS NULL OR at >= $1) AND ($2 IS NULL OR at < $2)",
        )
        .bind(since.map(micros))
        .bind(until.map(micros))
        .fetch_one(self.reader()?)
        .await?;
        Ok(first.zip(last))
    }

    /// Number and hash of the chain's last entry.
    pub async fn audit_head(&self) -> Result<Option<(i64, String)>, StoreError> {
        Ok(sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
            .fetch_optional(self.reader()?)
            .await?)
    }
}

impl Write {
    /// Takes the end of the audit chain for this write alone, and says where it is.
    pub(crate) async fn take_audit_head(&mut self) -> Result<Option<(i64, String)>, StoreError> {
        self.lock("audit").await?;
        Ok(sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(&mut **self).await?)
    }

    /// The hash of one entry.
    pub(crate) async fn audit_hash(&mut self, seq: i64) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT hash FROM audit WHERE seq = $1").bind(seq).fetch_optional(&mut **self).await?)
    }

    /// Whether the event with this id is in the chain already.
    pub(crate) async fn audit_knows(&mut self, id: &str) -> Result<bool, StoreError> {
        let seq: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM audit WHERE id = $1").bind(id).fetch_optional(&mut **self).await?;
        Ok(seq.is_some())
    }

    /// Adds an entry behind the one that [`Write::take_audit_head`] named.
    pub(crate) async fn add_audit_entry(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO audit (seq, id, at, code, broker, actor, identity, session, event, previous, hash, signature)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(entry.seq)
        .bind(&entry.id)
        .bind(entry.at)
        .bind(&entry.code)
        .bind(&entry.broker)
        .bind(&entry.actor)
        .bind(&entry.identity)
        .bind(&entry.session)
        .bind(&entry.event)
        .bind(&entry.previous)
        .bind(&entry.hash)
        .bind(&entry.signature)
        .execute(&mut **self)
        .await?;
        Ok(())
    }
}
