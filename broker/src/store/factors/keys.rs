//! Keys of people.

use jiff::Timestamp;
use sqlx::FromRow;

use super::KeyRow;
use crate::store::genuine::Stored;
use crate::store::witness::Witness;
use crate::store::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

impl Store {
    /// Whether a key is this identity's now.
    pub async fn has_key(&self, identity: &str, fingerprint: &str) -> Result<bool, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Key>(
                "SELECT * FROM identity_keys WHERE fingerprint = $1 AND identity = $2 AND revoked_at IS NULL",
            );
            Ok(query.bind(fingerprint).bind(identity).fetch_optional(self.reader()?).await?)
        };
        let key: Option<Genuine<KeyRow>> = self.genuine(read).await?;
        Ok(key.is_some())
    }

    /// The keys of an identity, the oldest first; also those that are not genuine.
    pub async fn keys(&self, identity: &str) -> Result<Vec<Listed<KeyRow>>, StoreError> {
        let rows: Vec<Key> = sqlx::query_as(
            "SELECT * FROM identity_keys WHERE identity = $1 AND revoked_at IS NULL ORDER BY added_at, fingerprint",
        )
        .bind(identity)
        .fetch_all(self.reader()?)
        .await?;
        self.listed(rows).await
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// Gives an identity a key. A key that was taken from somebody can be given again; one in use cannot.
    pub async fn add_key(&mut self, key: &KeyRow, entry: &str) -> Result<(), StoreError> {
        self.require_identity(&key.identity).await?;
        let mac = self.row_mac().await?;
        let row = Key {
            fingerprint: key.fingerprint.clone(),
            identity: key.identity.clone(),
            public_key: key.public_key.clone(),
            kind: key.kind.as_str().to_owned(),
            added_at: micros(key.added_at),
            event: Some(entry.to_owned()),
            mac: None,
        };
        let done = sqlx::query(
            "INSERT INTO identity_keys (fingerprint, identity, public_key, kind, added_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (fingerprint) DO UPDATE SET identity = excluded.identity, public_key = excluded.public_key,
                 kind = excluded.kind, added_at = excluded.added_at, revoked_at = NULL
             WHERE identity_keys.revoked_at IS NOT NULL",
        )
        .bind(&row.fingerprint)
        .bind(&row.identity)
        .bind(&row.public_key)
        .bind(&row.kind)
        .bind(row.added_at)
        .execute(&mut **self)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Taken(format!("the key {} is somebody's already", key.fingerprint)));
        }
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Takes a key from an identity, and the leases that began with it.
    pub async fn remove_key(
        &mut self,
        identity: &str,
        fingerprint: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE identity_keys SET revoked_at = $3, mac = NULL
             WHERE fingerprint = $1 AND identity = $2 AND revoked_at IS NULL",
        )
        .bind(fingerprint)
        .bind(identity)
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        self.revoke_leases(Some(identity), Some(fingerprint), by, at).await?;
        Ok(done.rows_affected() == 1)
    }
}

#[derive(FromRow)]
pub(in crate::store) struct Key {
    fingerprint: String,
    identity: String,
    public_key: String,
    kind: String,
    added_at: i64,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Key {
    const TABLE: &'static str = "identity_keys";
    const ALL: &'static str = "SELECT * FROM identity_keys WHERE revoked_at IS NULL";
    const SET: &'static str = "UPDATE identity_keys SET event = $1, mac = $2 WHERE fingerprint = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.fingerprint.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.fingerprint)
            .text(&self.identity)
            .text(&self.public_key)
            .text(&self.kind)
            .number(self.added_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(&self.fingerprint, self.event())
    }

    fn adopt(&mut self, witness: &Witness) -> bool {
        self.event = witness.given(&self.fingerprint).map(ToOwned::to_owned);
        self.event.is_some()
    }
}

impl TryFrom<Key> for KeyRow {
    type Error = StoreError;

    fn try_from(row: Key) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row.kind.parse().map_err(|error| StoreError::damaged("identity_keys", error))?,
            added_at: timestamp("identity_keys", row.added_at)?,
            fingerprint: row.fingerprint,
            identity: row.identity,
            public_key: row.public_key,
        })
    }
}
