//! Whom `policy explain` is asked about, as the gate would find them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_policy::{IdentityId, nearest};
use serde::Serialize;

use super::{CliError, Context};
use crate::identity::Standing;
use crate::store::Store;
use crate::store::identities::State;

/// Somebody who is asked about.
pub(super) struct Found {
    pub(super) person: Person,
    /// The groups that the database has them in.
    pub(super) groups: BTreeSet<String>,
}

/// How somebody stands at the moment that is asked about.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(super) enum Person {
    /// The gate goes on to ask the policy.
    Active,
    /// There is no broker's configuration here that says where people are kept.
    NotLookedUp,
    /// They are refused, whatever is granted.
    #[serde(untagged)]
    Barred(Barred),
}

/// Why the gate refuses somebody before it asks the policy.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Barred {
    /// `locked`, `removed`, `expired` or `unknown`.
    pub(super) state: &'static str,
    /// The whole reason.
    pub(super) says: String,
}

/// Looks somebody up. Plant files that were `given` can be asked about where there is no broker, and so nobody is known.
pub(super) async fn look_up(
    identity: &IdentityId,
    at: Timestamp,
    given: bool,
    context: &Context,
) -> Result<Found, CliError> {
    if given && context.config().is_err() {
        return Ok(Found { person: Person::NotLookedUp, groups: BTreeSet::new() });
    }
    let store = context.rows().await?;
    let Some(row) = store.identity(identity.as_str()).await.map_err(CliError::failed)? else {
        let says = no_such(identity.as_str(), store).await?;
        let person = Person::Barred(Barred { state: "unknown", says });
        return Ok(Found { person, groups: BTreeSet::new() });
    };
    let groups = row.member_of.clone();
    let barred = |state, says| Person::Barred(Barred { state, says });
    let person = match Standing::of(identity, row, at) {
        Standing::Active { .. } => Person::Active,
        Standing::Locked { reason } if reason.is_empty() => barred("locked", format!("`{identity}` is locked")),
        Standing::Locked { reason } => barred("locked", format!("`{identity}` is locked: {reason}")),
        Standing::Removed => barred("removed", format!("`{identity}` was removed, and nobody is called so again")),
        Standing::Expired { at } => barred("expired", format!("`{identity}` expired at {at}")),
        Standing::Unknown => barred("unknown", no_such(identity.as_str(), store).await?),
    };
    Ok(Found { person, groups })
}

/// That there is nobody of this name, and who was probably meant.
pub(super) async fn no_such(name: &str, store: &Store) -> Result<String, CliError> {
    let rows = store.identities().await.map_err(CliError::failed)?;
    let here = rows.iter().map(|listed| listed.row()).filter(|row| row.state != State::Removed);
    let meant = nearest(name, here.map(|row| row.id.as_str()));
    let hint = meant.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Ok(format!("there is no identity `{name}`{hint}"))
}
