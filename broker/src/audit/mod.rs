//! The audit chain: typed, coded events; one hash chain per database; signed in batches; fail closed.
//!
//! ```text
//! record(event) ─► bounded queue ─► writer: one transaction per batch ─► chain in the database ─► acknowledged
//!                                      ├─ database away ─► spool on disk ─► (back) ─► chain, in order, each once
//!                                      └─ on record ─► whoever follows ([`Audit::follow`]), without a wait
//! ```

mod chain;
mod document;
mod entry;
mod event;
mod kind;
mod onward;
mod rows;
mod searched;
mod spool;
mod tally;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{Store, StoreError, Write};
use chain::Repeats;
pub use document::document;
pub use entry::{AuditEntry, GENESIS, SIGNED_PREFIX, entry_from_line, entry_to_line};
pub(crate) use entry::{Draft, draft_to_line};
pub use event::AuditEvent;
pub use kind::{Doer, EventKind, Outage, Severity};
pub(crate) use onward::OnRecord;
pub use rows::AuditFilter;
pub use searched::searched_digest;
pub(crate) use tally::{Entered, Tally};
pub use verify::{
    ChainFault, ChainVerification, Expected, Verifier, Witness, verify_lines, verify_lines_hearing, verify_store,
};

/// Longest text of a refused request, path or name that an entry holds, in characters.
const LONGEST_TEXT: usize = 200;

/// A text that somebody else chose, short enough for an entry: what is cut off is named by its length. Recordings have it whole.
#[must_use]
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// What an audit handle needs.
pub struct AuditConfig {
    /// The database with the chain.
    pub store: Store,
    /// The evidence key.
    pub key: SigningKey,
    /// The broker's name, or `cli`.
    pub broker: String,
    /// Whom to name when an event is not a person's own act: the broker, or the operating system user.
    pub actor: String,
    /// Where events of live sessions wait while the database is away. Without it they fail like all others.
    pub spool: Option<PathBuf>,
}

/// Why an event is not on record. What it would have recorded must not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The database is away, and this event does not wait on disk.
    #[error("audit is unavailable: {0}")]
    Unavailable(String),
    /// The database is away and the spool takes nothing either. The session must end.
    #[error("audit spool: {0}")]
    Spool(String),
    /// The database refuses the entry.
    #[error("audit cannot be written: {0}")]
    Refused(String),
    /// The event is too large to keep.
    #[error("audit event of {0} bytes is too large")]
    TooLarge(usize),
    /// The writer has ended.
    #[error("audit has been closed")]
    Closed,
}

/// The way into the audit chain; a cheap clone.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
    /// Whom it names where an event is not a person's own act by itself.
    actor: Arc<str>,
    jobs: mpsc::Sender<Job>,
    waiting: watch::Receiver<u64>,
}

struct Shared {
    key: SigningKey,
    broker: String,
    actor: String,
    onward: onward::Onward,
}

/// An event that is about to be entered together with a row that goes with it.
#[derive(Debug, Clone)]
pub struct Prepared(Draft);

impl Prepared {
    /// The id that its entry will have.
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

/// One event on its way to the writer.
struct Job {
    draft: Draft,
    outage: Outage,
    /// Whether it may have entered before, by a write whose answer nobody waited for.
    repeats: Repeats,
    done: oneshot::Sender<Result<(), AuditError>>,
}

impl Audit {
    /// Starts the writer. What an earlier run left in the spool enters the chain first.
    pub async fn start(config: AuditConfig) -> Result<Self, AuditError> {
        let AuditConfig { store, key, broker, actor, spool } = config;
        let by = Arc::from(actor.as_str());
        let shared = Arc::new(Shared { key, broker, actor, onward: onward::Onward::default() });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (count, waiting) = watch::channel(0);
        let writer = writer::Writer::open(store, Arc::clone(&shared), spool, count).await?;
        tokio::spawn(writer.run(queue));
        Ok(Self { shared, actor: by, jobs, waiting })
    }

    /// The same chain, in the name of a person: what they do through this broker to what is not the broker's own.
    #[must_use]
    pub fn by(&self, actor: &str) -> Self {
        Self { actor: Arc::from(actor), ..self.clone() }
    }

    /// Puts an event on record; returns when it is. On an error, what it would have recorded must not happen.
    ///
    /// Never call this while holding a [`Write`]: use [`Audit::record_in`].
    pub async fn record(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.record_all([event]).await
    }

    /// Puts several events on record, in their order and with one wait; returns when all are. On an error, some may be:
    /// what any of them would have recorded must not happen.
    pub async fn record_all(&self, events: impl IntoIterator<Item = AuditEvent>) -> Result<(), AuditError> {
        let at = Timestamp::now();
        let drafts = events.into_iter().map(|event| Ok((self.draft(&event, at)?, event.kind().outage)));
        self.enqueue(drafts.collect::<Result<Vec<_>, AuditError>>()?, Repeats::Impossible).await
    }

    /// As [`Audit::record_all`], in an emergency: whatever the events are, they wait on disk while the database is away.
    pub(crate) async fn record_all_enduring(
        &self,
        events: impl IntoIterator<Item = AuditEvent>,
    ) -> Result<(), AuditError> {
        let at = Timestamp::now();
        let drafts = events.into_iter().map(|event| Ok((self.draft(&event, at)?, Outage::Spools)));
        self.enqueue(drafts.collect::<Result<Vec<_>, AuditError>>()?, Repeats::Impossible).await
    }

    /// As [`Audit::record_all_enduring`], one event.
    pub(crate) async fn record_enduring(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.record_all_enduring([event]).await
    }

    /// As [`Audit::record_enduring`], for an event that was prepared.
    pub(crate) async fn record_prepared_enduring(&self, event: Prepared) -> Result<(), AuditError> {
        self.enqueue(vec![(event.0, Outage::Spools)], Repeats::Possible).await
    }

    async fn enqueue(&self, drafts: Vec<(Draft, Outage)>, repeats: Repeats) -> Result<(), AuditError> {
        let mut jobs = Vec::new();
        let mut answers = Vec::new();
        for (draft, outage) in drafts {
            let (done, answer) = oneshot::channel();
            jobs.push(Job { draft, outage, repeats, done });
            answers.push(answer);
        }
        // Places first, so that they stand together and the writer takes them as one.
        let places = self.jobs.reserve_many(jobs.len()).await.map_err(|_| AuditError::Closed)?;
        places.zip(jobs).for_each(|(place, job)| place.send(job));
        for answer in answers {
            answer.await.map_err(|_| AuditError::Closed)??;
        }
        Ok(())
    }

    /// Puts an event on record in the same transaction as the change it tells of: both last, or neither. Call it last
    /// before the commit: from here on every other audit entry waits.
    pub async fn record_in(&self, write: &mut Write, event: AuditEvent) -> Result<(), AuditError> {
        self.record_prepared_in(write, self.prepare(&event)?).await
    }

    /// Gives an event its id, for a row that names it. Nothing is on record yet.
    pub fn prepare(&self, event: &AuditEvent) -> Result<Prepared, AuditError> {
        Ok(Prepared(self.draft(event, Timestamp::now())?))
    }

    /// As [`Audit::record_in`], for an event that was prepared.
    pub async fn record_prepared_in(&self, write: &mut Write, event: Prepared) -> Result<(), AuditError> {
        chain::append(write, &self.shared.key, &[event.0]).await?;
        Ok(())
    }

    /// Whether the whole chain of this database is as it was signed, as far as the chain itself can tell.
    pub async fn verify(&self, store: &Store) -> Result<ChainVerification, StoreError> {
        verify_store(store, &[self.shared.key.verifying_key()], Expected::default()).await
    }

    fn draft(&self, event: &AuditEvent, at: Timestamp) -> Result<Draft, AuditError> {
        Draft::new(event, at, &self.shared.broker, &self.actor)
    }

    /// What this process puts on record from now on, as soon as it is. What entered with a row of its own
    /// ([`Audit::record_in`]), and what others write, is in the chain alone.
    pub(crate) fn follow(&self) -> mpsc::Receiver<OnRecord> {
        self.shared.onward.follow()
    }

    /// Whether the writer lives and takes events.
    pub(crate) fn takes_events(&self) -> bool {
        !self.jobs.is_closed()
    }

    /// How many events wait on disk for the database.
    pub fn waiting(&self) -> watch::Receiver<u64> {
        self.waiting.clone()
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audit").field("broker", &self.shared.broker).finish_non_exhaustive()
    }
}

impl Shared {
    fn draft(&self, event: &AuditEvent, at: Timestamp) -> Result<Draft, AuditError> {
        Draft::new(event, at, &self.broker, &self.actor)
    }
}

impl From<StoreError> for AuditError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) | StoreError::ReadOnly(reason) => Self::Unavailable(reason),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<sqlx::Error> for AuditError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// How many events may stand in line; who comes later waits.
const QUEUE: usize = 1024;
