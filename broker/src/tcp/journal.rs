//! What a filter decided, as entries of the recording.

mod rdp;
mod rfb;

use std::fmt;

use sallyport_protocol_filter::modbus::{self, Change, Touched};
use sallyport_protocol_filter::{Journal, Kind, Malformed, Phase, Side, Verdict};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

/// The room for entries is given back beyond this.
const USUAL: usize = 16 * 1024;

/// Entries that wait to be recorded: before anything that they tell of is sent.
#[derive(Default)]
pub(crate) struct Notes {
    /// Their texts, one behind the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Why an entry could not be written down; those after it were not.
    unwritable: Option<serde_json::Error>,
    /// How many messages were denied.
    pub(super) denied: u64,
}

impl Journal<modbus::Filter> for Notes {
    fn note(&mut self, operation: &modbus::Operation<'_>) {
        self.denied += u64::from(!operation.verdict.passes());
        self.write(&ModbusEntry(operation));
    }
}

impl Journal<sallyport_protocol_filter::rfb::Filter> for Notes {
    fn note(&mut self, operation: &sallyport_protocol_filter::rfb::Operation<'_>) {
        if !operation.verdict.passes() {
            self.denied += rfb::count(&operation.message);
        }
        self.write(&rfb::entry(operation));
    }
}

impl Journal<sallyport_protocol_filter::rdp::Filter> for Notes {
    fn note(&mut self, operation: &sallyport_protocol_filter::rdp::Operation<'_>) {
        self.denied += u64::from(!operation.verdict.passes());
        self.write(&rdp::entry(operation));
    }
}

impl Notes {
    /// Writes an entry down, behind those that wait.
    pub(super) fn write(&mut self, entry: &impl Serialize) {
        if self.unwritable.is_some() {
            return;
        }
        match serde_json::to_writer(&mut self.text, entry) {
            Ok(()) => self.ends.push(self.text.len()),
            Err(error) => {
                self.text.truncate(self.ends.last().copied().unwrap_or_default());
                self.unwritable = Some(error);
            }
        }
    }

    /// What was written down, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.text[begin..*end])
    }

    /// Why the next one could not be, if so.
    pub(super) fn take_unwritable(&mut self) -> Option<serde_json::Error> {
        self.unwritable.take()
    }

    /// They are recorded, or never will be.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(USUAL);
        self.ends.clear();
        self.unwritable = None;
    }

    /// Bytes that were no message.
    pub(super) fn malformed(&mut self, protocol: &str, malformed: &Malformed) {
        self.write(&malformed_entry(protocol, malformed));
    }
}

/// What evidence says of bytes that were no message.
pub(crate) fn malformed_entry(protocol: &str, malformed: &Malformed) -> Map<String, Value> {
    Map::from_iter([
        ("operation".to_owned(), json!(protocol)),
        ("phase".to_owned(), json!("malformed")),
        ("side".to_owned(), json!(malformed.side.to_string())),
        ("reason".to_owned(), json!(malformed.reason)),
        ("bytes".to_owned(), json!(data_encoding::HEXLOWER.encode(&malformed.bytes))),
        ("verdict".to_owned(), json!("deny")),
        ("text".to_owned(), json!(malformed.to_string())),
    ])
}

/// What evidence says of an operation, to be looked into.
pub(crate) fn modbus_entry(operation: &modbus::Operation<'_>) -> serde_json::Result<Map<String, Value>> {
    serde_json::to_value(ModbusEntry(operation)).and_then(serde_json::from_value)
}

/// What evidence says of an operation. Written as text at once: this is what each request and each answer costs.
struct ModbusEntry<'a>(&'a modbus::Operation<'a>);

impl Serialize for ModbusEntry<'_> {
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
            entry.serialize_entry("data", &data_encoding::HEXLOWER.encode(&pdu))?;
        }
        parts(&mut entry, operation)?;
        let tags: Vec<Value> = operation.tags().map(|touched| tag(&touched)).collect();
        if !tags.is_empty() {
            entry.serialize_entry("tags", &tags)?;
        }
        if let Some(code) = operation.exception() {
            entry.serialize_entry("exception", &code)?;
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
fn parts<M: SerializeMap>(entry: &mut M, operation: &modbus::Operation<'_>) -> Result<(), M::Error> {
    let mut parts: Vec<_> = operation.touched().collect();
    parts.sort_by_key(|touched| touched.part.kind != Kind::Write);
    if let Some(first) = parts.first() {
        points(entry, operation, first)?;
    }
    if let Some(second) = parts.get(1) {
        let span = second.part.span;
        let read = json!({ "table": word(span.table), "address": span.first, "quantity": quantity(second) });
        entry.serialize_entry("also_read", &read)?;
    }
    Ok(())
}

/// What something says of itself.
struct Words<'a, T>(&'a T);

impl<T: fmt::Display> Serialize for Words<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// The rule that gave a verdict, and why it denies.
fn grounds(verdict: Verdict<'_>) -> (&str, Option<&'static str>) {
    match verdict {
        Verdict::Pass { rule } => (rule, None),
        Verdict::WouldDeny { rule, cause } | Verdict::Deny { rule, cause } => (rule, Some(cause.word())),
    }
}

/// An entry of a protocol whose messages have a side each.
struct Entry {
    fields: Map<String, Value>,
}

impl Entry {
    fn begin(protocol: &str, of: Phase, from: Side) -> Self {
        let mut entry = Self { fields: Map::new() };
        entry.put("operation", protocol);
        entry.put("phase", phase(of));
        entry.put("side", from.to_string());
        entry
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.insert(name.to_owned(), value.into());
    }

    fn end(mut self, verdict: Verdict<'_>, words: &impl fmt::Display) -> Value {
        let (rule, cause) = grounds(verdict);
        self.put("verdict", verdict.word());
        self.put("rule", rule);
        if let Some(cause) = cause {
            self.put("cause", cause);
        }
        self.put("text", words.to_string());
        Value::Object(self.fields)
    }
}

fn points<M: SerializeMap>(
    entry: &mut M,
    operation: &modbus::Operation<'_>,
    touched: &Touched<'_>,
) -> Result<(), M::Error> {
    let span = touched.part.span;
    entry.serialize_entry("table", word(span.table))?;
    entry.serialize_entry("address", &span.first)?;
    entry.serialize_entry("quantity", &quantity(touched))?;
    if let Change::Mask { and, or } = touched.part.change {
        entry.serialize_entry("mask", &json!({ "and": and, "or": or }))?;
    }
    if let Some(values) = touched.values {
        entry.serialize_entry("values", &values.iter().collect::<Vec<u16>>())?;
    }
    if touched.part.kind == Kind::Write {
        let old: Vec<Option<u16>> =
            (span.first..=span.last).map(|address| operation.old(span.table, address)).collect();
        if old.iter().any(Option::is_some) {
            entry.serialize_entry("old", &old)?;
        }
    }
    Ok(())
}

fn quantity(touched: &Touched<'_>) -> u32 {
    u32::from(touched.part.span.last) - u32::from(touched.part.span.first) + 1
}

fn tag(touched: &modbus::TouchedTag<'_>) -> Value {
    let mut tag = json!({ "name": touched.tag.name });
    if let Some(value) = touched.value {
        tag["value"] = json!(touched.tag.rounded(value));
    }
    if let Some(old) = touched.old.filter(|_| touched.kind == Kind::Write) {
        tag["old"] = json!(touched.tag.rounded(old));
    }
    if !touched.tag.unit.is_empty() {
        tag["unit"] = json!(touched.tag.unit);
    }
    tag
}

fn word(table: modbus::Table) -> &'static str {
    match table {
        modbus::Table::Coils => "coil",
        modbus::Table::DiscreteInputs => "discrete-input",
        modbus::Table::InputRegisters => "input-register",
        modbus::Table::Registers => "register",
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Request => "request",
        Phase::Response => "response",
        Phase::Notice => "notice",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use sallyport_protocol_filter::modbus::{Table, Tag, TouchedTag, ValueType, WordOrder};

    use super::*;

    /// 639 tenths are 63.9, not 63.900000000000006; and a value that needs its digits keeps them.
    #[test]
    fn the_value_of_a_tag_is_recorded_as_people_write_it() {
        let tenths = Tag {
            name: "level".to_owned(),
            table: Table::Registers,
            address: 0,
            value_type: ValueType::U16,
            order: WordOrder::Big,
            scale: 0.1,
            offset: 0.0,
            unit: "%".to_owned(),
        };
        let fine = Tag { scale: 0.000_012_34, ..tenths.clone() };
        let single = Tag { value_type: ValueType::F32, scale: 1.0, ..tenths.clone() };
        let recorded = |tag: &Tag, registers: [u16; 4]| {
            let value = tag.value(registers);
            let entry = super::tag(&TouchedTag { tag, kind: Kind::Write, value, old: value });
            ["value", "old"].map(|field| entry[field].to_string())
        };
        assert_eq!(recorded(&tenths, [639, 0, 0, 0]), ["63.9"; 2]);
        assert_eq!(recorded(&fine, [1, 0, 0, 0]), ["0.00001234"; 2]);
        let [high, low] =
            [(63.9_f32.to_bits() >> 16), 63.9_f32.to_bits() & 0xffff].map(|word| u16::try_from(word).unwrap());
        assert_eq!(recorded(&single, [high, low, 0, 0]), ["63.9"; 2]);
    }
}
