//! The smallest rules that would have passed what was seen.

use std::collections::BTreeMap;

use super::address::{Span, Table};
use super::function::Function;
use super::judge::covered;
use super::parts::{Change, Part};
use super::request::Request;
use super::rules::{Functions, Limits, Points, Rule, Rules, Units, tags_on};
use super::tag::Tag;
use crate::{Kind, Mode};

/// Operations that were seen, merged: every point with the hull of the values written to it. Bounded; what does not fit is counted
/// as left out, and the rules then do not pass it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    tags: Vec<Tag>,
    functions: BTreeMap<(u8, Function), u64>,
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
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    /// A function that touches no points.
    Function(Function),
    /// Points side by side that are alike.
    Span(Span),
    /// A tag.
    Tag(Tag),
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    began: u64,
    touched: u64,
    hull: Hull,
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
        // Ordered as rules order them.
        let tags = Rules::new("", Mode::Enforce, Vec::new(), tags).tags;
        Self { tags, ..Self::default() }
    }

    /// One more request. What breaks the protocol's own limits is none.
    pub fn see(&mut self, unit: u8, request: &Request<'_>) {
        if request.fault().is_some() {
            return;
        }
        self.operations += 1;
        let mut kept = true;
        let mut parts = request.parts().peekable();
        if parts.peek().is_none() {
            let room = self.has_room();
            kept = bump(&mut self.functions, (unit, request.function()), room, |count| *count += 1);
        }
        for part in parts {
            kept &= self.see_part(unit, &part);
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

    /// What was learned: functions, then reads and writes by unit, table and address, then tags.
    #[must_use]
    pub fn learned(&self) -> Vec<Learned> {
        let mut lines: Vec<Learned> = Vec::new();
        for (&(unit, function), &count) in &self.functions {
            lines.push(Learned {
                kind: function.kind(),
                unit,
                subject: Subject::Function(function),
                values: None,
                operations: count,
                points: 0,
            });
        }
        for (&(kind, unit, table, address), count) in &self.points {
            if let Some(line) = lines.last_mut()
                && (line.kind, line.unit, line.values) == (kind, unit, count.hull.values())
                && let Subject::Span(span) = &mut line.subject
                && span.table == table
                && span.last.checked_add(1) == Some(address)
            {
                span.last = address;
                line.operations += count.began;
                line.points += count.touched;
                continue;
            }
            lines.push(count.line(kind, unit, Subject::Span(Span::new(table, address, address))));
        }
        for (&(unit, tag), count) in &self.tagged {
            if let Some(tag) = self.tags.get(tag) {
                lines.push(count.line(Kind::Write, unit, Subject::Tag(tag.clone())));
            }
        }
        lines
    }

    fn has_room(&self) -> bool {
        self.functions.len() + self.points.len() + self.tagged.len() < Self::MOST
    }

    fn see_part(&mut self, unit: u8, part: &Part<'_>) -> bool {
        let mut kept = true;
        for address in part.span.first..=part.span.last {
            let point = Span::new(part.span.table, address, address);
            let began = u64::from(address == part.span.first);
            let is_tagged = part.kind == Kind::Write && tags_on(&self.tags, point).next().is_some();
            if !is_tagged {
                let value = match part.change {
                    Change::None => None,
                    Change::Set(values) => covered(values, part.span, point).map(|value| Some(f64::from(value[0]))),
                    Change::Mask { .. } => Some(None),
                };
                let room = self.has_room();
                let key = (part.kind, unit, part.span.table, address);
                kept &= bump(&mut self.points, key, room, |count| count.add(began, value));
            }
        }
        if part.kind == Kind::Write {
            kept &= self.see_tags(unit, part);
        }
        kept
    }

    fn see_tags(&mut self, unit: u8, part: &Part<'_>) -> bool {
        let mut kept = true;
        for (index, tag) in self.tags.iter().enumerate().filter(|(_, tag)| tag.span().meets(part.span)) {
            let whole = match part.change {
                Change::Set(values) => covered(values, part.span, tag.span()),
                Change::None | Change::Mask { .. } => None,
            };
            let value = whole.filter(|registers| tag.is_exact(*registers)).and_then(|registers| tag.value(registers));
            let began = u64::from(tag.span().holds(part.span.table, part.span.first));
            let room = self.functions.len() + self.points.len() + self.tagged.len() < Self::MOST;
            kept &= bump(&mut self.tagged, (unit, index), room, |count| count.add(began, Some(value)));
        }
        kept
    }
}

/// Counts in a map, unless the key is new and there is no room for it.
fn bump<K: Ord, C: Default>(map: &mut BTreeMap<K, C>, key: K, room: bool, add: impl FnOnce(&mut C)) -> bool {
    let may = room || map.contains_key(&key);
    if may {
        add(map.entry(key).or_default());
    }
    may
}

impl Count {
    /// `value`: nothing for a read, and nothing within for a write whose value cannot be told.
    fn add(&mut self, began: u64, value: Option<Option<f64>>) {
        self.began += began;
        self.touched += 1;
        self.hull = match (self.hull, value) {
            (hull, None) => hull,
            (Hull::Nothing, Some(Some(value))) => Hull::Values(value, value),
            (Hull::Values(min, max), Some(Some(value))) => Hull::Values(min.min(value), max.max(value)),
            (Hull::Anything, _) | (_, Some(None)) => Hull::Anything,
        };
    }

    fn line(&self, kind: Kind, unit: u8, subject: Subject) -> Learned {
        Learned { kind, unit, subject, values: self.hull.values(), operations: self.began, points: self.touched }
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
    /// The rule that passes it.
    #[must_use]
    pub fn rule(&self, name: impl Into<String>) -> Rule {
        let mut rule = Rule { name: name.into(), units: Units::from_iter([self.unit]), ..Rule::default() };
        match &self.subject {
            Subject::Function(function) => rule.functions = Functions::from_iter([*function]),
            Subject::Span(span) => (rule.kinds, rule.points) = (vec![self.kind], vec![Points::Span(*span)]),
            Subject::Tag(tag) => (rule.kinds, rule.points) = (vec![self.kind], vec![Points::Tag(tag.clone())]),
        }
        rule.limits = self.values.map(|(min, max)| Limits { min: Some(min), max: Some(max), ..Limits::default() });
        rule
    }
}
