//! Lines that others can provoke: the first is logged, more of the same are counted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A line is logged again after this long, with how often it would have been.
const APART: Duration = Duration::from_secs(10);
/// Kinds of lines; each is a place in the code.
const MOST_LINES: usize = 64;

/// The lines that have been logged at least once.
static LINES: Mutex<Vec<&'static Counted>> = Mutex::new(Vec::new());

/// One kind of line.
#[derive(Debug)]
pub(crate) struct Counted {
    message: &'static str,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    logged: Option<Instant>,
    unlogged: u64,
}

impl Counted {
    pub(crate) const fn new(message: &'static str) -> Self {
        Self { message, state: Mutex::new(State { logged: None, unlogged: 0 }) }
    }

    /// One more. If it is to be logged: how many there were since the last that was.
    pub(crate) fn note(&'static self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.logged.is_none() {
            let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < MOST_LINES {
                lines.push(self);
            }
        }
        state.unlogged += 1;
        if state.logged.is_some_and(|logged| now.saturating_duration_since(logged) < APART) {
            return None;
        }
        state.logged = Some(now);
        Some(std::mem::take(&mut state.unlogged))
    }

    /// How many were not logged, if it is time to say so.
    fn unlogged(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.logged.is_some_and(|logged| now.saturating_duration_since(logged) >= APART);
        if !due || state.unlogged == 0 {
            return None;
        }
        state.logged = Some(now);
        Some(std::mem::take(&mut state.unlogged))
    }
}

/// Tells how many lines were not logged one by one, once no more come.
pub(crate) fn tell_counted(now: Instant) {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for line in lines {
        if let Some(times) = line.unlogged(now) {
            tracing::warn!(times, line = line.message, "More of the same was not logged one by one");
        }
    }
}

/// Logs a line that somebody outside can provoke as often as they like: `counted!(warn, "What happened", %error)`.
macro_rules! counted {
    ($level:ident, $message:literal $(, $($field:tt)+)?) => {{
        static LINE: $crate::logging::Counted = $crate::logging::Counted::new($message);
        if let Some(times) = LINE.note(::std::time::Instant::now()) {
            ::tracing::$level!($($($field)+,)? times, $message);
        }
    }};
}
pub(crate) use counted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_the_rest_is_counted() {
        static LINE: Counted = Counted::new("a line");
        let start = Instant::now();
        assert_eq!(LINE.note(start), Some(1));
        assert!((0..6000).all(|n| LINE.note(start + Duration::from_millis(n)).is_none()));
        assert_eq!(LINE.unlogged(start + Duration::from_secs(7)), None);
        assert_eq!(LINE.note(start + Duration::from_secs(11)), Some(6001));
        assert_eq!(LINE.note(start + Duration::from_secs(12)), None);
        assert_eq!(LINE.unlogged(start + Duration::from_secs(21)), Some(1));
        assert_eq!(LINE.unlogged(start + Duration::from_secs(60)), None);
    }
}
