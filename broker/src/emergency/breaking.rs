//! From envelopes that were recognised, or from somebody known, to an emergency that is open: the only maker of [`Opened`].

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport_policy::{BreakGlass, IdentityId, Policy};

use super::NotOpened;
use super::glass::{Begun, Emergencies, Open};
use super::ledger::Spent;
use super::opening::Opening;
use super::recognising::Recognised;
use crate::audit::{AuditError, AuditEvent, Prepared};
use crate::store::envelopes::{EnvelopeOpened, GLASS};

/// Somebody who has opened an emergency, or come back into one. INVARIANT: made after what was opened is on record.
#[derive(Debug, Clone)]
pub(crate) struct Opened(Arc<Opening>);

impl Opened {
    /// What was opened.
    pub(crate) fn opening(&self) -> &Arc<Opening> {
        &self.0
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

/// What is told of an opening.
struct Told<'a> {
    glass: &'a BreakGlass,
    identity: &'a str,
    opening: &'a str,
    envelopes: &'a [i64],
    database: bool,
}

impl Emergencies {
    /// Opens what these envelopes open, or comes back into it. INVARIANT: when this returns, it is on disk that the envelopes are used,
    /// and on record that somebody has opened them.
    pub(crate) async fn open(
        &self,
        policy: &Policy,
        envelopes: &[Recognised],
        by: Circumstances<'_>,
    ) -> Result<Opened, NotOpened> {
        let Some(first) = envelopes.first() else { return Err(NotOpened::Unknown) };
        if let Some(open) = first.open() {
            return self.enter_again(first.number(), open, by.source).await;
        }
        let no_rule = || NotOpened::NoRule { number: first.number(), rule: first.rule().to_owned() };
        let glass = policy.emergency(first.rule()).ok_or_else(no_rule)?;
        if u32::try_from(envelopes.len()).unwrap_or(u32::MAX) < glass.envelopes {
            return Err(NotOpened::NotASecond(first.number()));
        }
        let numbers: Vec<i64> = envelopes.iter().map(Recognised::number).collect();
        let id = self.begin(&numbers, by)?;
        let database = match self.put_on_record(glass, &id, &numbers, by).await {
            Ok(database) => database,
            Err(refused) => {
                self.not_begun(&id, by.now, &refused);
                return Err(refused);
            }
        };
        let opening = Arc::new(Opening::new(id.clone(), first.rule().to_owned(), by.source, None, glass.max_duration));
        let mut state = self.state();
        state.begun.retain(|begun| begun.opening != id);
        state.open.retain(|open| !open.opening.is_over());
        for open in &state.open {
            // Another envelope is the only way to more time.
            if open.opening.known().is_none()
                && open.opening.rule() == first.rule()
                && open.opening.source() == by.source
            {
                open.opening.extend(glass.max_duration);
            }
        }
        if database {
            state.settled(&numbers, &id, by.now);
        }
        state.open.push(Open { envelopes: numbers, opening: Arc::clone(&opening) });
        tracing::error!(opening = id, rule = first.rule(), database, "The glass was broken");
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
}

/// How long the database may take; an emergency does not wait for it.
const DATABASE_WITHIN: Duration = Duration::from_secs(2);
/// How soon somebody known can break the glass again.
const KNOWN_AGAIN: Duration = Duration::from_secs(60);
