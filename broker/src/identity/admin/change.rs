//! What may change of somebody who is here already: what they were added with.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sallyport_policy::IdentityId;

use super::{Admin, AdminError, missing};
use crate::audit::AuditEvent;
use crate::store::identities::{NewIdentity, shown_groups};

/// What changes of an identity; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct IdentityChange {
    /// The name for people.
    pub display_name: Option<String>,
    /// The groups, in place of all before.
    pub groups: Option<BTreeSet<String>>,
    /// When it ends by itself; `Some(None)` for never.
    pub valid_until: Option<Option<Timestamp>>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Each thing that is otherwise now, from what to what, as the record has it.
    pub changes: Vec<String>,
    /// How many leases ended with it.
    pub leases: usize,
}

impl Admin {
    /// Changes somebody, each thing with its entry on the record. A bound that has passed takes their leases along, and every broker ends
    /// their sessions.
    pub async fn set(
        &self,
        identity: &IdentityId,
        change: &IdentityChange,
        now: Timestamp,
    ) -> Result<Changed, AdminError> {
        let mut write = self.store.begin_write().await?;
        write.lock(IDENTITIES).await?;
        let before = write.identity_as_added(identity.as_str()).await?;
        let before = before.ok_or_else(|| missing(identity))?;
        let after = NewIdentity {
            id: before.id.clone(),
            display_name: change.display_name.clone().unwrap_or_else(|| before.display_name.clone()),
            member_of: change.groups.clone().unwrap_or_else(|| before.member_of.clone()),
            valid_until: change.valid_until.unwrap_or(before.valid_until),
        };
        let changes = differences(&before, &after);
        let event =
            |change: &String| AuditEvent::IdentityChanged { identity: before.id.clone(), change: change.clone() };
        let Some((last, others)) = changes.split_last() else { return Ok(Changed { changes, leases: 0 }) };
        // The row goes with the last entry about it, and is looked at before there is one.
        let entry = self.audit.prepare(&event(last))?;
        write.set_identity(&after, now, entry.id()).await?;
        for change in others {
            self.audit.record_in(&mut write, event(change)).await?;
        }
        let ended = after.valid_until.is_some_and(|until| until <= now);
        let leases = match ended {
            true => write.revoke_leases(Some(identity.as_str()), None, &self.by, now).await?,
            false => Vec::new(),
        };
        for lease in &leases {
            let event = AuditEvent::LeaseRevoked { identity: lease.identity.clone(), lease: lease.id.clone() };
            self.audit.record_in(&mut write, event).await?;
        }
        self.finish(write, entry).await?;
        Ok(Changed { leases: leases.len(), changes })
    }
}

/// What the chain's own reader takes apart again begins with `groups: ` (`store/witness.rs`): each thing is an entry of its own.
fn differences(before: &NewIdentity, after: &NewIdentity) -> Vec<String> {
    let until = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let mut changes = Vec::new();
    if before.display_name != after.display_name {
        changes.push(format!("display name: `{}` -> `{}`", before.display_name, after.display_name));
    }
    if before.member_of != after.member_of {
        changes.push(format!("groups: {} -> {}", shown_groups(&before.member_of), shown_groups(&after.member_of)));
    }
    if before.valid_until != after.valid_until {
        changes.push(format!("valid until: {} -> {}", until(before.valid_until), until(after.valid_until)));
    }
    changes
}

/// What is locked while names of people are looked at and given.
pub(super) const IDENTITIES: &str = "identities";
