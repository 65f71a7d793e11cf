//! Group commit: what many sessions write at their begin and end shares transactions, so that they wait for the disk
//! together instead of one after another.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::{AnyConnection, Connection as _};
use tokio::sync::{mpsc, oneshot};

use super::{Inner, Store, StoreError, Write};

/// A change that can share its transaction. It is made whole or not at all, whatever becomes of the others in it.
pub(super) trait Grouped: Send + Sync {
    /// Makes it; says whether it changed anything.
    fn apply<'c>(&'c self, connection: &'c mut AnyConnection) -> Applied<'c>;

    /// The lock that its transaction must hold, for what it reads before it writes.
    fn lock(&self) -> Option<&'static str> {
        None
    }
}

/// Says whether anything was changed.
pub(super) type Applied<'c> = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send + 'c>>;

pub(super) struct Job {
    change: Box<dyn Grouped>,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

impl Store {
    /// Makes a change together with others that come at the same time; says whether it changed anything. Returns when it
    /// is committed.
    pub(super) async fn grouped(&self, change: impl Grouped + 'static) -> Result<bool, StoreError> {
        self.check_available()?;
        let (done, answer) = oneshot::channel();
        let ended = || StoreError::Unavailable("the store has been closed".to_owned());
        self.group().send(Job { change: Box::new(change), done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    fn group(&self) -> &mpsc::Sender<Job> {
        self.inner.group.get_or_init(|| {
            let (jobs, queue) = mpsc::channel(QUEUE);
            tokio::spawn(commit_groups(Arc::downgrade(&self.inner), queue));
            jobs
        })
    }
}

/// Ends when the last handle to the store is gone.
async fn commit_groups(store: Weak<Inner>, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(GROUP);
    while queue.recv_many(&mut jobs, GROUP).await > 0 {
        let Some(inner) = store.upgrade() else { return };
        let group = std::mem::take(&mut jobs);
        let (changes, waiting): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.change, job.done)).unzip();
        let results = Store { inner }.commit_group(&changes).await;
        for (done, result) in waiting.into_iter().zip(results) {
            if done.send(result).is_err() {
                tracing::debug!("Nobody waits for a change of the store any more");
            }
        }
    }
}

impl Store {
    async fn commit_group(&self, changes: &[Box<dyn Grouped>]) -> Vec<Result<bool, StoreError>> {
        let committed = async {
            let mut write = self.begin_quiet_write().await?;
            // In one order, so that no two transactions wait for each other.
            for lock in changes.iter().filter_map(|change| change.lock()).collect::<BTreeSet<_>>() {
                write.lock(lock).await?;
            }
            let mut results = Vec::with_capacity(changes.len());
            for change in changes {
                results.push(apply_alone(&mut write, change.as_ref()).await);
            }
            write.commit().await?;
            Ok::<_, StoreError>(results)
        };
        let committed = tokio::time::timeout(COMMITTED_WITHIN, committed).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!("no answer from the database within {} s", COMMITTED_WITHIN.as_secs())))
        });
        committed.unwrap_or_else(|error| changes.iter().map(|_| Err(shared(&error))).collect())
    }
}

/// Within a savepoint of its own: what fails is undone alone.
async fn apply_alone(write: &mut Write, change: &dyn Grouped) -> Result<bool, StoreError> {
    let mut savepoint = (**write).begin().await?;
    let changed = change.apply(&mut savepoint).await?;
    savepoint.commit().await?;
    Ok(changed)
}

/// The failure of a transaction, for each change that was in it.
fn shared(error: &StoreError) -> StoreError {
    match error {
        StoreError::ReadOnly(reason) => StoreError::ReadOnly(reason.clone()),
        StoreError::Unavailable(reason) => StoreError::Unavailable(reason.clone()),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// How long a transaction may take before the database counts as away.
const COMMITTED_WITHIN: Duration = Duration::from_secs(5);
/// How many changes one transaction takes.
const GROUP: usize = 64;
/// How many may stand in line; who comes later waits.
const QUEUE: usize = 256;
