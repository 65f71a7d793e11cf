//! Passkeys and security keys of people.

use jiff::Timestamp;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{WEBAUTHN, Witness};
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// A passkey or security key of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyRow {
    /// The credential's id, in base64url without padding.
    pub credential: String,
    /// Whose it is.
    pub identity: String,
    /// How its owner calls it.
    pub name: String,
    /// Public key, counter and flags, as the library that checks assertions writes them.
    pub passkey: String,
    /// Since when.
    pub added_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

/// How the audit chain names a passkey: it has one name among all credentials.
#[must_use]
pub fn chain_name(credential: &str) -> String {
    format!("{WEBAUTHN}{credential}")
}

impl Store {
    /// A passkey by its credential's id.
    pub async fn passkey(&self, credential: &str) -> Result<Option<Genuine<PasskeyRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM webauthn WHERE credential = $1 AND revoked_at IS NULL");
            Ok(query.bind(credential).fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// The passkeys of an identity, the oldest first; also those that are not genuine.
    pub async fn passkeys(&self, identity: &str) -> Result<Vec<Listed<PasskeyRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM webauthn WHERE identity = $1 AND revoked_at IS NULL ORDER BY added_at, credential LIMIT 100",
        )
        .bind(identity)
        .fetch_all(self.reader()?)
        .await?;
        self.listed(rows).await
    }

    /// Enters that a passkey was used, with what the assertion changed: its counter and flags. `false`: it was taken away, or used
    /// meanwhile, here or on another broker, so that this assertion was made of a state that is no more.
    pub async fn passkey_used(&self, seen: &PasskeyRow, passkey: &str, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let mac = write.row_mac().await?;
        let row: Option<Row> = sqlx::query_as("SELECT * FROM webauthn WHERE credential = $1 AND revoked_at IS NULL")
            .bind(&seen.credential)
            .fetch_optional(&mut *write)
            .await?;
        let Some(mut row) = row else { return Ok(false) };
        if write.fault_of(&row).await?.is_some() || row.passkey != seen.passkey || row.identity != seen.identity {
            return Ok(false);
        }
        row.passkey = passkey.to_owned();
        row.used_at = Some(micros(at));
        sqlx::query("UPDATE webauthn SET passkey = $2, used_at = $3 WHERE credential = $1")
            .bind(&row.credential)
            .bind(&row.passkey)
            .bind(row.used_at)
            .execute(&mut *write)
            .await?;
        write.set_mac(&row, Some(mac.make(&row.text()))).await?;
        write.commit().await?;
        Ok(true)
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// Gives an identity a passkey. One that was ever anybody's cannot be given again.
    pub async fn add_passkey(&mut self, new: &PasskeyRow, entry: &str) -> Result<(), StoreError> {
        self.require_identity(&new.identity).await?;
        let mac = self.row_mac().await?;
        let row = Row {
            credential: new.credential.clone(),
            identity: new.identity.clone(),
            name: new.name.clone(),
            passkey: new.passkey.clone(),
            added_at: micros(new.added_at),
            used_at: new.used_at.map(micros),
            event: Some(entry.to_owned()),
            mac: None,
        };
        let done = sqlx::query(
            "INSERT INTO webauthn (credential, identity, name, passkey, added_at, used_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (credential) DO NOTHING",
        )
        .bind(&row.credential)
        .bind(&row.identity)
        .bind(&row.name)
        .bind(&row.passkey)
        .bind(row.added_at)
        .bind(row.used_at)
        .execute(&mut **self)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Taken("this passkey is or was somebody's already".to_owned()));
        }
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Takes a passkey from an identity, and every lease of theirs: which of them it proved is not known.
    pub async fn remove_passkey(
        &mut self,
        identity: &str,
        credential: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE webauthn SET revoked_at = $3, mac = NULL
             WHERE credential = $1 AND identity = $2 AND revoked_at IS NULL",
        )
        .bind(credential)
        .bind(identity)
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        self.revoke_leases(Some(identity), None, by, at).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether an identity has another second factor than this passkey: an authenticator, or another passkey of those that `count`.
    /// Holds for the rest of this write.
    pub async fn has_another_factor(
        &mut self,
        identity: &str,
        credential: &str,
        counts: impl Fn(&PasskeyRow) -> bool,
    ) -> Result<bool, StoreError> {
        self.row_mac().await?;
        if self.totp_to_change(identity).await?.is_some() {
            return Ok(true);
        }
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT * FROM webauthn WHERE identity = $1 AND credential <> $2 AND revoked_at IS NULL LIMIT 100",
        )
        .bind(identity)
        .bind(credential)
        .fetch_all(&mut **self)
        .await?;
        for row in rows {
            if self.fault_of(&row).await?.is_none() && counts(&PasskeyRow::try_from(row)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes every passkey of an identity that is removed.
    pub(super) async fn remove_passkeys(&mut self, identity: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE webauthn SET revoked_at = $2, mac = NULL WHERE identity = $1 AND revoked_at IS NULL")
            .bind(identity)
            .bind(micros(at))
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    credential: String,
    identity: String,
    name: String,
    passkey: String,
    added_at: i64,
    used_at: Option<i64>,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "webauthn";
    const ALL: &'static str = "SELECT * FROM webauthn WHERE revoked_at IS NULL";
    const SET: &'static str = "UPDATE webauthn SET event = $1, mac = $2 WHERE credential = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.credential.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.credential)
            .text(&self.identity)
            .text(&self.name)
            .text(&self.passkey)
            .number(self.added_at)
            .maybe_number(self.used_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(&chain_name(&self.credential), self.event())
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Row> for PasskeyRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            added_at: timestamp(Row::TABLE, row.added_at)?,
            used_at: row.used_at.map(|at| timestamp(Row::TABLE, at)).transpose()?,
            credential: row.credential,
            identity: row.identity,
            name: row.name,
            passkey: row.passkey,
        })
    }
}
