//! The connections that are in the lobby: whoever may be here no longer, or has long done nothing, is hung up on.
//!
//! Sessions end by themselves when policy or identity change; the connection that leads to them is no session.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::server;
use sallyport_policy::IdentityId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::identity::Standing;
use crate::session::{Activity, Authenticated, Session};

/// A look without a change in the store: at the time, and in case the announcement of a change was lost.
const ANYWAY: Duration = Duration::from_secs(5);
/// Sessions inside the connection say why they end, and end within this.
const INSIDE: Duration = Duration::from_secs(3);
/// How long a client may take to hear it.
const HEARING: Duration = Duration::from_millis(500);

/// Everybody in the lobby of this listener.
#[derive(Debug, Default)]
pub(in crate::ssh) struct Lobbies {
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    by_number: BTreeMap<u64, Guest>,
}

#[derive(Debug, Clone)]
struct Guest {
    identity: IdentityId,
    /// What is open on the connection.
    open: Activity,
    /// For how long that may be nothing.
    idle: Duration,
    handle: server::Handle,
    cut: CancellationToken,
    quiet: Quiet,
}

/// Since when nothing is open.
#[derive(Debug, Clone, Copy, Default)]
struct Quiet(Option<Instant>);

/// A connection's entry; it leaves when this is dropped.
#[derive(Debug)]
pub(in crate::ssh) struct Entered {
    lobbies: Arc<Lobbies>,
    number: u64,
}

impl Lobbies {
    /// A connection has logged in.
    pub(in crate::ssh) fn enter(
        self: &Arc<Self>,
        session: &Session<Authenticated>,
        open: Activity,
        handle: server::Handle,
        cut: CancellationToken,
    ) -> Entered {
        let (identity, idle) = (session.proof().identity().clone(), idle_limit(session));
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let number = guests.next;
        guests.next += 1;
        guests.by_number.insert(number, Guest { identity, open, idle, handle, cut, quiet: Quiet::default() });
        Entered { lobbies: Arc::clone(self), number }
    }

    /// Looks after them until `stop`.
    pub(in crate::ssh) async fn watch(self: Arc<Self>, broker: Arc<Broker>, stop: CancellationToken) {
        let mut changes = broker.store.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(ANYWAY) => {}
            }
            for guest in self.idle(Instant::now()) {
                let words = format!("nothing was open through this connection for {}", said(guest.idle));
                guest.hang_up(words);
            }
            for guest in self.unwelcome(&broker).await {
                guest.hang_up("you may no longer be here".to_owned());
            }
        }
    }

    /// Those that have had nothing open for too long; each is given once.
    fn idle(&self, now: Instant) -> Vec<Guest> {
        self.take(|guest| guest.quiet.look(guest.open.channels() > 0, now) >= guest.idle)
    }

    /// Those whose identity does not stand any more; each is given once. Without a database, all stay.
    async fn unwelcome(&self, broker: &Broker) -> Vec<Guest> {
        if self.guests.lock().unwrap_or_else(PoisonError::into_inner).by_number.is_empty() {
            return Vec::new();
        }
        let standings = match broker.identities.standings(broker.now()).await {
            Ok(standings) => standings,
            Err(error) => {
                tracing::warn!(%error, "Who may be in the lobby could not be looked up");
                return Vec::new();
            }
        };
        let active: std::collections::BTreeSet<_> = standings
            .into_iter()
            .filter(|(_, standing)| matches!(standing, Standing::Active { .. }))
            .map(|(identity, _)| identity)
            .collect();
        self.take(|guest| !active.contains(&guest.identity))
    }

    fn take(&self, mut which: impl FnMut(&mut Guest) -> bool) -> Vec<Guest> {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        guests.by_number.retain(|_, guest| {
            let take = which(guest);
            if take {
                taken.push(guest.clone());
            }
            !take
        });
        taken
    }
}

impl Guest {
    /// In a task of its own: a client that does not listen is cut.
    fn hang_up(self, words: String) {
        tracing::info!(identity = %self.identity, words, "A connection in the lobby is ended");
        tokio::spawn(async move {
            let inside = async {
                while self.open.channels() > 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if tokio::time::timeout(INSIDE, inside).await.is_err() {
                tracing::debug!(identity = %self.identity, "Channels were still open");
            }
            let told = self.handle.disconnect(russh::Disconnect::ByApplication, words, "en".to_owned());
            let told = tokio::time::timeout(HEARING, told).await;
            tracing::debug!(told = matches!(told, Ok(Ok(()))), "A connection in the lobby ends");
            tokio::time::sleep(HEARING).await;
            self.cut.cancel();
        });
    }
}

/// For how long a connection may have nothing open through it: longer where its login has a lease.
pub(super) fn idle_limit(session: &Session<Authenticated>) -> Duration {
    let ssh = &session.broker().config.ssh;
    if session.proof().lease().is_some() { ssh.idle_with_lease } else { ssh.idle }
}

/// A duration as people write it.
pub(super) fn said(duration: Duration) -> String {
    jiff::SignedDuration::try_from(duration).map_or_else(|_| "too long".to_owned(), |duration| format!("{duration:#}"))
}

impl Quiet {
    /// How long nothing has been open.
    fn look(&mut self, open: bool, now: Instant) -> Duration {
        match open {
            true => {
                self.0 = None;
                Duration::ZERO
            }
            false => now.saturating_duration_since(*self.0.get_or_insert(now)),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.lobbies.guests.lock().unwrap_or_else(PoisonError::into_inner).by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_session_is_no_idleness_and_its_end_begins_it() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        let at = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert_eq!(quiet.look(false, at(0)), Duration::ZERO);
        assert_eq!(quiet.look(false, at(29)), Duration::from_secs(29 * 60));
        assert_eq!(quiet.look(true, at(30)), Duration::ZERO);
        assert_eq!(quiet.look(true, at(300)), Duration::ZERO);
        assert_eq!(quiet.look(false, at(301)), Duration::ZERO);
        assert_eq!(quiet.look(false, at(331)), Duration::from_secs(30 * 60));
    }
}
