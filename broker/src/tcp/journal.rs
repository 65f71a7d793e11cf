//! What a filter decided, as entries of the recording.

mod rdp;
mod rfb;

use std::fmt;

use sallyport_protocol_filter::modbus::{self, Change, Touched};
use sallyport_protocol_filter::{Journal, Kind, Malformed, Phase, Side, Verdict};
use serde_json::{Map, Value, json};

/// Entries that wait to be recorded: before anything that they tell of is sent.
#[derive(Default)]
pub(crate) struct Notes {
    pub(super) entries: Vec<Value>,
    /// How many messages were denied.
    pub(super) denied: u64,
}

impl Journal<modbus::Filter> for Notes {
    fn note(&mut self, operation: &modbus::Operation<'_>) {
        self.denied += u64::from(!operation.verdict.passes());
        self.entries.push(modbus_entry(operation).into());
    }
}

impl Journal<sallyport_protocol_filter::rfb::Filter> for Notes {
    fn note(&mut self, operation: &sallyport_protocol_filter::rfb::Operation<'_>) {
        if !operation.verdict.passes() {
            self.denied += rfb::count(&operation.message);
        }
        self.entries.push(rfb::entry(operation));
    }
}

impl Journal<sallyport_protocol_filter::rdp::Filter> for Notes {
    fn note(&mut self, operation: &sallyport_protocol_filter::rdp::Operation<'_>) {
        self.denied += u64::from(!operation.verdict.passes());
        self.entries.push(rdp::entry(operation));
    }
}

impl Notes {
    /// Bytes that were no message.
    pub(super) fn malformed(&mut self, protocol: &str, malformed: &Malformed) {
        self.entries.push(malformed_entry(protocol, malformed).into());
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

/// What evidence says of an operation.
pub(crate) fn modbus_entry(operation: &modbus::Operation<'_>) -> Map<String, Value> {
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
    put("operation", json!("modbus"));
    put("n", json!(operation.number));
    put("phase", json!(phase(operation.phase)));
    put("transaction", json!(operation.transaction));
    put("unit", json!(operation.unit));
    let function = operation.request.function();
    put("function", json!(function.code));
    if let Some(sub) = function.sub {
        put("sub", json!(sub));
    }
    put("name", json!(operation.name()));
    put("kind", json!(operation.kind().word()));
    if operation.answer.is_none() && operation.request.is_told_by_bytes_alone() {
        let mut pdu = Vec::new();
        operation.request.encode(&mut pdu);
        put("data", json!(data_encoding::HEXLOWER.encode(&pdu)));
    }
    // Function 23 writes and reads: the part that is written tells more.
    let mut parts: Vec<_> = operation.touched().collect();
    parts.sort_by_key(|touched| touched.part.kind != Kind::Write);
    if let Some(first) = parts.first() {
        points(&mut put, operation, first);
    }
    if let Some(second) = parts.get(1) {
        let span = second.part.span;
        put("also_read", json!({ "table": word(span.table), "address": span.first, "quantity": quantity(second) }));
    }
    let tags: Vec<Value> = operation.tags().map(|touched| tag(&touched)).collect();
    if !tags.is_empty() {
        put("tags", tags.into());
    }
    if let Some(code) = operation.exception() {
        put("exception", json!(code));
    }
    judged(&mut put, operation.verdict);
    put("text", json!(operation.to_string()));
    entry
}

fn judged(put: &mut impl FnMut(&str, Value) -> Option<Value>, verdict: Verdict<'_>) {
    put("verdict", json!(verdict.word()));
    match verdict {
        Verdict::Pass { rule } => {
            put("rule", json!(rule));
        }
        Verdict::WouldDeny { rule, cause } | Verdict::Deny { rule, cause } => {
            put("rule", json!(rule));
            put("cause", json!(cause.word()));
        }
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

    fn end(self, verdict: Verdict<'_>, words: &impl fmt::Display) -> Value {
        let mut fields = self.fields;
        judged(&mut |name, value| fields.insert(name.to_owned(), value), verdict);
        fields.insert("text".to_owned(), json!(words.to_string()));
        Value::Object(fields)
    }
}

fn points(
    put: &mut impl FnMut(&str, Value) -> Option<Value>,
    operation: &modbus::Operation<'_>,
    touched: &Touched<'_>,
) {
    let span = touched.part.span;
    put("table", json!(word(span.table)));
    put("address", json!(span.first));
    put("quantity", json!(quantity(touched)));
    if let Change::Mask { and, or } = touched.part.change {
        put("mask", json!({ "and": and, "or": or }));
    }
    if let Some(values) = touched.values {
        put("values", values.iter().collect::<Vec<u16>>().into());
    }
    if touched.part.kind == Kind::Write {
        let old: Vec<Option<u16>> =
            (span.first..=span.last).map(|address| operation.old(span.table, address)).collect();
        if old.iter().any(Option::is_some) {
            put("old", json!(old));
        }
    }
}

fn quantity(touched: &Touched<'_>) -> u32 {
    u32::from(touched.part.span.last) - u32::from(touched.part.span.first) + 1
}

fn tag(touched: &modbus::TouchedTag<'_>) -> Value {
    let mut tag = json!({ "name": touched.tag.name });
    if let Some(value) = touched.value {
        tag["value"] = json!(value);
    }
    if let Some(old) = touched.old.filter(|_| touched.kind == Kind::Write) {
        tag["old"] = json!(old);
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
