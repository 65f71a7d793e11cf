//! Counts of what is too frequent to be noted one by one.

use super::Filter;
use super::operation::{Counted, Operation};
use crate::{Journal, Verdict};

/// A count for each kind.
#[derive(Debug, Default)]
pub(super) struct Tallies([Tally; Counted::ALL.len()]);

#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Since the last note.
    count: u64,
    /// Of those that were counted.
    verdict: Option<Verdict<'static>>,
    /// Not noted again before then.
    not_before_ms: Option<u64>,
}

impl Tallies {
    /// One more; noted at once unless there was a note of it just now.
    pub(super) fn add(
        &mut self,
        what: Counted,
        verdict: Verdict<'static>,
        now_ms: u64,
        journal: &mut dyn Journal<Filter>,
    ) {
        let tally = &mut self.0[what as usize];
        if tally.count > 0 && tally.verdict != Some(verdict) {
            tally.note(what, now_ms, journal);
        }
        tally.verdict = Some(verdict);
        tally.count += 1;
        if tally.not_before_ms.is_none_or(|then| now_ms >= then) {
            tally.note(what, now_ms, journal);
        }
    }

    /// When the next note is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.0.iter().filter(|tally| tally.count > 0).map(|tally| tally.not_before_ms.unwrap_or(0)).min()
    }

    /// Is something counted that was not noted?
    pub(super) fn is_settled(&self) -> bool {
        self.due_ms().is_none()
    }

    /// Notes what is due, or all.
    pub(super) fn settle(&mut self, all: bool, now_ms: u64, journal: &mut dyn Journal<Filter>) {
        for what in Counted::ALL {
            let tally = &mut self.0[what as usize];
            if tally.count > 0 && (all || tally.not_before_ms.is_none_or(|then| now_ms >= then)) {
                tally.note(what, now_ms, journal);
            }
        }
    }
}

impl Tally {
    fn note(&mut self, what: Counted, now_ms: u64, journal: &mut dyn Journal<Filter>) {
        if let Some(verdict) = self.verdict {
            journal.note(&Operation::counted(what, self.count, verdict));
        }
        self.count = 0;
        self.not_before_ms = Some(now_ms.saturating_add(what.period_ms()));
    }
}
