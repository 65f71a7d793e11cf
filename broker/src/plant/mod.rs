//! The plant in force: from the applied text in the store to the policy that decides.

mod apply;
mod diff;
mod isolation;
mod read;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sallyport_policy::{PlantErrors, Policy};
use tokio::sync::watch;

pub use apply::{ApplyError, apply};
pub(crate) use diff::leaves;
pub use diff::{PlantDiff, TextDiff};
pub(crate) use isolation::person_of;
pub use isolation::{IsolationError, Lifting, TO_CONFIRM, Wish, isolate, lift};
pub use read::{PlantFiles, ReadPlantError, read_files};

use crate::store::{Store, StoreError};

/// The policy in force; replaced as a whole.
#[derive(Debug)]
pub struct PolicyCell {
    policy: watch::Sender<Arc<Policy>>,
    /// The version that was looked at last, good or bad: a bad one is complained of once.
    seen: AtomicI64,
}

/// Why there is no policy to start with.
#[derive(Debug, thiserror::Error)]
pub enum PlantLoadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plant in force cannot be read by this version.
    #[error(
        "version {version} of the plant, in force since `{applied_at}`, does not hold any more; apply a corrected one with `sallyport apply`:\n{errors}"
    )]
    Bad {
        /// Its number.
        version: i64,
        /// When it was applied.
        applied_at: jiff::Timestamp,
        /// What is wrong.
        errors: PlantErrors,
    },
}

impl PolicyCell {
    /// A cell with a policy to begin with, of this version of the plant.
    #[must_use]
    pub fn new(policy: Policy, version: i64) -> Self {
        Self { policy: watch::Sender::new(Arc::new(policy)), seen: AtomicI64::new(version) }
    }

    /// Parses the plant in force; without one, the policy is empty and denies everything.
    ///
    /// # Errors
    /// A plant that cannot be parsed: a broker must not start without knowing what it may permit.
    pub async fn load(store: &Store) -> Result<Self, PlantLoadError> {
        let Some(plant) = store.current_plant().await? else { return Ok(Self::new(Policy::empty(), NEVER_APPLIED)) };
        match Policy::parse(&plant.files) {
            Ok(policy) => Ok(Self::new(policy, plant.version)),
            Err(errors) => Err(PlantLoadError::Bad { version: plant.version, applied_at: plant.applied_at, errors }),
        }
    }

    /// The policy in force.
    #[must_use]
    pub fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.borrow())
    }

    /// Tells of every replacement.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<Arc<Policy>> {
        self.policy.subscribe()
    }

    /// Another policy is in force.
    pub(crate) fn replace(&self, policy: Policy) {
        self.policy.send_replace(Arc::new(policy));
    }

    /// Whether there was no plant to be looked at yet.
    pub(crate) fn is_unapplied(&self) -> bool {
        self.seen() == NEVER_APPLIED
    }

    /// The version that was looked at last.
    pub(crate) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// This version was looked at.
    pub(crate) fn saw(&self, version: i64) {
        self.seen.store(version, Ordering::Release);
    }
}

/// What stands for the version of a plant where there is none; the first is 1.
const NEVER_APPLIED: i64 = 0;
