//! The rules of a session's filter, as plant file, windows and time make them, for as long as the session lasts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_policy::{Opening, ResolvedRule, Subject, WriteWindow, may_open};
use sallyport_protocol_filter::{Mode, ProtocolFilter, modbus, rdp, rfb};
use sallyport_session_recorder::Budget;
use tokio::sync::watch;

use super::rules::{self, Dated};
use crate::identity::Standing;
use crate::session::Recorded;
use crate::store::StoreError;

/// A look without a cause, in case a change was announced and the announcement lost.
const ANYWAY: Duration = Duration::from_secs(5);

/// A filter whose rules come from the plant.
pub(super) trait Ruled: ProtocolFilter + Sized {
    /// How much of what comes from the person, and of what goes to them, is recorded in full.
    fn budgets() -> [Budget; 2] {
        [Budget::default(), Budget::default()]
    }

    /// A filter for a connection that has just begun.
    fn begin(rules: Self::Rules) -> Self;

    /// What of the rules holds while input is held: what only looks on. Nothing where a stream cannot be judged so far; then the person
    /// waits.
    fn viewing(rules: &Self::Rules) -> Option<Self::Rules>;

    /// The rules of a session as they are now, and when time alone will change them next.
    fn rules_of(session: &Recorded) -> impl Future<Output = (Self::Rules, Option<Timestamp>)> + Send;
}

impl Ruled for modbus::Filter {
    fn begin(rules: Arc<modbus::Rules>) -> Self {
        Self::new(rules)
    }

    fn viewing(rules: &Arc<modbus::Rules>) -> Option<Arc<modbus::Rules>> {
        Some(Arc::new(rules.viewing()))
    }

    async fn rules_of(session: &Recorded) -> (Arc<modbus::Rules>, Option<Timestamp>) {
        modbus_rules(session).await
    }
}

impl Ruled for rfb::Filter {
    /// A screen can only be drawn again from all of its bytes.
    fn budgets() -> [Budget; 2] {
        [Budget::default(), Budget::unlimited()]
    }

    fn begin(rules: rfb::Rules) -> Self {
        Self::new(rules)
    }

    fn viewing(rules: &rfb::Rules) -> Option<rfb::Rules> {
        Some(rules.viewing())
    }

    async fn rules_of(session: &Recorded) -> (rfb::Rules, Option<Timestamp>) {
        (rules::vnc(&session.broker().policy.current(), session.target().endpoint(), session.terms()), None)
    }
}

impl Ruled for rdp::Filter {
    fn begin(rules: rdp::Rules) -> Self {
        Self::new(rules)
    }

    /// What follows the negotiation is encrypted: keys cannot be told from what asks for the next picture.
    fn viewing(_: &rdp::Rules) -> Option<rdp::Rules> {
        None
    }

    async fn rules_of(session: &Recorded) -> (rdp::Rules, Option<Timestamp>) {
        (rules::rdp(&session.broker().policy.current(), session.target().endpoint(), session.terms()), None)
    }
}

/// A database that hangs in the middle of an answer must not keep a window open, or a narrower filter from counting.
const WINDOWS_WITHIN: Duration = Duration::from_secs(2);

/// Sends the rules anew whenever plant, windows or time have changed them. Never returns.
pub(super) async fn keep_rules<F: Ruled>(session: &Recorded, rules: &watch::Sender<F::Rules>) -> Infallible
where
    F::Rules: PartialEq + Send + Sync,
{
    let broker = session.broker();
    let mut changes = broker.store.changes();
    let mut policy = broker.policy.changed();
    loop {
        // At once, too: what changed before this listened was announced to nobody.
        let (new, until) = F::rules_of(session).await;
        rules.send_if_modified(|old| {
            let changed = *old != new;
            *old = new;
            changed
        });
        let now = broker.now();
        let wake = until.map_or(ANYWAY, |until| {
            Duration::try_from(now.duration_until(until)).unwrap_or(Duration::ZERO).min(ANYWAY)
        });
        tokio::select! {
            Ok(()) = changes.changed() => {}
            Ok(()) = policy.changed() => {}
            () = tokio::time::sleep(wake.max(Duration::from_millis(5))) => {}
        }
    }
}

/// The rules for Modbus as they are now, and when time alone will change them next.
///
/// A window that cannot be looked up, or may no longer be opened, gives nothing. A service that has left the plant has no
/// rules at all: the session ends at the same change.
async fn modbus_rules(session: &Recorded) -> (Arc<modbus::Rules>, Option<Timestamp>) {
    let broker = session.broker();
    let windows = match tokio::time::timeout(WINDOWS_WITHIN, window_rules(session)).await {
        Ok(Ok(windows)) => windows,
        Ok(Err(error)) => {
            tracing::warn!(session = session.id(), %error, "Write windows cannot be looked up, so none counts");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(
                session = session.id(),
                "The database does not say which write windows are open, so none counts"
            );
            Vec::new()
        }
    };
    let endpoint = session.target().endpoint();
    let policy = broker.policy.current();
    match rules::modbus(&policy, endpoint, session.terms(), &windows, broker.now()) {
        Some(Dated { rules, until }) => (Arc::new(rules), until),
        None => (Arc::new(modbus::Rules::new("none", Mode::Enforce, Vec::new(), Vec::new())), None),
    }
}

async fn window_rules(session: &Recorded) -> Result<Vec<ResolvedRule>, StoreError> {
    let broker = session.broker();
    let (person, target) = (session.subject(), session.target());
    let windows = broker.store.windows_of(&person.identity, &target.asset, &target.service, broker.now()).await?;
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    // As they are now: whoever has left a group since the session began has lost what was opened for it.
    let standing = broker.identities.standing(&person.identity, broker.now()).await?;
    let Standing::Active { subject: person, .. } = standing else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    for window in windows {
        if holds(session, &window, &person).await? {
            rules.extend(broker.policy.current().window_rules(&window));
        }
    }
    Ok(rules)
}

/// Whether the window might be opened anew, now.
async fn holds(session: &Recorded, window: &WriteWindow, person: &Subject) -> Result<bool, StoreError> {
    let broker = session.broker();
    let Standing::Active { subject: opener, .. } = broker.identities.standing(&window.opened_by, broker.now()).await?
    else {
        return Ok(false);
    };
    let policy = broker.policy.current();
    Ok(match may_open(&policy, &opener, person, window, broker.now()) {
        Opening::Permit(_) => true,
        Opening::Deny(denial) => {
            tracing::info!(session = session.id(), window = %window.id, %denial, "A write window does not hold");
            false
        }
    })
}
