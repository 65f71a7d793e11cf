//! How a person and their factors are shown.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{CliError, NOT_GENUINE, Row};
use crate::store::factors::KeyRow;
use crate::store::identities::{IdentityRow, State};
use crate::store::{Listed, Store};

/// With their factors and leases.
pub(super) async fn view(store: &Store, row: Listed<IdentityRow>, now: Timestamp) -> Result<View, CliError> {
    let (row, fault) = row.into_parts();
    let keys = store.keys(&row.id).await.map_err(CliError::failed)?;
    let passkeys = store.passkeys(&row.id).await.map_err(CliError::failed)?;
    let totp = store.totp(&row.id).await.map_err(CliError::failed)?;
    let left = store.recovery_codes_left(&row.id).await.map_err(CliError::failed)?;
    let leases = store.leases(Some(&row.id), false, now).await.map_err(CliError::failed)?;
    let shown = |key: Listed<KeyRow>| {
        let (key, fault) = key.into_parts();
        if fault.is_none() { Some(KeyView::from(key)) } else { None }
    };
    let expired = row.state == State::Active && row.valid_until.is_some_and(|at| at <= now);
    Ok(View {
        state: match fault {
            Some(_) => NOT_GENUINE,
            None if expired => "expired",
            None => row.state.as_str(),
        },
        id: row.id,
        display_name: row.display_name,
        state_reason: row.state_reason,
        groups: row.member_of,
        password: row.password_hash.is_some(),
        keys: keys.into_iter().filter_map(shown).collect(),
        passkeys: passkeys.into_iter().filter_map(Listed::genuine).count(),
        totp_enrolled_at: totp.as_ref().map(|totp| totp.enrolled_at),
        wrong_codes: totp.as_ref().map_or(0, |totp| totp.failures),
        recovery_codes_left: left,
        leases: leases.into_iter().filter_map(Listed::genuine).count(),
        valid_until: row.valid_until,
        created_at: row.created_at,
    })
}

#[derive(Serialize)]
pub(super) struct View {
    id: String,
    display_name: String,
    state: &'static str,
    state_reason: String,
    groups: BTreeSet<String>,
    password: bool,
    keys: Vec<KeyView>,
    passkeys: usize,
    totp_enrolled_at: Option<Timestamp>,
    wrong_codes: i64,
    recovery_codes_left: usize,
    leases: usize,
    valid_until: Option<Timestamp>,
    created_at: Timestamp,
}

/// The same, with room for everything.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Detail(pub(super) View);

#[derive(Serialize)]
pub(super) struct KeyView {
    pub(super) fingerprint: String,
    pub(super) kind: String,
    pub(super) public_key: String,
    pub(super) added_at: Timestamp,
}

impl View {
    fn factors(&self) -> String {
        let mut factors = Vec::new();
        if self.password {
            factors.push("password".to_owned());
        }
        if !self.keys.is_empty() {
            factors.push(format!("{} key{}", self.keys.len(), if self.keys.len() == 1 { "" } else { "s" }));
        }
        if self.passkeys > 0 {
            factors.push(format!("{} passkey{}", self.passkeys, if self.passkeys == 1 { "" } else { "s" }));
        }
        if self.totp_enrolled_at.is_some() {
            factors.push("totp".to_owned());
        }
        if self.recovery_codes_left > 0 {
            factors.push(format!("{} recovery codes", self.recovery_codes_left));
        }
        factors.join(", ")
    }

    fn groups(&self) -> String {
        self.groups.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    fn until(&self) -> String {
        self.valid_until.map(|at| format!("{at:.0}")).unwrap_or_default()
    }
}

impl Row for View {
    const COLUMNS: &'static [&'static str] = &["name", "display name", "state", "groups", "factors", "valid until"];

    fn cells(&self) -> Vec<String> {
        let state = self.state.to_owned();
        vec![self.id.clone(), self.display_name.clone(), state, self.groups(), self.factors(), self.until()]
    }
}

impl Row for Detail {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "display name",
        "state",
        "reason",
        "groups",
        "factors",
        "keys",
        "wrong codes",
        "leases",
        "valid until",
        "created",
    ];

    fn cells(&self) -> Vec<String> {
        let view = &self.0;
        let keys: Vec<_> = view.keys.iter().map(|key| format!("{} ({})", key.fingerprint, key.kind)).collect();
        vec![
            view.id.clone(),
            view.display_name.clone(),
            view.state.to_owned(),
            view.state_reason.clone(),
            view.groups(),
            view.factors(),
            keys.join(", "),
            view.wrong_codes.to_string(),
            view.leases.to_string(),
            view.until(),
            format!("{:.0}", view.created_at),
        ]
    }
}

impl Row for KeyView {
    const COLUMNS: &'static [&'static str] = &["fingerprint", "kind", "public key", "added"];

    fn cells(&self) -> Vec<String> {
        vec![self.fingerprint.clone(), self.kind.clone(), self.public_key.clone(), format!("{:.0}", self.added_at)]
    }
}

impl From<KeyRow> for KeyView {
    fn from(row: KeyRow) -> Self {
        Self {
            fingerprint: row.fingerprint,
            kind: row.kind.to_string(),
            public_key: row.public_key,
            added_at: row.added_at,
        }
    }
}
