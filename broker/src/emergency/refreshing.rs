//! What is kept is read anew, and written to local disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use super::glass::Emergencies;
use super::kept::Kept;
use super::snapshot;
use crate::store::StoreError;

impl Emergencies {
    /// Reads anew what is kept, and writes it to disk where it is other than what is there, or a while has passed.
    pub(super) async fn refresh(&self, now: Timestamp) -> Result<(), RefreshError> {
        let mut last = self.refreshing.lock().await;
        *last = Some(Instant::now());
        self.read_anew(now).await?;
        let (kept, written) = {
            let state = self.state();
            (state.kept.clone(), state.written.clone())
        };
        let Some(kept) = kept else { return Ok(()) };
        let stands = |(written, at): &(Arc<Kept>, Timestamp)| {
            written.says_the_same(&kept) && now.duration_since(*at) < REWRITE && self.snapshot.exists()
        };
        if !written.as_ref().is_some_and(stands) {
            let (path, vault, key) = (self.snapshot.clone(), self.vault.clone(), self.key.clone());
            let copy = Arc::clone(&kept);
            let done = tokio::task::spawn_blocking(move || snapshot::write(&path, &copy, &vault, &key)).await;
            done.map_err(|error| RefreshError::Task(error.to_string()))??;
            self.state().written = Some((kept, now));
        }
        Ok(())
    }

    pub(super) async fn read_anew(&self, now: Timestamp) -> Result<(), RefreshError> {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let kept = Arc::new(Kept::read(&self.store, now).await?);
        self.vault.keep_at_hand(kept.accounts());
        self.state().kept = Some(kept);
        Ok(())
    }
}

/// Why what is kept is not read anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    #[error("the snapshot's task failed: {0}")]
    Task(String),
}

/// Also a snapshot that says the same is written again, so that its age tells whether the broker still keeps it.
const REWRITE: SignedDuration = SignedDuration::from_mins(5);
