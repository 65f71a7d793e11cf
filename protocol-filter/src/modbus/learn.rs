//! The smallest rules that would have passed what was seen.

use std::collections::BTreeMap;

use super::address::{Span, Table};
use super::function::Function;
use super::judge::{collect, covered};
use super::parts::{Change, Part};
use super::request::Request;
use super::rules::{Functions, Limits, Points, Rule, Rules, Units, tags_on};
use super::tag::{Registers, Tag};
use crate::{Kind, Mode};

/// Operations that were seen, merged: every point with the hull of the values written to it. Bounded; what does not fit is counted
/// as left out, and the rules then do not pass it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    tags: Vec<Tag>,
    functions: BTreeMap<(u8, Function), Count>,
    points: BTreeMap<(Kind, u8, Table, u16), Count>,
    tagged: BTreeMap<(u8, usize), Count>,
    operations: u64,
    left_out: u64,
}

/// One line of what was learned, and what justifies it.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// What is done.
    pub kind: Kind,
    /// To which unit.
    pub unit: u8,
    /// To what.
    pub subject: Subject,
    /// Between which values everything that was written lay; nothing if they cannot be told (reads, masks, parts of a tag).
    pub values: Option<(f64, f64)>,
    /// How often a request began here.
    pub operations: u64,
    /// How often a point of these was touched, added up.
    pub points: u64,
    /// The first and the last time, in Unix milliseconds.
    pub times: (i64, i64),
    /// What is known of how far writes moved the values.
    pub steps: Steps,
}

/// How far writes moved values, as far as the values before are known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Steps {
    /// How often a point was written whose value before was known.
    pub known: u64,
    /// The largest difference of those.
    pub largest: f64,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A function that touches no points.
    Function(Function),
    /// Points side by side that are alike.
    Span(Span),
    /// Tags: one that was written, or those that together are all that was read side by side.
    Tags(Vec<Tag>),
}

#[derive(Debug, Clone, Copy)]
struct Count {
    began: u64,
    touched: u64,
    hull: Hull,
    times: (i64, i64),
    steps: Steps,
}

/// One request at one point.
struct Touch {
    began: bool,
    unix_ms: i64,
    value: Value,
    /// The value before.
    old: Option<f64>,
}

/// What is known of the value that a request gives a point.
enum Value {
    /// It gives none.
    Read,
    /// This one.
    Written(f64),
    /// One that cannot be told.
    Unknown,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Hull {
    #[default]
    Nothing,
    Values(f64, f64),
    /// Something was done of which no value can be told.
    Anything,
}

impl Seen {
    /// Points, tags and functions that are kept at most.
    pub const MOST: usize = 65_536;

    /// Nothing seen yet, of an asset with these tags.
    #[must_use]
    pub fn new(tags: Vec<Tag>) -> Self {
        // Ordered as rules order them. What is one bit of a register is learned as the register.
        let mut tags = Rules::new("", Mode::Enforce, Vec::new(), tags).tags;
        tags.retain(|tag| tag.mask().is_none());
        Self { tags, ..Self::default() }
    }

    /// One more request. `last` tells what a point held before, if that is known. What breaks the protocol's own limits is no request.
    pub fn see(&mut self, unit: u8, request: &Request<'_>, last: &dyn Fn(Table, u16) -> Option<u16>, unix_ms: i64) {
        if request.fault().is_some() {
            return;
        }
        self.operations += 1;
        let mut kept = true;
        let mut parts = request.parts().peekable();
        if parts.peek().is_none() {
            let touch = Touch { began: true, unix_ms, value: Value::Read, old: None };
            let room = self.has_room();
            kept = bump(&mut self.functions, (unit, request.function()), room, &touch);
        }
        for part in parts {
            kept &= self.see_points(unit, &part, last, unix_ms);
            if part.kind == Kind::Write {
                kept &= self.see_tags(unit, &part, last, unix_ms);
            }
        }
        self.left_out += u64::from(!kept);
    }

    /// How many requests were seen.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// How many of them did not fit.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// What was learned: functions, then reads and writes by unit, table and address, then written tags.
    #[must_use]
    pub fn learned(&self) -> Vec<Learned> {
        let mut lines: Vec<Learned> = Vec::new();
        for (&(unit, function), count) in &self.functions {
            let line = count.line(function.kind(), unit, Subject::Function(function));
            lines.push(Learned { points: 0, ..line });
        }
        for (&(kind, unit, table, address), count) in &self.points {
            if !lines.last_mut().is_some_and(|line| line.grow((kind, unit, table, address), count)) {
                lines.push(count.line(kind, unit, Subject::Span(Span::new(table, address, address))));
            }
        }
        for line in &mut lines {
            if let (Kind::Read, Subject::Span(span)) = (line.kind, &line.subject)
                && let Some(tags) = self.tiles(*span)
            {
                line.subject = Subject::Tags(tags);
            }
        }
        for (&(unit, tag), count) in &self.tagged {
            if let Some(tag) = self.tags.get(tag) {
                let line = count.line(Kind::Write, unit, Subject::Tags(vec![tag.clone()]));
                lines.push(line.rounded(tag));
            }
        }
        lines
    }

    fn has_room(&self) -> bool {
        self.functions.len() + self.points.len() + self.tagged.len() < Self::MOST
    }

    fn see_points(
        &mut self,
        unit: u8,
        part: &Part<'_>,
        last: &dyn Fn(Table, u16) -> Option<u16>,
        unix_ms: i64,
    ) -> bool {
        let table = part.span.table;
        let mut kept = true;
        for address in part.span.first..=part.span.last {
            let point = Span::new(table, address, address);
            if part.kind == Kind::Write && tags_on(&self.tags, point).next().is_some() {
                continue;
            }
            let value = match part.change {
                Change::None => Value::Read,
                Change::Set(values) => {
                    covered(values, part.span, point).map_or(Value::Unknown, |value| Value::Written(value[0].into()))
                }
                Change::Mask { .. } => Value::Unknown,
            };
            let began = address == part.span.first;
            let old = (part.kind == Kind::Write).then(|| last(table, address)).flatten();
            let touch = Touch { began, unix_ms, value, old: old.map(f64::from) };
            let room = self.has_room();
            kept &= bump(&mut self.points, (part.kind, unit, table, address), room, &touch);
        }
        kept
    }

    fn see_tags(&mut self, unit: u8, part: &Part<'_>, last: &dyn Fn(Table, u16) -> Option<u16>, unix_ms: i64) -> bool {
        let mut kept = true;
        for (index, tag) in self.tags.iter().enumerate().filter(|(_, tag)| tag.span().meets(part.span)) {
            let whole = match part.change {
                Change::Set(values) => covered(values, part.span, tag.span()),
                Change::None | Change::Mask { .. } => None,
            };
            let exact = |registers: &Registers| tag.is_exact(*registers);
            let value = whole.filter(exact).and_then(|registers| tag.value(registers));
            let old = collect(tag.span(), last).filter(exact).and_then(|registers| tag.value(registers));
            let touch = Touch {
                began: tag.span().holds(part.span.table, part.span.first),
                unix_ms,
                value: value.map_or(Value::Unknown, Value::Written),
                old,
            };
            let room = self.functions.len() + self.points.len() + self.tagged.len() < Self::MOST;
            kept &= bump(&mut self.tagged, (unit, index), room, &touch);
        }
        kept
    }

    /// The tags that together are exactly these points.
    fn tiles(&self, span: Span) -> Option<Vec<Tag>> {
        let mut next = Some(span.first);
        let mut tags = Vec::new();
        for tag in tags_on(&self.tags, span) {
            let taken = tag.span();
            // Sorted by their first address: a gap, or what begins before or ends behind, shows at once.
            if next.is_some_and(|next| taken.first > next) || taken.first < span.first || taken.last > span.last {
                return None;
            }
            next = next.and_then(|next| Some(next.max(taken.last.checked_add(1)?)));
            tags.push(tag.clone());
        }
        let whole = next.is_none_or(|next| next > span.last);
        whole.then_some(tags)
    }
}

/// Counts in a map, unless the key is new and there is no room for it.
fn bump<K: Ord>(map: &mut BTreeMap<K, Count>, key: K, room: bool, touch: &Touch) -> bool {
    let may = room || map.contains_key(&key);
    if may {
        map.entry(key).or_insert_with(|| Count::new(touch.unix_ms)).add(touch);
    }
    may
}

impl Count {
    fn new(unix_ms: i64) -> Self {
        Self { began: 0, touched: 0, hull: Hull::Nothing, times: (unix_ms, unix_ms), steps: Steps::default() }
    }

    fn add(&mut self, touch: &Touch) {
        self.began += u64::from(touch.began);
        self.touched += 1;
        self.times = (self.times.0.min(touch.unix_ms), self.times.1.max(touch.unix_ms));
        self.hull = match (self.hull, &touch.value) {
            (hull, Value::Read) => hull,
            (Hull::Nothing, Value::Written(value)) => Hull::Values(*value, *value),
            (Hull::Values(min, max), Value::Written(value)) => Hull::Values(min.min(*value), max.max(*value)),
            (Hull::Anything, _) | (_, Value::Unknown) => Hull::Anything,
        };
        if let (Value::Written(new), Some(old)) = (&touch.value, touch.old) {
            self.steps = self.steps.with(Steps { known: 1, largest: (new - old).abs() });
        }
    }

    fn line(&self, kind: Kind, unit: u8, subject: Subject) -> Learned {
        Learned {
            kind,
            unit,
            subject,
            values: self.hull.values(),
            operations: self.began,
            points: self.touched,
            times: self.times,
            steps: self.steps,
        }
    }
}

impl Steps {
    fn with(self, more: Self) -> Self {
        Self { known: self.known + more.known, largest: self.largest.max(more.largest) }
    }
}

impl Hull {
    const fn values(self) -> Option<(f64, f64)> {
        match self {
            Hull::Values(min, max) => Some((min, max)),
            Hull::Nothing | Hull::Anything => None,
        }
    }
}

impl Learned {
    /// Takes one more point, if it is the next of the same kind.
    fn grow(&mut self, (kind, unit, table, address): (Kind, u8, Table, u16), count: &Count) -> bool {
        let alike = (self.kind, self.unit, self.values) == (kind, unit, count.hull.values());
        let Subject::Span(span) = &mut self.subject else { return false };
        if !alike || span.table != table || span.last.checked_add(1) != Some(address) {
            return false;
        }
        span.last = address;
        self.operations += count.began;
        self.points += count.touched;
        self.times = (self.times.0.min(count.times.0), self.times.1.max(count.times.1));
        self.steps = self.steps.with(count.steps);
        true
    }

    /// The same with its numbers as people would write them: `0.3`, not `0.30000000000000004`.
    fn rounded(self, tag: &Tag) -> Self {
        let values = self.values.map(|(min, max)| (tag.rounded(min), tag.rounded(max)));
        let steps = Steps { largest: tag.rounded(self.steps.largest), ..self.steps };
        Self { values, steps, ..self }
    }

    /// The rule that passes it.
    #[must_use]
    pub fn rule(&self, name: impl Into<String>) -> Rule {
        let mut rule = Rule { name: name.into(), units: Units::from_iter([self.unit]), ..Rule::default() };
        match &self.subject {
            Subject::Function(function) => rule.functions = Functions::from_iter([*function]),
            Subject::Span(span) => (rule.kinds, rule.points) = (vec![self.kind], vec![Points::Span(*span)]),
            Subject::Tags(tags) => {
                (rule.kinds, rule.points) = (vec![self.kind], tags.iter().cloned().map(Points::Tag).collect());
            }
        }
        rule.limits = self.values.map(|(min, max)| Limits { min: Some(min), max: Some(max), ..Limits::default() });
        rule
    }
}
