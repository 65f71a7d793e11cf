//! The points that a request touches.

use super::address::{Span, Table};
use super::request::Request;
use super::values::Values;
use crate::Kind;

/// Points of one table that a request reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// [`Kind::Read`] or [`Kind::Write`].
    pub kind: Kind,
    /// Which points.
    pub span: Span,
    /// What is done to them.
    pub change: Change<'a>,
}

/// What a request does to the points of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// They are read.
    None,
    /// They get these values.
    Set(Values<'a>),
    /// The one point gets `(old & and) | (or & !and)`.
    Mask {
        /// The bits to keep.
        and: u16,
        /// The bits to set of those not kept.
        or: u16,
    },
}

/// The most registers that a FIFO queue holds.
pub(super) const MOST_FIFO: u16 = 31;

impl<'a> Request<'a> {
    /// The points that it reads and writes, as far as there are such: a request with a [`Request::fault`] may name more, or none.
    /// Function 23 has two parts.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let read = |table, address, quantity| {
            let span = Span::counted(table, address, quantity)?;
            Some(Part { kind: Kind::Read, span, change: Change::None })
        };
        let write = |table, address, values: Values<'a>| {
            let span = Span::counted(table, address, u16::try_from(values.len()).ok()?)?;
            Some(Part { kind: Kind::Write, span, change: Change::Set(values) })
        };
        let parts = match *self {
            Request::Read { table, address, quantity } => [read(table, address, quantity), None],
            Request::WriteCoil { address, value } => {
                [write(Table::Coils, address, Values::One(u16::from(value != 0))), None]
            }
            Request::WriteRegister { address, value } => [write(Table::Registers, address, Values::One(value)), None],
            Request::WriteCoils { address, bits } => [write(Table::Coils, address, Values::Bits(bits)), None],
            Request::WriteRegisters { address, words } => {
                [write(Table::Registers, address, Values::Words(words)), None]
            }
            Request::MaskWrite { address, and, or } => {
                let span = Span::new(Table::Registers, address, address);
                [Some(Part { kind: Kind::Write, span, change: Change::Mask { and, or } }), None]
            }
            Request::ReadWrite { read_address, read_quantity, write_address, words } => [
                read(Table::Registers, read_address, read_quantity),
                write(Table::Registers, write_address, Values::Words(words)),
            ],
            Request::ReadFifo { address } => [read(Table::Registers, address, 1 + MOST_FIFO), None],
            Request::ExceptionStatus
            | Request::Diagnostics { .. }
            | Request::EventCounter
            | Request::EventLog
            | Request::ServerId
            | Request::ReadFile(_)
            | Request::WriteFile(_)
            | Request::DeviceId { .. }
            | Request::Miscounted { .. }
            | Request::Opaque { .. } => [None, None],
        };
        parts.into_iter().flatten()
    }
}
