//! How much bulk content is recorded in full.
use crate::Moment;

/// A token bucket in bytes: what fits is recorded in full, what does not is recorded as length and hash.
///
/// It refills with time, so slow traffic always fits and a flood cannot hide what comes after it.
#[derive(Clone, Debug)]
pub struct Budget {
    bucket: Option<Bucket>,
    spent: Spent,
}

/// Whether it has ever held less than was asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spent {
    #[default]
    Never,
    /// And nobody has been told.
    Now,
    Told,
}

#[derive(Clone, Debug)]
struct Bucket {
    capacity: u64,
    refill_per_second: u64,
    tokens: u64,
    /// Micro-bytes carried between refills, so that frequent small steps lose nothing.
    carry: u64,
    refilled: Option<u64>,
}

impl Budget {
    /// What a channel without a terminal gets by default: 16 MiB at once.
    pub const DEFAULT_CAPACITY: u64 = 16 * 1024 * 1024;
    /// What a channel without a terminal gets back each second by default: 256 KiB.
    pub const DEFAULT_REFILL: u64 = 256 * 1024;

    /// `capacity` bytes at once, `refill_per_second` after that.
    pub fn new(capacity: u64, refill_per_second: u64) -> Self {
        Self {
            bucket: Some(Bucket { capacity, refill_per_second, tokens: capacity, carry: 0, refilled: None }),
            spent: Spent::Never,
        }
    }

    /// Everything in full: terminals.
    pub fn unlimited() -> Self {
        Self { bucket: None, spent: Spent::Never }
    }

    /// Nothing in full: the content of files that are hashed as files.
    pub fn none() -> Self {
        Self::new(0, 0)
    }

    /// Bytes that may be recorded in full at this moment.
    pub fn available(&mut self, at: Moment) -> u64 {
        match &mut self.bucket {
            None => u64::MAX,
            Some(bucket) => {
                bucket.refill(at.monotonic_micros);
                bucket.tokens
            }
        }
    }

    /// Something did not fit, and was recorded as length and hash.
    pub(crate) fn overrun(&mut self) {
        // Who gets nothing is not short of it: files are hashed as files.
        let given = self.bucket.as_ref().is_some_and(|bucket| bucket.capacity > 0);
        if given && self.spent == Spent::Never {
            self.spent = Spent::Now;
        }
    }

    /// True once: since the last call it held less than was asked of it, for the first time.
    pub fn ran_out(&mut self) -> bool {
        let now = self.spent == Spent::Now;
        if now {
            self.spent = Spent::Told;
        }
        now
    }

    /// Takes what was recorded in full out of the bucket.
    pub(crate) fn spend(&mut self, bytes: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.tokens = bucket.tokens.saturating_sub(bytes);
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY, Self::DEFAULT_REFILL)
    }
}

impl Bucket {
    fn refill(&mut self, now: u64) {
        let Some(before) = self.refilled else {
            self.refilled = Some(now);
            return;
        };
        let earned =
            u128::from(now.saturating_sub(before)) * u128::from(self.refill_per_second) + u128::from(self.carry);
        let bytes = u64::try_from(earned / 1_000_000).unwrap_or(u64::MAX);
        // The remainder of a division by a million fits any integer.
        self.carry = u64::try_from(earned % 1_000_000).unwrap_or(0);
        self.tokens = self.tokens.saturating_add(bytes).min(self.capacity);
        self.refilled = Some(now.max(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment { unix_micros: 0, monotonic_micros: micros }
    }

    #[test]
    fn a_flood_drains_it_and_time_fills_it_again() {
        let mut budget = Budget::new(1000, 100);
        assert_eq!(budget.available(at(5_000_000)), 1000);
        budget.spend(1000);
        assert_eq!(budget.available(at(5_000_000)), 0);
        assert_eq!(budget.available(at(6_000_000)), 100);
        assert_eq!(budget.available(at(3_600_000_000)), 1000);
    }

    #[test]
    fn many_small_steps_refill_as_much_as_one_large() {
        let mut budget = Budget::new(1000, 100);
        assert_eq!(budget.available(at(0)), 1000);
        budget.spend(1000);
        for step in 1..=999 {
            budget.available(at(step * 1_001));
        }
        assert_eq!(budget.available(at(1_000_000)), 100);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let mut budget = Budget::new(1000, 100);
        assert_eq!(budget.available(at(9_000_000)), 1000);
        budget.spend(1000);
        assert_eq!(budget.available(at(1_000_000)), 0);
        assert_eq!(budget.available(at(9_000_000)), 0);
    }

    #[test]
    fn the_two_ends_of_the_scale() {
        assert_eq!(Budget::unlimited().available(at(0)), u64::MAX);
        assert_eq!(Budget::none().available(at(u64::MAX)), 0);
    }
}
