//! What was asked for in one session of a decoded protocol, counted for whoever watches over the plant as a whole. A message costs a few
//! additions; who counts them waits for nobody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The counts of one session.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    /// Requests since they were taken last.
    requests: AtomicU64,
    /// Writes that the filter let pass, since the session began.
    writes: AtomicU64,
    /// The units that were named since they were taken last, a bit each.
    units: Bits,
    /// The functions, likewise.
    functions: Bits,
    /// How often the filter put an answer right because the plant says that it may, by the word for it.
    tolerated: Mutex<BTreeMap<&'static str, u64>>,
}

/// What was asked for since the last look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How many requests.
    pub(crate) requests: u64,
    /// Which units.
    pub(crate) units: Vec<u8>,
    /// Which functions.
    pub(crate) functions: Vec<u8>,
}

impl Operations {
    /// One more request, whatever the filter says of it.
    pub(crate) fn asked(&self, unit: u8, function: u8) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.units.set(unit);
        self.functions.set(function);
    }

    /// Whether something was asked for since it was taken last.
    pub(crate) fn is_due(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    /// A write was let pass.
    pub(crate) fn wrote(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes were let pass.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// An answer was put right.
    pub(crate) fn tolerated(&self, what: &'static str) {
        *self.tolerated.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    /// How often answers were put right, by what was wrong with them: `unit 12`.
    pub(crate) fn all_tolerated(&self) -> Vec<String> {
        let tolerated = self.tolerated.lock().unwrap_or_else(PoisonError::into_inner);
        tolerated.iter().map(|(what, count)| format!("{what} {count}")).collect()
    }

    /// What was asked for since this was called last.
    pub(crate) fn take(&self) -> Asked {
        Asked {
            requests: self.requests.swap(0, Ordering::Relaxed),
            units: self.units.take(),
            functions: self.functions.take(),
        }
    }
}

/// A set of bytes.
#[derive(Debug, Default)]
struct Bits([AtomicU64; 4]);

impl Bits {
    fn set(&self, value: u8) {
        let (word, bit) = (&self.0[usize::from(value >> 6)], 1_u64 << (value & 63));
        // A poll names the same unit again and again: then nothing is written.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Vec<u8> {
        let words: Vec<u64> = self.0.iter().map(|word| word.swap(0, Ordering::Relaxed)).collect();
        (0..=u8::MAX).filter(|value| words[usize::from(value >> 6)] & (1_u64 << (value & 63)) != 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_gives_what_came_since_the_last() {
        let operations = Operations::default();
        for unit in [0, 63, 64, 255, 64] {
            operations.asked(unit, 3);
        }
        operations.wrote();
        ["unit", "length", "unit"].iter().for_each(|what| operations.tolerated(what));
        assert_eq!(operations.all_tolerated(), ["length 1", "unit 2"]);
        let asked = operations.take();
        assert_eq!(asked, Asked { requests: 5, units: vec![0, 63, 64, 255], functions: vec![3] });
        assert_eq!(operations.take(), Asked::default());
        operations.asked(64, 16);
        assert_eq!(operations.take(), Asked { requests: 1, units: vec![64], functions: vec![16] });
        assert_eq!(operations.writes(), 1);
    }
}
