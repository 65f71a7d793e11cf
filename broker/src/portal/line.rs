//! One connection of a browser: whether somebody who is signed in is behind it, and when it is over.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sallyport_policy::IdentityId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::listen::{Pass, Progress};

/// Nothing was asked for so long: the browser opens another when it needs one.
const QUIET_FOR: Duration = Duration::from_secs(60);
/// However much is asked.
const LONGEST_CONNECTION: Duration = Duration::from_secs(60 * 60);
/// Requests of somebody who is not signed in: a page with what it loads takes five.
const MOST_OF_STRANGERS: u32 = 100;
/// Requests of somebody who is not signed in that run at once.
const MOST_AT_ONCE_OF_STRANGERS: u32 = 12;
/// One that brings a body counts as so many: what is read of it is held until it is answered, and a browser posts one thing at a time.
const BODY_COUNTS: u32 = 4;
/// Requests in all.
const MOST: u32 = 10_000;

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    source: IpAddr,
    pass: Pass,
    begun: Instant,
    /// Somebody is signed in who has a place: it waits for no login any more.
    inside: CancellationToken,
    /// No further request is taken.
    closing: CancellationToken,
    state: Mutex<State>,
}

/// What a request holds while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// Its head.
    Bare,
    /// A body with it.
    WithBody,
}

#[derive(Debug)]
struct State {
    /// What runs now, each by what it counts as.
    running: u32,
    asked: u32,
    quiet_since: Instant,
    /// Whose place it has.
    identity: Option<IdentityId>,
}

/// A request, until its answer has been sent whole; its end is noted when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    line: Arc<Line>,
    counts: u32,
}

impl Line {
    pub(super) fn new(source: IpAddr, pass: Pass) -> Self {
        let begun = Instant::now();
        let state = State { running: 0, asked: 0, quiet_since: begun, identity: None };
        let (inside, closing) = (CancellationToken::new(), CancellationToken::new());
        Self { source, pass, begun, inside, closing, state: Mutex::new(state) }
    }

    /// Where it comes from.
    pub(super) fn source(&self) -> IpAddr {
        self.source
    }

    /// Cancelled once it has the place of somebody who is signed in.
    pub(super) fn inside(&self) -> &CancellationToken {
        &self.inside
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>, weight: Weight) -> Running {
        let counts = match weight {
            Weight::Bare => 1,
            Weight::WithBody => BODY_COUNTS,
        };
        let mut state = self.lock();
        state.running += counts;
        state.asked += 1;
        let most = if state.identity.is_some() { MOST } else { MOST_OF_STRANGERS };
        if state.asked >= most {
            self.closing.cancel();
        }
        drop(state);
        Running { line: Arc::clone(self), counts }
    }

    /// A first factor was right: who has said that outlives those who have said less.
    pub(super) fn first_factor(&self) {
        self.pass.reached(Progress::FirstFactor);
    }

    /// Somebody who is signed in asks. They take one of their places, as a connection of ssh does; where they have none left, they
    /// are answered all the same, and the connection stays one that waits for its login, and ends as one.
    pub(super) fn signed_in(&self, identity: &IdentityId, limit: u32) {
        let mut state = self.lock();
        match &state.identity {
            Some(mine) if mine == identity => {}
            // Another person in the same browser: they come by a connection of their own.
            Some(_) => self.closing.cancel(),
            None => {
                self.pass.reached(Progress::FirstFactor);
                if self.pass.enter(identity.as_str(), limit).is_ok() {
                    state.identity = Some(identity.clone());
                    self.inside.cancel();
                }
            }
        }
    }

    /// Nobody is signed in behind it: where somebody was, it is over after this answer.
    pub(super) fn nobody(&self) {
        if self.lock().identity.is_some() {
            self.closing.cancel();
        }
    }

    /// More requests of a stranger run at once than one browser has: what each holds is bounded, and so are they.
    pub(super) fn crowded(&self) -> bool {
        let state = self.lock();
        state.identity.is_none() && state.running > MOST_AT_ONCE_OF_STRANGERS
    }

    /// Nobody is signed in any more: after this answer, it is over.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Resolves when it is over: nothing was asked for long, or it was open for long, or it is to be closed.
    pub(super) async fn over(&self) {
        loop {
            let (running, quiet_since) = {
                let state = self.lock();
                (state.running > 0, state.quiet_since)
            };
            let now = Instant::now();
            let quiet_until = if running { now + QUIET_FOR } else { quiet_since + QUIET_FOR };
            let until = quiet_until.min(self.begun + LONGEST_CONNECTION);
            if until <= now {
                return;
            }
            tokio::select! {
                () = self.closing.cancelled() => return,
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.running -= self.counts;
        state.quiet_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use crate::listen::{Door, Limits, Slot};

    use super::*;

    fn line() -> (Arc<Door>, Slot, Arc<Line>) {
        let door = Door::new(Limits {
            in_all: 9,
            per_source: 9,
            waiting: 9,
            waiting_per_source: 9,
            rate_per_source: 99,
            silence: QUIET_FOR,
            login: QUIET_FOR,
        });
        let source = IpAddr::from([192, 0, 2, 1]);
        let slot = door.admit(source, std::time::Instant::now()).unwrap();
        let line = Arc::new(Line::new(source, slot.pass()));
        (door, slot, line)
    }

    async fn over_within(line: &Line, time: Duration) -> bool {
        tokio::time::timeout(time, line.over()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_ends_and_one_that_works_does_not() {
        let (_door, _slot, line) = line();
        let running = line.begin(Weight::Bare);
        assert!(!over_within(&line, QUIET_FOR * 3).await);
        drop(running);
        assert!(!over_within(&line, QUIET_FOR / 2).await);
        assert!(over_within(&line, QUIET_FOR).await);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_works_for_ever_ends_too() {
        let (_door, _slot, line) = line();
        let _running = line.begin(Weight::Bare);
        assert!(over_within(&line, LONGEST_CONNECTION + QUIET_FOR).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_may_ask_so_much_on_one_connection() {
        let (_door, _slot, line) = line();
        (1..MOST_OF_STRANGERS).for_each(|_| drop(line.begin(Weight::Bare)));
        assert!(!over_within(&line, QUIET_FOR / 2).await);
        drop(line.begin(Weight::Bare));
        assert!(over_within(&line, Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_so_many_requests_at_once_and_who_is_signed_in_more() {
        let (_door, _slot, line) = line();
        let mut running: Vec<_> = (0..MOST_AT_ONCE_OF_STRANGERS).map(|_| line.begin(Weight::Bare)).collect();
        assert!(!line.crowded());
        running.push(line.begin(Weight::Bare));
        assert!(line.crowded());
        line.signed_in(&"alice".parse().unwrap(), 1);
        assert!(!line.crowded());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_fewer_requests_at_once_that_bring_a_body() {
        let (_door, _slot, line) = line();
        let mut running: Vec<_> = (0..3).map(|_| line.begin(Weight::WithBody)).collect();
        assert!(!line.crowded());
        running.push(line.begin(Weight::WithBody));
        assert!(line.crowded());
        drop(running);
        assert!(!line.crowded());
        assert!(over_within(&line, QUIET_FOR * 2).await, "nothing runs any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_taken_once_and_the_connection_goes_with_its_person() {
        let (door, _slot, line) = line();
        let alice: IdentityId = "alice".parse().unwrap();
        line.signed_in(&alice, 0);
        assert!(!line.inside().is_cancelled(), "no place is left, and none was taken");
        assert_eq!(door.waiting(), 1);
        line.signed_in(&alice, 1);
        line.signed_in(&alice, 1);
        assert!(line.inside().is_cancelled());
        assert_eq!(door.waiting(), 0);
        assert!(!over_within(&line, QUIET_FOR / 2).await);
        line.nobody();
        assert!(over_within(&line, Duration::ZERO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn another_person_comes_by_another_connection() {
        let (_door, _slot, line) = line();
        let (alice, bob): (IdentityId, IdentityId) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        line.nobody();
        line.signed_in(&alice, 1);
        assert!(!over_within(&line, QUIET_FOR / 2).await);
        line.signed_in(&bob, 9);
        assert!(over_within(&line, Duration::ZERO).await);
    }
}
