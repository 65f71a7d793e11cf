//! What a profile says about Modbus, as plain data.

use super::address::{Span, Table};
use super::function::{DEVICE_ID, DIAGNOSTICS, ENCAPSULATED, Function};
use super::tag::Tag;
use super::tolerance::Tolerances;
use crate::{Kind, Mode};

/// A profile: what it allows passes, what it does not is denied. The order of its rules is irrelevant.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) rules: Vec<Rule>,
    pub(super) tags: Vec<Tag>,
    pub(super) device: Device,
}

/// What the plant says of the device behind the rules, that no rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Device {
    /// What of its answers is put right.
    pub tolerances: Tolerances,
    /// Does it take frames of Modbus RTU on the same port? Then no request passes that begins like one.
    pub takes_rtu: bool,
}

/// What may be done. A condition that is left out (empty, `None`) is always met; but a rule without kinds and functions allows nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Its name in evidence. It tells rules apart: rules of one name share one count per minute.
    pub name: String,
    /// Kinds of operation.
    pub kinds: Vec<Kind>,
    /// Functions. What is opaque passes only where it is named here.
    pub functions: Functions,
    /// Unit identifiers.
    pub units: Units,
    /// Points. A rule with any is met only by operations on points.
    pub points: Vec<Points>,
    /// What may be written.
    pub limits: Option<Limits>,
    /// How many requests it may pass in any 60 seconds, of those that are no reads and no diagnosis.
    pub per_minute: Option<u32>,
    /// Not before, in Unix milliseconds.
    pub from: Option<i64>,
    /// Not at or after, in Unix milliseconds.
    pub until: Option<i64>,
}

/// A set of functions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Functions {
    whole: u128,
    subs: Vec<Function>,
}

/// A set of unit identifiers. By default every one except 0, which is everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Units([u128; 2]);

/// Points that a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Points {
    /// Addresses.
    Span(Span),
    /// Those of a tag, to be decoded as it.
    Tag(Tag),
}

/// What may be written to a point. Every one that is given must be met.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// The least value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// The only values, if there are any.
    pub allowed: Vec<f64>,
    /// The greatest difference to the last value.
    pub max_step: Option<f64>,
    /// The only bits that may change.
    pub bits: Option<u64>,
}

impl Rules {
    /// A profile. `tags` are the asset's; values are decoded by them, whether a rule names tags or addresses.
    #[must_use]
    pub fn new(name: impl Into<String>, mode: Mode, rules: Vec<Rule>, mut tags: Vec<Tag>) -> Self {
        tags.sort_by(|a, b| (a.table, a.address, &a.name).cmp(&(b.table, b.address, &b.name)));
        Self { name: name.into(), mode, rules, tags, device: Device::default() }
    }

    /// The same rules for a device of which this is known.
    #[must_use]
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Passes what reads the process, and what looks at the device and changes nothing.
    #[must_use]
    pub fn read_only() -> Self {
        Self::new("read-only", Mode::Enforce, reading(), Vec::new())
    }

    /// Passes everything that is well-formed, and says what [`Rules::read_only`] would deny.
    #[must_use]
    pub fn observe() -> Self {
        Self::new("observe", Mode::Observe, reading(), Vec::new())
    }

    /// Passes everything that is well-formed.
    #[must_use]
    pub fn full() -> Self {
        let functions = (1..=127).map(Function::new).collect();
        let everything = Rule { name: "full".to_owned(), functions, units: Units::every(), ..Rule::default() };
        Self::new("full", Mode::Enforce, vec![everything], Vec::new())
    }

    /// The same rules for an asset with these tags.
    #[must_use]
    pub fn with_tags(self, tags: Vec<Tag>) -> Self {
        Self::new(self.name, self.mode, self.rules, tags).on(self.device)
    }

    /// The same rules, only observing: to replay what has already happened.
    #[must_use]
    pub fn observing(mut self) -> Self {
        self.mode = Mode::Observe;
        self
    }

    /// What of these rules is left to somebody who only looks on, under the name `view-only`: those that pass reads, and pass nothing
    /// else any more. Where rules only observe, all reads.
    #[must_use]
    pub fn viewing(&self) -> Self {
        let reads = |rule: &&Rule| rule.kinds.is_empty() || rule.kinds.contains(&Kind::Read);
        let rules = match self.mode {
            Mode::Observe => reading(),
            Mode::Enforce => self.rules.clone(),
        };
        let rules = rules.iter().filter(reads).map(|rule| Rule { kinds: vec![Kind::Read], ..rule.clone() });
        Self::new("view-only", Mode::Enforce, rules.collect(), self.tags.clone()).on(self.device)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What is known of the asset.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The asset's tags, by table and address.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The tags that have a point in common with a span.
    pub fn tags_on(&self, span: Span) -> impl Iterator<Item = &Tag> {
        tags_on(&self.tags, span)
    }

    /// Must the last values of these points be known to judge by the rules?
    pub(super) fn needs_last(&self, unit: u8, span: Span) -> bool {
        self.rules.iter().any(|rule| {
            (rule.limits.is_some() || rule.points.iter().any(Points::is_bit))
                && rule.units.holds(unit)
                && (rule.points.is_empty() || rule.points.iter().any(|points| points.span().meets(span)))
        })
    }
}

/// Those of sorted tags that meet a span.
pub(super) fn tags_on(tags: &[Tag], span: Span) -> impl Iterator<Item = &Tag> {
    let widest = u16::try_from(super::tag::WIDEST - 1).unwrap_or(u16::MAX);
    let from = span.first.saturating_sub(widest);
    let start = tags.partition_point(|tag| (tag.table, tag.address) < (span.table, from));
    tags[start..]
        .iter()
        .take_while(move |tag| tag.table == span.table && tag.address <= span.last)
        .filter(move |tag| tag.span().meets(span))
}

/// The built-in rules that change nothing. Each function's reason is in `docs/modbus.md`.
fn reading() -> Vec<Rule> {
    let name = || "read-only".to_owned();
    let subs = [0, 2].into_iter().chain(11..=18).map(|sub| Function::with_sub(DIAGNOSTICS, sub));
    let looking = [7, 11, 12, 17].map(Function::new).into_iter();
    let identity = Function::with_sub(ENCAPSULATED, DEVICE_ID.into());
    vec![
        Rule { name: name(), kinds: vec![Kind::Read], ..Rule::default() },
        Rule { name: name(), functions: looking.chain(subs).chain([identity]).collect(), ..Rule::default() },
    ]
}

impl Rule {
    /// Does its per-minute limit count such operations?
    pub(super) fn counts(&self, kind: Kind) -> bool {
        self.per_minute.is_some() && !matches!(kind, Kind::Read | Kind::Diagnose)
    }
}

impl Functions {
    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole == 0 && self.subs.is_empty()
    }

    /// Is it among them, by itself or with all its subfunctions?
    #[must_use]
    pub fn holds(&self, function: Function) -> bool {
        self.whole & bit(function.code) != 0 || self.subs.contains(&function)
    }
}

/// Codes from 128 on are no functions, and in no set.
fn bit(code: u8) -> u128 {
    1_u128.checked_shl(code.into()).unwrap_or(0)
}

impl FromIterator<Function> for Functions {
    fn from_iter<I: IntoIterator<Item = Function>>(functions: I) -> Self {
        functions.into_iter().fold(Self::default(), |mut set, function| {
            match function.sub {
                Some(_) => set.subs.push(function),
                None => set.whole |= bit(function.code),
            }
            set
        })
    }
}

impl Units {
    /// Every one, 0 too.
    #[must_use]
    pub const fn every() -> Self {
        Self([u128::MAX; 2])
    }

    /// Is it among them?
    #[must_use]
    pub const fn holds(self, unit: u8) -> bool {
        self.0[(unit >> 7) as usize] >> (unit & 0x7F) & 1 == 1
    }
}

impl Default for Units {
    fn default() -> Self {
        Self([u128::MAX - 1, u128::MAX])
    }
}

impl FromIterator<u8> for Units {
    fn from_iter<I: IntoIterator<Item = u8>>(units: I) -> Self {
        units.into_iter().fold(Self([0; 2]), |mut set, unit| {
            set.0[usize::from(unit >> 7)] |= 1 << (unit & 0x7F);
            set
        })
    }
}

impl Points {
    /// Their addresses.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Points::Span(span) => *span,
            Points::Tag(tag) => tag.span(),
        }
    }

    /// Are they one bit of a register?
    pub(super) fn is_bit(&self) -> bool {
        matches!(self, Points::Tag(tag) if tag.mask().is_some())
    }

    /// Addresses `first` to `last` of a table.
    #[must_use]
    pub const fn range(table: Table, first: u16, last: u16) -> Self {
        Points::Span(Span::new(table, first, last))
    }
}
