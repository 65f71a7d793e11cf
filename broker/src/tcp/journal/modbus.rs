//! Operations of Modbus, as entries of the recording. Written as text at once: this is what each request and each answer costs.

use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{Bore, Change, Operation, Table, Tolerance, Touched, TouchedTag};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::{Hex, Words, grounds, phase};

/// What evidence says of an operation.
pub(super) struct Entry<'a>(pub(super) &'a Operation<'a>);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let operation = self.0;
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("operation", "modbus")?;
        entry.serialize_entry("n", &operation.number)?;
        entry.serialize_entry("phase", phase(operation.phase))?;
        entry.serialize_entry("transaction", &operation.transaction)?;
        entry.serialize_entry("unit", &operation.unit)?;
        let function = operation.request.function();
        entry.serialize_entry("function", &function.code)?;
        if let Some(sub) = function.sub {
            entry.serialize_entry("sub", &sub)?;
        }
        entry.serialize_entry("name", &operation.name())?;
        entry.serialize_entry("kind", operation.kind().word())?;
        if operation.answer.is_none() && operation.request.is_told_by_bytes_alone() {
            let mut pdu = Vec::new();
            operation.request.encode(&mut pdu);
            entry.serialize_entry("data", &Hex(&pdu))?;
        }
        parts(&mut entry, operation)?;
        if operation.tags().next().is_some() {
            entry.serialize_entry("tags", &Each(|| operation.tags().map(|touched| Tag::of(&touched))))?;
        }
        if let Some(code) = operation.exception() {
            entry.serialize_entry("exception", &code)?;
        }
        if !operation.tolerated.is_empty() {
            entry.serialize_entry("tolerated", &Each(|| operation.tolerated.iter().map(Tolerance::word)))?;
        }
        if let Some(Bore { transaction, unit }) = operation.bore {
            entry.serialize_entry("answered_transaction", &transaction)?;
            entry.serialize_entry("answered_unit", &unit)?;
        }
        let (rule, cause) = grounds(operation.verdict);
        entry.serialize_entry("verdict", operation.verdict.word())?;
        entry.serialize_entry("rule", rule)?;
        if let Some(cause) = cause {
            entry.serialize_entry("cause", cause)?;
        }
        entry.serialize_entry("text", &Words(operation))?;
        entry.end()
    }
}

/// Function 23 writes and reads: the part that is written tells more.
fn parts<M: SerializeMap>(entry: &mut M, operation: &Operation<'_>) -> Result<(), M::Error> {
    let mut parts = operation.touched();
    let (first, second) = match (parts.next(), parts.next()) {
        (Some(read), Some(write)) if read.part.kind != Kind::Write && write.part.kind == Kind::Write => {
            (Some(write), Some(read))
        }
        as_they_come => as_they_come,
    };
    if let Some(first) = first {
        points(entry, operation, &first)?;
    }
    if let Some(second) = second {
        let span = second.part.span;
        let read = Read { address: span.first, quantity: quantity(&second), table: word(span.table) };
        entry.serialize_entry("also_read", &read)?;
    }
    Ok(())
}

fn points<M: SerializeMap>(entry: &mut M, operation: &Operation<'_>, touched: &Touched<'_>) -> Result<(), M::Error> {
    let span = touched.part.span;
    entry.serialize_entry("table", word(span.table))?;
    entry.serialize_entry("address", &span.first)?;
    entry.serialize_entry("quantity", &quantity(touched))?;
    if let Change::Mask { and, or } = touched.part.change {
        entry.serialize_entry("mask", &Mask { and, or })?;
    }
    if let Some(values) = touched.values {
        entry.serialize_entry("values", &Each(|| values.iter()))?;
    }
    if touched.part.kind == Kind::Write {
        let old = || (span.first..=span.last).map(|address| operation.old(span.table, address));
        if old().any(|old| old.is_some()) {
            entry.serialize_entry("old", &Each(old))?;
        }
    }
    Ok(())
}

fn quantity(touched: &Touched<'_>) -> u32 {
    u32::from(touched.part.span.last) - u32::from(touched.part.span.first) + 1
}

/// A list that is never made.
struct Each<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// What function 23 reads beside what it writes.
#[derive(Serialize)]
struct Read {
    address: u16,
    quantity: u32,
    table: &'static str,
}

#[derive(Serialize)]
struct Mask {
    and: u16,
    or: u16,
}

/// A tag as people write its values: 63.9, not 63.900000000000006.
#[derive(Serialize)]
pub(super) struct Tag<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
}

impl<'a> Tag<'a> {
    pub(super) fn of(touched: &TouchedTag<'a>) -> Self {
        let tag = touched.tag;
        let old = touched.old.filter(|_| touched.kind == Kind::Write);
        Self {
            name: &tag.name,
            old: old.map(|old| tag.rounded(old)),
            unit: &tag.unit,
            value: touched.value.map(|value| tag.rounded(value)),
        }
    }
}

fn word(table: Table) -> &'static str {
    match table {
        Table::Coils => "coil",
        Table::DiscreteInputs => "discrete-input",
        Table::InputRegisters => "input-register",
        Table::Registers => "register",
    }
}
