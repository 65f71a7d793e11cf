//! People: one row each, kept for ever, so that a name in an old recording never means somebody else.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::FromRow;

use super::{Store, StoreError, Write, micros, timestamp};

/// Whether somebody may be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They may.
    Active,
    /// Not now.
    Locked,
    /// Never again.
    Removed,
}

/// An identity as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// The name at login.
    pub id: String,
    /// The name for people.
    pub display_name: String,
    /// Whether they may be here.
    pub state: State,
    /// Why not, where they may not.
    pub state_reason: String,
    /// Groups, for roles and forbids.
    pub member_of: BTreeSet<String>,
    /// argon2id, as a PHC string.
    pub password_hash: Option<String>,
    /// When it ends by itself.
    pub valid_until: Option<Timestamp>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
}

/// Somebody new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentity {
    /// The name at login.
    pub id: String,
    /// The name for people.
    pub display_name: String,
    /// Groups, for roles and forbids.
    pub member_of: BTreeSet<String>,
    /// When it ends by itself.
    pub valid_until: Option<Timestamp>,
}

impl State {
    /// The word in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Removed => "removed",
        }
    }
}

impl Store {
    /// One identity.
    pub async fn identity(&self, id: &str) -> Result<Option<IdentityRow>, StoreError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT * FROM identities WHERE id = $1").bind(id).fetch_optional(self.reader()?).await?;
        row.map(IdentityRow::try_from).transpose()
    }

    /// Everybody, also who was removed, by name.
    pub async fn identities(&self) -> Result<Vec<IdentityRow>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM identities").fetch_all(self.reader()?).await?;
        let mut rows = rows.into_iter().map(IdentityRow::try_from).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(rows)
    }

    /// The same password under newer parameters: only while the old hash stands.
    pub async fn replace_password_hash(
        &self,
        id: &str,
        old: &str,
        new: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin_quiet_write().await?;
        let done = sqlx::query(
            "UPDATE identities SET password_hash = $3, changed_at = $4 WHERE id = $1 AND password_hash = $2",
        )
        .bind(id)
        .bind(old)
        .bind(new)
        .bind(micros(at))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Write {
    /// Adds somebody.
    pub async fn insert_identity(&mut self, new: &NewIdentity, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO identities (id, display_name, state, member_of, valid_until, created_at, changed_at)
             VALUES ($1, $2, 'active', $3, $4, $5, $5)",
        )
        .bind(&new.id)
        .bind(&new.display_name)
        .bind(groups_text(&new.member_of)?)
        .bind(new.valid_until.map(micros))
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        Ok(())
    }

    /// Locks or unlocks. `false` when there is nobody of that name, or they were removed. A lock takes the leases along.
    pub async fn set_identity_state(
        &mut self,
        id: &str,
        locked: Option<&str>,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let state = if locked.is_some() { State::Locked } else { State::Active };
        let done = sqlx::query(
            "UPDATE identities SET state = $2, state_reason = $3, changed_at = $4 WHERE id = $1 AND state <> 'removed'",
        )
        .bind(id)
        .bind(state.as_str())
        .bind(locked.unwrap_or_default())
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        if locked.is_some() {
            self.revoke_leases(Some(id), None, by, at).await?;
        }
        Ok(done.rows_affected() == 1)
    }

    /// Removes somebody for good: every factor and lease goes, the row and its name stay.
    pub async fn remove_identity(&mut self, id: &str, by: &str, at: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE identities SET state = 'removed', password_hash = NULL, changed_at = $2 WHERE id = $1 AND state <> 'removed'",
        )
        .bind(id)
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        sqlx::query("UPDATE identity_keys SET revoked_at = $2 WHERE identity = $1 AND revoked_at IS NULL")
            .bind(id)
            .bind(micros(at))
            .execute(&mut **self)
            .await?;
        sqlx::query("DELETE FROM totp WHERE identity = $1").bind(id).execute(&mut **self).await?;
        sqlx::query("DELETE FROM recovery_codes WHERE identity = $1").bind(id).execute(&mut **self).await?;
        self.revoke_leases(Some(id), None, by, at).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets the groups. `false` when there is nobody of that name.
    pub async fn set_identity_groups(
        &mut self,
        id: &str,
        groups: &BTreeSet<String>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE identities SET member_of = $2, changed_at = $3 WHERE id = $1 AND state <> 'removed'")
                .bind(id)
                .bind(groups_text(groups)?)
                .bind(micros(at))
                .execute(&mut **self)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Sets or takes away the password, and revokes the leases that began with it.
    pub async fn set_password_hash(
        &mut self,
        id: &str,
        hash: Option<&str>,
        by: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE identities SET password_hash = $2, changed_at = $3 WHERE id = $1 AND state <> 'removed'",
        )
        .bind(id)
        .bind(hash)
        .bind(micros(at))
        .execute(&mut **self)
        .await?;
        self.revoke_leases(Some(id), Some("password"), by, at).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether this identity can be given something: it exists and was not removed.
    pub(super) async fn require_identity(&mut self, id: &str) -> Result<(), StoreError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT id FROM identities WHERE id = $1 AND state <> 'removed'")
            .bind(id)
            .fetch_optional(&mut **self)
            .await?;
        found.map(|_| ()).ok_or_else(|| StoreError::Missing { kind: "identity", key: id.to_owned() })
    }
}

fn groups_text(groups: &BTreeSet<String>) -> Result<String, StoreError> {
    serde_json::to_string(groups).map_err(|error| StoreError::damaged("identities", error))
}

#[derive(FromRow)]
struct Row {
    id: String,
    display_name: String,
    state: String,
    state_reason: String,
    member_of: String,
    password_hash: Option<String>,
    valid_until: Option<i64>,
    created_at: i64,
    changed_at: i64,
}

impl TryFrom<Row> for IdentityRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |micros| timestamp("identities", micros);
        let state =
            [State::Active, State::Locked, State::Removed].into_iter().find(|state| state.as_str() == row.state);
        Ok(Self {
            state: state.ok_or_else(|| StoreError::damaged("identities", format!("state `{}`", row.state)))?,
            member_of: serde_json::from_str(&row.member_of)
                .map_err(|error| StoreError::damaged("identities", error))?,
            valid_until: row.valid_until.map(time).transpose()?,
            created_at: time(row.created_at)?,
            changed_at: time(row.changed_at)?,
            id: row.id,
            display_name: row.display_name,
            state_reason: row.state_reason,
            password_hash: row.password_hash,
        })
    }
}
