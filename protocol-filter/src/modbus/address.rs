//! Where values live: four tables of 65536 points each.

use std::fmt;

/// A table of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single bits that can be written (Modicon references 0xxxx).
    Coils,
    /// Single bits that can only be read (1xxxx).
    DiscreteInputs,
    /// Words that can only be read (3xxxx).
    InputRegisters,
    /// Words that can be written: holding registers (4xxxx).
    Registers,
}

impl Table {
    /// How many points each has.
    pub const POINTS: usize = 65_536;
    /// Every table.
    pub const ALL: [Table; 4] = [Table::Coils, Table::DiscreteInputs, Table::InputRegisters, Table::Registers];

    /// The word for one point of it, in evidence.
    #[must_use]
    pub const fn point(self) -> &'static str {
        match self {
            Table::Coils => "coil",
            Table::DiscreteInputs => "discrete input",
            Table::InputRegisters => "input register",
            Table::Registers => "register",
        }
    }

    /// The word for it in plant files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Table::Coils => "coils",
            Table::DiscreteInputs => "discrete_inputs",
            Table::InputRegisters => "input_registers",
            Table::Registers => "registers",
        }
    }

    /// Does it hold single bits?
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Table::Coils | Table::DiscreteInputs)
    }

    /// The function that reads it.
    #[must_use]
    pub const fn read_function(self) -> u8 {
        match self {
            Table::Coils => 1,
            Table::DiscreteInputs => 2,
            Table::Registers => 3,
            Table::InputRegisters => 4,
        }
    }

    /// How many points one request may read.
    #[must_use]
    pub const fn most_read(self) -> u16 {
        if self.is_bits() { 2000 } else { 125 }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Addresses of one table, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The table.
    pub table: Table,
    /// The first address, zero-based.
    pub first: u16,
    /// The last address.
    pub last: u16,
}

impl Span {
    /// Addresses `first` to `last` of a table.
    #[must_use]
    pub const fn new(table: Table, first: u16, last: u16) -> Self {
        Self { table, first, last }
    }

    /// `quantity` points from `address` on, as far as the table goes; `None` for none.
    #[must_use]
    pub fn counted(table: Table, address: u16, quantity: u16) -> Option<Self> {
        let more = quantity.checked_sub(1)?;
        Some(Self { table, first: address, last: address.saturating_add(more) })
    }

    /// Is a point within?
    #[must_use]
    pub fn holds(self, table: Table, address: u16) -> bool {
        self.table == table && (self.first..=self.last).contains(&address)
    }

    /// Do two have a point in common?
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.table == other.table && self.first <= other.last && other.first <= self.last
    }
}

/// A point in Modicon notation: the first digit is the table, the rest counts from 1. Five digits (`40101`) or six (`400101`).
#[must_use]
pub fn reference(text: &str) -> Option<(Table, u16)> {
    if !matches!(text.len(), 5 | 6) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let table = match text.as_bytes()[0] {
        b'0' => Table::Coils,
        b'1' => Table::DiscreteInputs,
        b'3' => Table::InputRegisters,
        b'4' => Table::Registers,
        _ => return None,
    };
    let number: u32 = text[1..].parse().ok()?;
    Some((table, u16::try_from(number.checked_sub(1)?).ok()?))
}
