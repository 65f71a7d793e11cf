//! Invitations: a link that lets somebody enrol their first factor of the portal, once.

use jiff::Timestamp;
use sqlx::FromRow;

use super::genuine::Stored;
use super::witness::{INVITATION, Witness};
use super::{Genuine, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

/// An invitation that was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// SHA-256 of what the link holds, in hex.
    pub hash: String,
    /// Who is invited.
    pub identity: String,
    /// By whom.
    pub made_by: String,
    /// Since when.
    pub made_at: Timestamp,
    /// The first moment at which it counts no more.
    pub expires_at: Timestamp,
}

/// How the audit chain names an invitation.
#[must_use]
pub fn chain_name(hash: &str) -> String {
    format!("{INVITATION}{hash}")
}

impl Store {
    /// An invitation that was not used and whose time is not over.
    pub async fn invitation(&self, hash: &str, now: Timestamp) -> Result<Option<Genuine<InvitationRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM invitations WHERE hash = $1 AND used_at IS NULL");
            Ok(query.bind(hash).fetch_optional(self.reader()?).await?)
        };
        let found: Option<Genuine<InvitationRow>> = self.genuine(read).await?;
        Ok(found.filter(|found| found.made_at <= now && now < found.expires_at))
    }
}

/// What gives takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// Enters an invitation, in place of any before of the same identity.
    pub async fn invite(&mut self, new: &InvitationRow, entry: &str) -> Result<(), StoreError> {
        self.require_identity(&new.identity).await?;
        let mac = self.row_mac().await?;
        self.withdraw_invitations(&new.identity, new.made_at).await?;
        let row = Row {
            hash: new.hash.clone(),
            identity: new.identity.clone(),
            made_by: new.made_by.clone(),
            made_at: micros(new.made_at),
            expires_at: micros(new.expires_at),
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO invitations (hash, identity, made_by, made_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&row.hash)
        .bind(&row.identity)
        .bind(&row.made_by)
        .bind(row.made_at)
        .bind(row.expires_at)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Spends an invitation. `false`: it was spent, its time is over, or it is not genuine.
    pub async fn spend_invitation(&mut self, hash: &str, identity: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.row_mac().await?;
        let row: Option<Row> = sqlx::query_as("SELECT * FROM invitations WHERE hash = $1 AND used_at IS NULL")
            .bind(hash)
            .fetch_optional(&mut **self)
            .await?;
        let Some(row) = row else { return Ok(false) };
        if self.fault_of(&row).await?.is_some() || row.identity != identity || micros(now) >= row.expires_at {
            return Ok(false);
        }
        sqlx::query("UPDATE invitations SET used_at = $2, mac = NULL WHERE hash = $1")
            .bind(hash)
            .bind(micros(now))
            .execute(&mut **self)
            .await?;
        Ok(true)
    }

    /// No invitation counts any more, whoever it is for; says how many there were.
    pub async fn withdraw_all_invitations(&mut self, at: Timestamp) -> Result<u64, StoreError> {
        let query = sqlx::query("UPDATE invitations SET used_at = $1, mac = NULL WHERE used_at IS NULL");
        Ok(query.bind(micros(at)).execute(&mut **self).await?.rows_affected())
    }

    /// Whatever invitations of an identity are open count no more.
    pub(super) async fn withdraw_invitations(&mut self, identity: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE invitations SET used_at = $2, mac = NULL WHERE identity = $1 AND used_at IS NULL")
            .bind(identity)
            .bind(micros(at))
            .execute(&mut **self)
            .await?;
        Ok(())
    }
}

#[derive(FromRow)]
pub(super) struct Row {
    hash: String,
    identity: String,
    made_by: String,
    made_at: i64,
    expires_at: i64,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "invitations";
    const ALL: &'static str = "SELECT * FROM invitations WHERE used_at IS NULL";
    const SET: &'static str = "UPDATE invitations SET event = $1, mac = $2 WHERE hash = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.hash.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.identity)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.hash)
            .text(&self.identity)
            .text(&self.made_by)
            .number(self.made_at)
            .number(self.expires_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    /// The last invitation of its identity, and not used: both are told by the chain.
    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_about(&chain_name(&self.hash), self.event())
    }

    /// There are none from before there were MACs.
    fn adopt(&mut self, _witness: &Witness) -> bool {
        false
    }
}

impl TryFrom<Row> for InvitationRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            made_at: timestamp(Row::TABLE, row.made_at)?,
            expires_at: timestamp(Row::TABLE, row.expires_at)?,
            hash: row.hash,
            identity: row.identity,
            made_by: row.made_by,
        })
    }
}
