//! Who was turned away at the door, counted: by reason for log and metrics, by source for the audit chain.

use std::collections::HashMap;
use std::net::IpAddr;

/// Sources that are told apart between two looks; what comes from more is counted together.
const MOST_TOLD_APART: usize = 1024;
/// Of these, so many are told one by one: those that were turned away most.
const MOST_TOLD: usize = 16;

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Its source connects too often.
    Rate,
    /// Its source has as many open as it may.
    Source,
    /// As many as may wait for a login do, and who must make room has not left yet.
    Waiting,
    /// As many connections as allowed are open.
    Full,
}

/// How many were turned away, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reasons([u64; Turned::ALL.len()]);

/// How many of one source were turned away; of all that are not told one by one where there is no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    pub(crate) source: Option<IpAddr>,
    pub(crate) reasons: Reasons,
}

/// The counts since each was last looked at.
#[derive(Debug, Default)]
pub(super) struct TurnedCounts {
    by_reason: Reasons,
    by_source: HashMap<IpAddr, Reasons>,
    elsewhere: Reasons,
}

impl Turned {
    pub(crate) const ALL: [Self; 4] = [Self::Rate, Self::Source, Self::Waiting, Self::Full];

    /// A stable word, for metrics and audit.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Source => "source",
            Self::Waiting => "waiting",
            Self::Full => "full",
        }
    }
}

impl Reasons {
    fn add(&mut self, turned: Turned) {
        self.0[turned as usize] += 1;
    }

    /// How many in all.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many for which reason; nothing of those for which there were none.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Turned, u64)> {
        Turned::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl TurnedCounts {
    pub(super) fn add(&mut self, source: IpAddr, turned: Turned) {
        self.by_reason.add(turned);
        let known = self.by_source.len();
        match self.by_source.get_mut(&source) {
            Some(reasons) => reasons.add(turned),
            None if known < MOST_TOLD_APART => self.by_source.entry(source).or_default().add(turned),
            None => self.elsewhere.add(turned),
        }
    }

    pub(super) fn take_reasons(&mut self) -> Reasons {
        std::mem::take(&mut self.by_reason)
    }

    /// A bounded number: the sources that were turned away most, and all others together.
    pub(super) fn take_sources(&mut self) -> Vec<TurnedAway> {
        let mut all: Vec<(IpAddr, Reasons)> = self.by_source.drain().collect();
        all.sort_by_key(|(source, reasons)| (std::cmp::Reverse(reasons.sum()), *source));
        let mut others = std::mem::take(&mut self.elsewhere);
        for (_, reasons) in all.iter().skip(MOST_TOLD) {
            others.0.iter_mut().zip(reasons.0).for_each(|(sum, count)| *sum += count);
        }
        let told = all.into_iter().take(MOST_TOLD).map(|(source, reasons)| (Some(source), reasons));
        let rest = (others.sum() > 0).then_some((None, others));
        told.chain(rest).map(|(source, reasons)| TurnedAway { source, reasons }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> IpAddr {
        IpAddr::from(n.to_be_bytes())
    }

    #[test]
    fn each_source_is_told_with_its_reasons_and_once() {
        let mut counts = TurnedCounts::default();
        (0..3).for_each(|_| counts.add(source(1), Turned::Rate));
        counts.add(source(1), Turned::Full);
        (0..9).for_each(|_| counts.add(source(2), Turned::Source));
        let told = counts.take_sources();
        let told: Vec<_> = told.iter().map(|away| (away.source, away.reasons.each().collect::<Vec<_>>())).collect();
        assert_eq!(told[0], (Some(source(2)), vec![(Turned::Source, 9)]));
        assert_eq!(told[1], (Some(source(1)), vec![(Turned::Rate, 3), (Turned::Full, 1)]));
        assert_eq!(told.len(), 2);
        assert_eq!(counts.take_sources(), []);
        assert_eq!(counts.take_reasons().sum(), 13, "the log has its own count");
        assert_eq!(counts.take_reasons(), Reasons::default());
    }

    #[test]
    fn more_sources_than_can_be_told_are_bounded_and_none_is_left_out_of_the_count() {
        let mut counts = TurnedCounts::default();
        for n in 0..50_000 {
            counts.add(source(n), Turned::Rate);
        }
        (0..100).for_each(|_| counts.add(source(77), Turned::Rate));
        assert!(counts.by_source.len() <= MOST_TOLD_APART);
        let told = counts.take_sources();
        assert_eq!(told.len(), MOST_TOLD + 1);
        assert_eq!((told[0].source, told[0].reasons.sum()), (Some(source(77)), 101));
        assert_eq!(told.last().map(|away| away.source), Some(None));
        assert_eq!(told.iter().map(|away| away.reasons.sum()).sum::<u64>(), 50_100);
    }
}
