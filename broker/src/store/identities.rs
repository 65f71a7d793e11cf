//! People: one row each, kept for ever, so that a name in an old recording never means somebody else.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::FromRow;

use super::genuine::Stored;
pub use super::state::State;
use super::witness::{PASSWORD, Witness};
use super::{Genuine, Listed, Store, StoreError, Write, micros, timestamp};
use crate::vault::RowText;

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

impl Store {
    /// One identity, where its row is genuine.
    pub async fn identity(&self, id: &str) -> Result<Option<Genuine<IdentityRow>>, StoreError> {
        let read = || async {
            let query = sqlx::query_as::<_, Row>("SELECT * FROM identities WHERE id = $1").bind(id);
            Ok(query.fetch_optional(self.reader()?).await?)
        };
        self.genuine(read).await
    }

    /// Everybody, also who was removed, by name; also rows that are not genuine.
    pub async fn identities(&self) -> Result<Vec<Listed<IdentityRow>>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT * FROM identities").fetch_all(self.reader()?).await?;
        let mut rows: Vec<Listed<IdentityRow>> = self.listed(rows).await?;
        rows.sort_by(|one, other| one.row().id.cmp(&other.row().id));
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
        let Some(mut row) = write.identity_to_change(id).await? else { return Ok(false) };
        if row.password_hash.as_deref() != Some(old) || write.fault_of(&row).await?.is_some() {
            return Ok(false);
        }
        row.password_hash = Some(new.to_owned());
        row.changed_at = micros(at);
        write.put_identity(&row, true).await?;
        write.commit().await?;
        Ok(true)
    }
}

/// What changes takes the id of the audit entry that tells of it: the row goes with that entry.
impl Write {
    /// Adds somebody.
    pub async fn insert_identity(&mut self, new: &NewIdentity, at: Timestamp, entry: &str) -> Result<(), StoreError> {
        let mac = self.row_mac().await?;
        let row = Row {
            id: new.id.clone(),
            display_name: new.display_name.clone(),
            state: State::Active.as_str().to_owned(),
            state_reason: String::new(),
            member_of: groups_text(&new.member_of)?,
            password_hash: None,
            valid_until: new.valid_until.map(micros),
            created_at: micros(at),
            changed_at: micros(at),
            event: Some(entry.to_owned()),
            mac: None,
        };
        sqlx::query(
            "INSERT INTO identities (id, display_name, state, member_of, valid_until, created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6)",
        )
        .bind(&row.id)
        .bind(&row.display_name)
        .bind(&row.state)
        .bind(&row.member_of)
        .bind(row.valid_until)
        .bind(row.created_at)
        .execute(&mut **self)
        .await?;
        self.set_mac(&row, Some(mac.make(&row.text()))).await
    }

    /// Locks somebody, whatever their row holds, and takes their leases along. `false` when there is nobody of that name, or
    /// they were removed.
    pub async fn lock_identity(
        &mut self,
        id: &str,
        reason: &str,
        by: &str,
        at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let row = self.identity_to_change(id).await?.filter(|row| row.state != State::Removed.as_str());
        let Some(mut row) = row else { return Ok(false) };
        // A row that is not genuine stays so: with a MAC made now, what was written into it would count after the unlock.
        let genuine = self.fault_of(&row).await?.is_none();
        row.state = State::Locked.as_str().to_owned();
        row.state_reason = reason.to_owned();
        row.changed_at = micros(at);
        row.event = Some(entry.to_owned());
        self.put_identity(&row, genuine).await?;
        self.revoke_leases(Some(id), None, by, at).await?;
        Ok(true)
    }

    /// Unlocks. `false` when there is nobody of that name, or they were removed.
    pub async fn unlock_identity(&mut self, id: &str, at: Timestamp, entry: &str) -> Result<bool, StoreError> {
        let change = |row: &mut Row| {
            row.state = State::Active.as_str().to_owned();
            row.state_reason = String::new();
        };
        self.change_identity(id, at, entry, change).await
    }

    /// Removes somebody for good: every factor and lease goes, the row and its name stay.
    pub async fn remove_identity(
        &mut self,
        id: &str,
        by: &str,
        at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let row = self.identity_to_change(id).await?.filter(|row| row.state != State::Removed.as_str());
        let Some(mut row) = row else { return Ok(false) };
        row.state = State::Removed.as_str().to_owned();
        row.password_hash = None;
        row.changed_at = micros(at);
        row.event = Some(entry.to_owned());
        // Whatever it held: it says now that nobody of this name comes in.
        self.put_identity(&row, true).await?;
        sqlx::query("UPDATE identity_keys SET revoked_at = $2, mac = NULL WHERE identity = $1 AND revoked_at IS NULL")
            .bind(id)
            .bind(micros(at))
            .execute(&mut **self)
            .await?;
        self.remove_passkeys(id, at).await?;
        self.withdraw_invitations(id, at).await?;
        sqlx::query("DELETE FROM totp WHERE identity = $1").bind(id).execute(&mut **self).await?;
        sqlx::query("DELETE FROM recovery_codes WHERE identity = $1").bind(id).execute(&mut **self).await?;
        self.revoke_leases(Some(id), None, by, at).await?;
        Ok(true)
    }

    /// Sets the groups. `false` when there is nobody of that name.
    pub async fn set_identity_groups(
        &mut self,
        id: &str,
        groups: &BTreeSet<String>,
        at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let groups = groups_text(groups)?;
        self.change_identity(id, at, entry, |row| row.member_of = groups).await
    }

    /// What somebody was added with and what stands of it, for whoever changes it in this write. Nothing when there is nobody of that name, or
    /// they were removed.
    pub async fn identity_as_added(&mut self, id: &str) -> Result<Option<NewIdentity>, StoreError> {
        let row = self.identity_to_change(id).await?.filter(|row| row.state != State::Removed.as_str());
        let Some(row) = row else { return Ok(None) };
        self.require_genuine(&row).await?;
        let IdentityRow { id, display_name, member_of, valid_until, .. } = row.try_into()?;
        Ok(Some(NewIdentity { id, display_name, member_of, valid_until }))
    }

    /// Sets what somebody was added with. `false` when there is nobody of that name.
    pub async fn set_identity(&mut self, new: &NewIdentity, at: Timestamp, entry: &str) -> Result<bool, StoreError> {
        let groups = groups_text(&new.member_of)?;
        let change = |row: &mut Row| {
            row.display_name.clone_from(&new.display_name);
            row.member_of = groups;
            row.valid_until = new.valid_until.map(micros);
        };
        self.change_identity(&new.id, at, entry, change).await
    }

    /// Somebody, here or removed, whose name differs from this one only in upper and lower case.
    pub async fn identity_alike(&mut self, id: &str) -> Result<Option<String>, StoreError> {
        let alike: Option<(String,)> =
            sqlx::query_as("SELECT id FROM identities WHERE lower(id) = lower($1) AND id <> $1 ORDER BY id LIMIT 1")
                .bind(id)
                .fetch_optional(&mut **self)
                .await?;
        Ok(alike.map(|(id,)| id))
    }

    /// Sets or takes away the password, and revokes the leases that began with it.
    pub async fn set_password_hash(
        &mut self,
        id: &str,
        hash: Option<&str>,
        by: &str,
        at: Timestamp,
        entry: &str,
    ) -> Result<bool, StoreError> {
        let changed =
            self.change_identity(id, at, entry, |row| row.password_hash = hash.map(ToOwned::to_owned)).await?;
        self.revoke_leases(Some(id), Some(PASSWORD), by, at).await?;
        Ok(changed)
    }

    /// Whether this identity can be given something: it exists and was not removed.
    pub(super) async fn require_identity(&mut self, id: &str) -> Result<(), StoreError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT id FROM identities WHERE id = $1 AND state <> 'removed'")
            .bind(id)
            .fetch_optional(&mut **self)
            .await?;
        found.map(|_| ()).ok_or_else(|| StoreError::Missing { kind: "identity", key: id.to_owned() })
    }

    async fn change_identity(
        &mut self,
        id: &str,
        at: Timestamp,
        entry: &str,
        change: impl FnOnce(&mut Row),
    ) -> Result<bool, StoreError> {
        let row = self.identity_to_change(id).await?.filter(|row| row.state != State::Removed.as_str());
        let Some(mut row) = row else { return Ok(false) };
        self.require_genuine(&row).await?;
        change(&mut row);
        row.changed_at = micros(at);
        row.event = Some(entry.to_owned());
        self.put_identity(&row, true).await?;
        Ok(true)
    }

    async fn identity_to_change(&mut self, id: &str) -> Result<Option<Row>, StoreError> {
        self.row_mac().await?;
        let query = sqlx::query_as("SELECT * FROM identities WHERE id = $1").bind(id);
        Ok(query.fetch_optional(&mut **self).await?)
    }

    async fn put_identity(&mut self, row: &Row, genuine: bool) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE identities SET state = $2, state_reason = $3, member_of = $4, password_hash = $5, changed_at = $6,
                 display_name = $7, valid_until = $8 WHERE id = $1",
        )
        .bind(&row.id)
        .bind(&row.state)
        .bind(&row.state_reason)
        .bind(&row.member_of)
        .bind(&row.password_hash)
        .bind(row.changed_at)
        .bind(&row.display_name)
        .bind(row.valid_until)
        .execute(&mut **self)
        .await?;
        let mac = if genuine { Some(self.row_mac().await?.make(&row.text())) } else { None };
        self.set_mac(row, mac).await
    }
}

fn groups_text(groups: &BTreeSet<String>) -> Result<String, StoreError> {
    serde_json::to_string(groups).map_err(|error| StoreError::damaged("identities", error))
}

#[derive(FromRow)]
pub(super) struct Row {
    id: String,
    display_name: String,
    state: String,
    state_reason: String,
    member_of: String,
    password_hash: Option<String>,
    valid_until: Option<i64>,
    created_at: i64,
    changed_at: i64,
    event: Option<String>,
    mac: Option<Vec<u8>>,
}

impl Stored for Row {
    const TABLE: &'static str = "identities";
    const ALL: &'static str = "SELECT * FROM identities";
    const SET: &'static str = "UPDATE identities SET event = $1, mac = $2 WHERE id = $3 AND $4 = ''";

    fn key(&self) -> [String; 2] {
        [self.id.clone(), String::new()]
    }

    fn identity(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn text(&self) -> RowText {
        RowText::of(Self::TABLE)
            .text(&self.id)
            .text(&self.display_name)
            .text(&self.state)
            .text(&self.state_reason)
            .text(&self.member_of)
            .maybe_text(self.password_hash.as_deref())
            .maybe_number(self.valid_until)
            .number(self.created_at)
            .number(self.changed_at)
            .maybe_text(self.event.as_deref())
    }

    fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    fn mac(&self) -> Option<&[u8]> {
        self.mac.as_deref()
    }

    fn is_last(&self, witness: &Witness) -> bool {
        witness.last_of_person(self.event())
    }

    fn adopt(&mut self, witness: &Witness) -> bool {
        self.event = witness.person.clone();
        let groups = serde_json::from_str::<BTreeSet<String>>(&self.member_of);
        let groups = groups.map(|groups| shown_groups(&groups)).unwrap_or_default();
        witness.state.is_some_and(|state| state.as_str() == self.state)
            && groups == witness.groups
            && (self.password_hash.is_none() || witness.given(PASSWORD).is_some())
    }
}

/// Groups as events show them.
pub(crate) fn shown_groups(groups: &BTreeSet<String>) -> String {
    if groups.is_empty() {
        return "none".to_owned();
    }
    groups.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
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
