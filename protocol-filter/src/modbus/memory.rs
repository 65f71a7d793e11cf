//! What a connection has seen of the asset's values, and how much each rule has passed.

use std::collections::VecDeque;

use super::address::{Span, Table};
use super::rules::{Rule, Rules};
use super::values::Values;

/// Points of one page.
const PAGE: u16 = 64;
/// A value counts for so long at least, and for less than twice as long, in milliseconds: others write to the asset as well, and
/// its program does.
const LIFE: u64 = 30_000;
/// Pages that are remembered at most, for one connection: 16384 points.
const MOST_PAGES: usize = 256;

/// The last values of coils and registers. When it is full, pages that no rule needs make room for new ones, the longest unchanged
/// first; if rules need them all, the new one is not remembered, and its points count as unknown.
#[derive(Debug, Default)]
pub(super) struct Memory {
    keys: Vec<Key>,
    pages: Vec<Page>,
    changes: u64,
}

type Key = (u8, Table, u16);

#[derive(Debug)]
struct Page {
    /// One bit a point: learned since the page last turned, and in the life before that.
    known: u64,
    known_before: u64,
    /// When it turned, on the monotonic clock.
    turned: u64,
    changed: u64,
    values: [u16; PAGE as usize],
}

impl Page {
    /// The points whose values still count.
    fn known(&self, now_ms: u64) -> u64 {
        match now_ms.saturating_sub(self.turned) / LIFE {
            0 => self.known | self.known_before,
            1 => self.known,
            _ => 0,
        }
    }

    fn turn(&mut self, now_ms: u64) {
        match now_ms.saturating_sub(self.turned) / LIFE {
            0 => return,
            1 => self.known_before = self.known,
            _ => self.known_before = 0,
        }
        self.known = 0;
        self.turned = now_ms - now_ms.saturating_sub(self.turned) % LIFE;
    }
}

impl Memory {
    pub(super) fn last(&self, unit: u8, table: Table, address: u16, now_ms: u64) -> Option<u16> {
        let page = &self.pages[self.find((unit, table, address / PAGE))?];
        let index = usize::from(address % PAGE);
        (page.known(now_ms) >> index & 1 == 1).then(|| page.values[index])
    }

    /// The points of a span have these values now.
    pub(super) fn set(&mut self, unit: u8, span: Span, values: Values<'_>, rules: &Rules, now_ms: u64) {
        if !matches!(span.table, Table::Coils | Table::Registers) {
            return;
        }
        self.changes += 1;
        let mut page = None;
        for (address, value) in (span.first..=span.last).zip(values.iter()) {
            if page.is_none() || address % PAGE == 0 {
                page = self.find_or_make((unit, span.table, address / PAGE), rules);
            }
            if let Some(page) = page.and_then(|page| self.pages.get_mut(page)) {
                page.turn(now_ms);
                page.known |= 1 << (address % PAGE);
                page.changed = self.changes;
                page.values[usize::from(address % PAGE)] = value;
            }
        }
    }

    /// Nothing is known of the points of a span any more; of those of every unit, if it is 0.
    pub(super) fn forget(&mut self, unit: u8, span: Span) {
        for ((of, table, number), page) in self.keys.iter().zip(&mut self.pages) {
            if *table == span.table && (unit == 0 || *of == unit) {
                let start = number * PAGE;
                for index in 0..PAGE {
                    if span.holds(*table, start + index) {
                        page.known &= !(1 << index);
                        page.known_before &= !(1 << index);
                    }
                }
            }
        }
    }

    fn find(&self, key: Key) -> Option<usize> {
        self.keys.iter().position(|held| *held == key)
    }

    fn find_or_make(&mut self, key: Key, rules: &Rules) -> Option<usize> {
        if let Some(found) = self.find(key) {
            return Some(found);
        }
        let fresh = Page { known: 0, known_before: 0, turned: 0, changed: 0, values: [0; PAGE as usize] };
        if self.pages.len() < MOST_PAGES {
            self.keys.push(key);
            self.pages.push(fresh);
            return Some(self.pages.len() - 1);
        }
        let needed = |(unit, table, number): Key| {
            let start = number * PAGE;
            rules.needs_last(unit, Span::new(table, start, start + (PAGE - 1)))
        };
        let spare = (0..self.pages.len())
            .filter(|&page| !needed(self.keys[page]))
            .min_by_key(|&page| self.pages[page].changed)?;
        self.keys[spare] = key;
        self.pages[spare] = fresh;
        Some(spare)
    }
}

/// When rules with a limit per minute passed something.
#[derive(Debug, Default)]
pub(super) struct Rates {
    counts: Vec<Count>,
}

#[derive(Debug)]
struct Count {
    rule: String,
    passed: VecDeque<u64>,
}

/// How long a pass counts, in milliseconds.
const WINDOW: u64 = 60_000;
/// No rule passes more than so many in a minute, whatever it says.
pub(super) const MOST_PER_MINUTE: u32 = 6_000;
/// Counts that are kept at most for rules that are no longer in force; they may come back.
const MOST_FORMER: usize = 64;

impl Rates {
    /// Begins to count for rules that come into force. What was counted under a name stays.
    pub(super) fn adopt(&mut self, rules: &Rules) {
        let counted = |name: &str| rules.rules.iter().any(|rule| rule.per_minute.is_some() && rule.name == name);
        let mut former = self.counts.iter().filter(|count| !counted(&count.rule)).count();
        self.counts.retain(|count| {
            let keep = counted(&count.rule) || (former <= MOST_FORMER && !count.passed.is_empty());
            former -= usize::from(!keep);
            keep
        });
        for rule in rules.rules.iter().filter(|rule| rule.per_minute.is_some()) {
            if self.find(&rule.name).is_none() {
                self.counts.push(Count { rule: rule.name.clone(), passed: VecDeque::new() });
            }
        }
    }

    pub(super) fn has_room(&self, rule: &Rule, now: u64) -> bool {
        let most = most(rule);
        let Some(count) = self.find(&rule.name).map(|index| &self.counts[index]) else { return false };
        match count.passed.len().checked_sub(most) {
            None => true,
            // The pass that would be one too many, were it less than a minute ago.
            Some(index) => count.passed.get(index).is_some_and(|then| now.saturating_sub(*then) >= WINDOW),
        }
    }

    pub(super) fn charge(&mut self, rule: &Rule, now: u64) {
        let most = most(rule);
        if let Some(index) = self.find(&rule.name) {
            let passed = &mut self.counts[index].passed;
            while passed.len() >= most && passed.pop_front().is_some() {}
            passed.push_back(now);
        }
    }

    fn find(&self, rule: &str) -> Option<usize> {
        self.counts.iter().position(|count| count.rule == rule)
    }
}

fn most(rule: &Rule) -> usize {
    rule.per_minute.map_or(0, |most| most.min(MOST_PER_MINUTE) as usize)
}
