//! A login that waits until its person confirms it in the portal, with a passkey: at this broker or at another of the installation.
//!
//! ```text
//! ssh: first factor ─► Waiting::ask ─ link, number ─►  …outcome ─► Offer::Confirmation ─► second factor
//!                                       │                  ▲
//! portal: signed in ─► the page ─► number ─► passkey ─► confirm
//! ```
//!
//! One login of a person waits at a time: whoever has their key cannot make them tired of refusing. One from where the person was
//! lately makes another from elsewhere leave, so that it does not keep them out either. Logins of the same first factor and address
//! wait together (14 hosts of Ansible at once): the lease that follows from the one confirmation lets them all in. After a refusal
//! nobody is asked about another of its first factor and address for a while.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_plain::excerpt;

use super::held_back;
use crate::audit::{AuditError, AuditEvent};
use crate::broker::Broker;
use crate::identity::{Verified, network};
use crate::store::StoreError;
use crate::store::confirmations::{ConfirmationRow, ConfirmationState, Other, Queued};

/// The longest that a login waits.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);
/// A change that was announced and lost is found at the latest after this.
const LOOK: Duration = Duration::from_secs(1);
/// What is shown of a client's own words.
const LONGEST_CLIENT: usize = 80;
/// Without the letters and digits that look alike.
const ALPHABET: &[u8; 28] = b"23456789BCDFGHJKLMNPQRSTVWXZ";
const CODE: usize = 8;

/// Who asks for a confirmation, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    /// What was right already.
    pub(crate) first: &'a Verified,
    /// What the client calls itself.
    pub(crate) client: &'a str,
    /// What it wants to reach, in words.
    pub(crate) target: String,
    /// When whoever waits is sent away.
    pub(crate) until: Timestamp,
    /// Whether a login of the same first factor and address that waits already will do: a lease follows from it.
    pub(crate) join: bool,
}

/// A login that waits. Whoever drops it waits no more.
#[derive(Debug)]
pub(crate) struct Waiting {
    broker: Arc<Broker>,
    row: ConfirmationRow,
    joined: bool,
    decided: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The person has confirmed it: the second factor is there.
    Confirmed,
    /// They refused it, or gave a wrong number too often.
    Refused,
    /// Nobody answered in time.
    TooLate,
    /// Another login of the same person took its place.
    Displaced,
}

/// Why nothing waits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConfirmation {
    /// Another login of the same person does.
    #[error("another login of the same person waits for its confirmation")]
    Busy,
    /// One like it was refused lately.
    #[error("a login with the same first factor and from the same address was refused in the portal lately")]
    HeldBack,
    /// There is no portal, or no passkey of theirs.
    #[error("no passkey can be used")]
    NoPasskey,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What cannot be put on record does not happen.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

impl NoConfirmation {
    /// What the person is told.
    pub(crate) fn sentence(&self) -> &'static str {
        match self {
            Self::Busy => "another login of yours waits for its confirmation in the portal. Decide that one first.",
            Self::HeldBack => "one like it was refused in the portal a moment ago. Wait a while, then connect again.",
            Self::NoPasskey => "you have no passkey that can be used.",
            Self::Store(_) | Self::Audit(_) => "the broker cannot ask for it now. Try again later.",
        }
    }
}

impl Waiting {
    /// Begins to wait, if the person has a passkey and nothing else of theirs waits.
    pub(crate) async fn ask(broker: &Arc<Broker>, wanted: Wanted<'_>) -> Result<Self, NoConfirmation> {
        let Wanted { first, client, target, until, join } = wanted;
        if !broker.identities.has_passkey(first.identity()).await? {
            return Err(NoConfirmation::NoPasskey);
        }
        let now = broker.now();
        if is_held_back(broker, first, now).await? {
            return Err(NoConfirmation::HeldBack);
        }
        let latest = now.saturating_add(LONGEST).unwrap_or(now);
        let row = ConfirmationRow {
            id: ulid::Ulid::generate().to_string().to_lowercase(),
            code: code(),
            identity: first.identity().to_string(),
            credential: first.credential().to_owned(),
            source: first.source().to_string(),
            client: excerpt(client, LONGEST_CLIENT),
            target,
            number: i64::from(rand::random_range(100..1000_u16)),
            broker: broker.config.name.clone(),
            asked_at: now,
            expires_at: until.min(latest),
            state: ConfirmationState::Waiting,
            tries: 0,
            turned_away: 0,
            decided_at: None,
            proven_by: None,
        };
        let known = broker.identities.is_known_source(first.identity(), first.source(), now);
        let broker = Arc::clone(broker);
        match broker.store.ask_confirmation(&row, Other { join, displace: known }).await? {
            Queued::Busy => return Err(NoConfirmation::Busy),
            Queued::Joins(row) => return Ok(Self { broker, row: *row, joined: true, decided: false }),
            Queued::Waits => {}
        }
        let waiting = Self { broker, row, joined: false, decided: false };
        let event = AuditEvent::ConfirmationAsked {
            identity: waiting.row.identity.clone(),
            source: waiting.row.source.clone(),
            client: waiting.row.client.clone(),
            target: waiting.row.target.clone(),
        };
        waiting.broker.audit.record(event).await?;
        Ok(waiting)
    }

    /// Whether another login began to wait, and this one waits with it: what confirms that one, is a lease for this one.
    pub(crate) fn is_joined(&self) -> bool {
        self.joined
    }

    /// What [`crate::identity::Offer::Confirmation`] takes.
    pub(crate) fn id(&self) -> &str {
        &self.row.id
    }

    /// What the person is told.
    pub(crate) fn words(&self) -> String {
        let origin = self.broker.config.portal.as_ref().map(|portal| portal.origin.as_str()).unwrap_or_default();
        format!("Confirm this login in your browser: {origin}/c/{}\nThe number is {}.", self.row.code, self.row.number)
    }

    /// Waits until it is decided, or nobody did in time.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        let mut changes = self.broker.store.changes();
        loop {
            changes.mark_unchanged();
            match self.look().await {
                Some(outcome) => {
                    self.decided = true;
                    self.tell(outcome).await;
                    return outcome;
                }
                None => drop(tokio::time::timeout(LOOK, changes.changed()).await),
            }
        }
    }

    async fn look(&self) -> Option<Outcome> {
        let row = match self.broker.store.confirmation(&self.row.id).await {
            Ok(Some(row)) => row,
            // Somebody took it away or altered it.
            Ok(None) => return Some(Outcome::Displaced),
            Err(error) => {
                tracing::warn!(%error, "A confirmation cannot be looked up");
                return (self.broker.now() >= self.row.expires_at).then_some(Outcome::TooLate);
            }
        };
        match row.state {
            ConfirmationState::Confirmed => Some(Outcome::Confirmed),
            ConfirmationState::Refused => Some(Outcome::Refused),
            ConfirmationState::Spent if self.joined => Some(Outcome::Confirmed),
            ConfirmationState::Left | ConfirmationState::Spent => Some(Outcome::Displaced),
            ConfirmationState::Waiting => (self.broker.now() >= row.expires_at).then_some(Outcome::TooLate),
        }
    }

    /// That it was not confirmed goes on the record.
    async fn tell(&self, outcome: Outcome) {
        if self.joined {
            return;
        }
        let reason = match outcome {
            Outcome::Confirmed => return,
            Outcome::Refused => "refused in the portal, or a wrong number was given too often",
            Outcome::TooLate => "nobody confirmed it in time",
            Outcome::Displaced => "another login of the same person took its place",
        };
        let turned_away = match self.broker.store.confirmation(&self.row.id).await {
            Ok(row) => row.map_or(0, |row| u64::try_from(row.turned_away).unwrap_or(0)),
            Err(_) => 0,
        };
        let event = AuditEvent::ConfirmationRefused {
            identity: self.row.identity.clone(),
            source: self.row.source.clone(),
            reason: reason.to_owned(),
            turned_away,
        };
        if let Err(error) = self.broker.audit.record(event).await {
            tracing::error!(%error, "That a login was not confirmed could not be audited");
        }
    }
}

impl Outcome {
    /// What the person is told where it was not confirmed.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Outcome::Confirmed => "",
            Outcome::Refused => "This login was refused in the portal.",
            Outcome::TooLate => "Nobody confirmed this login in time. Connect again, and open the link at once.",
            Outcome::Displaced => "Another login of yours took the place of this one.",
        }
    }
}

/// Whoever waited is gone: nothing can be confirmed any more.
impl Drop for Waiting {
    fn drop(&mut self) {
        if self.decided || self.joined {
            return;
        }
        let (broker, id) = (Arc::clone(&self.broker), self.row.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = broker.store.leave_confirmation(&id).await {
                    tracing::warn!(%error, "A login that waits no more could not be taken back; it is over by its time");
                }
            });
        }
    }
}

/// Whether one like it was refused lately: by the same first factor, from the same address (of IPv6, the same network).
async fn is_held_back(broker: &Broker, first: &Verified, now: Timestamp) -> Result<bool, StoreError> {
    let since = now.saturating_sub(held_back::REMEMBERED).unwrap_or(now);
    let refused = broker.store.refused_confirmations(first.identity().as_str(), first.credential(), since).await?;
    let here = network(first.source());
    let alike = |row: &ConfirmationRow| row.source.parse().is_ok_and(|source| network(source) == here);
    let times: Vec<Timestamp> = refused.iter().filter(|row| alike(row)).filter_map(|row| row.decided_at).collect();
    Ok(held_back::held_until(&times, now).is_some())
}

/// `BCDF-2345`
fn code() -> String {
    let mut code = String::with_capacity(CODE + 1);
    for at in 0..CODE {
        if at == CODE / 2 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]));
    }
    code
}
