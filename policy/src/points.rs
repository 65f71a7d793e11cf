//! Where a value lies in a Modbus device: table and zero-based addresses, and the notations people write them in.

use std::fmt;

use serde::{Serialize, Serializer};

/// One of the four tables of a Modbus device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Bits that can be written.
    Coil,
    /// Bits that can only be read.
    DiscreteInput,
    /// Registers that can only be read.
    InputRegister,
    /// Registers that can be written ("holding registers").
    Register,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Coil, Self::DiscreteInput, Self::InputRegister, Self::Register];

    /// The stable word, for one point of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::DiscreteInput => "discrete-input",
            Self::InputRegister => "input-register",
            Self::Register => "register",
        }
    }

    /// The key of a rule that holds its ranges.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Coil => "coils",
            Self::DiscreteInput => "discrete_inputs",
            Self::InputRegister => "input_registers",
            Self::Register => "registers",
        }
    }

    /// The first digit of its references.
    fn digit(self) -> char {
        match self {
            Self::Coil => '0',
            Self::DiscreteInput => '1',
            Self::InputRegister => '3',
            Self::Register => '4',
        }
    }

    /// Can its points be written?
    pub fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Register)
    }

    /// Are its points single bits?
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::DiscreteInput)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Addresses of one table that follow each other, zero-based, the last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointRange {
    table: Table,
    /// INVARIANT: not after `last`.
    first: u16,
    last: u16,
}

/// Why a text names no points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Neither an address nor a range.
    #[error("`{0}` is neither an address such as `7` nor a range such as `100-109`")]
    NotARange(String),
    /// Beyond the last address.
    #[error("`{0}` goes beyond 65535: addresses are zero-based, from 0 to 65535")]
    TooLarge(String),
    /// The last before the first.
    #[error("the range `{0}` ends before it begins")]
    Backwards(String),
    /// Not in Modicon notation.
    #[error(
        "`{0}` is no reference: five or six digits such as `40101` or `400101`, or a range of them, of which the first is the table: 0 coils, 1 discrete inputs, 3 input registers, 4 registers"
    )]
    NotAReference(String),
    /// References count from 1.
    #[error("`{0}` is no reference: they count from 1, so that `{1}` is the first of its table, with address 0")]
    ReferenceZero(String, String),
    /// A range over two tables, or in two notations.
    #[error("the range `{0}` does not begin and end in one table and with as many digits")]
    TwoTables(String),
}

impl PointRange {
    /// This range; none if it ends before it begins.
    pub fn new(table: Table, first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { table, first, last })
    }

    /// So many points from this one on; none if they go beyond the table's end, or if there are none.
    pub fn of_length(table: Table, first: u16, length: u16) -> Option<Self> {
        Self::new(table, first, first.checked_add(length.checked_sub(1)?)?)
    }

    /// Which table.
    pub fn table(self) -> Table {
        self.table
    }

    /// The first address.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last address, still within.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Reads zero-based addresses of a table: `7` or `100-109`.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(table: Table, text: &str) -> Result<Self, PointError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let address = |digits: &str| match is_digits(digits) {
            false => Err(PointError::NotARange(text.to_owned())),
            true => digits.parse::<u16>().map_err(|_| PointError::TooLarge(text.to_owned())),
        };
        Self::new(table, address(first)?, address(last)?).ok_or_else(|| PointError::Backwards(text.to_owned()))
    }

    /// Reads Modicon notation: `40101`, `400101`, `40101-40110`. The first digit is the table, the rest counts from 1.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse_reference(text: &str) -> Result<Self, PointError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ((table, from), (other, to)) = (reference(first, text)?, reference(last, text)?);
        if table != other || first.len() != last.len() {
            return Err(PointError::TwoTables(text.to_owned()));
        }
        Self::new(table, from, to).ok_or_else(|| PointError::Backwards(text.to_owned()))
    }
}

fn is_digits(text: &str) -> bool {
    // As many digits as no address has would only overflow; zeros in front are no reason to refuse one.
    (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// One reference of a text, as table and zero-based address.
fn reference(digits: &str, text: &str) -> Result<(Table, u16), PointError> {
    let unknown = || PointError::NotAReference(text.to_owned());
    if !is_digits(digits) || !(5..=6).contains(&digits.len()) {
        return Err(unknown());
    }
    let table = Table::ALL.into_iter().find(|table| digits.starts_with(table.digit())).ok_or_else(unknown)?;
    let number: u32 = digits[1..].parse().map_err(|_| unknown())?;
    let Some(address) = number.checked_sub(1) else {
        let first = format!("{}{:0>width$}", table.digit(), 1, width = digits.len() - 1);
        return Err(PointError::ReferenceZero(text.to_owned(), first));
    };
    Ok((table, u16::try_from(address).map_err(|_| unknown())?))
}

/// Does this text, read as zero-based addresses of the table, look as if a reference was meant?
pub(crate) fn looks_like_reference(table: Table, text: &str) -> bool {
    PointRange::parse_reference(text).is_ok_and(|range| range.table == table)
}

impl fmt::Display for PointRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for PointRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_zero_based() {
        let read = |text: &str| PointRange::parse(Table::Coil, text).map(|range| range.to_string());
        for (text, expected) in [
            ("0", "coil 0"),
            ("7", "coil 7"),
            ("100-109", "coil 100-109"),
            ("9-9", "coil 9"),
            ("0-65535", "coil 0-65535"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()));
        }
        for text in ["", "-", "7-", "-7", "+7", " 7", "7 - 9", "0x7", "1-2-3", "٧", "0000000000"] {
            assert_eq!(read(text), Err(PointError::NotARange(text.to_owned())), "{text}");
        }
        assert_eq!(read("65536"), Err(PointError::TooLarge("65536".to_owned())));
        assert_eq!(read("9-1"), Err(PointError::Backwards("9-1".to_owned())));
    }

    #[test]
    fn references_count_from_one_in_the_table_that_their_first_digit_names() {
        let read = |text: &str| PointRange::parse_reference(text).map(|range| range.to_string());
        for (text, expected) in [
            ("40001", "register 0"),
            ("40101-40110", "register 100-109"),
            ("400101-400110", "register 100-109"),
            ("49999", "register 9998"),
            ("465536", "register 65535"),
            ("00001", "coil 0"),
            ("10008", "discrete-input 7"),
            ("300001", "input-register 0"),
        ] {
            assert_eq!(read(text), Ok(expected.to_owned()));
        }
        for text in ["", "4001", "4000001", "20001", "50001", "465537", "4o001", "40001-", "+4001", "٤٠٠٠١"] {
            assert_eq!(read(text), Err(PointError::NotAReference(text.to_owned())), "{text}");
        }
        let zero = |text: &str, first: &str| Err(PointError::ReferenceZero(text.to_owned(), first.to_owned()));
        assert_eq!(read("40000"), zero("40000", "40001"));
        assert_eq!(read("40000-40009"), zero("40000-40009", "40001"));
        assert_eq!(read("000000"), zero("000000", "000001"));
        assert_eq!(read("40001-400009"), Err(PointError::TwoTables("40001-400009".to_owned())));
        assert_eq!(read("30001-40001"), Err(PointError::TwoTables("30001-40001".to_owned())));
        assert_eq!(read("40009-40001"), Err(PointError::Backwards("40009-40001".to_owned())));
    }

    #[test]
    fn no_range_goes_beyond_the_end() {
        assert_eq!(PointRange::of_length(Table::Register, 65_534, 2).map(PointRange::last), Some(65_535));
        assert_eq!(PointRange::of_length(Table::Register, 65_534, 3), None);
        assert_eq!(PointRange::of_length(Table::Register, 0, 0), None);
    }
}
