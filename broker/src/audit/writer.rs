//! The one task that writes the chain for this process: batches while the database answers, the spool while it does not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{error, info, warn};

use super::chain::{self, Appended, Repeats};
use super::entry::Draft;
use super::onward::OnRecord;
use super::spool::Spool;
use super::{AuditError, AuditEvent, Job, Outage, Shared};
use crate::store::Store;

pub(super) struct Writer {
    store: Store,
    shared: Arc<Shared>,
    spool: Option<Spool>,
    /// The last entry this process has written: it must stay where it is.
    written: Option<(i64, String)>,
    waiting: watch::Sender<u64>,
}

impl Writer {
    pub(super) async fn open(
        store: Store,
        shared: Arc<Shared>,
        spool: Option<PathBuf>,
        waiting: watch::Sender<u64>,
    ) -> Result<Self, AuditError> {
        let spool = spool.map(|path| Spool::open(&path, shared.key.clone())).transpose()?;
        if spool.is_some() {
            // Keeps the store watching: while the database is known to be away, an event goes to disk without a wait.
            store.available();
        }
        let mut writer = Self { store, shared, spool, written: None, waiting };
        writer.show_waiting();
        if writer.spooling() {
            match writer.reconcile().await {
                // A broker that starts in an emergency, without the database: what waits goes on waiting.
                Err(AuditError::Unavailable(reason)) => warn!(reason, "Audit events go on waiting on disk"),
                reconciled => reconciled?,
            }
        }
        Ok(writer)
    }

    /// Ends when the last handle is gone and its events are on record.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut retry = interval(APPEND_AGAIN);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jobs = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                taken = queue.recv_many(&mut jobs, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.take(std::mem::take(&mut jobs)).await;
                }
                _ = retry.tick(), if self.spooling() => self.try_reconcile().await,
            }
        }
    }

    fn spooling(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.lines() > 0 || spool.damage().is_some())
    }

    async fn take(&mut self, jobs: Vec<Job>) {
        metrics::histogram!("sallyport_audit_batch_events")
            .record(f64::from(u32::try_from(jobs.len()).unwrap_or(u32::MAX)));
        if self.spooling() {
            // What waits goes first: the chain keeps the order.
            return self.set_aside(jobs, "events wait on disk for the database");
        }
        let begun = Instant::now();
        let drafts: Vec<Draft> = jobs.iter().map(|job| job.draft.clone()).collect();
        let repeats = jobs.iter().map(|job| job.repeats).find(|repeats| *repeats == Repeats::Possible);
        match self.enter(&drafts, repeats.unwrap_or(Repeats::Impossible)).await {
            Ok(_) => {
                metrics::histogram!("sallyport_audit_write_seconds").record(begun.elapsed().as_secs_f64());
                jobs.into_iter().for_each(|job| answer(job, Ok(()), "entered"));
            }
            Err(AuditError::Unavailable(reason)) => self.set_aside(jobs, &reason),
            Err(error) => self.one_by_one(jobs, &error).await,
        }
    }

    /// The database refuses a batch: only what it refuses alone fails, not what happened to stand beside it.
    async fn one_by_one(&mut self, jobs: Vec<Job>, error: &AuditError) {
        error!(%error, events = jobs.len(), "Audit events were refused");
        let alone = jobs.len() == 1;
        for job in jobs {
            let entered = if alone {
                Err(error.clone())
            } else {
                self.enter(std::slice::from_ref(&job.draft), job.repeats).await.map(drop)
            };
            let word = if entered.is_ok() { "entered" } else { "refused" };
            answer(job, entered, word);
        }
    }

    /// The database is away: events of what goes on wait on disk, all others fail.
    fn set_aside(&mut self, jobs: Vec<Job>, reason: &str) {
        let (keep, fail): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| job.outage == Outage::Spools && self.spool.is_some());
        fail.into_iter().for_each(|job| answer(job, Err(AuditError::Unavailable(reason.to_owned())), "unavailable"));
        let Some(spool) = self.spool.as_mut().filter(|_| !keep.is_empty()) else { return };
        if spool.lines() == 0 {
            warn!(%reason, "Audit events wait on disk: the database is unavailable");
        }
        let drafts: Vec<&Draft> = keep.iter().map(|job| &job.draft).collect();
        let spooled = spool.append(&drafts);
        if let Err(error) = &spooled {
            error!(%error, events = keep.len(), "Audit events can be neither entered nor spooled");
        }
        self.show_waiting();
        if spooled.is_ok() {
            self.shared.onward.hand_on(OnRecord::Waiting(keep.iter().map(|job| job.draft.clone()).collect()));
        }
        let word = if spooled.is_ok() { "spooled" } else { "unavailable" };
        keep.into_iter().for_each(|job| answer(job, spooled.clone(), word));
    }

    /// One transaction with a batch of events.
    async fn enter(&mut self, drafts: &[Draft], repeats: Repeats) -> Result<Appended, AuditError> {
        let appended = async {
            let mut write = self.store.begin_quiet_write().await?;
            let head = write.take_audit_head().await?;
            let mut drafts = drafts.to_vec();
            if let Some((seq, expected)) = &self.written
                && write.audit_hash(*seq).await?.as_ref() != Some(expected)
            {
                metrics::gauge!("sallyport_audit_chain_broken").set(1.0);
                error!(seq, "The audit chain was rewritten: an entry of this process is gone or different");
                let event = AuditEvent::AuditRewritten { seq: *seq, expected: expected.clone() };
                drafts.push(self.shared.draft(&event, Timestamp::now())?);
            }
            let appended = chain::append_after(&mut write, &self.shared.key, head, &drafts, repeats).await?;
            write.commit().await?;
            Ok::<_, AuditError>(appended)
        };
        let mut appended = timeout(APPENDED_WITHIN, appended).await.map_err(|_| {
            AuditError::Unavailable(format!("no answer from the database within {} s", APPENDED_WITHIN.as_secs()))
        })??;
        self.written.clone_from(&appended.head);
        if !appended.entries.is_empty() {
            self.shared.onward.hand_on(OnRecord::Entered(std::mem::take(&mut appended.entries)));
        }
        Ok(appended)
    }

    async fn try_reconcile(&mut self) {
        match self.reconcile().await {
            Ok(()) | Err(AuditError::Unavailable(_)) => {}
            Err(error) => error!(%error, "Audit events on disk cannot enter the chain"),
        }
    }

    /// Enters what waits on disk, in order, each event once, and says so in the chain.
    async fn reconcile(&mut self) -> Result<(), AuditError> {
        // Asks first: there may be much to read.
        self.enter(&[], Repeats::Impossible).await?;
        let Some(spool) = &mut self.spool else { return Ok(()) };
        let drafts = spool.read()?;
        let (mut events, mut known) = (0, 0);
        for batch in drafts.chunks(BATCH) {
            let appended = self.enter(batch, Repeats::Possible).await?;
            events += appended.entered;
            known += appended.known;
        }
        if let (Some(first), Some(last)) = (drafts.first(), drafts.last()) {
            let (first_at, last_at) = (time(first)?, time(last)?);
            let event = AuditEvent::AuditReconciled { events, known, first_at, last_at };
            self.enter(&[self.shared.draft(&event, Timestamp::now())?], Repeats::Impossible).await?;
            warn!(events, known, "Audit events that waited on disk are in the chain");
            metrics::counter!("sallyport_audit_reconciled_total").increment(events);
        }
        self.report_damage().await?;
        if let Some(spool) = &mut self.spool {
            spool.clear()?;
        }
        self.show_waiting();
        info!("Audit writes to the database again");
        Ok(())
    }

    async fn report_damage(&mut self) -> Result<(), AuditError> {
        let Some(damage) = self.spool.as_ref().and_then(Spool::damage) else { return Ok(()) };
        let (line, detail) = (damage.line, damage.detail.clone());
        let kept_as = damage.kept_as.display().to_string();
        error!(line, detail, kept_as, "The audit spool was damaged or changed");
        let event = AuditEvent::AuditSpoolDamaged { line, detail, kept_as };
        self.enter(&[self.shared.draft(&event, Timestamp::now())?], Repeats::Impossible).await?;
        Ok(())
    }

    fn show_waiting(&self) {
        let lines = self.spool.as_ref().map_or(0, Spool::lines);
        self.waiting.send_replace(lines);
        metrics::gauge!("sallyport_audit_waiting_events").set(lines as f64);
    }
}

fn time(draft: &Draft) -> Result<Timestamp, AuditError> {
    Timestamp::from_microsecond(draft.at).map_err(|error| AuditError::Refused(error.to_string()))
}

fn answer(job: Job, result: Result<(), AuditError>, outcome: &'static str) {
    metrics::counter!("sallyport_audit_events_total", "code" => job.draft.code, "outcome" => outcome).increment(1);
    // Who asked may have gone away; the event is on record all the same.
    if job.done.send(result).is_err() {
        metrics::counter!("sallyport_audit_unawaited_total").increment(1);
    }
}

/// How many events one transaction takes.
const BATCH: usize = 256;
/// How long a batch may take before the database counts as away.
const APPENDED_WITHIN: Duration = Duration::from_secs(5);
/// How often waiting events are tried again.
const APPEND_AGAIN: Duration = Duration::from_millis(500);
