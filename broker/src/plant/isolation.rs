//! The kill switch: a zone that nobody may reach. One person isolates it; two lift that.

use jiff::{SignedDuration, Timestamp};
use sallyport_policy::ZoneId;

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::isolations::{Isolation, LiftRow, Standing};
use crate::store::{Store, StoreError};

/// From a proposal to its confirmation, at most.
pub const TO_CONFIRM: SignedDuration = SignedDuration::from_hours(1);

/// What somebody wants of a zone.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// Which zone.
    pub zone: &'a ZoneId,
    /// Why.
    pub reason: &'a str,
    /// Who, as the audit names them.
    pub by: &'a str,
    /// When.
    pub at: Timestamp,
}

/// What came of a wish to lift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lifting {
    /// Another person has to confirm it by then.
    Proposed {
        /// The first moment that is too late.
        until: Timestamp,
    },
    /// The zone is isolated no more.
    Lifted,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// There is nothing to lift.
    #[error("zone `{0}` is not isolated; see `sallyport zone list`")]
    NotIsolated(ZoneId),
    /// One person twice.
    #[error("it was you who proposed to lift it: another person confirms that, until {until:.0}")]
    SamePerson {
        /// The first moment that is too late.
        until: Timestamp,
    },
    /// Somebody else has proposed or lifted it meanwhile.
    #[error(
        "somebody else changed what is proposed for zone `{0}` in the meantime; see `sallyport zone list`, and try again"
    )]
    Overtaken(ZoneId),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event could not be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Isolates a zone, on the record: every broker acts on it at once. One that is isolated already is so once more, and both are lifted
/// together.
///
/// # Errors
/// Nothing has changed then.
pub async fn isolate(store: &Store, audit: &Audit, wish: Wish<'_>) -> Result<Isolation, IsolationError> {
    let isolation = Isolation {
        id: ulid::Ulid::generate().to_string().to_lowercase(),
        zone: wish.zone.to_string(),
        at: wish.at,
        by: wish.by.to_owned(),
        reason: wish.reason.to_owned(),
    };
    let event = AuditEvent::ZoneIsolated {
        isolation: isolation.id.clone(),
        zone: isolation.zone.clone(),
        reason: isolation.reason.clone(),
    };
    let mut write = store.begin_write().await?;
    write.isolate(&isolation).await?;
    audit.record_in(&mut write, event).await?;
    write.commit().await?;
    Ok(isolation)
}

/// Proposes that a zone be isolated no more, or confirms what another person has proposed.
///
/// # Errors
/// Nothing has changed then.
pub async fn lift(store: &Store, audit: &Audit, wish: Wish<'_>) -> Result<Lifting, IsolationError> {
    let mut standing = store.isolations().await?;
    standing.retain(|standing| standing.isolation.zone == wish.zone.as_str());
    // As many as stand, or none: of what is proposed for some of them alone, nothing is confirmed.
    let open: Option<Vec<&LiftRow>> = standing.iter().map(|standing| open_proposal(standing, wish.at)).collect();
    match open.as_deref() {
        Some([]) => Err(IsolationError::NotIsolated(wish.zone.clone())),
        Some(proposals) => match proposals.iter().find(|row| person_of(&row.proposed_by) == person_of(wish.by)) {
            Some(mine) => Err(IsolationError::SamePerson { until: until(mine) }),
            None => confirm(store, audit, proposals, wish).await,
        },
        None => propose(store, audit, &standing, wish).await,
    }
}

/// A proposal that can still be confirmed. One from the future is a clock that went back, and counts for nothing.
fn open_proposal(standing: &Standing, now: Timestamp) -> Option<&LiftRow> {
    standing.proposed.as_ref().filter(|proposal| proposal.proposed_at <= now && now < until(proposal))
}

fn until(proposal: &LiftRow) -> Timestamp {
    proposal.proposed_at.saturating_add(TO_CONFIRM).unwrap_or(proposal.proposed_at)
}

/// Whoever is behind a name of the audit: `root (sudo alice)` is alice, as she is without sudo.
pub(crate) fn person_of(name: &str) -> &str {
    let through_sudo = name.strip_suffix(')').and_then(|name| name.split_once(" (sudo "));
    through_sudo.map_or(name, |(_, person)| person)
}

async fn propose(
    store: &Store,
    audit: &Audit,
    standing: &[Standing],
    wish: Wish<'_>,
) -> Result<Lifting, IsolationError> {
    let mut write = store.begin_write().await?;
    for Standing { isolation, .. } in standing {
        let lift = LiftRow {
            isolation: isolation.id.clone(),
            zone: isolation.zone.clone(),
            proposed_at: wish.at,
            proposed_by: wish.by.to_owned(),
            proposed_for: wish.reason.to_owned(),
            lifted_at: None,
        };
        let event = AuditEvent::ZoneLiftProposed {
            isolation: lift.isolation.clone(),
            zone: lift.zone.clone(),
            reason: wish.reason.to_owned(),
        };
        let entry = audit.prepare(&event)?;
        write.propose_lift(&lift, entry.id()).await?;
        audit.record_prepared_in(&mut write, entry).await?;
    }
    write.commit().await?;
    Ok(Lifting::Proposed { until: wish.at.saturating_add(TO_CONFIRM).unwrap_or(wish.at) })
}

async fn confirm(
    store: &Store,
    audit: &Audit,
    proposals: &[&LiftRow],
    wish: Wish<'_>,
) -> Result<Lifting, IsolationError> {
    let mut write = store.begin_write().await?;
    for proposal in proposals {
        let event = AuditEvent::ZoneLifted {
            isolation: proposal.isolation.clone(),
            zone: proposal.zone.clone(),
            proposed_by: proposal.proposed_by.clone(),
            reason: wish.reason.to_owned(),
        };
        let entry = audit.prepare(&event)?;
        if !write.lift(proposal, wish.by, wish.reason, wish.at, entry.id()).await? {
            return Err(IsolationError::Overtaken(wish.zone.clone()));
        }
        audit.record_prepared_in(&mut write, entry).await?;
    }
    write.commit().await?;
    Ok(Lifting::Lifted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_is_one_with_sudo_and_without() {
        assert_eq!(person_of("root (sudo alice)"), person_of("alice"));
        assert_ne!(person_of("root (sudo alice)"), person_of("root (sudo bob)"));
        assert_ne!(person_of("root"), person_of("root (sudo alice)"));
    }
}
