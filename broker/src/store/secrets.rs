//! The broker's own keys, sealed, and the row that tells under which master key everything is.

use jiff::Timestamp;
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};

/// A secret as stored. Of the row `check` the public part is the name of the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// `check`, `host-key`, `host-ca`, `user-ca` or `evidence`; `….next` and `….retired.1` of a key that is to come or was.
    pub name: String,
    /// Under the master key.
    pub sealed: Vec<u8>,
    /// What anybody may know.
    pub public_part: String,
    /// Since when.
    pub created_at: Timestamp,
}

/// A sealed cell anywhere in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedCell {
    /// The table.
    pub table: SealedTable,
    /// The primary key, part by part.
    pub row: Vec<String>,
    /// The envelope.
    pub sealed: Vec<u8>,
}

/// The tables that hold sealed values. A new one goes here, or `rekey` would leave it behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedTable {
    /// The broker's own keys.
    Secrets,
    /// Accounts' credentials.
    Accounts,
    /// Seeds of authenticators.
    Totp,
}

/// Why nothing was sealed anew; then nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ResealError<E> {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cell does not open.
    #[error(transparent)]
    Cell(E),
}

impl SealedTable {
    /// The table's name and the column's.
    #[must_use]
    pub fn cell(self) -> (&'static str, &'static str) {
        match self {
            Self::Secrets => ("secrets", "sealed"),
            Self::Accounts => ("accounts", "sealed"),
            Self::Totp => ("totp", "sealed_seed"),
        }
    }
}

impl Store {
    /// Every secret.
    pub async fn secrets(&self) -> Result<Vec<SecretRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM secrets ORDER BY name").fetch_all(self.reader()?).await?;
        rows.into_iter().map(SecretRow::try_from).collect()
    }
}

impl Write {
    /// Enters the first secrets, all or none. `false` when there are some already.
    pub async fn insert_first_secrets(&mut self, rows: &[SecretRow]) -> Result<bool, StoreError> {
        for row in rows {
            let done = sqlx::query(
                "INSERT INTO secrets (name, sealed, public_part, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(&row.name)
            .bind(row.sealed.as_slice())
            .bind(&row.public_part)
            .bind(micros(row.created_at))
            .execute(&mut **self)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Changes keys of the broker's own, while the store is under the master key `key_id` and the key `in_use` (name and public part)
    /// is the one in use: of two who change it at a time, one does.
    pub async fn change_secrets(
        &mut self,
        key_id: &str,
        in_use: (&str, &str),
        put: &[SecretRow],
        remove: &[String],
    ) -> Result<(), StoreError> {
        self.hold_master_key(key_id).await?;
        let (name, public) = in_use;
        let found: Option<(String,)> = sqlx::query_as("SELECT public_part FROM secrets WHERE name = $1")
            .bind(name)
            .fetch_optional(&mut **self)
            .await?;
        if found.is_none_or(|(found,)| found != public) {
            return Err(StoreError::Overtaken("the key"));
        }
        for name in remove {
            sqlx::query("DELETE FROM secrets WHERE name = $1").bind(name).execute(&mut **self).await?;
        }
        for row in put {
            sqlx::query(
                "INSERT INTO secrets (name, sealed, public_part, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE
                 SET sealed = excluded.sealed, public_part = excluded.public_part, created_at = excluded.created_at",
            )
            .bind(&row.name)
            .bind(row.sealed.as_slice())
            .bind(&row.public_part)
            .bind(micros(row.created_at))
            .execute(&mut **self)
            .await?;
        }
        Ok(())
    }

    /// Seals every sealed cell anew, in one transaction: all of them or, when `reseal` refuses one, none. Says how many.
    pub async fn reseal<E>(
        &mut self,
        from: &str,
        to: &str,
        mut reseal: impl FnMut(&SealedCell) -> Result<Vec<u8>, E>,
    ) -> Result<usize, ResealError<E>> {
        self.hold_master_key(from).await?;
        let cells = self.sealed_cells().await?;
        for cell in &cells {
            let sealed = reseal(cell).map_err(ResealError::Cell)?;
            self.set_sealed(cell, &sealed).await?;
        }
        let named = sqlx::query("UPDATE secrets SET public_part = $2 WHERE name = 'check' AND public_part = $1")
            .bind(from)
            .bind(to)
            .execute(&mut **self)
            .await
            .map_err(StoreError::from)?;
        if named.rows_affected() != 1 {
            return Err(StoreError::Overtaken("the master key").into());
        }
        Ok(cells.len())
    }

    /// Makes sure that the store is under the master key of this name, and stays so until this write ends. What is written
    /// beside a running `rekey` would otherwise be sealed under a key that is gone.
    pub(super) async fn hold_master_key(&mut self, id: &str) -> Result<(), StoreError> {
        // An update that changes nothing: the one way to hold a row that both engines know.
        let held =
            sqlx::query("UPDATE secrets SET public_part = public_part WHERE name = 'check' AND public_part = $1")
                .bind(id)
                .execute(&mut **self)
                .await?;
        if held.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Overtaken("the master key")) }
    }

    async fn sealed_cells(&mut self) -> Result<Vec<SealedCell>, StoreError> {
        let secrets: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT name, sealed FROM secrets").fetch_all(&mut **self).await?;
        let accounts: Vec<(String, String, Vec<u8>)> =
            sqlx::query_as("SELECT asset, account, sealed FROM accounts").fetch_all(&mut **self).await?;
        let seeds: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT identity, sealed_seed FROM totp").fetch_all(&mut **self).await?;
        let cell = |table, row, sealed| SealedCell { table, row, sealed };
        Ok(secrets
            .into_iter()
            .map(|(name, sealed)| cell(SealedTable::Secrets, vec![name], sealed))
            .chain(
                accounts
                    .into_iter()
                    .map(|(asset, account, sealed)| cell(SealedTable::Accounts, vec![asset, account], sealed)),
            )
            .chain(seeds.into_iter().map(|(identity, sealed)| cell(SealedTable::Totp, vec![identity], sealed)))
            .collect())
    }

    async fn set_sealed(&mut self, cell: &SealedCell, sealed: &[u8]) -> Result<(), StoreError> {
        let query = match (cell.table, cell.row.as_slice()) {
            (SealedTable::Secrets, [name]) => {
                sqlx::query("UPDATE secrets SET sealed = $1 WHERE name = $2").bind(sealed).bind(name)
            }
            (SealedTable::Accounts, [asset, account]) => {
                sqlx::query("UPDATE accounts SET sealed = $1 WHERE asset = $2 AND account = $3")
                    .bind(sealed)
                    .bind(asset)
                    .bind(account)
            }
            (SealedTable::Totp, [identity]) => {
                sqlx::query("UPDATE totp SET sealed_seed = $1 WHERE identity = $2").bind(sealed).bind(identity)
            }
            (table, _) => return Err(StoreError::damaged(table.cell().0, "a key of another number of parts")),
        };
        let done = query.execute(&mut **self).await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Overtaken("a sealed value")) }
    }
}

#[derive(FromRow)]
struct Row {
    name: String,
    sealed: Vec<u8>,
    public_part: String,
    created_at: i64,
}

impl TryFrom<Row> for SecretRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let created_at = timestamp("secrets", row.created_at)?;
        Ok(Self { name: row.name, sealed: row.sealed, public_part: row.public_part, created_at })
    }
}
