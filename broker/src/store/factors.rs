//! What people prove themselves with: keys, TOTP, recovery codes.

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{RECOVERY, TOTP, Witness};
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::identity::TotpSettings;
use crate::vault::RowText;

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

    /// The authenticator of an identity.
    pub async fn totp(&self, identity: &str) -> Result<Option<Genuine<TotpRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Totp>("SELECT * FROM totp WHERE identity = $1").bind(identity);
            Ok(query.fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// Counts a wrong code, if so far there were as many as the caller saw. `false`: somebody else guessed in between.
    pub async fn count_guess(&self, identity: &str, seen: i64, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let Some(mut row) = write.totp_to_change(identity).await? else { return Ok(false) };
        if row.failures != seen {
            return Ok(false);
        }
        row.failures += 1;
        row.failed_at = Some(micros(at));
        write.put_totp(&row).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Spends the code of a step, and with it every earlier one. `false`: it was spent before, here or on another broker,
    /// or the authenticator is no longer the one that the caller saw.
    pub async fn spend_step(&self, identity: &str, step: i64, enrolled_at: i64) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let Some(mut row) = write.totp_to_change(identity).await? else { return Ok(false) };
        if row.last_step >= step || row.enrolled_at != enrolled_at {
            return Ok(false);
        }
        row.last_step = step;
        (row.failures, row.failed_at) = (0, None);
        write.put_totp(&row).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Spends a recovery code. `false`: there is no such code, or it was spent.
    pub async fn spend_recovery_code(&self, identity: &str, hash: &str, at: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        write.row_mac().await?;
        let row: Option<Recovery> = sqlx::query_as(
            "SELECT * FROM recovery_codes WHERE identity = $1 AND code_hash = $2 AND used_at IS NULL",
        )
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
            (row.failures, row.failed_at) = (0, None);
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

    /// Enrols an authenticator in place of any before, and revokes what the old one proved. `key_id` is the master key
    /// that sealed the seed.
    pub async fn enroll_totp(&mut self, new: &NewTotp, key_id: &str, by: &str, entry: &str) -> Result<(), StoreError> {
        self.require_identity(&new.identity).await?;
        self.hold_master_key(key_id).await?;
        let mac = self.row_mac().await?;
        let row = Totp {
            identity: new.identity.clone(),
            sealed_seed: new.sealed_seed.clone(),
            algorithm: new.settings.algorithm.to_string(),
            digits: new.settings.digits.count(),
            period: new.settings.period.seconds(),
            last_step: -1,
            failures: 0,
            failed_at: None,
            enrolled_at: micros(new.enrolled_at),
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO totp (identity, sealed_seed, algorithm, digits, period, enrolled_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (identity) DO UPDATE SET sealed_seed = excluded.sealed_seed, algorithm = excluded.algorithm,
                 digits = excluded.digits, period = excluded.period, last_step = -1, failures = 0, failed_at = NULL,
                 enrolled_at = excluded.enrolled_at",
        )
        .bind(&row.identity)
        .bind(row.sealed_seed.as_slice())
        .bind(&row.algorithm)
        .bind(row.digits)
        .bind(row.period)
        .bind(row.enrolled_at)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await?;
        self.revoke_leases(Some(&new.identity), None, by, new.enrolled_at).await?;
        Ok(())
    }

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

    /// The authenticator's row, where it is genuine, for nobody else to change meanwhile.
    async fn totp_to_change(&mut self, identity: &str) -> Result<Option<Totp>, StoreError> {
        self.row_mac().await?;
        let query = sqlx::query_as::<_, Totp>("SELECT * FROM totp WHERE identity = $1").bind(identity);
        let Some(row) = query.fetch_optional(&mut **self).await? else { return Ok(None) };
        Ok(self.fault_of(&row).await?.is_none().then_some(row))
    }

    async fn put_totp(&mut self, row: &Totp) -> Result<(), StoreError> {
        sqlx::query("UPDATE totp SET last_step = $2, failures = $3, failed_at = $4 WHERE identity = $1")
            .bind(&row.identity)
            .bind(row.last_step)
            .bind(row.failures)
            .bind(row.failed_at)
            .execute(&mut **self)
            .await?;
        let mac = self.row_mac().await?.make(&row.text());
        self.set_mac(row, Some(mac)).await
    }
}

#[derive(FromRow)]
pub(super) struct Key {
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

/// A recovery code that was not used.
#[derive(FromRow)]
pub(super) struct Recovery {
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

#[derive(FromRow)]
pub(super) struct Totp {
    identity: String,
    sealed_seed: Vec<u8>,
    algorithm: String,
    digits: i64,
    period: i64,
    last_step: i64,
    failures: i64,
    failed_at: Option<i64>,
    enrolled_at: i64,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Totp {
    const TABLE: &'static str = "totp";
    const ALL: &'static str = "SELECT * FROM totp";
    const SET: &'static str = "UPDATE totp SET event = $1, mac = $2 WHERE identity = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.identity.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.identity)
            .bytes(&self.sealed_seed)
            .text(&self.algorithm)
            .number(self.digits)
            .number(self.period)
            .number(self.last_step)
            .number(self.failures)
            .maybe_number(self.failed_at)
            .number(self.enrolled_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(TOTP, self.event())
    }

    fn adopt(&mut self, witness: &Witness) -> bool {
        self.event = witness.given(TOTP).map(ToOwned::to_owned);
        self.event.is_some()
    }
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
