//! What is put right of the answers of a device or gateway that does not keep to the specification, where its plant says so. A request is
//! never judged by it, and what such an answer says is believed by nothing that judges: it is passed on, and forgotten.

use super::response::Response;

/// One departure from the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tolerance {
    /// Answers bear another unit than was asked.
    Unit,
    /// Answers bear another transaction identifier than was asked. One request is under way at a time then.
    Transaction,
    /// The length field of answers is wrong: where an answer ends, its function says.
    Length,
    /// Answers hold more than was asked for, or more than their function has: the rest is dropped.
    Surplus,
}

impl Tolerance {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Unit, Self::Transaction, Self::Length, Self::Surplus];

    /// The word for it, in plant files and evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Transaction => "transaction",
            Self::Length => "length",
            Self::Surplus => "surplus",
        }
    }
}

/// A set of them; by default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tolerances(u8);

impl Tolerances {
    /// Are there none?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Is it among them?
    #[must_use]
    pub const fn holds(self, tolerance: Tolerance) -> bool {
        self.0 & 1 << tolerance as u8 != 0
    }

    /// The same with one more.
    #[must_use]
    pub const fn with(self, tolerance: Tolerance) -> Self {
        Self(self.0 | 1 << tolerance as u8)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Tolerance> {
        Tolerance::ALL.into_iter().filter(move |tolerance| self.holds(*tolerance))
    }
}

impl FromIterator<Tolerance> for Tolerances {
    fn from_iter<I: IntoIterator<Item = Tolerance>>(tolerances: I) -> Self {
        tolerances.into_iter().fold(Self::default(), Self::with)
    }
}

/// How long the PDU of an answer is, by its function and, where that counts its bytes, by that count. `None`: its function does not say.
pub(super) fn own_length(code: u8, count: u8) -> Option<usize> {
    match code {
        0x81.. => Some(2),
        1..=4 | 23 => Some(2 + usize::from(count)),
        5 | 6 | 15 | 16 => Some(5),
        22 => Some(7),
        _ => None,
    }
}

/// An answer without what is too much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trimmed<'a> {
    pub(super) response: Response<'a>,
    /// Was anything?
    pub(super) cut: bool,
}

/// Decodes an answer, without the bytes behind those that its function has.
pub(super) fn decode_trimmed(pdu: &[u8]) -> Result<Trimmed<'_>, &'static str> {
    let own = match *pdu {
        [code, count, ..] => own_length(code, count),
        _ => None,
    };
    let kept = own.and_then(|own| pdu.get(..own)).unwrap_or(pdu);
    Ok(Trimmed { response: Response::decode(kept)?, cut: kept.len() < pdu.len() })
}
