//! The small tasks that last as long as the broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::notify;
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::identity::ClockWatch;
use crate::logging::counted;
use crate::store::windows::WindowRow;
use crate::store::{Store, StoreError};

/// Checkpoints, disk, retention: what recordings need whether or not something happens.
pub(super) async fn look_after_recordings(broker: Arc<Broker>, stop: CancellationToken) {
    broker.recordings.look_after(stop).await;
}

/// Tells the other brokers, and the service manager, that this one lives. Ends by itself, and the broker with it, when
/// another bears its name: that one has closed what this one still carries.
pub(super) async fn heartbeat(broker: Arc<Broker>, instance: String, stop: CancellationToken) {
    let mut beat = ticks(notify::watchdog().map_or(HEARTBEAT, |wanted| wanted.min(HEARTBEAT)));
    let mut silent = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        // The service manager asks whether the broker lives, not whether the database does.
        notify::alive();
        metrics::gauge!("sallyport_sessions_live").set(broker.live.len() as f64);
        let beaten =
            timeout(HEARTBEAT_WITHIN, broker.store.broker_heartbeat(&broker.config.name, &instance, broker.now()))
                .await;
        let result = beaten.unwrap_or_else(|_| Err(StoreError::Unavailable("no answer".to_owned())));
        metrics::gauge!("sallyport_database_up").set(if result.is_ok() { 1.0 } else { 0.0 });
        if result.is_ok() {
            // What it does not come to now, it comes to with the next beat.
            match timeout(HEARTBEAT_WITHIN, broker.live.settle(&broker.store)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "Starts and ends of sessions could not be stored"),
                Err(_) => warn!("Starts and ends of sessions could not be stored in time"),
            }
        }
        let failed = result.is_err();
        match result {
            Err(StoreError::Missing { .. }) => {
                error!(name = broker.config.name, "Another broker bears this one's name now");
                return;
            }
            Ok(()) if silent => info!("The database answers again"),
            Err(error) if !silent => {
                warn!(%error, "The database does not answer; live sessions go on, new ones do not start")
            }
            Ok(()) | Err(_) => {}
        }
        silent = failed;
    }
}

/// Ends, and the broker with it, once the database is back and no emergency goes on: the next start serves everybody.
pub(super) async fn wait_for_database(broker: Arc<Broker>, stop: CancellationToken) {
    let mut beat = ticks(notify::watchdog().map_or(HEARTBEAT, |wanted| wanted.min(HEARTBEAT)));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        notify::alive();
        metrics::gauge!("sallyport_sessions_live").set(broker.live.len() as f64);
        metrics::gauge!("sallyport_database_up").set(0.0);
        if !broker.live.is_empty() || !broker.emergencies.going_on().is_empty() {
            continue;
        }
        match timeout(HEARTBEAT_WITHIN, answers(&broker)).await {
            // Of an earlier release: the next start brings it up to date.
            Ok(Ok(()) | Err(StoreError::OlderSchema { .. })) => return info!("The database answers again"),
            Ok(Err(error)) => counted!(warn, "Only emergencies are served: the database does not answer", %error),
            Err(_) => counted!(warn, "Only emergencies are served: the database does not answer in time"),
        }
    }
}

/// Whether the database can be read and written. What began or ended without it is entered on the way.
async fn answers(broker: &Broker) -> Result<(), StoreError> {
    let store = Store::look(&broker.config.database).await?;
    let written = async {
        store.begin_quiet_write().await?.commit_nothing().await?;
        broker.live.settle(&store).await?;
        broker.recordings.settle_into(&store).await
    };
    let written = written.await;
    store.close().await;
    written
}

/// Puts on record which rows of the database count as not there: those there are at the start, and those that are met later.
pub(super) async fn watch_over_rows(broker: Arc<Broker>, stop: CancellationToken) {
    let Some(mut altered) = broker.store.altered_rows() else { return stop.cancelled().await };
    match broker.store.rows_not_genuine().await {
        Ok(rows) if rows.is_empty() => {}
        Ok(rows) => error!(rows = rows.len(), "Rows of the database count as not there; `sallyport check` lists them"),
        Err(error) => warn!(%error, "The rows of the database could not be looked through"),
    }
    loop {
        let row = tokio::select! {
            () = stop.cancelled() => return,
            row = altered.recv() => row,
        };
        let Some(row) = row else { return stop.cancelled().await };
        let event = AuditEvent::RowRefused { table: row.table.to_owned(), row: row.key, reason: row.fault };
        if let Err(error) = broker.audit.record(event).await {
            error!(%error, "A row that counts as not there is not in the audit chain");
        }
    }
}

/// Looks whether the wall clock moves as time passes. When it does not, leases fail closed.
pub(super) async fn watch_the_clock(broker: Arc<Broker>, stop: CancellationToken) {
    let begun = Instant::now();
    let mut watch = ClockWatch::new(broker.now(), begun.elapsed());
    let mut beat = ticks(CLOCK);
    let mut windows_owed = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        // A database that did not take it at the time must not open them again when it is back.
        if windows_owed {
            windows_owed = close_windows(&broker).await.is_err();
        }
        let Some(jump) = watch.look(broker.now(), begun.elapsed()) else { continue };
        error!(%jump, "The clock jumped; leases are revoked");
        metrics::counter!("sallyport_clock_jumps_total").increment(1);
        broker.recordings.distrust_the_clock();
        broker.emergencies.distrust_the_clock();
        let micros = i64::try_from(jump.as_micros()).unwrap_or(if jump.is_negative() { i64::MIN } else { i64::MAX });
        if let Err(error) = broker.audit.record(AuditEvent::ClockJumped { micros }).await {
            error!(%error, "The clock's jump is not in the audit chain");
        }
        if let Err(error) = close_windows(&broker).await {
            error!(%error, "Write windows could not be closed after a clock jump; it is tried again");
            windows_owed = true;
        }
        match broker.identities.clock_jumped(broker.now()).await {
            Ok(identities) => info!(identities = identities.len(), "Leases were revoked"),
            Err(error) => error!(%error, "Leases could not be revoked after a clock jump"),
        }
    }
}

/// By a clock that jumps, a window may be open that was over, or begin before its time.
async fn close_windows(broker: &Broker) -> Result<(), AuditError> {
    let mut write = broker.store.begin_write().await?;
    for WindowRow { window, .. } in write.close_all_windows("clock jump", broker.now()).await? {
        let event = AuditEvent::WindowClosed {
            window: window.id.to_string(),
            identity: window.identity.to_string(),
            asset: window.asset.to_string(),
        };
        broker.audit.record_in(&mut write, event).await?;
    }
    write.commit().await?;
    Ok(())
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A database that hangs must not hold up the watchdog.
const HEARTBEAT_WITHIN: Duration = Duration::from_secs(4);
const HEARTBEAT: Duration = Duration::from_secs(5);
const CLOCK: Duration = Duration::from_secs(2);
