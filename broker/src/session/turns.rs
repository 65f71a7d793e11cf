//! When it is a target's turn on one connection. A tool that tries again and again where it is refused hears it ever more slowly, and
//! costs nobody else on its connection: each target has turns of its own, and nothing is ended.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sallyport_policy::{AssetId, ServiceName};

/// Refusals of one target that are said at once.
const SAID_AT_ONCE: u32 = 20;
/// One of them is forgotten every so often.
const REFUSAL_FORGOTTEN: Duration = Duration::from_secs(5);
/// Beyond them a turn comes so often …
const FIRST_TURN: Duration = Duration::from_millis(250);
/// … and half as often after each of these …
const HALVED_AFTER: u32 = 4;
/// … but never more seldom.
const SLOWEST_TURN: Duration = Duration::from_secs(5);
/// More of them are not counted, so that an hour of them is forgotten as soon as a minute of them.
const MOST_COUNTED: u32 = 2 * SAID_AT_ONCE;
/// Who would wait longer for their turn has none.
const LONGEST_TURN: Duration = Duration::from_secs(10);

/// Where something leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Toward {
    /// A service of the plant file that some grant of theirs names.
    Service(AssetId, ServiceName),
    /// Anything else, all of it together.
    Nowhere,
}

/// When it is one's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Now,
    After(Duration),
    /// Too many wait already.
    Never,
}

/// The turns of every target on one connection. There are as many as services in the plant at most.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    slowed: Mutex<HashMap<Toward, Slowed>>,
}

/// A target that was refused lately.
#[derive(Debug)]
struct Slowed {
    refusals: u32,
    /// When one of them was forgotten last.
    forgotten: Instant,
    /// When the next turn is.
    next: Instant,
}

impl Turns {
    /// Takes the next turn towards a target.
    pub(crate) fn take(&self, toward: &Toward, now: Instant) -> Turn {
        let mut slowed = self.slowed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = slowed.get_mut(toward) else { return Turn::Now };
        target.forget(now);
        if target.refusals == 0 {
            slowed.remove(toward);
            return Turn::Now;
        }
        let Some(beyond) = target.refusals.checked_sub(SAID_AT_ONCE) else { return Turn::Now };
        let at = target.next.max(now);
        let wait = at.saturating_duration_since(now);
        if wait > LONGEST_TURN {
            return Turn::Never;
        }
        target.next = at + (FIRST_TURN * 2_u32.pow(beyond / HALVED_AFTER)).min(SLOWEST_TURN);
        if wait.is_zero() { Turn::Now } else { Turn::After(wait) }
    }

    /// A target was refused. Says whether it is slowed from now on.
    pub(crate) fn refused(&self, toward: &Toward, now: Instant) -> bool {
        let mut slowed = self.slowed.lock().unwrap_or_else(PoisonError::into_inner);
        let target = slowed.entry(toward.clone()).or_insert(Slowed { refusals: 0, forgotten: now, next: now });
        target.forget(now);
        target.refusals = (target.refusals + 1).min(MOST_COUNTED);
        target.refusals == SAID_AT_ONCE
    }

    /// A target was reached.
    pub(crate) fn reached(&self, toward: &Toward) {
        self.slowed.lock().unwrap_or_else(PoisonError::into_inner).remove(toward);
    }
}

impl Slowed {
    fn forget(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.forgotten).as_secs() / REFUSAL_FORGOTTEN.as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed > 0 {
            self.refusals = self.refusals.saturating_sub(passed);
            self.forgotten = now;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    fn plc() -> Toward {
        Toward::Service("plc-1".parse().unwrap(), "modbus".parse().unwrap())
    }

    /// How many turns a tool takes in so many seconds that asks as soon as it was refused, but five times a second at most.
    fn asked(turns: &Turns, toward: &Toward, begin: Instant, seconds: u64) -> usize {
        let (mut at, mut asked) = (begin, 0);
        while at < begin + Duration::from_secs(seconds) {
            at += match turns.take(toward, at) {
                Turn::Now => Duration::ZERO,
                Turn::After(wait) => wait,
                Turn::Never => panic!("one alone waits no longer than its turn"),
            };
            turns.refused(toward, at);
            asked += 1;
            at += Duration::from_millis(200);
        }
        asked
    }

    #[test]
    fn a_tool_that_is_refused_again_and_again_is_slowed_and_its_neighbours_are_not() {
        let (turns, begin) = (Turns::default(), Instant::now());
        assert_eq!(asked(&turns, &plc(), begin, 4), 20);
        let minute = asked(&turns, &plc(), begin + Duration::from_secs(4), 60);
        assert!((20..40).contains(&minute), "{minute} in a minute");
        let hour = asked(&turns, &plc(), begin + Duration::from_secs(100), 3600);
        assert!((600..800).contains(&hour), "{hour} in an hour");
        assert_eq!(turns.take(&Toward::Nowhere, begin), Turn::Now);
    }

    #[test]
    fn a_crowd_waits_in_line_and_what_would_wait_too_long_is_turned_away() {
        let (turns, begin) = (Turns::default(), Instant::now());
        let slowed = (0..100).filter(|_| turns.refused(&plc(), begin)).count();
        assert_eq!(slowed, 1, "it is said once");
        let taken: Vec<Turn> = (0..100).map(|_| turns.take(&plc(), begin)).collect();
        assert_eq!(taken[..3], [Turn::Now, Turn::After(SLOWEST_TURN), Turn::After(SLOWEST_TURN * 2)]);
        assert!(taken[3..].iter().all(|turn| *turn == Turn::Never), "{taken:?}");
    }

    #[test]
    fn who_was_quiet_or_let_through_is_slowed_no_more() {
        let (turns, begin) = (Turns::default(), Instant::now());
        assert_eq!((0..10_000).filter(|_| turns.refused(&plc(), begin)).count(), 1);
        assert_eq!(turns.take(&plc(), begin + REFUSAL_FORGOTTEN * MOST_COUNTED), Turn::Now);
        assert!(turns.slowed.lock().unwrap().is_empty());
        assert_eq!((0..50).filter(|_| turns.refused(&plc(), begin)).count(), 1);
        turns.reached(&plc());
        assert!((0..1000).all(|_| turns.take(&plc(), begin) == Turn::Now));
    }
}
