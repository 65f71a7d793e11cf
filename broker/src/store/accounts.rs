//! Accounts on assets whose credential the broker holds, sealed.

use jiff::Timestamp;
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};

/// An account's credential as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The asset.
    pub asset: String,
    /// The login on it.
    pub account: String,
    /// `password` or `key`.
    pub kind: String,
    /// The credential under the master key.
    pub sealed: Vec<u8>,
    /// The public key of a key.
    pub public_part: String,
    /// Since when.
    pub changed_at: Timestamp,
}

impl Store {
    /// An account's credential.
    pub async fn account(&self, asset: &str, account: &str) -> Result<Option<AccountRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT * FROM accounts WHERE asset = $1 AND account = $2")
            .bind(asset)
            .bind(account)
            .fetch_optional(self.reader()?)
            .await?;
        row.map(AccountRow::try_from).transpose()
    }

    /// Every account whose credential is held, by asset and name.
    pub async fn accounts(&self) -> Result<Vec<AccountRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM accounts").fetch_all(self.reader()?).await?;
        let mut rows = rows.into_iter().map(AccountRow::try_from).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by(|one, other| (&one.asset, &one.account).cmp(&(&other.asset, &other.account)));
        Ok(rows)
    }
}

impl Write {
    /// Sets an account's credential in place of any before. `key_id` is the master key that sealed it.
    pub async fn set_account(&mut self, row: &AccountRow, key_id: &str) -> Result<(), StoreError> {
        self.hold_master_key(key_id).await?;
        sqlx::query(
            "INSERT INTO accounts (asset, account, kind, sealed, public_part, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (asset, account) DO UPDATE SET kind = excluded.kind, sealed = excluded.sealed,
                 public_part = excluded.public_part, changed_at = excluded.changed_at",
        )
        .bind(&row.asset)
        .bind(&row.account)
        .bind(&row.kind)
        .bind(row.sealed.as_slice())
        .bind(&row.public_part)
        .bind(micros(row.changed_at))
        .execute(&mut **self)
        .await?;
        Ok(())
    }

    /// Forgets an account's credential.
    pub async fn remove_account(&mut self, asset: &str, account: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM accounts WHERE asset = $1 AND account = $2")
            .bind(asset)
            .bind(account)
            .execute(&mut **self)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

#[derive(FromRow)]
struct Row {
    asset: String,
    account: String,
    kind: String,
    sealed: Vec<u8>,
    public_part: String,
    changed_at: i64,
}

impl TryFrom<Row> for AccountRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            changed_at: timestamp("accounts", row.changed_at)?,
            asset: row.asset,
            account: row.account,
            kind: row.kind,
            sealed: row.sealed,
            public_part: row.public_part,
        })
    }
}
