//! Recovery codes of people.

use jiff::Timestamp;
use sqlx::FromRow;

use crate::store::genuine::Stored;
use crate::store::witness::{RECOVERY, Witness};
use crate::store::{Store, StoreError, Write, micros};
use crate::vault::RowText;

impl Store {
    /// Spends a recovery code. `false`: there is no such code, or it was spent.
    pub async fn spend_recovery_code(&self, identity: &str, hash: &str, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        write.row_mac().await?;
        let row: Option<Recovery> =
            sqlx::query_as("SELECT * FROM recovery_codes WHERE identity = $1 AND code_hash = $2 AND used_at IS NULL")
                .bind(identity)
                .bind(hash)
                .fetch_optional(&mut *write)
                .await?;
        let Some(row) = row else { return Ok(false) };
        if let Some(fault) = write.fault_of(&row).await? {
            self.report(&row, fault);
            return Ok(false);
        }
        sqlx::query("UPDATE recovery_codes SET used_at = $3, mac = NULL WHERE identity = $1 AND code_hash = $2")
            .bind(identity)
            .bind(hash)
            .bind(micros(at))
            .execute(&mut *write)
            .await?;
        if let Some(mut row) = write.totp_to_change(identity).await? {
            row.failures = row.failures.saturating_sub(1).max(0);
            write.put_totp(&row).await?;
        }
        write.commit().await?;
        Ok(true)
    }

    /// How many recovery codes an identity has left.
    pub async fn recovery_codes_left(&self, identity: &str) -> Result<usize, StoreError> {
        let rows: Vec<Recovery> =
            sqlx::query_as("SELECT * FROM recovery_codes WHERE identity = $1 AND used_at IS NULL LIMIT 1000")
                .bind(identity)
                .fetch_all(self.reader()?)
                .await?;
        let mut left = 0;
        for row in &rows {
            match self.fault_of(row).await? {
                None => left += 1,
                Some(fault) => self.report(row, fault),
            }
        }
        Ok(left)
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// Gives an identity new recovery codes; the old ones are void.
    pub async fn replace_recovery_codes(
        &mut self,
        identity: &str,
        hashes: &[String],
        entry: &str,
    ) -> Result<(), StoreError> {
        self.require_identity(identity).await?;
        let mac = self.row_mac().await?;
        sqlx::query("DELETE FROM recovery_codes WHERE identity = $1").bind(identity).execute(&mut **self).await?;
        for hash in hashes {
            let row = Recovery {
                identity: identity.to_owned(),
                code_hash: hash.clone(),
                event: Some(entry.to_owned()),
                mac: None,
            };
            sqlx::query("INSERT INTO recovery_codes (identity, code_hash) VALUES ($1, $2)")
                .bind(identity)
                .bind(hash)
                .execute(&mut **self)
                .await?;
            self.set_mac(&row, Some(mac.make(&row.text()))).await?;
        }
        Ok(())
    }
}

/// A recovery code that was not used.
#[derive(FromRow)]
pub(in crate::store) struct Recovery {
    identity: String,
    code_hash: String,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Recovery {
    const TABLE: &'static str = "recovery_codes";
    const ALL: &'static str = "SELECT * FROM recovery_codes WHERE used_at IS NULL";
    const SET: &'static str = "UPDATE recovery_codes SET event = $1, mac = $2 WHERE identity = $3 AND code_hash = $4";

    fn key(&self) -> [String; 2] {
        [self.identity.clone(), self.code_hash.clone()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE).text(&self.identity).text(&self.code_hash).maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(RECOVERY, self.event())
    }

    fn adopt(&mut self, witness: &Witness) -> bool {
        self.event = witness.given(RECOVERY).map(ToOwned::to_owned);
        self.event.is_some()
    }
}
