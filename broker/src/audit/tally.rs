//! How many refusals of one kind stand in the chain: each of a person who errs, not each of a flood.

/// Refusals that are entered one by one.
const EACH: u64 = 50;

/// Counts the refusals of one kind.
#[derive(Debug, Default)]
pub(crate) struct Tally(u64);

/// What becomes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It has an entry of its own.
    Itself,
    /// An entry says how many there were.
    Count(u64),
    /// Nothing is entered.
    Nothing,
}

impl Tally {
    /// One more: what becomes of it. There are as many counts as the number has doublings.
    pub(crate) fn next(&mut self) -> Entered {
        self.0 = self.0.saturating_add(1);
        if self.0 <= EACH {
            return Entered::Itself;
        }
        match self.0.is_multiple_of(EACH) && (self.0 / EACH).is_power_of_two() {
            true => Entered::Count(self.0),
            false => Entered::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_told_by_its_doublings() {
        let mut tally = Tally::default();
        let entered: Vec<Entered> = (0..100_000).map(|_| tally.next()).collect();
        assert_eq!(entered.iter().filter(|each| **each == Entered::Itself).count(), 50);
        let counts: Vec<&Entered> = entered.iter().filter(|each| matches!(each, Entered::Count(_))).collect();
        assert_eq!(counts.len(), 10, "{counts:?}");
        assert_eq!(counts.last(), Some(&&Entered::Count(51_200)));
    }
}
