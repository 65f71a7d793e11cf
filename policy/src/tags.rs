//! Tags: the names that a plant has for the points of a Modbus device.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::points::{PointRange, Table};

/// The tags of an asset's Modbus service, read from a CSV file of the plant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TagList {
    /// The file's name.
    pub name: String,
    pub(crate) tags: BTreeMap<String, Tag>,
}

impl TagList {
    /// The tag of this name.
    pub fn tag(&self, name: &str) -> Option<&Tag> {
        self.tags.get(name)
    }

    /// Every tag, by name.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.tags.values()
    }
}

/// A named value of a Modbus device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Which table it lies in.
    pub table: Table,
    /// Its first address, zero-based.
    pub address: u16,
    /// How its registers are read.
    #[serde(rename = "type")]
    pub kind: TagType,
    /// Which of its registers comes first.
    pub word_order: WordOrder,
    /// Which byte of each of its registers comes first. What is usual is not told.
    #[serde(skip_serializing_if = "ByteOrder::is_usual")]
    pub byte_order: ByteOrder,
    /// Which bit of its register it is, where it is one: the lowest is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit: Option<u8>,
    /// What the number in the device is multiplied by.
    pub scale: f64,
    /// What is added after that.
    pub offset: f64,
    /// What the value is measured in, for people.
    pub unit: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// INVARIANT: begins at `address` in `table` and is as long as `kind` says.
    #[serde(skip)]
    pub(crate) range: PointRange,
}

impl Tag {
    /// The points it takes up.
    pub fn range(&self) -> PointRange {
        self.range
    }

    /// Where it lies, for people: `register 100-101`, `register 100 bit 3`.
    pub fn place(&self) -> impl fmt::Display {
        fmt::from_fn(|f| match self.bit {
            Some(bit) => write!(f, "{} bit {bit}", self.range),
            None => write!(f, "{}", self.range),
        })
    }
}

/// How the bits of a tag are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TagType {
    /// One bit.
    Bool,
    /// An unsigned number of one register.
    U16,
    /// A signed number of one register.
    I16,
    /// An unsigned number of two registers.
    U32,
    /// A signed number of two registers.
    I32,
    /// An unsigned number of four registers.
    U64,
    /// A signed number of four registers.
    I64,
    /// An IEEE 754 number of two registers.
    F32,
    /// An IEEE 754 number of four registers.
    F64,
}

impl TagType {
    /// Every type.
    pub const ALL: [Self; 9] =
        [Self::Bool, Self::U16, Self::I16, Self::U32, Self::I32, Self::U64, Self::I64, Self::F32, Self::F64];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// How many coils or registers it takes up.
    pub fn points(self) -> u16 {
        match self {
            Self::Bool | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
        }
    }

    /// Has it a fraction?
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// A mask of all its bits.
    pub(crate) fn all_bits(self) -> u64 {
        match (self, self.points()) {
            (Self::Bool, _) => 1,
            (_, 1) => u64::from(u16::MAX),
            (_, 2) => u64::from(u32::MAX),
            _ => u64::MAX,
        }
    }
}

impl fmt::Display for TagType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which register of a longer number comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WordOrder {
    /// The one with the highest bits.
    #[default]
    Big,
    /// The one with the lowest bits.
    Little,
}

impl WordOrder {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Big, Self::Little];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Little => "little",
        }
    }
}

impl fmt::Display for WordOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which byte of a register comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ByteOrder {
    /// The higher one, as the protocol has it.
    #[default]
    Big,
    /// The lower one.
    Little,
}

impl ByteOrder {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Big, Self::Little];

    fn is_usual(&self) -> bool {
        *self == Self::Big
    }

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Big => "big",
            Self::Little => "little",
        }
    }
}
