//! The rules of a session's filter, as plant file, windows and time make them, for as long as the session lasts.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_policy::{Opening, ResolvedRule, WriteWindow, may_open};
use sallyport_protocol_filter::modbus::{Mode, Rules};
use tokio::sync::watch;

use crate::identity::Standing;
use crate::session::Recorded;
use crate::store::StoreError;
use crate::tcp::rules::{self, Dated};

/// A look without a cause, in case a change was announced and the announcement lost.
const ANYWAY: Duration = Duration::from_secs(5);

impl Recorded {
    /// The rules as they are now, and when time alone will change them next.
    ///
    /// A window that cannot be looked up, or may no longer be opened, gives nothing. A service that has left the plant has no
    /// rules at all: the session ends at the same change.
    pub(super) async fn rules(&self) -> (Arc<Rules>, Option<Timestamp>) {
        let authorized = &self.authorized;
        let broker = &authorized.broker;
        let windows = match self.window_rules().await {
            Ok(windows) => windows,
            Err(error) => {
                tracing::warn!(session = %self.id, %error, "Write windows cannot be looked up, so none counts");
                Vec::new()
            }
        };
        let place = (&authorized.target.asset, &authorized.target.service);
        let policy = broker.policy.current();
        match rules::modbus(&policy, place, &authorized.permit.terms, &windows, broker.now()) {
            Some(Dated { rules, until }) => (Arc::new(rules), until),
            None => (Arc::new(Rules::new("none", Mode::Enforce, Vec::new(), Vec::new())), None),
        }
    }

    /// Sends the rules anew whenever plant, windows or time have changed them. Never returns.
    pub(super) async fn keep_rules(&self, rules: &watch::Sender<Arc<Rules>>) -> Infallible {
        let broker = &self.authorized.broker;
        let mut changes = broker.store.changes();
        let mut policy = broker.policy.changed();
        loop {
            // At once, too: what changed before this listened was announced to nobody.
            let (new, until) = self.rules().await;
            rules.send_if_modified(|old| {
                let changed = **old != *new;
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

    async fn window_rules(&self) -> Result<Vec<ResolvedRule>, StoreError> {
        let authorized = &self.authorized;
        let broker = &authorized.broker;
        let (person, target) = (&authorized.subject, &authorized.target);
        let windows = broker.store.windows_of(&person.identity, &target.asset, &target.service, broker.now()).await?;
        let mut rules = Vec::new();
        for window in windows {
            if self.holds(&window).await? {
                rules.extend(broker.policy.current().window_rules(&window));
            }
        }
        Ok(rules)
    }

    /// Whether the window might be opened anew, now.
    async fn holds(&self, window: &WriteWindow) -> Result<bool, StoreError> {
        let authorized = &self.authorized;
        let broker = &authorized.broker;
        let Standing::Active { subject: opener, .. } =
            broker.identities.standing(&window.opened_by, broker.now()).await?
        else {
            return Ok(false);
        };
        let policy = broker.policy.current();
        Ok(match may_open(&policy, &opener, &authorized.subject, window, broker.now()) {
            Opening::Permit(_) => true,
            Opening::Deny(denial) => {
                tracing::info!(session = %self.id, window = %window.id, %denial, "A write window does not hold");
                false
            }
        })
    }
}
