//! Tags: what the registers of an asset mean to people.

use std::cmp::Ordering;
use std::fmt;
use std::io::Write;

use super::address::{Span, Table};

/// How a tag's registers make a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Off or on: a coil, one bit of a register, or a register that is 0 or 1.
    Bool,
    /// 16 bits without sign.
    U16,
    /// 16 bits with sign.
    I16,
    /// 32 bits without sign.
    U32,
    /// 32 bits with sign.
    I32,
    /// 64 bits without sign.
    U64,
    /// 64 bits with sign.
    I64,
    /// IEEE 754 of 32 bits.
    F32,
    /// IEEE 754 of 64 bits.
    F64,
}

impl ValueType {
    /// Has it a fraction?
    const fn is_float(self) -> bool {
        matches!(self, ValueType::F32 | ValueType::F64)
    }

    /// How many registers it takes.
    #[must_use]
    pub const fn registers(self) -> u16 {
        match self {
            ValueType::Bool | ValueType::U16 | ValueType::I16 => 1,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 2,
            ValueType::U64 | ValueType::I64 | ValueType::F64 => 4,
        }
    }
}

/// In which order the words and bytes of a number lie, by what becomes of the bytes A B C D.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WordOrder {
    /// A B C D.
    #[default]
    Big,
    /// C D A B: the low word first.
    Little,
    /// B A D C: the bytes of each word exchanged.
    BigSwapped,
    /// D C B A.
    LittleSwapped,
}

impl WordOrder {
    /// Are the bytes of each word exchanged?
    const fn is_swapped(self) -> bool {
        matches!(self, WordOrder::BigSwapped | WordOrder::LittleSwapped)
    }
}

/// A named value of an asset.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub table: Table,
    /// Its first address, zero-based.
    pub address: u16,
    /// How it makes a number.
    pub value_type: ValueType,
    /// In which order.
    pub order: WordOrder,
    /// Of a register of which it is one bit: which, the lowest being 0, once its bytes are in order.
    pub bit: Option<u8>,
    /// The number in the registers times this …
    pub scale: f64,
    /// … plus this is the value.
    pub offset: f64,
    /// The unit of the value, or nothing.
    pub unit: String,
}

/// More do not tell 64-bit floats of an everyday size apart.
const MOST_DECIMALS: usize = 17;

/// A number that has a fraction is below 2^53: a sign, 16 digits, a point and the decimals.
const LONGEST: usize = 1 + 16 + 1 + MOST_DECIMALS;

/// The most registers of a tag.
pub(super) const WIDEST: usize = 4;

/// The registers of a tag, or of a point without one, as one number of as many bits.
pub(super) type Registers = [u16; WIDEST];

impl Tag {
    /// The addresses that it takes.
    #[must_use]
    pub fn span(&self) -> Span {
        let last = self.address.saturating_add(self.value_type.registers() - 1);
        Span::new(self.table, self.address, last)
    }

    /// The value that its registers make; `None` for what is no finite number.
    #[must_use]
    pub fn value(&self, registers: [u16; 4]) -> Option<f64> {
        let value = self.number(self.raw(registers)) * self.scale + self.offset;
        value.is_finite().then_some(value)
    }

    /// A value of it as people write it.
    #[must_use]
    pub fn shown(&self, value: f64) -> impl fmt::Display {
        let number = self.rounded(value);
        fmt::from_fn(
            move |f| {
                if self.unit.is_empty() { write!(f, "{number}") } else { write!(f, "{number} {}", self.unit) }
            },
        )
    }

    /// Where its bit lies in the register as it is sent, if it is one bit of it.
    #[must_use]
    pub fn mask(&self) -> Option<u16> {
        let mask = 1_u16.checked_shl(self.bit?.into()).unwrap_or(0);
        Some(if self.order.is_swapped() { mask.swap_bytes() } else { mask })
    }

    /// A value of it without the digits that binary fractions add: with as few decimals as it takes to mean the same as a limit, so
    /// that a value that is one meets the other.
    #[must_use]
    pub fn rounded(&self, value: f64) -> f64 {
        if value.fract() == 0.0 {
            // Minus zero is zero.
            return value + 0.0;
        }
        let mut shorter = (0..=MOST_DECIMALS).filter_map(|decimals| with_decimals(value, decimals));
        shorter.find(|number| self.is_near(*number, value)).unwrap_or(value) + 0.0
    }

    /// Does a number mean a value of it? A difference of two is none, and may be as near as either.
    fn is_near(&self, number: f64, value: f64) -> bool {
        if self.value_type.is_float() && self.nearest(value).total_cmp(&value).is_eq() {
            return self.nearest(number).total_cmp(&value).is_eq();
        }
        (number - value).abs() <= self.slack(value) / 2.0
    }

    /// The registers that make a value, or those nearest to it; `None` if there are none.
    #[must_use]
    pub fn registers(&self, value: f64) -> Option<[u16; 4]> {
        let number = (value - self.offset) / self.scale;
        let whole = number.round();
        let within = |least: f64, beyond: f64| (whole >= least && whole < beyond).then_some(whole);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held within the type just before")]
        let raw = match self.value_type {
            ValueType::Bool => within(0.0, 2.0)? as u64,
            ValueType::U16 => within(0.0, 65_536.0)? as u64,
            ValueType::U32 => within(0.0, 4_294_967_296.0)? as u64,
            ValueType::U64 => within(0.0, 18_446_744_073_709_551_616.0)? as u64,
            ValueType::I16 => u64::from(within(-32_768.0, 32_768.0)? as i16 as u16),
            ValueType::I32 => u64::from(within(-2_147_483_648.0, 2_147_483_648.0)? as i32 as u32),
            ValueType::I64 => within(-9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0)? as i64 as u64,
            ValueType::F32 => u64::from((number as f32).to_bits()),
            ValueType::F64 => number.to_bits(),
        };
        let registers = self.spread(raw << self.bit.unwrap_or(0).min(15));
        self.value(registers).map(|_| registers)
    }

    /// The bits of its number.
    pub(super) fn raw(&self, registers: Registers) -> u64 {
        let width = usize::from(self.value_type.registers());
        let low_first = matches!(self.order, WordOrder::Little | WordOrder::LittleSwapped);
        let raw = (0..width).fold(0, |raw, index| {
            let word = registers[if low_first { width - 1 - index } else { index }];
            raw << 16 | u64::from(if self.order.is_swapped() { word.swap_bytes() } else { word })
        });
        match self.bit {
            Some(bit) => raw.checked_shr(bit.into()).unwrap_or(0) & 1,
            None => raw,
        }
    }

    fn spread(&self, raw: u64) -> Registers {
        let width = usize::from(self.value_type.registers());
        let mut registers = [0; WIDEST];
        for (index, register) in registers.iter_mut().enumerate().take(width) {
            let from_low = match self.order {
                WordOrder::Big | WordOrder::BigSwapped => width - 1 - index,
                WordOrder::Little | WordOrder::LittleSwapped => index,
            };
            #[expect(clippy::cast_possible_truncation, reason = "one word of it")]
            let word = (raw >> (16 * from_low)) as u16;
            *register = if self.order.is_swapped() { word.swap_bytes() } else { word };
        }
        registers
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_precision_loss,
        reason = "the bits are reread as the type that they are of; lost precision is what `is_exact` tells"
    )]
    fn number(&self, raw: u64) -> f64 {
        match self.value_type {
            ValueType::Bool | ValueType::U16 | ValueType::U32 | ValueType::U64 => raw as f64,
            ValueType::I16 => f64::from(raw as u16 as i16),
            ValueType::I32 => f64::from(raw as u32 as i32),
            ValueType::I64 => raw as i64 as f64,
            ValueType::F32 => f64::from(f32::from_bits(raw as u32)),
            ValueType::F64 => f64::from_bits(raw),
        }
    }

    /// Does no precision get lost between the registers and a 64-bit float?
    pub(super) fn is_exact(&self, registers: Registers) -> bool {
        const MOST: u64 = 1 << 53;
        let raw = self.raw(registers);
        match self.value_type {
            ValueType::U64 => raw <= MOST,
            ValueType::I64 => raw.cast_signed().unsigned_abs() <= MOST,
            _ => true,
        }
    }

    /// How a value of it stands to a limit that a person wrote in decimal. A float is compared with the float that is nearest to the
    /// limit, a whole number with what it may miss by less than can be told apart in the registers: else `max = 0.3` would deny 3 at
    /// a scale of 0.1, and 0.3 as a float.
    pub(super) fn compare(&self, value: f64, limit: f64) -> Option<Ordering> {
        if self.value_type.is_float() {
            return value.partial_cmp(&self.nearest(limit));
        }
        match (value - limit).abs() <= self.slack(value) {
            true => Some(Ordering::Equal),
            false => value.partial_cmp(&limit),
        }
    }

    /// The value of a float's registers that is nearest to one.
    fn nearest(&self, value: f64) -> f64 {
        let number = (value - self.offset) / self.scale;
        #[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
        let number = if self.value_type == ValueType::F32 { f64::from(number as f32) } else { number };
        number * self.scale + self.offset
    }

    /// By how much two values of it may differ more than they seem to: far less than what can be told apart in the registers of whole
    /// numbers, and as much as a float is rounded by.
    pub(super) fn slack(&self, value: f64) -> f64 {
        match self.value_type {
            ValueType::F32 => value.abs() * f64::from(f32::EPSILON),
            ValueType::F64 => value.abs() * f64::EPSILON,
            _ => (self.scale * 1e-6).abs(),
        }
    }
}

/// What is left of a value in so many decimals. Nothing is allocated: each answer asks this of each of its tags.
fn with_decimals(value: f64, decimals: usize) -> Option<f64> {
    let mut text = [0; LONGEST];
    let mut rest = &mut text[..];
    write!(rest, "{value:.decimals$}").ok()?;
    let left = rest.len();
    str::from_utf8(&text[..LONGEST - left]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As it was before it allocated nothing.
    fn rounded_as_text(tag: &Tag, value: f64) -> f64 {
        let mut shorter = (0..=MOST_DECIMALS).filter_map(|decimals| format!("{value:.decimals$}").parse().ok());
        shorter.find(|number| tag.is_near(*number, value)).unwrap_or(value) + 0.0
    }

    fn tag(value_type: ValueType, scale: f64) -> Tag {
        let (name, unit, order) = (String::new(), String::new(), WordOrder::Big);
        Tag { name, table: Table::Registers, address: 0, value_type, order, bit: None, scale, offset: 0.0, unit }
    }

    proptest! {
        #[test]
        fn a_value_is_rounded_as_its_decimals_say(
            any in any::<f64>(),
            whole in any::<i32>(),
            scale in prop::sample::select(vec![1.0, 0.1, 0.001, 0.000_012_34, 3.0]),
        ) {
            for value in [any, f64::from(whole) * scale, f64::from(whole) + scale, f64::from(whole), -0.0, f64::MAX, f64::NAN] {
                for value_type in [ValueType::I32, ValueType::F32, ValueType::F64] {
                    let tag = tag(value_type, scale);
                    prop_assert_eq!(tag.rounded(value).to_bits(), rounded_as_text(&tag, value).to_bits());
                }
            }
        }
    }
}
