//! A request against the rules. Pure: what was before is asked of a [`Past`].

use std::cmp::Ordering;

use super::address::{Span, Table};
use super::function::{Function, READ_WRITE};
use super::parts::{Change, Part};
use super::request::{Fault, Request};
use super::rules::{Limits, Points, Rule, Rules};
use super::tag::{Registers, Tag, WIDEST};
use super::values::Values;
use crate::{Cause, Kind, Mode, Verdict};

/// The name under which the protocol's own limits deny.
pub const PROTOCOL: &str = "protocol";

/// What rules ask about what was before.
pub(super) trait Past {
    /// Every value that the points of a span (at most [`WIDEST`]) may have now. `None`: one that is not known.
    fn lasts(&self, unit: u8, span: Span, each: &mut dyn FnMut(Option<Registers>));

    /// May the rule pass one more now?
    fn has_room(&self, rule: &Rule) -> bool;
}

/// How far a rule went towards allowing; what comes later is further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Function,
    Address,
    Value,
    Rate,
    Window,
    Allowed,
}

impl Reach {
    const fn cause(self) -> Option<Cause> {
        match self {
            Reach::Function => Some(Cause::Function),
            Reach::Address => Some(Cause::Address),
            Reach::Value => Some(Cause::Value),
            Reach::Rate => Some(Cause::Rate),
            Reach::Window => Some(Cause::Window),
            Reach::Allowed => None,
        }
    }
}

impl Rules {
    /// What the rules say about a request without a connection: nothing was passed before, and `last` tells what a point holds, if
    /// that is known.
    pub fn judge(
        &self,
        unit: u8,
        request: &Request<'_>,
        last: &dyn Fn(Table, u16) -> Option<u16>,
        unix_ms: i64,
    ) -> Verdict<'_> {
        Case { unit, request, unix_ms, past: &Told(last) }.judge(self, &mut Vec::new())
    }
}

impl Rules {
    /// What is to be done with something that is refused for a reason of its own.
    pub(super) fn refused<'r>(&self, rule: &'r str, cause: Cause) -> Verdict<'r> {
        match self.mode {
            Mode::Observe => Verdict::WouldDeny { rule, cause },
            Mode::Enforce => Verdict::Deny { rule, cause },
        }
    }
}

struct Told<'a>(&'a dyn Fn(Table, u16) -> Option<u16>);

impl Past for Told<'_> {
    fn lasts(&self, _unit: u8, span: Span, each: &mut dyn FnMut(Option<Registers>)) {
        each(collect(span, self.0));
    }

    fn has_room(&self, rule: &Rule) -> bool {
        rule.per_minute != Some(0)
    }
}

/// The values of a span (at most [`WIDEST`] points), if each is known.
pub(super) fn collect(span: Span, last: impl Fn(Table, u16) -> Option<u16>) -> Option<Registers> {
    let mut registers = [0; WIDEST];
    for (address, register) in (span.first..=span.last).zip(&mut registers) {
        *register = last(span.table, address)?;
    }
    Some(registers)
}

/// One request on its way through the rules.
pub(super) struct Case<'a, 'p> {
    pub(super) unit: u8,
    pub(super) request: &'a Request<'a>,
    pub(super) unix_ms: i64,
    pub(super) past: &'p dyn Past,
}

impl Case<'_, '_> {
    /// The verdict. If it is a pass, `charged` holds the indices of the rules that are to count it.
    pub(super) fn judge<'r>(&self, rules: &'r Rules, charged: &mut Vec<usize>) -> Verdict<'r> {
        charged.clear();
        if let Some(fault) = self.request.fault() {
            let cause = match fault {
                Fault::Address => Cause::Address,
                Fault::Value => Cause::Value,
            };
            // What a device would say of a value is nobody's to know who may not use the function at all.
            return match rules.mode {
                Mode::Enforce if !self.is_known(rules) => Verdict::Deny { rule: &rules.name, cause: Cause::Function },
                Mode::Enforce | Mode::Observe => Verdict::Deny { rule: PROTOCOL, cause },
            };
        }
        let mut parts = self.request.parts().peekable();
        let mut stands = Stand { reach: Reach::Function, rule: &rules.name };
        if parts.peek().is_none() {
            stands = self.stand(rules, None, charged).0;
        }
        for part in parts {
            stands = self.part(rules, &part, charged);
            if stands.reach != Reach::Allowed {
                break;
            }
        }
        let rule = stands.rule;
        match (stands.reach.cause(), rules.mode) {
            (None, _) => Verdict::Pass { rule },
            (Some(cause), Mode::Observe) => Verdict::WouldDeny { rule, cause },
            (Some(cause), Mode::Enforce) => Verdict::Deny { rule, cause },
        }
    }

    /// Is some rule about the function, for each thing that it does?
    fn is_known(&self, rules: &Rules) -> bool {
        let function = self.request.function();
        let known = |kind| rules.rules.iter().any(|rule| fits(rule, function, kind, self.request.is_opaque()));
        known(function.kind()) && (function.code != READ_WRITE || known(Kind::Read))
    }

    /// Stands at the first point that no rule allows; if there is none, at the first.
    fn part<'r>(&self, rules: &'r Rules, part: &Part<'_>, charged: &mut Vec<usize>) -> Stand<'r> {
        let mut first = None;
        let mut at = part.span.first;
        loop {
            let (stand, same) = self.stand(rules, Some((part, at)), charged);
            if stand.reach != Reach::Allowed {
                charged.clear();
                return stand;
            }
            let first = *first.get_or_insert(stand);
            match same.checked_add(1) {
                Some(next) if next <= part.span.last => at = next,
                _ => return first,
            }
        }
    }

    /// How the rules stand to one point, and the last address of the part up to which they certainly stand alike.
    fn stand<'r>(
        &self,
        rules: &'r Rules,
        point: Option<(&Part<'_>, u16)>,
        charged: &mut Vec<usize>,
    ) -> (Stand<'r>, u16) {
        let function = self.request.function();
        let kind = point.map_or(function.kind(), |(part, _)| part.kind);
        let mut best = Stand { reach: Reach::Function, rule: &rules.name };
        let mut same = u16::MAX;
        let mut uncounted = false;
        let before = charged.len();
        for (index, rule) in rules.rules.iter().enumerate() {
            let reach = self.reach(rules, rule, (function, kind), point, &mut same);
            if reach == Reach::Allowed {
                if !rule.counts(kind) {
                    uncounted = true;
                } else if !charged.contains(&index) {
                    charged.push(index);
                }
            }
            // Of rules that stand alike the first by name is reported, so that the order in the file does not show.
            if reach > best.reach || (reach != Reach::Function && reach == best.reach && *rule.name < *best.rule) {
                best = Stand { reach, rule: &rule.name };
            }
        }
        if uncounted {
            charged.truncate(before);
        }
        (best, same)
    }

    fn reach(
        &self,
        rules: &Rules,
        rule: &Rule,
        (function, kind): (Function, Kind),
        point: Option<(&Part<'_>, u16)>,
        same: &mut u16,
    ) -> Reach {
        if !fits(rule, function, kind, self.request.is_opaque()) {
            return Reach::Function;
        }
        if !rule.units.holds(self.unit) {
            return Reach::Address;
        }
        match point {
            Some((part, at)) => {
                if !holds(rule, part.span, at, same) {
                    return Reach::Address;
                }
                let written = part.change != Change::None;
                if written && let Some(bits) = only_bits(rule, Span::new(part.span.table, at, at)) {
                    *same = at;
                    if !self.changes_only(bits, part, at) {
                        return Reach::Value;
                    }
                }
                if let (Some(limits), true) = (&rule.limits, written) {
                    *same = at;
                    if !self.writable(rules, rule, limits, part, at) {
                        return Reach::Value;
                    }
                }
            }
            None if !rule.points.is_empty() => return Reach::Address,
            None => {}
        }
        if rule.counts(kind) && !self.past.has_room(rule) {
            return Reach::Rate;
        }
        let begun = rule.from.is_none_or(|from| from <= self.unix_ms);
        let over = rule.until.is_some_and(|until| until <= self.unix_ms);
        if begun && !over { Reach::Allowed } else { Reach::Window }
    }

    /// Does the part leave every other bit of the point as it is? What is written whole tells that only beside the last value.
    fn changes_only(&self, bits: u16, part: &Part<'_>, at: u16) -> bool {
        let point = Span::new(part.span.table, at, at);
        match part.change {
            Change::None => true,
            Change::Set(values) => covered(values, part.span, point)
                .is_some_and(|new| self.all_lasts(point, |last| (last[0] ^ new[0]) & !bits == 0)),
            // Some devices set bits that they are to keep: what neither mask names is safe.
            Change::Mask { and, or } => (!and | or) & !bits == 0,
        }
    }

    /// May the part write what it writes to the point? Every tag that the point belongs to must agree: those that the rule names,
    /// else those of the asset that are whole registers or coils, else it is a plain number.
    fn writable(&self, rules: &Rules, rule: &Rule, limits: &Limits, part: &Part<'_>, at: u16) -> bool {
        let point = Span::new(part.span.table, at, at);
        let mut named = rule.points.iter().filter_map(|points| match points {
            Points::Tag(tag) if tag.span().meets(point) => Some(tag),
            Points::Tag(_) | Points::Span(_) => None,
        });
        let agree = |tag: &Tag| self.agrees(limits, part, &Lens::Tag(tag));
        if let Some(tag) = named.next() {
            return agree(tag) && named.all(agree);
        }
        let mut known = rules.tags_on(point).filter(|tag| tag.mask().is_none());
        match known.next() {
            Some(tag) => agree(tag) && known.all(agree),
            None => self.agrees(limits, part, &Lens::Plain(point)),
        }
    }

    fn agrees(&self, limits: &Limits, part: &Part<'_>, lens: &Lens<'_>) -> bool {
        let span = lens.span();
        match part.change {
            Change::None => true,
            Change::Set(values) => {
                let Some(new) = covered(values, part.span, span) else { return false };
                limits.hold(lens, new) && {
                    let every = limits.max_step.is_none() && limits.bits.is_none();
                    every || self.all_lasts(span, |last| limits.hold_step(lens, last, new))
                }
            }
            Change::Mask { and, or } if lens.mask().is_some() => self.agrees_on_bit(limits, lens, (!and | or, or)),
            // One register of several is part of a value.
            Change::Mask { .. } if span.first != span.last => false,
            Change::Mask { and, or } => {
                let touched = lens.raw([!and | or, 0, 0, 0]);
                let known_bits = limits.bits.is_none_or(|bits| touched & !bits == 0);
                let only_bits = limits.min.is_none()
                    && limits.max.is_none()
                    && limits.allowed.is_empty()
                    && limits.max_step.is_none();
                known_bits
                    && (only_bits
                        || self.all_lasts(span, |last| {
                            let new = [masked(last[0], and, or), 0, 0, 0];
                            limits.hold(lens, new) && limits.hold_step(lens, last, new)
                        }))
            }
        }
    }

    /// The same of one bit, by the bits that may become others and what they become.
    fn agrees_on_bit(&self, limits: &Limits, lens: &Lens<'_>, masks: (u16, u16)) -> bool {
        let (touched, to) = masks;
        let Some(bit) = lens.mask().filter(|bit| touched & bit != 0) else { return true };
        let new = [to & bit, 0, 0, 0];
        let step = |last| limits.hold_step(lens, last, new);
        limits.hold(lens, new) && (limits.max_step.is_none() || self.all_lasts(lens.span(), step))
    }

    /// Does it hold for every value that the span may have? If one is not known it does not.
    fn all_lasts(&self, span: Span, holds: impl Fn(Registers) -> bool) -> bool {
        let mut all = true;
        self.past.lasts(self.unit, span, &mut |last| all = all && last.is_some_and(&holds));
        all
    }
}

#[derive(Debug, Clone, Copy)]
struct Stand<'r> {
    reach: Reach,
    rule: &'r str,
}

/// How a number is read out of registers.
enum Lens<'a> {
    Tag(&'a Tag),
    Plain(Span),
}

impl Lens<'_> {
    fn span(&self) -> Span {
        match self {
            Lens::Tag(tag) => tag.span(),
            Lens::Plain(point) => *point,
        }
    }

    fn raw(&self, registers: Registers) -> u64 {
        match self {
            Lens::Tag(tag) => tag.raw(registers),
            Lens::Plain(_) => registers[0].into(),
        }
    }

    fn value(&self, registers: Registers) -> Option<f64> {
        match self {
            Lens::Tag(tag) => tag.value(registers),
            Lens::Plain(_) => Some(registers[0].into()),
        }
    }

    /// Of one bit: where it lies in its register.
    fn mask(&self) -> Option<u16> {
        match self {
            Lens::Tag(tag) => tag.mask(),
            Lens::Plain(_) => None,
        }
    }

    /// How a value stands to a limit.
    fn compare(&self, value: f64, limit: f64) -> Option<Ordering> {
        match self {
            Lens::Tag(tag) => tag.compare(value, limit),
            Lens::Plain(_) => value.partial_cmp(&limit),
        }
    }

    fn slack(&self, value: f64) -> f64 {
        match self {
            Lens::Tag(tag) => tag.slack(value),
            Lens::Plain(_) => 0.0,
        }
    }

    fn is_exact(&self, registers: Registers) -> bool {
        match self {
            Lens::Tag(tag) => tag.is_exact(registers),
            Lens::Plain(_) => true,
        }
    }
}

impl Limits {
    /// Minimum, maximum and the set. What is no finite number meets no limits.
    fn hold(&self, lens: &Lens<'_>, new: Registers) -> bool {
        let Some(value) = lens.value(new) else { return false };
        let stands = |limit: f64, so: fn(Ordering) -> bool| lens.compare(value, limit).is_some_and(so);
        let compared = self.min.is_some() || self.max.is_some() || !self.allowed.is_empty() || self.max_step.is_some();
        (!compared || lens.is_exact(new))
            && self.min.is_none_or(|min| stands(min, Ordering::is_ge))
            && self.max.is_none_or(|max| stands(max, Ordering::is_le))
            && (self.allowed.is_empty() || self.allowed.iter().any(|allowed| stands(*allowed, Ordering::is_eq)))
    }

    /// The step and the bits, against one last value.
    fn hold_step(&self, lens: &Lens<'_>, last: Registers, new: Registers) -> bool {
        let step = |max_step: f64| match (lens.value(last), lens.value(new)) {
            (Some(old), Some(new)) if lens.is_exact(last) => {
                (new - old).abs() <= max_step + lens.slack(old) + lens.slack(new)
            }
            _ => false,
        };
        self.max_step.is_none_or(step) && self.bits.is_none_or(|bits| (lens.raw(last) ^ lens.raw(new)) & !bits == 0)
    }
}

/// Is the operation one that the rule is about?
fn fits(rule: &Rule, function: Function, kind: Kind, opaque: bool) -> bool {
    let named = rule.functions.holds(function);
    let of_kind = rule.kinds.contains(&kind);
    match (rule.kinds.is_empty(), rule.functions.is_empty()) {
        (true, true) => false,
        (true, false) => named,
        (false, true) => of_kind && !opaque,
        (false, false) => of_kind && named,
    }
}

/// The bits of the point that the rule is about, where it names bits of it and never the whole.
fn only_bits(rule: &Rule, point: Span) -> Option<u16> {
    let mut named = rule.points.iter().filter(|points| points.span().meets(point)).peekable();
    named.peek()?;
    named.try_fold(0, |bits, points| match points {
        Points::Tag(tag) => tag.mask().map(|mask| bits | mask),
        Points::Span(_) => None,
    })
}

/// Is the point one that the rule is about? Lowers `same` to the last address for which the answer is the same.
fn holds(rule: &Rule, span: Span, at: u16, same: &mut u16) -> bool {
    let mut holds = rule.points.is_empty();
    for points in rule.points.iter().map(Points::span).filter(|points| points.table == span.table) {
        if points.holds(span.table, at) {
            holds = true;
            *same = (*same).min(points.last);
        } else if points.first > at {
            *same = (*same).min(points.first - 1);
        }
    }
    holds
}

/// The values of `wanted` among those written to `written`; `None` unless all are there.
pub(super) fn covered(values: Values<'_>, written: Span, wanted: Span) -> Option<Registers> {
    let start = wanted.first.checked_sub(written.first).filter(|_| wanted.table == written.table)?;
    let mut registers = [0; WIDEST];
    for (index, register) in (0..=wanted.last - wanted.first).zip(&mut registers) {
        *register = values.at(usize::from(start) + usize::from(index))?;
    }
    Some(registers)
}

/// What function 22 makes of a register.
pub(super) const fn masked(old: u16, and: u16, or: u16) -> u16 {
    (old & and) | (or & !and)
}
