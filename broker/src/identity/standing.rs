//! Whether an identity may be here at all. Read again for live sessions whenever the store changes.

use jiff::Timestamp;
use sallyport_policy::{IdentityId, Subject};

use super::{Identities, Refused};
use crate::store::identities::{IdentityRow, State};
use crate::store::{Genuine, StoreError};

/// How an identity stands now.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May be here, as this subject of the policy, and until then where an end is set.
    Active {
        /// The identity and its groups.
        subject: Subject,
        /// When it ends by itself.
        valid_until: Option<Timestamp>,
    },
    /// Locked by an administrator.
    Locked {
        /// What the administrator wrote.
        reason: String,
    },
    /// Removed for good.
    Removed,
    /// Its time is over.
    Expired {
        /// Since when.
        at: Timestamp,
    },
    /// There is no such identity.
    Unknown,
}

impl Identities {
    /// How an identity stands at `now`.
    pub async fn standing(&self, identity: &IdentityId, now: Timestamp) -> Result<Standing, StoreError> {
        let row = self.inner.store.identity(identity.as_str()).await?;
        Ok(row.map_or(Standing::Unknown, |row| Standing::of(identity, row, now)))
    }

    /// How everybody stands at `now`: one read for all live sessions.
    pub async fn standings(&self, now: Timestamp) -> Result<Vec<(IdentityId, Standing)>, StoreError> {
        let rows = self.inner.store.identities().await?;
        let standings = rows.into_iter().filter_map(|row| {
            let row = row.genuine()?;
            let identity = IdentityId::try_from(row.id.as_str()).ok()?;
            let standing = Standing::of(&identity, row, now);
            Some((identity, standing))
        });
        Ok(standings.collect())
    }
}

impl Standing {
    pub(crate) fn of(identity: &IdentityId, row: Genuine<IdentityRow>, now: Timestamp) -> Self {
        let row = row.into_inner();
        match (row.state, row.valid_until) {
            (State::Removed, _) => Self::Removed,
            (State::Locked, _) => Self::Locked { reason: row.state_reason },
            (State::Active, Some(at)) if at <= now => Self::Expired { at },
            (State::Active, valid_until) => {
                Self::Active { subject: Subject { identity: identity.clone(), groups: row.member_of }, valid_until }
            }
        }
    }

    /// The subject, or why there is none.
    pub(super) fn subject(self) -> Result<Subject, Refused> {
        match self {
            Self::Active { subject, .. } => Ok(subject),
            Self::Locked { reason } => Err(Refused::Locked { reason }),
            Self::Removed => Err(Refused::Removed),
            Self::Expired { at } => Err(Refused::Expired { at }),
            Self::Unknown => Err(Refused::Unknown),
        }
    }
}
