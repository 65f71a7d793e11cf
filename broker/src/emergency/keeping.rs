//! The task that keeps what emergencies need fresh, and enters what was opened while the database was away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Emergencies;
use crate::logging::counted;

/// A look without a cause, in case a change was announced and the announcement lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
/// How often it is looked whether a review is overdue.
const REMIND: Duration = Duration::from_secs(600);
/// How long one look may take.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

impl Emergencies {
    /// Keeps what emergencies need on local disk, as the database has it, until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let (mut changes, mut available) = (self.store().changes(), self.store().available());
        let (begun, mut reminded) = (Instant::now(), None);
        loop {
            let now = Timestamp::now();
            match tokio::time::timeout(KEPT_WITHIN, self.refresh(now)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => counted!(warn, "What emergencies need could not be kept anew", %error),
                Err(_) => counted!(warn, "What emergencies need could not be kept anew in time"),
            }
            let age = self.written_at().map_or_else(
                // Never since the start: it is older than that.
                || begun.elapsed().as_secs_f64(),
                |since| now.duration_since(since).as_secs_f64(),
            );
            metrics::gauge!("sallyport_emergency_snapshot_age_seconds").set(age);
            metrics::counter!("sallyport_emergency_readings_total").absolute(self.readings());
            metrics::gauge!("sallyport_emergencies_open").set(count(self.going_on().len()));
            if *self.store().available().borrow() {
                match tokio::time::timeout(KEPT_WITHIN, self.settle(now)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => counted!(warn, "Opened envelopes could not be entered into the database", %error),
                    Err(_) => counted!(warn, "Opened envelopes could not be entered into the database in time"),
                }
            }
            if *self.store().available().borrow() && reminded.is_none_or(|at: Instant| at.elapsed() >= REMIND) {
                reminded = Some(Instant::now());
                match tokio::time::timeout(KEPT_WITHIN, self.remind(now)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => counted!(warn, "Overdue reviews of emergencies could not be told of", %error),
                    Err(_) => counted!(warn, "Overdue reviews of emergencies could not be told of in time"),
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                // What was opened without the database is entered, and a double use found, as soon as it is back.
                changed = available.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
            }
        }
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
