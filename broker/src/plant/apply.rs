//! Putting a plant in force.

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::plants::{NewPlant, plant_sha256};
use crate::store::{Store, StoreError};

/// Why a plant was not applied. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event could not be put on record.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Puts a plant in force: its files and the audit event in one transaction, announced. Returns the new version's number.
///
/// # Errors
/// Nothing has changed then.
pub async fn apply(plant: &NewPlant, store: &Store, audit: &Audit) -> Result<i64, ApplyError> {
    let next = store.next_plant(plant.after).await?;
    let version = next.version();
    let event = AuditEvent::PlantApplied {
        version,
        sha256: plant_sha256(&plant.files),
        files: plant.files.iter().map(|file| file.name.clone()).collect(),
        diff: plant.diff.clone(),
    };
    let entry = audit.prepare(&event)?;
    let mut write = next.enter(plant, entry.id()).await?;
    audit.record_prepared_in(&mut write, entry).await?;
    write.commit().await?;
    Ok(version)
}
