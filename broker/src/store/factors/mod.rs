//! What people prove themselves with: keys, TOTP, recovery codes. Here the authenticators; the others are beside.

mod keys;
mod recovery;

use jiff::Timestamp;
use sallyport_policy::FactorKind;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{TOTP, Witness};
use super::{Genuine, Store, StoreError, Write, micros, timestamp};
use crate::totp::TotpSettings;
use crate::vault::RowText;

pub(super) use keys::Key;
pub(super) use recovery::Recovery;

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
    /// The authenticator of an identity.
    pub async fn totp(&self, identity: &str) -> Result<Option<Genuine<TotpRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Totp>("SELECT * FROM totp WHERE identity = $1").bind(identity);
            Ok(query.fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// Counts a wrong code, if so far there were as many as the caller saw: from now on there are `counted`. `false`: somebody else
    /// guessed in between.
    pub async fn count_guess(
        &self,
        identity: &str,
        seen: i64,
        counted: i64,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let Some(mut row) = write.totp_to_change(identity).await? else { return Ok(false) };
        if row.failures != seen {
            return Ok(false);
        }
        row.failures = counted;
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
        // It was counted as a guess before it was looked at. Those of others stay: they fade.
        row.failures = row.failures.saturating_sub(1).max(0);
        write.put_totp(&row).await?;
        write.commit().await?;
        Ok(true)
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
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

    /// Takes the authenticator away, the recovery codes that stand in for it, and what it proved. `false`: there is none.
    pub async fn remove_totp(&mut self, identity: &str, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM totp WHERE identity = $1").bind(identity).execute(&mut **self).await?;
        if gone.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM recovery_codes WHERE identity = $1").bind(identity).execute(&mut **self).await?;
        self.revoke_leases(Some(identity), None, by, at).await?;
        Ok(true)
    }

    /// The authenticator's row, where it is genuine, for nobody else to change meanwhile.
    pub(super) async fn totp_to_change(&mut self, identity: &str) -> Result<Option<Totp>, StoreError> {
        self.row_mac().await?;
        let query = sqlx::query_as::<_, Totp>("SELECT * FROM totp WHERE identity = $1").bind(identity);
        let Some(row) = query.fetch_optional(&mut **self).await? else { return Ok(None) };
        Ok(self.fault_of(&row).await?.is_none().then_some(row))
    }

    pub(super) async fn put_totp(&mut self, row: &Totp) -> Result<(), StoreError> {
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
pub(super) struct Totp {
    identity: String,
    sealed_seed: Vec<u8>,
    algorithm: String,
    digits: i64,
    period: i64,
    last_step: i64,
    pub(super) failures: i64,
    pub(super) failed_at: Option<i64>,
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
