//! Files that passed through sessions.

use jiff::Timestamp;
use sqlx::{AnyConnection, FromRow};

use super::grouped::{Applied, Grouped};
use super::{Store, StoreError, micros, timestamp};

/// One file that was transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferredFile {
    /// The session it passed in.
    pub session: String,
    /// When its transfer ended.
    pub at: Timestamp,
    /// `upload` or `download`.
    pub direction: String,
    /// `sftp` or `scp`.
    pub via: String,
    /// Its path on the asset, as the client named it.
    pub path: String,
    /// How many bytes passed.
    pub size: u64,
    /// SHA-256 of the content in hex, where it passed in order and whole.
    pub sha256: Option<String>,
    /// Whether all of it passed.
    pub complete: bool,
}

impl TransferredFile {
    /// Numbered within its session, which one broker carries.
    async fn insert(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        let size = i64::try_from(self.size).map_err(|error| StoreError::damaged("files", error))?;
        sqlx::query(
            "INSERT INTO files (session, number, at, direction, via, path, size, sha256, complete)
             VALUES ($1, (SELECT COALESCE(MAX(number), 0) + 1 FROM files WHERE session = $1), $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&self.session)
        .bind(micros(self.at))
        .bind(&self.direction)
        .bind(&self.via)
        // PostgreSQL text holds no NUL; the recording keeps the path as it was.
        .bind(self.path.replace('\0', "\u{fffd}"))
        .bind(size)
        .bind(&self.sha256)
        .bind(i64::from(self.complete))
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Grouped for TransferredFile {
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c> {
        Box::pin(async move { self.insert(connection).await.map(|()| true) })
    }
}

impl Store {
    /// Enters a transferred file.
    pub async fn add_file(&self, file: &TransferredFile) -> Result<(), StoreError> {
        self.grouped(file.clone()).await.map(drop)
    }

    /// The files of one session (by its whole id), in the order they passed.
    pub async fn files(&self, session: &str) -> Result<Vec<TransferredFile>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM files WHERE session = $1 ORDER BY number")
            .bind(session)
            .fetch_all(self.reader()?)
            .await?;
        rows.into_iter().map(TransferredFile::try_from).collect()
    }
}

#[derive(FromRow)]
struct Row {
    session: String,
    at: i64,
    direction: String,
    via: String,
    path: String,
    size: i64,
    sha256: Option<String>,
    complete: i64,
}

impl TryFrom<Row> for TransferredFile {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            at: timestamp("files", row.at)?,
            size: u64::try_from(row.size).map_err(|error| StoreError::damaged("files", error))?,
            session: row.session,
            direction: row.direction,
            via: row.via,
            path: row.path,
            sha256: row.sha256,
            complete: row.complete != 0,
        })
    }
}
