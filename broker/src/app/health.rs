//! Whether the broker lives, and whether it can take sessions: a line for each thing that is not so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::time::timeout;

use crate::broker::Broker;
use crate::metrics::Probes;

/// The tasks that have ended.
#[derive(Debug, Default, Clone)]
pub(super) struct Ended(Arc<Mutex<BTreeSet<&'static str>>>);

/// Notes the end of a task, however it ends.
pub(super) struct Ending {
    ended: Ended,
    name: &'static str,
}

impl Ended {
    /// To be held by a task for as long as it lives.
    pub(super) fn with(&self, name: &'static str) -> Ending {
        Ending { ended: self.clone(), name }
    }

    fn faults(&self) -> Vec<String> {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().map(|name| format!("the task `{name}` has ended")).collect()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.ended.0.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name);
    }
}

/// What is asked of a broker from outside.
pub(super) fn probes(broker: &Arc<Broker>, ended: &Ended) -> Probes {
    let (broker, ended) = (Arc::clone(broker), ended.clone());
    Probes {
        alive: Arc::new(move || ended.faults()),
        ready: Arc::new(move || {
            let broker = Arc::clone(&broker);
            Box::pin(async move { ready(&broker).await })
        }),
    }
}

async fn ready(broker: &Broker) -> Vec<String> {
    let mut faults = Vec::new();
    match timeout(DATABASE_ANSWERS_WITHIN, broker.store.audit_head()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => faults.push(format!("the database does not answer: {error}")),
        Err(_) => faults.push("the database does not answer in time".to_owned()),
    }
    let folder = broker.recordings.folder();
    if let Err(error) = access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        faults.push(format!("recordings cannot be written: {error}"));
    } else if let Err(low) = broker.recordings.may_start() {
        faults.push(format!("recordings cannot be written: {low}"));
    }
    if !broker.audit.takes_events() {
        faults.push("the audit takes no events".to_owned());
    }
    let waiting = *broker.audit.waiting().borrow();
    if waiting > 0 {
        faults.push(format!("{waiting} audit events wait on disk for the database"));
    }
    faults
}

const DATABASE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
