//! What a filter means for one service: its rules, with tags put where this asset has them.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::asset::{Protocol, Service};
use crate::filter::{BuiltIn, FilterMode, RdpFilter, VncFilter};
use crate::modbus::{ModbusFunction, ModbusRule, OperationKind, RulePoints, UnitRange, ValueLimits};
use crate::names::{AssetId, ServiceName};
use crate::points::PointRange;
use crate::policy::Policy;
use crate::tags::{Tag, TagList};
use crate::terms::Terms;
use crate::window::{Stretch, When};

/// The filter of a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResolvedFilter {
    /// Its name: of a section, or built in.
    pub name: String,
    /// Does it deny, or only note?
    pub mode: FilterMode,
    /// What it says of the service's protocol.
    pub rules: ProtocolRules,
}

/// What a filter says of a protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolRules {
    /// Modbus.
    Modbus(ModbusRules),
    /// VNC.
    Vnc(VncFilter),
    /// RDP.
    Rdp(RdpFilter),
}

/// What may pass within Modbus: what the base allows, and what any of the rules allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModbusRules {
    /// What is allowed without a rule.
    pub base: ModbusBase,
    /// The rules; their order does not matter.
    pub rules: Vec<ResolvedRule>,
}

/// What Modbus is allowed without a rule of the plant file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModbusBase {
    /// Nothing.
    Nothing,
    /// What the built-in filter `read-only` allows.
    ReadOnly,
    /// Everything.
    Full,
}

/// A rule for Modbus, for one asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResolvedRule {
    /// Its name.
    pub name: String,
    /// The kinds it allows; empty: it does not look at the kind.
    pub operations: BTreeSet<OperationKind>,
    /// The functions it allows; empty: it does not look at the function.
    pub functions: BTreeSet<ModbusFunction>,
    /// The units it allows; none: every unit but 0.
    pub units: Option<BTreeSet<UnitRange>>,
    /// Where.
    pub points: ResolvedPoints,
    /// What may be written.
    pub values: Option<ValueLimits>,
    /// How many writes in any sixty seconds.
    pub per_minute: Option<u32>,
    /// When it applies.
    pub validity: Validity,
}

/// Where a rule applies on one asset.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ResolvedPoints {
    /// At every address, and to functions that have none.
    Everywhere,
    /// At these addresses only.
    Ranges(BTreeSet<PointRange>),
    /// At these tags only; their values are read as the tags say.
    Tags(Vec<Tag>),
}

/// When a rule applies.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Validity {
    /// Always.
    Always,
    /// While one of these windows is open.
    When(When),
    /// Once, from here to there.
    Once(Stretch),
}

impl ResolvedRule {
    /// When the rule applies: the stretch of time that is open at `now`, or else the next. None: never again.
    ///
    /// A stretch that windows make by meeting is followed for a month of days; ask again when it ends.
    pub fn stretch(&self, now: Timestamp) -> Option<Stretch> {
        match &self.validity {
            Validity::Always => Some(Stretch::ALWAYS),
            Validity::When(when) => when.stretch(now),
            Validity::Once(stretch) => (now < stretch.until).then_some(*stretch),
        }
    }
}

impl ModbusRule {
    /// When the rule applies: see [`ResolvedRule::stretch`].
    pub fn stretch(&self, now: Timestamp) -> Option<Stretch> {
        self.when.as_ref().map_or(Some(Stretch::ALWAYS), |when| when.stretch(now))
    }

    /// The rule on an asset with these tags. None if it names tags, and the asset has none of them.
    fn resolved(&self, list: Option<&TagList>) -> Option<ResolvedRule> {
        let points = match &self.points {
            RulePoints::Everywhere => ResolvedPoints::Everywhere,
            RulePoints::Ranges(ranges) => ResolvedPoints::Ranges(ranges.clone()),
            RulePoints::Tags(names) => {
                let tags: Vec<Tag> = names.iter().filter_map(|name| list?.tag(name).cloned()).collect();
                if tags.is_empty() {
                    return None;
                }
                ResolvedPoints::Tags(tags)
            }
        };
        Some(ResolvedRule {
            name: self.name.clone(),
            operations: self.operations.clone(),
            functions: self.functions.clone(),
            units: self.units.clone(),
            points,
            values: self.values.clone(),
            per_minute: self.per_minute,
            validity: self.when.clone().map_or(Validity::Always, Validity::When),
        })
    }
}

impl Policy {
    /// The filter that terms mean for a service. None if there is no such service, or its protocol is not decoded.
    pub fn filter_for(&self, asset: &AssetId, service: &ServiceName, terms: &Terms) -> Option<ResolvedFilter> {
        let service = self.place(asset, service)?.service;
        let name = self.effective_filter(service.protocol, terms.filter.as_deref());
        self.resolved(service.protocol, name, self.tags_of(service))
    }

    /// What the filter of this name is for a protocol, whoever has it; rules about tags count where a service has those. None if
    /// there is no such filter, or it says nothing of the protocol.
    pub fn filter_of(&self, protocol: Protocol, name: &str, service: Option<&Service>) -> Option<ResolvedFilter> {
        if self.effective_filter(protocol, Some(name)) != Some(name) {
            return None;
        }
        self.resolved(protocol, Some(name), service.and_then(|service| self.tags_of(service)))
    }

    fn resolved(&self, protocol: Protocol, name: Option<&str>, list: Option<&TagList>) -> Option<ResolvedFilter> {
        let rules = match protocol {
            Protocol::Ssh | Protocol::Tcp => return None,
            Protocol::Modbus => ProtocolRules::Modbus(self.modbus_rules(name, list)),
            Protocol::Vnc => ProtocolRules::Vnc(self.vnc_rules(name)),
            Protocol::Rdp => ProtocolRules::Rdp(name.and_then(|name| self.filter(name)?.rdp).unwrap_or_default()),
        };
        Some(ResolvedFilter { name: name.unwrap_or("any").to_owned(), mode: self.mode(name), rules })
    }

    fn mode(&self, name: Option<&str>) -> FilterMode {
        match name.and_then(|name| self.filter(name)) {
            Some(filter) => filter.mode,
            None if name == Some(BuiltIn::Observe.as_str()) => FilterMode::Observe,
            None => FilterMode::Enforce,
        }
    }

    /// The filter that holds for a protocol where this one is written: itself if it speaks of the protocol, else the
    /// protocol's default. None for a protocol that is not decoded, or that no filter speaks of.
    ///
    /// A name that is no filter's counts as none written: the default is the narrowest.
    pub(crate) fn effective_filter<'a>(&'a self, protocol: Protocol, written: Option<&'a str>) -> Option<&'a str> {
        let speaks = |name: &&str| match BuiltIn::named(name) {
            Some(built_in) => built_in.speaks_of(protocol),
            None => self.filter(name).is_some_and(|filter| filter.speaks_of(protocol)),
        };
        written.filter(speaks).or_else(|| BuiltIn::default_of(protocol).map(BuiltIn::as_str))
    }

    /// The terms of a grant as they are for a protocol: their filter is the one that holds.
    pub fn terms_for(&self, protocol: Protocol, terms: &Terms) -> Terms {
        let filter = self.effective_filter(protocol, terms.filter.as_deref()).map(str::to_owned);
        Terms { filter, ..terms.clone() }
    }

    fn modbus_rules(&self, name: Option<&str>, list: Option<&TagList>) -> ModbusRules {
        let written = name.and_then(|name| self.filter(name)?.modbus.as_ref());
        let base = match (written, name.and_then(BuiltIn::named)) {
            (Some(_), _) => ModbusBase::Nothing,
            (None, Some(BuiltIn::Full)) => ModbusBase::Full,
            (None, _) => ModbusBase::ReadOnly,
        };
        let rules = written.into_iter().flatten().filter_map(|rule| rule.resolved(list)).collect();
        ModbusRules { base, rules }
    }

    fn vnc_rules(&self, name: Option<&str>) -> VncFilter {
        match (name.and_then(|name| self.filter(name)?.vnc.as_ref()), name.and_then(BuiltIn::named)) {
            (Some(written), _) => written.clone(),
            (None, Some(BuiltIn::Full)) => VncFilter::full(),
            (None, Some(BuiltIn::Interactive)) => VncFilter::interactive(),
            (None, Some(BuiltIn::ReadOnly | BuiltIn::ViewOnly | BuiltIn::Observe) | None) => VncFilter::view_only(),
        }
    }
}

impl fmt::Display for ResolvedFilter {
    /// For `explain`: the filter's name, and its rules line by line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter {}", self.name)?;
        if self.mode == FilterMode::Observe {
            f.write_str(" (only observed: everything passes)")?;
        }
        match &self.rules {
            ProtocolRules::Vnc(rules) => write!(f, ": {rules}"),
            ProtocolRules::Rdp(rules) => write!(f, ": {rules}"),
            ProtocolRules::Modbus(ModbusRules { base, rules }) => {
                f.write_str(match base {
                    ModbusBase::Nothing if rules.is_empty() => ": nothing",
                    ModbusBase::Nothing => ":",
                    ModbusBase::ReadOnly => ": reads, and diagnosis that changes nothing",
                    ModbusBase::Full => ": everything",
                })?;
                rules.iter().try_for_each(|rule| write!(f, "\n  {rule}"))
            }
        }
    }
}

impl fmt::Display for ResolvedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, operations, functions, units, points, values, per_minute, validity } = self;
        write!(f, "{name}: {}", joined(operations, " and "))?;
        if !functions.is_empty() {
            let space = if operations.is_empty() { "" } else { " by " };
            write!(f, "{space}function {}", joined(functions, ", "))?;
        }
        match points {
            ResolvedPoints::Everywhere => {}
            ResolvedPoints::Ranges(ranges) => write!(f, ", {}", joined(ranges, ", "))?,
            ResolvedPoints::Tags(tags) => write!(f, ", {}", named(tags))?,
        }
        if let Some(units) = units {
            write!(f, ", unit {}", joined(units, ", "))?;
        }
        if let Some(values) = values {
            write!(f, ", values {values}")?;
        }
        if let Some(count) = per_minute {
            write!(f, ", {count} writes a minute")?;
        }
        match validity {
            Validity::Always => Ok(()),
            Validity::When(when) => write!(f, ", {when}"),
            Validity::Once(stretch) => write!(f, ", {stretch}"),
        }
    }
}

fn named(tags: &[Tag]) -> String {
    let tags: Vec<String> = tags.iter().map(|tag| format!("tag {} ({})", tag.name, tag.place())).collect();
    tags.join(", ")
}

fn joined<'a, T: ToString + 'a>(items: impl IntoIterator<Item = &'a T>, between: &str) -> String {
    items.into_iter().map(T::to_string).collect::<Vec<_>>().join(between)
}
