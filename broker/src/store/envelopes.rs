//! Envelopes: sealed codes for emergencies, as what their codes are checked against.

use jiff::Timestamp;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{ENVELOPE, Witness};
use super::{Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// Under which name the audit chain keeps what happens to envelopes and to whoever opens one. Nobody can be called so.
pub const GLASS: &str = "glass";

/// An envelope as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeRow {
    /// Its number, from 1.
    pub number: i64,
    /// The break-glass section that it opens.
    pub rule: String,
    /// Who keeps it, in words.
    pub holder: Option<String>,
    /// What its code is checked against.
    pub verifier: String,
    /// Who sealed it.
    pub sealed_by: String,
    /// When.
    pub sealed_at: Timestamp,
    /// The first moment at which it opens nothing more, if there is one.
    pub expires_at: Option<Timestamp>,
    /// When it was opened, and by which opening.
    pub opened: Option<(Timestamp, String)>,
    /// When it was revoked, and by whom.
    pub revoked: Option<(Timestamp, String)>,
}

impl EnvelopeRow {
    /// Does it open anything at this time?
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> bool {
        self.opened.is_none() && self.revoked.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// An envelope about to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnvelope {
    /// Its number: [`Write::next_envelope`].
    pub number: i64,
    /// The break-glass section that it opens.
    pub rule: String,
    /// Who keeps it, in words.
    pub holder: Option<String>,
    /// What its code is checked against.
    pub verifier: String,
    /// Who seals it.
    pub sealed_by: String,
    /// When.
    pub sealed_at: Timestamp,
    /// The first moment at which it opens nothing more, if there is one.
    pub expires_at: Option<Timestamp>,
}

/// What became of opening an envelope.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvelopeOpened {
    /// It was sealed, and is opened now.
    Now,
    /// This very opening has opened it before.
    BySame,
    /// Another opening has.
    Before {
        /// Which.
        opening: String,
    },
    /// It was revoked.
    Revoked,
    /// There is no such envelope, or its row is not as a broker wrote it.
    Unknown,
}

/// How the audit chain names an envelope.
#[must_use]
pub fn chain_name(number: i64) -> String {
    format!("{ENVELOPE}{number}")
}

impl Store {
    /// Every envelope, by number; those that could still open something carry what is wrong with them, if something is.
    pub async fn envelopes(&self) -> Result<Vec<Listed<EnvelopeRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM envelopes ORDER BY CAST(number AS BIGINT) LIMIT 10000")
            .fetch_all(self.reader()?)
            .await?;
        self.listed(rows).await
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// The number of the next envelope. Nobody else gets it while this write lasts.
    pub async fn next_envelope(&mut self) -> Result<i64, StoreError> {
        self.lock("envelopes").await?;
        let last: Option<i64> =
            sqlx::query_scalar("SELECT MAX(CAST(number AS BIGINT)) FROM envelopes").fetch_one(&mut **self).await?;
        Ok(last.unwrap_or(0) + 1)
    }

    /// Enters an envelope.
    pub async fn seal_envelope(&mut self, new: &NewEnvelope, entry: &str) -> Result<(), StoreError> {
        let mac = self.row_mac().await?;
        let row = Row {
            number: new.number.to_string(),
            rule: new.rule.clone(),
            holder: new.holder.clone(),
            verifier: new.verifier.clone(),
            sealed_by: new.sealed_by.clone(),
            sealed_at: micros(new.sealed_at),
            expires_at: new.expires_at.map(micros),
            opened_at: None,
            opening: None,
            revoked_at: None,
            revoked_by: None,
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO envelopes (number, rule, holder, verifier, sealed_by, sealed_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&row.number)
        .bind(&row.rule)
        .bind(&row.holder)
        .bind(&row.verifier)
        .bind(&row.sealed_by)
        .bind(row.sealed_at)
        .bind(row.expires_at)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Opens an envelope. Of two openings, on whichever brokers, one gets it.
    pub async fn open_envelope(
        &mut self,
        number: i64,
        opening: &str,
        at: Timestamp,
    ) -> Result<EnvelopeOpened, StoreError> {
        self.row_mac().await?;
        let row: Option<Row> = self.envelope(number).await?;
        let Some(row) = row else { return Ok(EnvelopeOpened::Unknown) };
        match &row.opening {
            Some(before) if before == opening => return Ok(EnvelopeOpened::BySame),
            Some(before) => return Ok(EnvelopeOpened::Before { opening: before.clone() }),
            None => {}
        }
        if row.revoked_at.is_some() {
            return Ok(EnvelopeOpened::Revoked);
        }
        if let Some(fault) = self.fault_of(&row).await? {
            self.store.report(&row, fault);
            return Ok(EnvelopeOpened::Unknown);
        }
        self.set_opened(number, opening, at).await?;
        Ok(EnvelopeOpened::Now)
    }

    /// Enters that an envelope was opened while the database was away, whatever else became of it meanwhile.
    pub async fn envelope_was_opened(
        &mut self,
        number: i64,
        opening: &str,
        at: Timestamp,
    ) -> Result<EnvelopeOpened, StoreError> {
        self.lock("envelopes").await?;
        let Some(row) = self.envelope(number).await? else { return Ok(EnvelopeOpened::Unknown) };
        match row.opening {
            Some(before) if before == opening => return Ok(EnvelopeOpened::BySame),
            Some(opening) => return Ok(EnvelopeOpened::Before { opening }),
            None => {}
        }
        self.set_opened(number, opening, at).await?;
        Ok(if row.revoked_at.is_some() { EnvelopeOpened::Revoked } else { EnvelopeOpened::Now })
    }

    /// Revokes an envelope. `false`: it was opened or revoked before, or there is none.
    pub async fn revoke_envelope(&mut self, number: i64, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE envelopes SET revoked_at = $2, revoked_by = $3, mac = NULL
             WHERE number = $1 AND revoked_at IS NULL AND opened_at IS NULL",
        )
        .bind(number.to_string())
        .bind(micros(at))
        .bind(by)
        .execute(&mut **self)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets when an envelope opens nothing more. `false`: it was opened or revoked before, or there is none that is genuine.
    pub async fn expire_envelope(
        &mut self,
        number: i64,
        expires_at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let mac = self.row_mac().await?;
        let Some(mut row) = self.envelope(number).await? else { return Ok(false) };
        if row.opening.is_some() || row.revoked_at.is_some() {
            return Ok(false);
        }
        self.require_genuine(&row).await?;
        (row.expires_at, row.event) = (Some(micros(expires_at)), Some(entry.to_owned()));
        sqlx::query("UPDATE envelopes SET expires_at = $2 WHERE number = $1")
            .bind(&row.number)
            .bind(row.expires_at)
            .execute(&mut **self)
            .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await?;
        Ok(true)
    }

    async fn envelope(&mut self, number: i64) -> Result<Option<Row>, StoreError> {
        let query = sqlx::query_as("SELECT * FROM envelopes WHERE number = $1");
        Ok(query.bind(number.to_string()).fetch_optional(&mut **self).await?)
    }

    async fn set_opened(&mut self, number: i64, opening: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE envelopes SET opened_at = $2, opening = $3, mac = NULL WHERE number = $1")
            .bind(number.to_string())
            .bind(micros(at))
            .bind(opening)
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    number: String,
    rule: String,
    holder: Option<String>,
    verifier: String,
    sealed_by: String,
    sealed_at: i64,
    expires_at: Option<i64>,
    opened_at: Option<i64>,
    opening: Option<String>,
    revoked_at: Option<i64>,
    revoked_by: Option<String>,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "envelopes";
    const ALL: &'static str = "SELECT * FROM envelopes WHERE opened_at IS NULL AND revoked_at IS NULL";
    const SET: &'static str = "UPDATE envelopes SET event = $1, mac = $2 WHERE number = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.number.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(GLASS)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.number)
            .text(&self.rule)
            .maybe_text(self.holder.as_deref())
            .text(&self.verifier)
            .text(&self.sealed_by)
            .number(self.sealed_at)
            .maybe_number(self.expires_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    /// Sealed or given another end by the entry it goes with, and neither opened nor revoked since: all is told by the chain.
    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(&format!("{ENVELOPE}{}", self.number), self.event())
    }

    fn counts(&self) -> bool {
        self.opened_at.is_none() && self.revoked_at.is_none()
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Row> for EnvelopeRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = |micros: i64| timestamp(Row::TABLE, micros);
        Ok(Self {
            number: row.number.parse().map_err(|error| StoreError::damaged(Row::TABLE, error))?,
            rule: row.rule,
            holder: row.holder,
            verifier: row.verifier,
            sealed_by: row.sealed_by,
            sealed_at: at(row.sealed_at)?,
            expires_at: row.expires_at.map(at).transpose()?,
            opened: row
                .opened_at
                .map(|opened| Ok::<_, StoreError>((at(opened)?, row.opening.unwrap_or_default())))
                .transpose()?,
            revoked: row
                .revoked_at
                .map(|revoked| Ok::<_, StoreError>((at(revoked)?, row.revoked_by.unwrap_or_default())))
                .transpose()?,
        })
    }
}
