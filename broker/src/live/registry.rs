//! The sessions that live in this broker now, and the one switch that ends each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sallyport_policy::{Permit, Proof, Subject, Terms, ZoneId};
use tokio::sync::watch;

use super::allowance::{Allowances, Place};
use super::{End, Isolated, Operations, Target};
use crate::emergency::Opening;
use crate::store::sessions::{NewSession, SessionEnd};
use crate::store::{Store, StoreError};

/// Every live session of this broker.
#[derive(Debug, Default)]
pub struct Registry {
    live: Mutex<BTreeMap<String, Arc<Live>>>,
    /// Ends that the database did not take. Until it does, their sessions count as live there.
    owed: Mutex<Vec<(String, SessionEnd)>>,
    /// Sessions of emergencies that began while the database was away.
    owed_starts: Mutex<Vec<NewSession>>,
    /// No session begins any more: the broker is about to stop.
    draining: AtomicBool,
    /// The last sentence for everybody who has a session.
    sentence: Sentences,
    /// The zones that were isolated when that was looked up last.
    isolated: Mutex<Arc<Isolated>>,
    /// Sessions that are over, and whose last operations nobody has counted yet.
    gone: Mutex<Vec<Arc<Live>>>,
    /// What everybody has taken of this broker.
    pub(crate) allowances: Arc<Allowances>,
}

/// What is said to everybody; whoever comes later has not heard it.
#[derive(Debug)]
struct Sentences(watch::Sender<Arc<str>>);

impl Default for Sentences {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::from("")))
    }
}

/// What must be known of a live session to decide again.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) id: String,
    pub(crate) subject: Subject,
    /// From where it comes.
    pub(crate) source: IpAddr,
    /// The factors, with their age at the session's start: a lease that runs out does not end a session.
    pub(crate) proofs: Vec<Proof>,
    pub(crate) lease: Option<String>,
    pub(crate) started: jiff::Timestamp,
    /// The same by a clock that never jumps.
    pub(crate) begun: Instant,
    /// The emergency that it belongs to.
    pub(crate) emergency: Option<Arc<Opening>>,
    pub(crate) target: Target,
    /// Where the asset lay when the session began.
    pub(crate) zone: ZoneId,
    pub(crate) permit: Permit,
    /// The limits in time; a changed policy moves them.
    pub(crate) times: watch::Sender<Times>,
    pub(crate) switch: Switch,
    /// What was asked for in it, where its protocol is decoded.
    pub(crate) operations: Arc<Operations>,
}

/// The limits in time that a session's terms set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) not_after: Option<jiff::Timestamp>,
    pub(crate) max_duration: Option<jiff::SignedDuration>,
    pub(crate) idle: Option<jiff::SignedDuration>,
    /// For how long output goes on when the time is over; nothing where the session ends at once.
    pub(crate) view_only_for: Option<jiff::SignedDuration>,
}

impl Times {
    pub(crate) fn of(terms: &Terms) -> Self {
        Self {
            not_after: terms.not_after,
            max_duration: terms.max_duration,
            idle: terms.idle,
            view_only_for: terms.view_only_for(),
        }
    }
}

/// Ends a session; the first end counts.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    end: watch::Sender<Option<End>>,
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self { end: watch::Sender::new(None) }
    }

    /// Asks for the end. A later one changes nothing.
    pub(crate) fn end(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(end);
            }
            first
        });
    }

    /// Resolves when somebody has asked for the end.
    pub(crate) async fn asked(&self) -> End {
        let mut receiver = self.end.subscribe();
        loop {
            if let Some(end) = receiver.borrow_and_update().clone() {
                return end;
            }
            // `self` holds the sender, so that it cannot be closed while we wait.
            if receiver.changed().await.is_err() {
                return End::BrokerStopping;
            }
        }
    }
}

/// A session's place in the registry; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    live: Arc<Live>,
    /// Its place among its person's.
    _place: Place,
}

impl Registered {
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.live.id);
        let mut gone = self.registry.gone.lock().unwrap_or_else(PoisonError::into_inner);
        if self.live.operations.is_due() && gone.len() < MOST_GONE {
            gone.push(Arc::clone(&self.live));
        }
    }
}

impl Registry {
    /// How many sessions live in this broker.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Says a sentence at the terminal of everybody who has a session now.
    pub(crate) fn tell_everybody(&self, sentence: &str) {
        self.sentence.0.send_replace(Arc::from(sentence));
    }

    /// Hears what is said to everybody from now on.
    pub(crate) fn hear(&self) -> watch::Receiver<Arc<str>> {
        self.sentence.0.subscribe()
    }

    /// From now on no session begins.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the broker is about to stop, so that no session begins.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends every session, because the broker stops.
    pub fn end_all(&self) {
        for live in self.snapshot() {
            live.switch.end(End::BrokerStopping);
        }
    }

    pub(crate) fn enter(self: &Arc<Self>, live: Live, place: Place) -> Registered {
        let live = Arc::new(live);
        self.lock().insert(live.id.clone(), Arc::clone(&live));
        Registered { registry: Arc::clone(self), live, _place: place }
    }

    /// The database did not take the start of an emergency's session: it is entered as soon as it does.
    pub(crate) fn owe_start(&self, session: NewSession) {
        self.owed_starts.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }

    /// Whether the database does not know of a session's start yet.
    pub(crate) fn owes_start(&self, session: &str) -> bool {
        let owed = self.owed_starts.lock().unwrap_or_else(PoisonError::into_inner);
        owed.iter().any(|start| start.id == session)
    }

    /// The database did not take a session's end: it is entered as soon as it does.
    pub(crate) fn owe(&self, session: String, end: SessionEnd) {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner).push((session, end));
    }

    /// Enters the starts and the ends that the database did not take.
    ///
    /// # Errors
    /// When it still does not; what is left waits for the next call.
    pub async fn settle(&self, store: &Store) -> Result<(), StoreError> {
        // One after the other, each kept until the database has it: whoever waits for this may give up in the middle.
        while let Some(start) = first(&self.owed_starts) {
            store.enter_late(&start).await?;
            tracing::info!(session = start.id, "A session's start is in the store now");
            self.owed_starts.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other.id != start.id);
        }
        while let Some((session, end)) = first(&self.owed) {
            store.end_session(&session, &end).await?;
            tracing::info!(%session, "A session's end is in the store now");
            self.owed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != session);
        }
        Ok(())
    }

    /// The zones that were isolated when that was looked up last.
    pub(crate) fn isolated(&self) -> Arc<Isolated> {
        Arc::clone(&self.isolated.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps which zones are isolated now.
    pub(crate) fn keep_isolated(&self, isolated: Isolated) -> Arc<Isolated> {
        let isolated = Arc::new(isolated);
        *self.isolated.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&isolated);
        isolated
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Live>> {
        self.lock().get(id).cloned()
    }

    pub(crate) fn snapshot(&self) -> Vec<Arc<Live>> {
        self.lock().values().cloned().collect()
    }

    /// Every session that lives, and each that ended since this was called last with operations that nobody has counted.
    pub(crate) fn snapshot_to_count(&self) -> Vec<Arc<Live>> {
        let mut sessions = std::mem::take(&mut *self.gone.lock().unwrap_or_else(PoisonError::into_inner));
        sessions.extend(self.snapshot());
        sessions
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first<T: Clone>(owed: &Mutex<Vec<T>>) -> Option<T> {
    owed.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
}

/// Sessions end no faster than they are counted, unless nobody counts them.
const MOST_GONE: usize = 4096;
