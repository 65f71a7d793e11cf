//! Rows from before there were MACs are adopted: once by itself, in a database that was made before; later only when an
//! administrator asks for it, and then each row is on record.

use crate::audit::{Audit, AuditError, AuditEvent};
use crate::store::{Adopted, Store, StoreError};

/// Why rows were not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The audit chain tells which rows are right; it is not whole itself.
    #[error(
        "this database is from a release without MACs over its rows, and they are not adopted, because its audit chain is not whole ({0}): look at `sallyport audit verify`, then at `sallyport secrets adopt`"
    )]
    Chain(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be put on record, so it was not done.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Adopts the rows of a database that was made before there were MACs. Does nothing in any other, whatever its rows look like:
/// who takes the MACs away, or the record of migrations, gets nothing adopted.
pub async fn adopt_once(store: &Store, audit: &Audit) -> Result<Option<Adopted>, AdoptError> {
    if store.rows_are_adopted().await? {
        return Ok(None);
    }
    let chain = audit.verify(store).await?;
    if let Some(fault) = chain.faults.first() {
        return Err(AdoptError::Chain(fault.to_string()));
    }
    let mut write = store.begin_write().await?;
    let adopted = write.adopt_rows().await?;
    // All such writes run one after the other: another process may have been first.
    if store.rows_are_adopted().await? {
        return Ok(None);
    }
    let event = AuditEvent::RowsAdopted { rows: Adopted::counts(&adopted.rows), left: Adopted::counts(&adopted.left) };
    audit.record_in(&mut write, event).await?;
    write.commit().await?;
    tracing::warn!(rows = adopted.rows.len(), left = adopted.left.len(), "Rows from before carry a MAC now");
    Ok(Some(adopted))
}

/// What an administrator would adopt now; with `really`, it is done and every row is on record.
pub async fn adopt_asked(store: &Store, audit: &Audit, really: bool) -> Result<Adopted, AdoptError> {
    let mut write = store.begin_write().await?;
    let adopted = write.adopt_rows().await?;
    if !really || adopted.rows.is_empty() {
        return Ok(adopted);
    }
    let named = |row: &crate::store::AlteredRow| format!("{}: {}", row.table, row.key);
    let event = AuditEvent::RowsAdoptedByHand {
        count: u64::try_from(adopted.rows.len()).unwrap_or(u64::MAX),
        rows: adopted.rows.iter().take(NAMED).map(named).collect(),
    };
    audit.record_in(&mut write, event).await?;
    write.commit().await?;
    Ok(adopted)
}

/// How many rows one event names; the rest is counted.
const NAMED: usize = 1000;
