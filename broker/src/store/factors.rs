//! What people prove themselves with: keys, TOTP, recovery codes.

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};
use crate::identity::TotpSettings;

/// A key of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// `SHA256:…`
    pub fingerprint: String,
    /// Whose it is.
    pub identity: String,
    /// The OpenSSH line.
    pub public_key: String,
    /// A key, or one held in a security key.
    pub kind: FactorKind,
    /// Since when.
    pub added_at: Timestamp,
}

/// An authenticator of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpRow {
    /// Under the master key.
    pub sealed_seed: Vec<u8>,
    /// How its codes are computed.
    pub settings: TotpSettings,
    /// The step of the last code used.
    pub last_step: i64,
    /// Wrong codes since the last right one.
    pub failures: i64,
    /// When the last one was.
    pub failed_at: Option<Timestamp>,
    /// Since when.
    pub enrolled_at: Timestamp,
}

/// A new authenticator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTotp {
    /// Whose it is.
    pub identity: String,
    /// Under the master key.
    pub sealed_seed: Vec<u8>,
    /// How its codes are computed.
    pub settings: TotpSettings,
    /// Since when.
    pub enrolled_at: Timestamp,
}

impl Store {
    /// Whether a key is this identity's now.
    pub async fn has_key(&self, identity: &str, fingerprint: &str) -> Result<bool, StoreError> {
        let found: Option<(String,)> = sqlx::query_as(
            "SELECT fingerprint FROM identity_keys WHERE fingerprint = $1 AND identity = $2 AND revoked_at IS NULL",
        )
        .bind(fingerprint)
        .bind(identity)
        .fetch_optional(self.reader()?)
        .await?;
        Ok(found.is_some())
    }

    /// The keys of an identity, the oldest first.
    pub async fn keys(&self, identity: &str) -> Result<Vec<KeyRow>, StoreError> {
        let rows: Vec<(String, String, String, String, i64)> = sqlx::query_as(
            "SELECT fingerprint, identity, public_key, kind, added_at FROM identity_keys
             WHERE identity = $1 AND revoked_at IS NULL ORDER BY added_at, fingerprint",
        )
        .bind(identity)
        .fetch_all(self.reader()?)
        .await?;
        rows.into_iter()
            .map(|(fingerprint, identity, public_key, kind, added_at)| {
                let kind = kind.parse().map_err(|error| StoreError::damaged("identity_keys", error))?;
                Ok(KeyRow { fingerprint, identity, public_key, kind, added_at: timestamp("identity_keys", added_at)? })
            })
            .collect()
    }

    /// The authenticator of an identity.
    pub async fn totp(&self, identity: &str) -> Result<Option<TotpRow>, StoreError> {
        let row: Option<Totp> = sqlx::query_as("SELECT * FROM totp WHERE identity = $1")
            .bind(identity)
            .fetch_optional(self.reader()?)
            .await?;
        row.map(TotpRow::try_from).transpose()
    }

    /// Counts a wrong code, if so far there were as many as the caller saw. `false`: somebody else guessed in between.
    pub async fn count_guess(&self, identity: &str, seen: i64, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query(
            "UPDATE totp SET failures = failures + 1, failed_at = $3 WHERE identity = $1 AND failures = $2",
        )
        .bind(identity)
        .bind(seen)
        .bind(micros(at))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Spends the code of a step, and with it every earlier one. `false`: it was spent before, here or on another broker,
    /// or the authenticator is no longer the one that the caller saw.
    pub async fn spend_step(&self, identity: &str, step: i64, enrolled_at: i64) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query(
            "UPDATE totp SET last_step = $2, failures = 0, failed_at = NULL
             WHERE identity = $1 AND last_step < $2 AND enrolled_at = $3",
        )
        .bind(identity)
        .bind(step)
        .bind(enrolled_at)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Spends a recovery code. `false`: there is no such code, or it was spent.
    pub async fn spend_recovery_code(&self, identity: &str, hash: &str, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query(
            "UPDATE recovery_codes SET used_at = $3 WHERE identity = $1 AND code_hash = $2 AND used_at IS NULL",
        )
        .bind(identity)
        .bind(hash)
        .bind(micros(at))
        .execute(&mut *write)
        .await?;
        if done.rows_affected() == 1 {
            sqlx::query("UPDATE totp SET failures = 0, failed_at = NULL WHERE identity = $1")
                .bind(identity)
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// How many recovery codes an identity has left.
    pub async fn recovery_codes_left(&self, identity: &str) -> Result<i64, StoreError> {
        let (left,): (i64,) = sqlx::query_as(
            "SELECT CAST(COUNT(*) AS BIGINT) FROM recovery_codes WHERE identity = $1 AND used_at IS NULL",
        )
        .bind(identity)
        .fetch_one(self.reader()?)
        .await?;
        Ok(left)
    }
}

impl Write {
    /// Gives an identity a key. A key that was taken from somebody can be given again; one in use cannot.
    pub async fn add_key(&mut self, key: &KeyRow) -> Result<(), StoreError> {
        self.require_identity(&key.identity).await?;
        let done = sqlx::query(
            "INSERT INTO identity_keys (fingerprint, identity, public_key, kind, added_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (fingerprint) DO UPDATE SET identity = excluded.identity, public_key = excluded.public_key,
                 kind = excluded.kind, added_at = excluded.added_at, revoked_at = NULL
             WHERE identity_keys.revoked_at IS NOT NULL",
        )
        .bind(&key.fingerprint)
        .bind(&key.identity)
        .bind(&key.public_key)
        .bind(key.kind.as_str())
        .bind(micros(key.added_at))
        .execute(&mut **self)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Taken(format!("the key {} is somebody's already", key.fingerprint)));
        }
        Ok(())
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
            "UPDATE identity_keys SET revoked_at = $3 WHERE fingerprint = $1 AND identity = $2 AND revoked_at IS NULL",
        )
        .bind(fingerprint)
        .bind(identity)
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        self.revoke_leases(Some(identity), Some(fingerprint), by, at).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Enrols an authenticator in place of any before, and revokes what the old one proved. `key_id` is the master key
    /// that sealed the seed.
    pub async fn enroll_totp(&mut self, new: &NewTotp, key_id: &str, by: &str) -> Result<(), StoreError> {
        self.require_identity(&new.identity).await?;
        self.hold_master_key(key_id).await?;
        sqlx::query(
            "INSERT INTO totp (identity, sealed_seed, algorithm, digits, period, enrolled_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (identity) DO UPDATE SET sealed_seed = excluded.sealed_seed, algorithm = excluded.algorithm,
                 digits = excluded.digits, period = excluded.period, last_step = -1, failures = 0, failed_at = NULL,
                 enrolled_at = excluded.enrolled_at",
        )
        .bind(&new.identity)
        .bind(new.sealed_seed.as_slice())
        .bind(new.settings.algorithm.to_string())
        .bind(new.settings.digits.count())
        .bind(new.settings.period.seconds())
        .bind(micros(new.enrolled_at))
        .execute(&mut **self)
        .await?;
        self.revoke_leases(Some(&new.identity), None, by, new.enrolled_at).await?;
        Ok(())
    }

    /// Gives an identity new recovery codes; the old ones are void.
    pub async fn replace_recovery_codes(&mut self, identity: &str, hashes: &[String]) -> Result<(), StoreError> {
        self.require_identity(identity).await?;
        sqlx::query("DELETE FROM recovery_codes WHERE identity = $1").bind(identity).execute(&mut **self).await?;
        for hash in hashes {
            sqlx::query("INSERT INTO recovery_codes (identity, code_hash) VALUES ($1, $2)")
                .bind(identity)
                .bind(hash)
                .execute(&mut **self)
                .await?;
        }
        Ok(())
    }
}

#[derive(FromRow)]
struct Totp {
    sealed_seed: Vec<u8>,
    algorithm: String,
    digits: i64,
    period: i64,
    last_step: i64,
    failures: i64,
    failed_at: Option<i64>,
    enrolled_at: i64,
}

impl TryFrom<Totp> for TotpRow {
    type Error = StoreError;

    fn try_from(row: Totp) -> Result<Self, StoreError> {
        let damaged = |error| StoreError::damaged("totp", error);
        Ok(Self {
            settings: TotpSettings {
                algorithm: row.algorithm.parse().map_err(damaged)?,
                digits: row.digits.try_into().map_err(damaged)?,
                period: row.period.try_into().map_err(damaged)?,
            },
            sealed_seed: row.sealed_seed,
            last_step: row.last_step,
            failures: row.failures,
            failed_at: row.failed_at.map(|at| timestamp("totp", at)).transpose()?,
            enrolled_at: timestamp("totp", row.enrolled_at)?,
        })
    }
}
