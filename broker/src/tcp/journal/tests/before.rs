//! Entries as they were built before they were written straight into the buffer: what is on record must not change by a byte.

use std::fmt;

use data_encoding::HEXLOWER;
use sallyport_protocol_filter::modbus::{self, Change, Touched};
use sallyport_protocol_filter::rdp::{Confirm, Cookie, Negotiation, Protocols, Request};
use sallyport_protocol_filter::rfb::{Encoding, Message, Security};
use sallyport_protocol_filter::{Kind, Phase, Side, Verdict, rdp as rdp_filter, rfb as rfb_filter};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

/// What evidence says of an operation. Written as text at once: this is what each request and each answer costs.
pub(super) struct ModbusEntry<'a>(pub(super) &'a modbus::Operation<'a>);

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
            entry.serialize_entry("data", &HEXLOWER.encode(&pdu))?;
        }
        parts(&mut entry, operation)?;
        let tags: Vec<Value> = operation.tags().map(|touched| by_name(tag(&touched))).collect();
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
        entry.serialize_entry("also_read", &by_name(read))?;
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
        by_name(Value::Object(self.fields))
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
        entry.serialize_entry("mask", &by_name(json!({ "and": and, "or": or })))?;
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

pub(super) fn rfb(operation: &rfb_filter::Operation<'_>) -> Value {
    let mut entry = Entry::begin("vnc", operation.phase, operation.side);
    entry.put("name", operation.message.name());
    entry.put("kind", operation.kind.word());
    entry.fields.append(&mut details(&operation.message));
    entry.end(operation.verdict, operation)
}

fn details(message: &Message<'_>) -> Map<String, Value> {
    let details = match *message {
        Message::Version { named: (major, minor), used } => {
            json!({ "named": format!("{major}.{minor}"), "used": used.to_string() })
        }
        Message::SecurityTypes { offered, kept } => json!({ "offered": offered, "kept": kept }),
        Message::SecurityChoice(security) => json!({ "security": number(security) }),
        Message::LetIn => json!({}),
        Message::Refused { reason } => json!({ "reason": words(reason) }),
        Message::ClientInit { shared, used } => json!({ "shared": shared, "used": used }),
        Message::ServerInit { width, height, format, name } => json!({
            "width": width, "height": height, "format": HEXLOWER.encode(&format.encode()), "desktop": words(name),
        }),
        Message::SetPixelFormat(format) => json!({ "format": HEXLOWER.encode(&format.encode()) }),
        Message::SetEncodings { kept, left_out, .. } => {
            json!({ "kept": kept.iter().map(|kept| Encoding::number(*kept)).collect::<Vec<_>>(), "left_out": left_out })
        }
        Message::Key { down, keysym } => json!({ "down": down, "keysym": keysym }),
        Message::Buttons { before, after, x, y } => json!({ "before": before, "after": after, "x": x, "y": y }),
        Message::CutText { length } => json!({ "length": length }),
        Message::DesktopSize { width, height } => json!({ "width": width, "height": height }),
        Message::DesktopName(name) => json!({ "desktop": words(name) }),
        Message::Released { keys, buttons } => json!({ "keys": keys, "buttons": buttons }),
        Message::Counted { count, .. } => json!({ "count": count }),
    };
    match details {
        Value::Object(details) => details,
        _ => Map::new(),
    }
}

const fn number(security: Security) -> u8 {
    match security {
        Security::None => 1,
        Security::VncAuthentication => 2,
    }
}

/// RFB's texts are Latin-1 by the RFC and UTF-8 in practice.
fn words(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
pub(super) fn rdp(operation: &rdp_filter::Operation<'_>) -> Value {
    let mut entry = Entry::begin("rdp", operation.phase, operation.side);
    entry.put("kind", operation.kind.word());
    match operation.message {
        rdp_filter::Message::Request(request) => asked(&mut entry, &request),
        rdp_filter::Message::Confirm(confirm) => answered(&mut entry, confirm),
    }
    entry.end(operation.verdict, operation)
}

fn asked(entry: &mut Entry, request: &Request<'_>) {
    entry.put("name", "connection-request");
    match request.cookie {
        // The name that was typed at the tool; nobody has checked it.
        Some(Cookie::User(user)) => entry.put("user", String::from_utf8_lossy(user)),
        Some(Cookie::Token(token)) => entry.put("token", String::from_utf8_lossy(token)),
        None => {}
    }
    if let Some(negotiation) = request.negotiation {
        protocols(entry, "requested", negotiation);
    }
    if let Some(correlation) = request.correlation {
        entry.put("correlation", HEXLOWER.encode(correlation.as_slice()));
    }
}

fn answered(entry: &mut Entry, confirm: Confirm) {
    entry.put("name", "connection-confirm");
    match confirm {
        Confirm::Plain => entry.put("selected", Protocols(Protocols::RDP).to_string()),
        Confirm::Selected(negotiation) => protocols(entry, "selected", negotiation),
        Confirm::Failure { code } => entry.put("failure", code),
    }
}

fn protocols(entry: &mut Entry, name: &str, Negotiation { flags, protocols }: Negotiation) {
    entry.put(name, protocols.to_string());
    entry.put("flags", flags);
}

/// A tree as a broker has it: its fields stand in the order of their names. What tests are built with keeps the order in which they
/// were put (`serde_json/preserve_order`, by way of a dev-dependency), and no broker is built with that.
fn by_name(tree: Value) -> Value {
    match tree {
        Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.into_iter().collect();
            Value::Object(sorted.into_iter().map(|(name, value)| (name, by_name(value))).collect())
        }
        other => other,
    }
}
