//! Breaking the glass: from the code of an envelope to an emergency that is open and on record. The only maker of [`Opened`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use sallyport_policy::{BreakGlass, IdentityId, Policy};

use super::kept::{Kept, KeptEnvelope};
use super::ledger::{self, Ledger};
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
    /// Openings that are in the ledger and came to nothing yet: who tries again goes on with the same.
    begun: Vec<(Vec<i64>, String)>,
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
        let state = State { kept: kept.map(Arc::new), ledger, open: Vec::new(), begun: Vec::new() };
        Ok(Self {
            store,
            vault,
            audit,
            key,
            snapshot: folder.join(SNAPSHOT),
            state: Mutex::new(state),
            clock_distrusted: AtomicBool::new(false),
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
            None if self.refresh_within(REFRESHED_WITHIN, now).await => self.find(verifier),
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
        let begun = state.begun.iter().any(|(numbers, _)| numbers.contains(&number));
        if envelope.opening.is_some() || (state.ledger.opening(number).is_some() && !begun) {
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
        let id = self.begin(&numbers, by.now)?;
        let database = self.put_on_record(glass, &id, &numbers, by).await?;
        let opening = Arc::new(Opening::new(id.clone(), first.rule.clone(), by.source, None, glass.max_duration));
        let mut state = self.state();
        state.begun.retain(|(_, begun)| *begun != id);
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

    /// Somebody known breaks the glass with the factors that they have proven. INVARIANT: on record when this returns.
    pub(crate) async fn break_known(
        &self,
        glass: &BreakGlass,
        identity: &IdentityId,
        by: Circumstances<'_>,
    ) -> Result<Arc<Opening>, AuditError> {
        let id = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        self.audit
            .record(
                self.told(
                    Told { glass, identity: identity.as_str(), opening: &id, envelopes: &[], database: true },
                    by,
                ),
            )
            .await?;
        let rule = glass.rule.name.clone();
        let opening = Arc::new(Opening::new(id, rule, by.source, Some(identity.clone()), glass.max_duration));
        self.state().open.push(Open { envelopes: Vec::new(), opening: Arc::clone(&opening) });
        tracing::error!(%identity, rule = glass.rule.name, "The glass was broken by somebody known");
        metrics::counter!("sallyport_glass_broken_total").increment(1);
        Ok(opening)
    }

    /// The emergency that somebody known has opened, from this address, and that goes on.
    pub(crate) fn of_known(&self, identity: &IdentityId, source: IpAddr) -> Option<Arc<Opening>> {
        let going_on = self.going_on();
        going_on
            .into_iter()
            .find(|opening| opening.known() == Some(identity) && opening.source() == source.to_canonical())
    }

    /// Emergencies that go on.
    pub(crate) fn going_on(&self) -> Vec<Arc<Opening>> {
        let state = self.state();
        state.open.iter().filter(|open| !open.opening.is_over()).map(|open| Arc::clone(&open.opening)).collect()
    }

    /// When what is kept was read from the database, if anything is kept.
    pub(crate) fn kept_since(&self) -> Option<Timestamp> {
        self.state().kept.as_ref().map(|kept| kept.made_at)
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
    fn begin(&self, numbers: &[i64], at: Timestamp) -> Result<String, NotOpened> {
        let mut state = self.state();
        if let Some((_, begun)) = state.begun.iter().find(|(begun, _)| begun == numbers) {
            return Ok(begun.clone());
        }
        // Two at once with one sheet: the second is too late.
        if let Some(used) = numbers.iter().find(|number| state.ledger.opening(**number).is_some()) {
            return Err(NotOpened::Used(*used));
        }
        let opening = ulid::Ulid::generate().to_string().to_ascii_lowercase();
        for &envelope in numbers {
            let opened = ledger::Spent { envelope, opening: opening.clone(), at, settled: false };
            state.ledger.add(opened).map_err(|error| NotOpened::Unrecorded(format!("the ledger: {error}")))?;
        }
        state.begun.push((numbers.to_vec(), opening.clone()));
        Ok(opening)
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

    async fn refresh_within(&self, within: Duration, now: Timestamp) -> bool {
        matches!(tokio::time::timeout(within, self.refresh(now)).await, Ok(Ok(())))
    }

    /// Reads anew what is kept, and writes it to disk where it is other than before or a while has passed.
    pub(super) async fn refresh(&self, now: Timestamp) -> Result<(), RefreshError> {
        let kept = Arc::new(Kept::read(&self.store, now).await?);
        let before = self.state().kept.replace(Arc::clone(&kept));
        self.vault.keep_at_hand(kept.accounts());
        if before.is_none_or(|before| !before.says_the_same(&kept) || now.duration_since(before.made_at) > REWRITE) {
            let (path, vault, key) = (self.snapshot.clone(), self.vault.clone(), self.key.clone());
            let written = tokio::task::spawn_blocking(move || snapshot::write(&path, &kept, &vault, &key)).await;
            written.map_err(|error| RefreshError::Task(error.to_string()))??;
        }
        Ok(())
    }

    /// Enters into the database what was opened without it.
    pub(super) async fn settle(&self, now: Timestamp) -> Result<(), AuditError> {
        let unsettled = {
            let state = self.state();
            let begun = |opened: &ledger::Spent| state.begun.iter().any(|(_, id)| *id == opened.opening);
            state.ledger.unsettled().into_iter().filter(|opened| !begun(opened)).collect::<Vec<_>>()
        };
        for ledger::Spent { envelope, opening, at, .. } in unsettled {
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
        for &envelope in envelopes {
            let opened = ledger::Spent { envelope, opening: opening.to_owned(), at, settled: true };
            if let Err(error) = self.ledger.add(opened) {
                // It is settled again after a restart, which changes nothing.
                tracing::warn!(%error, "The ledger of envelopes does not take that one is settled");
            }
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
const REFRESHED_WITHIN: Duration = Duration::from_secs(1);
/// Also a snapshot that says the same is written again, so that its age tells whether the broker still keeps it.
const REWRITE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
