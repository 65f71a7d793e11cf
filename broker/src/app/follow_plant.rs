//! The task that puts every newly applied plant in force.

use std::sync::Arc;
use std::time::Duration;

use sallyport_policy::Policy;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::audit::AuditEvent;
use crate::broker::Broker;
use crate::redact::without_secrets;
use crate::store::StoreError;

/// Puts every newly applied plant in force. One of the long-lived tasks of [`super::App`].
///
/// A plant that cannot be read changes nothing: the old policy stays, loudly.
pub(super) async fn follow(broker: Arc<Broker>, stop: CancellationToken) {
    let mut changes = broker.store.changes();
    look(&broker).await;
    if broker.policy.is_unapplied() {
        warn!("No plant was ever applied, so nobody may reach anything; see `sallyport apply`");
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(ANYWAY) => {}
        }
        look(&broker).await;
    }
}

async fn look(broker: &Broker) {
    if let Err(error) = take_up(broker).await {
        warn!(%error, "The plant could not be looked at; the policy stays as it is");
    }
}

async fn take_up(broker: &Broker) -> Result<(), StoreError> {
    let cell = &broker.policy;
    let newest = broker.store.current_plant_version().await?;
    if newest == cell.seen() {
        return Ok(());
    }
    let Some(plant) = broker.store.current_plant().await? else { return Ok(()) };
    match Policy::parse(&plant.files) {
        Ok(policy) => {
            cell.replace(policy);
            metrics::gauge!("sallyport_plant_version").set(plant.version as f64);
            info!(version = plant.version, sha256 = %plant.sha256, by = %plant.applied_by, "Plant is in force");
        }
        Err(errors) => {
            // It repeats what somebody wrote into the plant, and goes into the log and the chain.
            let errors = without_secrets(&errors.to_string());
            error!(version = plant.version, errors, "Plant cannot be read; the old policy stays in force");
            metrics::counter!("sallyport_plant_refused_total").increment(1);
            let event = AuditEvent::PlantRefused { version: plant.version, reason: errors };
            if let Err(error) = broker.audit.record(event).await {
                error!(%error, "The refused plant is not in the audit chain");
            }
        }
    }
    cell.saw(plant.version);
    Ok(())
}

/// A look without a cause, in case a change was announced and the announcement lost.
const ANYWAY: Duration = Duration::from_secs(5);
