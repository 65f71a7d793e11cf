//! From a queue to its receiver: in order, again until it has come through, without a hurry where it does not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::link::{Broken, Link, SendError};
use super::message::{Alarms, Message};
use super::queue::{Batch, Place, Queue};
use super::reports::Reports;
use crate::audit::AuditEvent;

/// Brings what waits to one receiver.
pub(super) struct Delivery {
    name: String,
    queue: Arc<Queue>,
    link: Link,
    alarms: Alarms,
    reports: Reports,
    /// Sent, and not known to have come.
    handed: VecDeque<Handed>,
    /// Since when nothing comes through, and what the next wait is.
    trouble: Option<Duration>,
    /// How often the next event was refused for what it is.
    refusals: u32,
    /// After a connection was cut with events on it: no more than so many at once until they are confirmed, fewer each time. So even a
    /// receiver that never keeps a connection for long gets further.
    careful: Option<usize>,
}

struct Handed {
    at: Instant,
    end: Place,
    count: usize,
}

impl Delivery {
    pub(super) fn new(name: String, queue: Arc<Queue>, link: Link, alarms: Alarms, reports: Reports) -> Self {
        Self { name, queue, link, alarms, reports, handed: VecDeque::new(), trouble: None, refusals: 0, careful: None }
    }

    /// Goes on until it is stopped and nothing waits, or nothing comes through.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            if self.careful.is_some() && !self.handed.is_empty() && !stop.is_cancelled() {
                self.idle(&stop).await;
                self.settle().await;
                continue;
            }
            let batch = match self.next().await {
                Ok(batch) => batch,
                Err(error) => {
                    error!(receiver = self.name, %error, "The queue of a receiver cannot be read");
                    if self.pause(&stop).await {
                        return;
                    }
                    continue;
                }
            };
            if batch.events.is_empty() {
                // What was passed over is behind it as well.
                if self.handed.is_empty() {
                    self.confirm(batch.end).await;
                }
                if stop.is_cancelled() {
                    return self.farewell().await;
                }
                self.idle(&stop).await;
            } else if !self.send(batch).await && self.pause(&stop).await {
                return;
            }
            self.settle().await;
        }
    }

    async fn next(&self) -> io::Result<Batch> {
        let most = self.link.most();
        let (queue, most) = (Arc::clone(&self.queue), self.careful.map_or(most, |careful| careful.min(most)));
        tokio::task::spawn_blocking(move || queue.read(most)).await.map_err(io::Error::other)?
    }

    /// False when it has to be tried again.
    async fn send(&mut self, batch: Batch) -> bool {
        let Batch { events, end } = batch;
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let messages: Vec<Message> = events.into_iter().filter_map(|body| Message::read(body, &self.alarms)).collect();
        let within = self.link.within();
        let sent = timeout(within, self.link.send(&messages)).await;
        match sent.unwrap_or_else(|_| Err(SendError::Away(format!("it took nothing for {} s", within.as_secs())))) {
            Ok(()) => {
                metrics::counter!("sallyport_outbound_sent_total", "receiver" => self.name.clone()).increment(count);
                if self.trouble.take().is_some() {
                    info!(receiver = self.name, "A receiver takes events again");
                }
                self.refusals = 0;
                if self.link.confirms() {
                    self.confirm(end).await;
                } else {
                    self.handed.push_back(Handed { at: Instant::now(), end, count: messages.len() });
                }
                true
            }
            Err(SendError::Refused(reason)) if self.refusals >= MOST_REFUSALS => {
                warn!(receiver = self.name, reason, "A receiver refuses an event, which is passed over");
                let id = messages.first().and_then(Message::id).map(str::to_owned);
                metrics::counter!("sallyport_outbound_lost_total", "receiver" => self.name.clone()).increment(count);
                self.reports.tell(AuditEvent::OutboundRefused { receiver: self.name.clone(), id, reason });
                self.refusals = 0;
                self.confirm(end).await;
                true
            }
            Err(error) => {
                self.refusals += u32::from(matches!(error, SendError::Refused(_)));
                self.failed(&error.to_string());
                false
            }
        }
    }

    /// Nothing is known to have come since the last that was confirmed: all of it is sent again.
    fn failed(&mut self, reason: &str) {
        metrics::counter!("sallyport_outbound_failures_total", "receiver" => self.name.clone()).increment(1);
        if self.trouble.is_none() {
            warn!(receiver = self.name, reason, "A receiver takes no events; they wait");
        }
        self.trouble.get_or_insert(FIRST_PAUSE);
        let lost: usize = self.handed.iter().map(|handed| handed.count).sum();
        if lost > 0 {
            self.careful = Some((lost / 4).max(1));
        }
        self.link.let_go();
        self.handed.clear();
        self.queue.rewind();
    }

    /// Waits before it is tried again, longer each time. True when it is to stop instead.
    async fn pause(&mut self, stop: &CancellationToken) -> bool {
        let pause = self.trouble.unwrap_or(FIRST_PAUSE);
        self.trouble = Some((pause * 2).min(LONGEST_PAUSE));
        tokio::select! {
            () = stop.cancelled() => true,
            () = sleep(pause) => false,
        }
    }

    async fn idle(&mut self, stop: &CancellationToken) {
        let due = self.handed.front().map(|first| first.at + CONFIRMED_AFTER);
        let confirmed = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let broken = tokio::select! {
            () = stop.cancelled() => None,
            () = self.queue.arrived() => None,
            () = confirmed => None,
            broken = self.link.broken() => Some(broken),
        };
        match broken {
            None => {}
            Some(Broken::Closed) => {
                self.link.let_go();
                self.confirm_all().await;
            }
            Some(Broken::Cut(reason)) => self.failed(&reason),
        }
    }

    /// What stands for long enough on a connection that stands has come.
    async fn settle(&mut self) {
        while let Some(first) = self.handed.front().filter(|first| first.at.elapsed() >= CONFIRMED_AFTER) {
            let end = first.end;
            self.handed.pop_front();
            self.confirm(end).await;
            self.careful = self.careful.map(|most| most * 2).filter(|most| *most < self.link.most());
        }
    }

    async fn confirm_all(&mut self) {
        let last = self.handed.pop_back();
        self.handed.clear();
        if let Some(last) = last {
            self.confirm(last.end).await;
        }
    }

    async fn confirm(&self, end: Place) {
        let queue = Arc::clone(&self.queue);
        match tokio::task::spawn_blocking(move || queue.confirm(end)).await.map_err(io::Error::other) {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                warn!(receiver = self.name, %error, "What was sent cannot be noted; a restart sends it again");
            }
        }
    }

    async fn farewell(mut self) {
        if !self.handed.is_empty() && matches!(self.link.finish().await, Some(Broken::Closed)) {
            self.confirm_all().await;
        }
    }
}

/// INVARIANT: longer than the kernel waits for the other side to acknowledge what was sent.
const CONFIRMED_AFTER: Duration = Duration::from_secs(7);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An event that is refused so often for what it is, is passed over.
const MOST_REFUSALS: u32 = 5;
