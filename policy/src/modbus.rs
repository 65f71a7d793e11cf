//! The rules of a filter for Modbus, as the plant file says them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::points::PointRange;
use crate::window::When;

/// What an operation does to the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Looks at the process.
    Read,
    /// Changes a value of the process.
    Write,
    /// Changes how the device runs.
    Control,
    /// Changes what the device runs, or cannot be told from it.
    Program,
    /// Looks at the device, or tests it.
    Diagnose,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Control, Self::Program, Self::Diagnose];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Control => "control",
            Self::Program => "program",
            Self::Diagnose => "diagnose",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A function code, with its subfunction (function 8) or MEI type (function 43) where one is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModbusFunction {
    /// 1 to 127.
    pub code: u8,
    /// None: all of them.
    pub sub: Option<u16>,
}

/// Diagnostics (function 8) that change how the device runs: restart, listen only, clear counters, clear overrun.
const CONTROL_DIAGNOSTICS: [u16; 4] = [1, 4, 10, 20];

impl ModbusFunction {
    /// Reads `43/14`, `8/1` or `17`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str| (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
        let (code, sub) = match text.split_once('/') {
            Some((code, sub)) => {
                digits(sub)?;
                (code, Some(sub.parse().ok()?))
            }
            None => (text, None),
        };
        digits(code)?;
        let function = Self { code: code.parse().ok()?, sub };
        let most = match function.code {
            8 => u16::MAX,
            43 => u16::from(u8::MAX),
            _ => 0,
        };
        let fits = (1..=127).contains(&function.code) && function.sub.is_none_or(|sub| most > 0 && sub <= most);
        fits.then_some(function)
    }

    /// What it can do. A function that nobody knows is taken for the worst.
    pub(crate) fn kinds(self) -> &'static [OperationKind] {
        use OperationKind::{Control, Diagnose, Program, Read, Write};
        match (self.code, self.sub) {
            (1..=4 | 20 | 24, _) => &[Read],
            (5 | 6 | 15 | 16 | 22, _) => &[Write],
            (23, _) => &[Read, Write],
            (7 | 11 | 12 | 17, _) => &[Diagnose],
            (8, None) => &[Control, Diagnose],
            (8, Some(sub)) if CONTROL_DIAGNOSTICS.contains(&sub) => &[Control],
            (8, Some(_)) => &[Diagnose],
            (43, Some(14)) => &[Diagnose],
            (43, None) => &[Program, Diagnose],
            _ => &[Program],
        }
    }

    /// Does it name coils or registers?
    pub(crate) fn has_points(self) -> bool {
        matches!(self.code, 1..=6 | 15 | 16 | 22..=24)
    }
}

impl fmt::Display for ModbusFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.sub {
            Some(sub) => write!(f, "/{sub}"),
            None => Ok(()),
        }
    }
}

/// Unit identifiers that follow each other, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitRange {
    /// INVARIANT: not after `last`.
    first: u8,
    last: u8,
}

impl UnitRange {
    /// This range; none if it ends before it begins.
    pub fn new(first: u8, last: u8) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first unit.
    pub fn first(self) -> u8 {
        self.first
    }

    /// The last unit, still within.
    pub fn last(self) -> u8 {
        self.last
    }

    /// Reads `1` or `1-4`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let unit =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u8>().ok()).flatten();
        Self::new(unit(first)?, unit(last)?)
    }
}

impl fmt::Display for UnitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

/// Where a rule applies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RulePoints {
    /// At every address, and to functions that have none.
    Everywhere,
    /// At these addresses only.
    Ranges(BTreeSet<PointRange>),
    /// Where an asset's tag list puts these tags.
    Tags(BTreeSet<String>),
}

/// What may be written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ValueLimits {
    /// The least value.
    pub min: Option<f64>,
    /// The greatest value.
    pub max: Option<f64>,
    /// The only values, in order.
    pub allowed: Option<Vec<f64>>,
    /// The largest difference to the last known value.
    pub max_step: Option<f64>,
    /// The bits that may differ from the last known value, as the device holds it.
    #[serde(serialize_with = "as_hex")]
    pub bits: Option<u64>,
}

fn as_hex<S: Serializer>(bits: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match bits {
        Some(bits) => serializer.collect_str(&format_args!("{bits:#x}")),
        None => serializer.serialize_none(),
    }
}

impl fmt::Display for ValueLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, max, allowed, max_step, bits } = self;
        let allowed = allowed.as_ref().map(|values| {
            let values: Vec<String> = values.iter().map(f64::to_string).collect();
            format!("one of {}", values.join(", "))
        });
        let parts = [
            min.map(|min| format!("at least {min}")),
            max.map(|max| format!("at most {max}")),
            allowed,
            max_step.map(|step| format!("steps of at most {step}")),
            bits.map(|bits| format!("bits {bits:#x}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// One rule of a filter for Modbus. A request passes if for every point it touches some rule allows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModbusRule {
    /// As written, or the filter's name and the rule's number: `setpoints/2`.
    pub name: String,
    /// The kinds it allows; empty: it does not look at the kind.
    pub operations: BTreeSet<OperationKind>,
    /// The functions it allows; empty: it does not look at the function.
    ///
    /// INVARIANT: not empty if `operations` is.
    pub functions: BTreeSet<ModbusFunction>,
    /// The units it allows; none: every unit but 0.
    pub units: Option<BTreeSet<UnitRange>>,
    /// Where.
    pub points: RulePoints,
    /// What may be written.
    pub values: Option<ValueLimits>,
    /// How many writes in any sixty seconds.
    pub per_minute: Option<u32>,
    /// When it applies; none: always.
    pub when: Option<When>,
}

macro_rules! serialize_as_written {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_written!(ModbusFunction, UnitRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_a_code_and_perhaps_what_lies_under_it() {
        let read = |text: &str| ModbusFunction::parse(text).map(|function| function.to_string());
        for good in ["1", "17", "127", "8/0", "8/65535", "43/14", "43/255"] {
            assert_eq!(read(good).as_deref(), Some(good));
        }
        for bad in ["", "0", "128", "256", "-1", "+1", "6/1", "8/", "/1", "8/65536", "43/256", "8/1/2", "0x5a"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn units_are_bytes() {
        let read = |text: &str| UnitRange::parse(text).map(|range| range.to_string());
        assert_eq!(read("0-255").as_deref(), Some("0-255"));
        assert_eq!(read("7").as_deref(), Some("7"));
        for bad in ["", "256", "4-1", "1-", "-", "+1", "1-256", "a"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
