//! A queue and what is lost for it: the loss is told when it begins and when it ends.

use std::sync::Arc;

use super::queue::Queue;
use super::reports::Reports;
use crate::audit::AuditEvent;
use crate::config::Takes;

/// A queue that events go into.
pub(super) struct Fed {
    pub(super) name: String,
    pub(super) takes: Takes,
    pub(super) queue: Arc<Queue>,
    reports: Reports,
    /// How many are lost since it began to lose them.
    losing: Option<u64>,
}

impl Fed {
    pub(super) fn new(name: String, takes: Takes, queue: Arc<Queue>, reports: Reports) -> Self {
        // There from the start, or the first would be no increase.
        for figure in
            ["sallyport_outbound_lost_total", "sallyport_outbound_sent_total", "sallyport_outbound_failures_total"]
        {
            metrics::counter!(figure, "receiver" => name.clone()).increment(0);
        }
        Self { name, takes, queue, reports, losing: None }
    }

    /// Puts events into the queue, or counts them.
    pub(super) fn put(&mut self, events: &[String]) {
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        if let Some(lost) = &mut self.losing
            && !self.queue.has_room()
        {
            // Until there is real room again: not one in and one out, each with an event of its own.
            *lost += count;
            metrics::counter!("sallyport_outbound_lost_total", "receiver" => self.name.clone()).increment(count);
            return;
        }
        let added = self.queue.append(events);
        metrics::counter!("sallyport_outbound_lost_total", "receiver" => self.name.clone()).increment(added.lost);
        match (added.reason, self.losing) {
            (None, None) => {}
            (Some(reason), None) => {
                tracing::error!(receiver = self.name, reason, "Events are lost for a receiver");
                self.losing = Some(added.lost);
                self.reports.tell(AuditEvent::OutboundLossBegan { receiver: self.name.clone(), reason });
            }
            (Some(_), Some(lost)) => self.losing = Some(lost + added.lost),
            (None, Some(lost)) => {
                tracing::warn!(receiver = self.name, lost, "Events go to a receiver again");
                self.losing = None;
                self.reports.tell(AuditEvent::OutboundLossEnded { receiver: self.name.clone(), lost });
            }
        }
    }

    /// Tells of damage that was met.
    pub(super) fn look(&self) {
        metrics::gauge!("sallyport_outbound_waiting_bytes", "receiver" => self.name.clone())
            .set(self.queue.waiting() as f64);
        let places = self.queue.take_damage();
        if places > 0 {
            tracing::error!(receiver = self.name, places, "The queue of a receiver was damaged or changed");
            self.reports.tell(AuditEvent::OutboundQueueDamaged { receiver: self.name.clone(), places });
        }
    }
}
