//! Breaking the glass: from the code of an envelope to an emergency that is open and on record. The only maker of [`Opened`].

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sallyport_policy::{BreakGlass, IdentityId, Policy};

use super::kept::{Kept, KeptEnvelope};
use super::ledger::{Ledger, Spent};
use super::opening::Opening;
use super::{EnvelopeCode, NotOpened, snapshot};
use crate::audit::{Audit, AuditError, AuditEvent, Prepared};
use crate::store::envelopes::{EnvelopeOpened, GLASS};
use crate::store::{Store, StoreError};
use crate::vault::Vault;

/// Somebody who has opened an emergency, or come back into one. INVARIANT: made after what was opened is on record.
#[derive(Debug, Clone)]
pub(crate) struct Opened(Arc<Opening>);

impl Opened {
    /// What was opened.
    pub(crate) fn opening(&self) -> &Arc<Opening> {
        &self.0
    }
}

/// The code of an envelope that opens something, or is open now.
#[derive(Debug, Clone)]
pub(crate) struct Recognised {
    number: i64,
    rule: String,
    holder: Option<String>,
    open: Option<Arc<Opening>>,
}

impl Recognised {
    /// The break-glass section.
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether it is open now, so that nothing more is asked.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

/// How an emergency is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// Why, in the words of whoever opens it.
    pub(crate) reason: &'a str,
    /// Where from.
    pub(crate) source: IpAddr,
    /// What the clock says.
    pub(crate) now: Timestamp,
}

/// What is needed to break the glass. One for each broker.
pub(crate) struct Emergencies {
    store: Store,
    vault: Vault,
    audit: Audit,
    key: SigningKey,
    snapshot: PathBuf,
    state: Mutex<State>,
    /// The clock jumped since this broker began: what a clock says of an envelope's end is not believed.
    clock_distrusted: AtomicBool,
    /// How often what is kept was read.
    readings: AtomicU64,
    /// One reading at a time; when the last one began.
    refreshing: tokio::sync::Mutex<Option<Instant>>,
}

/// What is told of an opening.
struct Told<'a> {
    glass: &'a BreakGlass,
    identity: &'a str,
    opening: &'a str,
    envelopes: &'a [i64],
    database: bool,
}

struct State {
    kept: Option<Arc<Kept>>,
    ledger: Ledger,
    open: Vec<Open>,
    /// Openings that are in the ledger and came to nothing yet: who tries again, from the same place, goes on with the same.
    begun: Vec<Begun>,
    /// What the snapshot on disk holds, and since when.
    written: Option<(Arc<Kept>, Timestamp)>,
    /// When somebody known has broken the glass last.
    known: BTreeMap<IdentityId, Instant>,
}

/// An opening that is in the ledger and nothing else yet.
struct Begun {
    envelopes: Vec<i64>,
    opening: String,
    source: IpAddr,
    /// Somebody is at it.
    busy: bool,
}

/// An emergency, and the envelopes that opened it.
struct Open {
    envelopes: Vec<i64>,
    opening: Arc<Opening>,
}

impl Emergencies {
    /// `folder`: where snapshot and ledger are. `kept`: what is kept, where the database cannot tell.
    ///
    /// # Errors
    /// When the ledger cannot be opened.
    pub(crate) fn new(
        folder: &std::path::Path,
        store: Store,
        vault: Vault,
        audit: Audit,
        key: SigningKey,
        kept: Option<Kept>,
    ) -> std::io::Result<Self> {
        let ledger = Ledger::open(&folder.join(LEDGER))?;
        let kept = kept.map(Arc::new);
        let written = kept.as_ref().map(|kept| (Arc::clone(kept), kept.made_at));
        let (open, begun, known) = (Vec::new(), Vec::new(), BTreeMap::new());
        let state = State { kept, ledger, open, begun, written, known };
        Ok(Self {
            store,
            vault,
            audit,
            key,
            snapshot: folder.join(SNAPSHOT),
            state: Mutex::new(state),
            clock_distrusted: AtomicBool::new(false),
            readings: AtomicU64::new(0),
            refreshing: tokio::sync::Mutex::default(),
        })
    }

    /// The clock jumped.
    pub(crate) fn distrust_the_clock(&self) {
        self.clock_distrusted.store(true, Ordering::Release);
    }

    /// Whose code this is, if it opens anything. Costs a hash and a look at a list: who guesses keeps nobody waiting.
    pub(crate) async fn recognise(&self, code: &EnvelopeCode, now: Timestamp) -> Result<Recognised, NotOpened> {
        let verifier = code.verifier();
        let found = match self.find(verifier) {
            // It may have been sealed a moment ago, by another process.
            None if self.refresh_seldom(now).await => self.find(verifier),
            found => found,
        };
        let envelope = found.ok_or(NotOpened::Unknown)?;
        let number = envelope.number;
        let state = self.state();
        let open = state.open.iter().find(|open| open.envelopes.contains(&number) && !open.opening.is_over());
        if let Some(open) = open {
            let open = Some(Arc::clone(&open.opening));
            return Ok(Recognised { number, rule: envelope.rule, holder: envelope.holder, open });
        }
        // What this broker itself has begun, and nobody was let in by, goes on with the same.
        let begun = state.begun.iter().find(|begun| begun.envelopes.contains(&number)).map(|begun| &*begun.opening);
        let by_other = |opening: &str| begun != Some(opening);
        if envelope.opening.as_deref().is_some_and(by_other) || state.ledger.opening(number).is_some_and(by_other) {
            return Err(NotOpened::Used(number));
        }
        if envelope.revoked {
            return Err(NotOpened::Revoked(number));
        }
        if let Some(at) = envelope.expires_at.filter(|at| *at <= now)
            && !self.clock_distrusted.load(Ordering::Acquire)
        {
            return Err(NotOpened::Expired { number, at });
        }
        Ok(Recognised { number, rule: envelope.rule, holder: envelope.holder, open: None })
    }

    /// Whether the next envelope goes with those before it.
    pub(crate) fn goes_with(&self, before: &[Recognised], next: &Recognised) -> Result<(), NotOpened> {
        let fits = before.iter().all(|one| {
            one.number != next.number
                && one.rule == next.rule
                && (one.holder.is_none() || next.holder.is_none() || one.holder != next.holder)
        });
        if fits { Ok(()) } else { Err(NotOpened::NotASecond(next.number)) }
    }

    /// Opens what these envelopes open, or comes back into it. INVARIANT: when this returns, it is on disk that the envelopes are used,
    /// and on record that somebody has opened them.
    pub(crate) async fn open(
        &self,
        policy: &Policy,
        envelopes: &[Recognised],
        by: Circumstances<'_>,
    ) -> Result<Opened, NotOpened> {
        let Some(first) = envelopes.first() else { return Err(NotOpened::Unknown) };
        if let Some(open) = &first.open {
            return self.enter_again(first.number, open, by.source).await;
        }
        let no_rule = || NotOpened::NoRule { number: first.number, rule: first.rule.clone() };
        let glass = policy.emergency(&first.rule).ok_or_else(no_rule)?;
        if u32::try_from(envelopes.len()).unwrap_or(u32::MAX) < glass.envelopes {
            return Err(NotOpened::NotASecond(first.number));
        }
        let numbers: Vec<i64> = envelopes.iter().map(|envelope| envelope.number).collect();
        let id = self.begin(&numbers, by)?;
        let database = match self.put_on_record(glass, &id, &numbers, by).await {
            Ok(database) => database,
            Err(refused) => {
                self.not_begun(&id, by.now, &refused);
                return Err(refused);
            }
        };
        let opening = Arc::new(Opening::new(id.clone(), first.rule.clone(), by.source, None, glass.max_duration));
        let mut state = self.state();
        state.begun.retain(|begun| begun.opening != id);
        state.open.retain(|open| !open.opening.is_over());
        for open in &state.open {
            // Another envelope is the only way to more time.
            if open.opening.known().is_none() && open.opening.rule() == first.rule && open.opening.source() == by.source
            {
                open.opening.extend(glass.max_duration);
            }
        }
        if database {
            state.settled(&numbers, &id, by.now);
        }
        state.open.push(Open { envelopes: numbers, opening: Arc::clone(&opening) });
        tracing::error!(opening = id, rule = first.rule, database, "The glass was broken");
        metrics::counter!("sallyport_glass_broken_total").increment(1);
        Ok(Opened(opening))
    }

    /// Somebody known breaks the glass with the factors that they have proven: what they have open already from the same place goes on for
    /// longer. `None`: they did a moment ago. INVARIANT: on record when this returns.
    pub(crate) async fn break_known(
        &self,
        glass: &BreakGlass,
        identity: &IdentityId,
        by: Circumstances<'_>,
    ) -> Result<Option<Arc<Opening>>, AuditError> {
        {
            let mut state = self.state();
            state.known.retain(|_, at| at.elapsed() < KNOWN_AGAIN);
            if state.known.insert(identity.clone(), Instant::now()).is_some() {
                return Ok(None);
            }
        }
        let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let told = Told { glass, identity: identity.as_str(), opening: &id, envelopes: &[], database: true };
        if let Err(error) = self.audit.record(self.told(told, by)).await {
            // Nothing was broken: whoever tries again is not told that they have.
            self.state().known.remove(identity);
            return Err(error);
        }
        let rule = glass.rule.name.clone();
        let before = self.of_known(identity, by.source).into_iter().find(|opening| opening.rule() == rule);
        let opening = match before {
            Some(before) => {
                before.extend(glass.max_duration);
                before
            }
            None => {
                let known = Some(identity.clone());
                let opening = Arc::new(Opening::new(id, rule, by.source, known, glass.max_duration));
                let mut state = self.state();
                state.open.retain(|open| !open.opening.is_over());
                state.open.push(Open { envelopes: Vec::new(), opening: Arc::clone(&opening) });
                opening
            }
        };
        tracing::error!(%identity, rule = glass.rule.name, "The glass was broken by somebody known");
        metrics::counter!("sallyport_glass_broken_total").increment(1);
        Ok(Some(opening))
    }

    /// The emergencies that somebody known has opened, from this address, and that go on.
    pub(crate) fn of_known(&self, identity: &IdentityId, source: IpAddr) -> Vec<Arc<Opening>> {
        let theirs =
            |opening: &Arc<Opening>| opening.known() == Some(identity) && opening.source() == source.to_canonical();
        self.going_on().into_iter().filter(theirs).collect()
    }

    /// How often what is kept was read from the database.
    pub(crate) fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// Emergencies that go on.
    pub(crate) fn going_on(&self) -> Vec<Arc<Opening>> {
        let state = self.state();
        state.open.iter().filter(|open| !open.opening.is_over()).map(|open| Arc::clone(&open.opening)).collect()
    }

    /// When what is on disk was written, if anything is.
    pub(crate) fn written_at(&self) -> Option<Timestamp> {
        self.state().written.as_ref().map(|(_, at)| *at)
    }

    async fn enter_again(&self, number: i64, open: &Arc<Opening>, source: IpAddr) -> Result<Opened, NotOpened> {
        // The sheet lies on the desk for as long as it is open: somebody else may have read it.
        if open.source() != source {
            return Err(NotOpened::Elsewhere(number));
        }
        let (identity, source) = (GLASS.to_owned(), source.to_string());
        let event = AuditEvent::GlassEnteredAgain { identity, source, opening: open.id().to_owned() };
        self.audit.record_enduring(event).await.map_err(|error| NotOpened::Unrecorded(error.to_string()))?;
        Ok(Opened(Arc::clone(open)))
    }

    /// From here on the envelopes count as used on this broker, whatever becomes of it.
    fn begin(&self, numbers: &[i64], by: Circumstances<'_>) -> Result<String, NotOpened> {
        let mut state = self.state();
        let first = numbers.first().copied().unwrap_or_default();
        if let Some(begun) = state.begun.iter_mut().find(|begun| begun.envelopes == numbers) {
            // Two at once with one sheet: one of them opens it, from where they are.
            return match (begun.busy, begun.source == by.source) {
                (true, _) => Err(NotOpened::BeingOpened(first)),
                (false, false) => Err(NotOpened::Elsewhere(first)),
                (false, true) => {
                    begun.busy = true;
                    Ok(begun.opening.clone())
                }
            };
        }
        if let Some(used) = numbers.iter().find(|number| state.ledger.opening(**number).is_some()) {
            return Err(NotOpened::Used(*used));
        }
        let opening = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        let spent = |envelope: &i64| Spent::new(*envelope, &opening, by.now);
        let spent: Vec<_> = numbers.iter().map(spent).collect();
        state.ledger.add(&spent).map_err(|error| NotOpened::Unrecorded(format!("the ledger: {error}")))?;
        let envelopes = numbers.to_vec();
        state.begun.push(Begun { envelopes, opening: opening.clone(), source: by.source, busy: true });
        Ok(opening)
    }

    /// Nobody is let in. What the database has refused was never spent here; what could not be recorded can be tried again.
    fn not_begun(&self, opening: &str, at: Timestamp, refused: &NotOpened) {
        let mut state = self.state();
        if let NotOpened::Unrecorded(_) = refused {
            state.begun.iter_mut().filter(|begun| begun.opening == opening).for_each(|begun| begun.busy = false);
            return;
        }
        let Some(begun) = state.begun.iter().position(|begun| begun.opening == opening) else { return };
        let begun = state.begun.swap_remove(begun);
        let cancelled = |envelope: &i64| Spent { cancelled: true, ..Spent::new(*envelope, opening, at) };
        let cancelled: Vec<_> = begun.envelopes.iter().map(cancelled).collect();
        if let Err(error) = state.ledger.add(&cancelled) {
            tracing::warn!(%error, "The ledger of envelopes does not take that one opened nothing");
        }
    }

    /// Says whether the database has it.
    async fn put_on_record(
        &self,
        glass: &BreakGlass,
        opening: &str,
        numbers: &[i64],
        by: Circumstances<'_>,
    ) -> Result<bool, NotOpened> {
        let unrecorded = |error: AuditError| NotOpened::Unrecorded(error.to_string());
        let event = |database| self.told(Told { glass, identity: GLASS, opening, envelopes: numbers, database }, by);
        let prepared = self.audit.prepare(&event(true)).map_err(unrecorded)?;
        let entered =
            tokio::time::timeout(DATABASE_WITHIN, self.enter(numbers, opening, by.now, prepared.clone())).await;
        match entered {
            Ok(Ok(Ok(()))) => return Ok(true),
            Ok(Ok(Err(refused))) => return Err(refused),
            Ok(Err(error)) => tracing::warn!(%error, "An emergency is opened without the database"),
            // It may be entered all the same: then by the same event, which the chain takes once.
            Err(_) => {
                self.audit.record_prepared_enduring(prepared).await.map_err(unrecorded)?;
                return Ok(false);
            }
        }
        self.audit.record_enduring(event(false)).await.map_err(unrecorded)?;
        Ok(false)
    }

    fn told(&self, told: Told<'_>, by: Circumstances<'_>) -> AuditEvent {
        let after = |duration| by.now.saturating_add(duration).unwrap_or(by.now);
        AuditEvent::GlassBroken {
            identity: told.identity.to_owned(),
            source: by.source.to_string(),
            opening: told.opening.to_owned(),
            rule: told.glass.rule.name.clone(),
            envelopes: told.envelopes.to_vec(),
            reason: by.reason.to_owned(),
            ends_at: after(told.glass.max_duration),
            review_until: after(told.glass.review_within),
            clock_trusted: !self.clock_distrusted.load(Ordering::Acquire),
            database: told.database,
        }
    }

    /// Marks the envelopes in the database, together with the entry that tells of it.
    async fn enter(
        &self,
        numbers: &[i64],
        opening: &str,
        at: Timestamp,
        event: Prepared,
    ) -> Result<Result<(), NotOpened>, AuditError> {
        let mut write = self.store.begin_write().await?;
        for &number in numbers {
            match write.open_envelope(number, opening, at).await? {
                EnvelopeOpened::Now | EnvelopeOpened::BySame => {}
                EnvelopeOpened::Before { .. } => return Ok(Err(NotOpened::Used(number))),
                EnvelopeOpened::Revoked => return Ok(Err(NotOpened::Revoked(number))),
                EnvelopeOpened::Unknown => return Ok(Err(NotOpened::Unknown)),
            }
        }
        self.audit.record_prepared_in(&mut write, event).await?;
        write.commit().await?;
        Ok(Ok(()))
    }

    fn find(&self, verifier: super::code::Verifier) -> Option<KeptEnvelope> {
        let kept = self.state().kept.clone()?;
        let is_it = |envelope: &&KeptEnvelope| {
            super::code::Verifier::from_hex(&envelope.verifier).is_some_and(|stored| stored == verifier)
        };
        kept.envelopes().iter().find(is_it).cloned()
    }

    /// Reads anew what is kept, twice a second at most, for all who wait for it together: whoever types codes that nobody has costs no more.
    async fn refresh_seldom(&self, now: Timestamp) -> bool {
        let asked = Instant::now();
        let seldom = async {
            let mut last = self.refreshing.lock().await;
            if let Some(last) = *last {
                if last >= asked {
                    return Ok(());
                }
                tokio::time::sleep(REFRESH_AGAIN.saturating_sub(last.elapsed())).await;
            }
            *last = Some(Instant::now());
            self.read_anew(now).await
        };
        matches!(tokio::time::timeout(REFRESHED_WITHIN, seldom).await, Ok(Ok(())))
    }

    /// Reads anew what is kept, and writes it to disk where it is other than what is there, or a while has passed.
    pub(super) async fn refresh(&self, now: Timestamp) -> Result<(), RefreshError> {
        let mut last = self.refreshing.lock().await;
        *last = Some(Instant::now());
        self.read_anew(now).await?;
        let (kept, written) = {
            let state = self.state();
            (state.kept.clone(), state.written.clone())
        };
        let Some(kept) = kept else { return Ok(()) };
        let stands = |(written, at): &(Arc<Kept>, Timestamp)| {
            written.says_the_same(&kept) && now.duration_since(*at) < REWRITE && self.snapshot.exists()
        };
        if !written.as_ref().is_some_and(stands) {
            let (path, vault, key) = (self.snapshot.clone(), self.vault.clone(), self.key.clone());
            let copy = Arc::clone(&kept);
            let done = tokio::task::spawn_blocking(move || snapshot::write(&path, &copy, &vault, &key)).await;
            done.map_err(|error| RefreshError::Task(error.to_string()))??;
            self.state().written = Some((kept, now));
        }
        Ok(())
    }

    async fn read_anew(&self, now: Timestamp) -> Result<(), RefreshError> {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let kept = Arc::new(Kept::read(&self.store, now).await?);
        self.vault.keep_at_hand(kept.accounts());
        self.state().kept = Some(kept);
        Ok(())
    }

    /// Enters into the database what was opened without it.
    pub(super) async fn settle(&self, now: Timestamp) -> Result<(), AuditError> {
        let unsettled = {
            let state = self.state();
            let begun = |spent: &Spent| state.begun.iter().any(|begun| begun.opening == spent.opening);
            state.ledger.unsettled().into_iter().filter(|spent| !begun(spent)).collect::<Vec<_>>()
        };
        for Spent { envelope, opening, at, .. } in unsettled {
            let mut write = self.store.begin_write().await?;
            let event = match write.envelope_was_opened(envelope, &opening, at).await? {
                EnvelopeOpened::Before { opening: first } => {
                    tracing::error!(envelope, first, second = opening, "One envelope has opened two emergencies");
                    Some(AuditEvent::GlassBrokenTwice { envelope, first, second: opening.clone() })
                }
                EnvelopeOpened::Revoked => Some(AuditEvent::GlassBrokenRevoked { envelope, opening: opening.clone() }),
                EnvelopeOpened::Now | EnvelopeOpened::BySame | EnvelopeOpened::Unknown => None,
            };
            if let Some(event) = event {
                self.audit.record_in(&mut write, event).await?;
            }
            write.commit().await?;
            self.state().settled(&[envelope], &opening, now);
        }
        Ok(())
    }

    /// Puts an event of the broker's own on record.
    pub(super) async fn put(&self, event: AuditEvent) -> Result<(), AuditError> {
        self.audit.record(event).await
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settled(&mut self, envelopes: &[i64], opening: &str, at: Timestamp) {
        let settled = |envelope: &i64| Spent { settled: true, ..Spent::new(*envelope, opening, at) };
        let settled: Vec<_> = envelopes.iter().map(settled).collect();
        if let Err(error) = self.ledger.add(&settled) {
            // It is settled again after a restart, which changes nothing.
            tracing::warn!(%error, "The ledger of envelopes does not take that one is settled");
        }
    }
}

impl std::fmt::Debug for Emergencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emergencies").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

/// Why what is kept is not read anew.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefreshError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    #[error("the snapshot's task failed: {0}")]
    Task(String),
}

/// The files beside the audit spool.
pub(crate) const SNAPSHOT: &str = "emergency.snapshot";
const LEDGER: &str = "emergency.opened";
/// How long the database may take; an emergency does not wait for it.
const DATABASE_WITHIN: Duration = Duration::from_secs(2);
const REFRESHED_WITHIN: Duration = Duration::from_secs(2);
const REFRESH_AGAIN: Duration = Duration::from_millis(500);
/// How soon somebody known can break the glass again.
const KNOWN_AGAIN: Duration = Duration::from_secs(60);
/// Also a snapshot that says the same is written again, so that its age tells whether the broker still keeps it.
const REWRITE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
