//! How many refusals of one kind in one session stand in the audit chain: each of a person who errs, not each of a flood.

use crate::audit::AuditEvent;
use crate::live::End;
use crate::session::Recorded;

/// Refusals that are entered one by one. The recording has every one.
const EACH: u64 = 50;

/// Counts the refusals of one kind.
#[derive(Debug, Default)]
pub(super) struct Tally(u64);

/// What becomes of a refusal.
#[derive(Debug, PartialEq, Eq)]
enum Entered {
    /// It has an entry of its own.
    Itself,
    /// An entry says how many there were.
    Count(u64),
    /// Nothing is entered.
    Nothing,
}

impl Tally {
    /// Enters a refusal, or the number of them where they have become too many: as many entries as the number has doublings.
    pub(super) async fn audit(&mut self, recorded: &Recorded, event: AuditEvent) -> Result<(), End> {
        match self.next() {
            Entered::Itself => recorded.audit(event).await,
            Entered::Nothing => Ok(()),
            Entered::Count(refusals) => {
                let (session, identity) = recorded.names();
                let kind = event.kind().name.to_owned();
                recorded.audit(AuditEvent::RefusalsCounted { session, identity, kind, refusals }).await
            }
        }
    }

    fn next(&mut self) -> Entered {
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
