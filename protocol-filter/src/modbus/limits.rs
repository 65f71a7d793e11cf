//! The protocol's own limits on requests whose lengths are right. A device answers these faults with exception 3 or 2, and so do we.

use super::address::Table;
use super::request::{Fault, Request};
use super::values::{FileRead, FileReads, FileWrites};

const MOST_WRITTEN_COILS: usize = 1968;
const MOST_WRITTEN_REGISTERS: usize = 123;
const MOST_READ_BESIDE_WRITE: u16 = 125;
const MOST_WRITTEN_BESIDE_READ: usize = 121;
const MOST_FILE_BYTES: usize = 0xF5;
const RECORDS: u32 = 10_000;
const ON: u16 = 0xFF00;

impl Request<'_> {
    /// What the protocol itself forbids about it. Values come before addresses, as in the specification's state diagrams.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match *self {
            Request::Read { table, address, quantity } => {
                value((1..=table.most_read()).contains(&quantity)).or_else(|| wrap(address, usize::from(quantity)))
            }
            Request::WriteCoil { value: v, .. } => value(matches!(v, 0 | ON)),
            Request::Diagnostics { sub, data } => value(match sub {
                0 => true,
                1 => matches!(data, [0 | 0xFF, 0]),
                3 => matches!(data, [_, 0]),
                _ => matches!(data, [0, 0]),
            }),
            Request::WriteCoils { address, bits } => {
                value((1..=MOST_WRITTEN_COILS).contains(&bits.len())).or_else(|| wrap(address, bits.len()))
            }
            Request::WriteRegisters { address, words } => {
                value((1..=MOST_WRITTEN_REGISTERS).contains(&words.len())).or_else(|| wrap(address, words.len()))
            }
            Request::ReadFile(groups) => files_read(groups),
            Request::WriteFile(groups) => files_written(groups),
            Request::ReadWrite { read_address, read_quantity, write_address, words } => {
                value((1..=MOST_READ_BESIDE_WRITE).contains(&read_quantity))
                    .or_else(|| value((1..=MOST_WRITTEN_BESIDE_READ).contains(&words.len())))
                    .or_else(|| wrap(read_address, usize::from(read_quantity)))
                    .or_else(|| wrap(write_address, words.len()))
            }
            Request::Miscounted { .. } => Some(Fault::Value),
            Request::DeviceId { code, .. } => value((1..=4).contains(&code)),
            Request::WriteRegister { .. }
            | Request::ExceptionStatus
            | Request::EventCounter
            | Request::EventLog
            | Request::ServerId
            | Request::MaskWrite { .. }
            | Request::ReadFifo { .. }
            | Request::Opaque { .. } => None,
        }
    }
}

fn value(right: bool) -> Option<Fault> {
    (!right).then_some(Fault::Value)
}

fn wrap(address: u16, quantity: usize) -> Option<Fault> {
    (usize::from(address) + quantity > Table::POINTS).then_some(Fault::Address)
}

fn files_read(groups: FileReads<'_>) -> Option<Fault> {
    let answered: usize = groups.iter().map(|group| 2 + 2 * usize::from(group.length)).sum();
    value(!groups.0.is_empty() && groups.iter().all(|group| group.length > 0) && answered <= MOST_FILE_BYTES)
        .or_else(|| groups.iter().find_map(place))
}

fn files_written(groups: FileWrites<'_>) -> Option<Fault> {
    value(!groups.0.is_empty() && groups.iter().all(|group| group.place.length > 0))
        .or_else(|| groups.iter().find_map(|group| place(group.place)))
}

fn place(group: FileRead) -> Option<Fault> {
    let within = u32::from(group.record) + u32::from(group.length) <= RECORDS;
    (group.reference_type != 6 || group.file == 0 || !within).then_some(Fault::Address)
}
