//! What was learned, as a section of the plant file: a rule a line, each under the counts that justify it.

use std::fmt;

use jiff::Timestamp;
use sallyport_policy::PointRange;
use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{self, Learned, Span, Subject};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::printable;

/// A proposed filter.
pub(super) struct Proposal {
    pub(super) name: String,
    pub(super) asset: String,
    pub(super) service: String,
    pub(super) sources: Vec<String>,
    pub(super) requests: u64,
    /// How many of the requests the asset answered with an exception.
    pub(super) refused_by_asset: u64,
    pub(super) left_out: LeftOut,
    pub(super) lines: Vec<Learned>,
}

/// What was not learned.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct LeftOut {
    /// Requests that a filter denied, or the protocol's own limits.
    pub(super) denied: u64,
    /// Bytes that are no message, each at the end of a connection.
    pub(super) malformed: u64,
    /// Connections that are not in the capture to their end.
    pub(super) cut: u64,
    /// Entries of a recording that cannot be read.
    pub(super) unreadable: u64,
    /// Requests whose points are more than are remembered.
    pub(super) unfitting: u64,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { denied, malformed, cut, unreadable, unfitting } = *self;
        let all = [
            (denied, "denied requests"),
            (malformed, "malformed ends of connections"),
            (cut, "connections not followed to their end"),
            (unreadable, "entries that cannot be read"),
            (unfitting, "requests beyond what can be remembered"),
        ];
        let some: Vec<String> =
            all.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{what}: {count}")).collect();
        f.write_str(if some.is_empty() { "nothing was left out" } else { "left out were " })?;
        f.write_str(&some.join(", "))
    }
}

impl Proposal {
    /// The section, as it can be put into a plant file.
    pub(super) fn toml(&self) -> String {
        let mut text = String::new();
        for line in self.head() {
            text.push_str(&format!("# {}\n", printable(&line)));
        }
        text.push_str(&format!("[filter.{}]\nmodbus = [\n", key(&self.name)));
        for line in &self.lines {
            text.push_str(&format!("  # {}\n  {},\n", printable(&reason(line)), rule(line)));
        }
        text.push_str("]\n");
        text
    }

    pub(super) fn json(&self) -> Value {
        let rules: Vec<Value> = self.lines.iter().map(entry).collect();
        json!({
            "filter": self.name,
            "asset": self.asset,
            "service": self.service,
            "sources": self.sources,
            "requests": self.requests,
            "refused_by_asset": self.refused_by_asset,
            "left_out": self.left_out,
            "rules": rules,
            "toml": self.toml(),
        })
    }

    fn head(&self) -> Vec<String> {
        let first = self.lines.iter().map(|line| line.times.0).min().unwrap_or(0);
        let last = self.lines.iter().map(|line| line.times.1).max().unwrap_or(0);
        let mut head = vec![
            format!(
                "What passed on {} of {}: {}, {}.",
                self.service,
                self.asset,
                counted(self.requests),
                times(first, last)
            ),
            format!("From {}.", self.sources.join(", ")),
        ];
        let LeftOut { denied, malformed, cut, unreadable, unfitting } = self.left_out;
        if denied + malformed + cut + unreadable + unfitting > 0 {
            head.push(format!("Not all was learned: {}.", self.left_out));
        }
        if self.refused_by_asset > 0 {
            head.push(format!("The asset itself refused: {} of these requests.", self.refused_by_asset));
        }
        let deep = self.lines.iter().filter(|line| matches!(line.kind, Kind::Control | Kind::Program)).count();
        if deep > 0 {
            head.push(format!(
                "Rules that let the device be controlled or programmed: {deep}. Keep them only where that is meant."
            ));
        }
        head
    }
}

/// Why a rule is there.
fn reason(line: &Learned) -> String {
    let what = match &line.subject {
        Subject::Function(function) => format!("{} ({})", function.name(), line.kind),
        Subject::Span(_) | Subject::Tags(_) => line.kind.to_string(),
    };
    let mut parts = vec![format!("{what}: {}", counted(line.operations))];
    let several = line.points > line.operations;
    if several {
        parts.push(format!("{} points", line.points));
    }
    parts.push(times(line.times.0, line.times.1));
    if line.kind == Kind::Write {
        parts.push(match line.values {
            Some((min, max)) if min == max => format!("always {}", number(min)),
            Some((min, max)) => format!("values {} to {}", number(min), number(max)),
            None => "values that cannot be told (masks, parts of a tag), so that every value passes".to_owned(),
        });
        parts.push(steps(line));
    }
    parts.join(", ")
}

fn steps(line: &Learned) -> String {
    match line.steps.known {
        0 => "steps not known".to_owned(),
        known if known == line.points => format!("largest step {}", number(line.steps.largest)),
        known => format!("largest step {} (known of {known} of {})", number(line.steps.largest), line.points),
    }
}

/// The rule, as an inline table.
fn rule(line: &Learned) -> String {
    let mut fields = Vec::new();
    match &line.subject {
        Subject::Function(function) => fields.push(match function.sub {
            None => format!("functions = [{}]", function.code),
            Some(_) => format!("functions = [\"{function}\"]"),
        }),
        Subject::Span(_) | Subject::Tags(_) => fields.push(format!("operations = [\"{}\"]", line.kind)),
    }
    fields.push(format!("unit = [{}]", line.unit));
    match &line.subject {
        Subject::Function(_) => {}
        Subject::Span(span) => {
            let (key, points) = points(*span);
            fields.push(format!("{key} = [\"{points}\"]"));
        }
        Subject::Tags(tags) => {
            let names: Vec<String> = tags.iter().map(|tag| quoted(&tag.name)).collect();
            fields.push(format!("tags = [{}]", names.join(", ")));
        }
    }
    if let Some((min, max)) = line.values {
        fields.push(format!("values = {{ min = {}, max = {} }}", number(min), number(max)));
    }
    format!("{{ {} }}", fields.join(", "))
}

fn entry(line: &Learned) -> Value {
    let mut entry = json!({
        "kind": line.kind.word(),
        "unit": line.unit,
        "requests": line.operations,
        "first": moment(line.times.0),
        "last": moment(line.times.1),
        "rule": rule(line),
    });
    match &line.subject {
        Subject::Function(function) => entry["function"] = json!(function.to_string()),
        Subject::Span(Span { table, first, last }) => {
            entry["table"] = json!(table.word());
            (entry["first_address"], entry["last_address"]) = (json!(first), json!(last));
        }
        Subject::Tags(tags) => entry["tags"] = tags.iter().map(|tag| tag.name.as_str()).collect(),
    }
    if line.points > 0 {
        entry["points"] = json!(line.points);
    }
    if line.kind == Kind::Write {
        entry["values"] = line.values.map_or(Value::Null, |(min, max)| json!({ "min": min, "max": max }));
        entry["steps"] = json!({ "known": line.steps.known, "largest": line.steps.largest });
    }
    entry
}

/// Addresses as the plant file has them: zero-based, unless that would read like a reference there.
fn points(Span { table, first, last }: Span) -> (&'static str, String) {
    let range = |from: String, to: String| if first == last { from } else { format!("{from}-{to}") };
    let zero_based = range(first.to_string(), last.to_string());
    let (mistakable, digit) = match table {
        modbus::Table::Coils => (sallyport_policy::Table::Coil, 0),
        modbus::Table::DiscreteInputs => (sallyport_policy::Table::DiscreteInput, 1),
        modbus::Table::InputRegisters => (sallyport_policy::Table::InputRegister, 3),
        modbus::Table::Registers => (sallyport_policy::Table::Register, 4),
    };
    if PointRange::parse_reference(&zero_based).is_ok_and(|range| range.table() == mistakable) {
        let reference = |address: u16| format!("{digit}{:05}", u32::from(address) + 1);
        return ("references", range(reference(first), reference(last)));
    }
    (table.word(), zero_based)
}

/// A number as TOML has it; whole ones without a point.
#[expect(clippy::cast_possible_truncation, reason = "whole numbers that fit are asked for")]
fn number(value: f64) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT { (value as i64).to_string() } else { format!("{value:?}") }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name with a point in it has to be quoted.
fn key(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare { name.to_owned() } else { quoted(name) }
}

fn counted(requests: u64) -> String {
    if requests == 1 { "1 request".to_owned() } else { format!("{requests} requests") }
}

fn times(first: i64, last: i64) -> String {
    let (first, last) = (moment(first), moment(last));
    if first == last { format!("at {first}") } else { format!("{first} to {last}") }
}

fn moment(unix_ms: i64) -> String {
    let at = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_never_look_like_references() {
        let written = |table, first, last| points(Span::new(table, first, last));
        assert_eq!(written(modbus::Table::Registers, 0, 9), ("registers", "0-9".to_owned()));
        assert_eq!(written(modbus::Table::Registers, 40_101, 40_101), ("references", "440102".to_owned()));
        assert_eq!(written(modbus::Table::Registers, 40_001, 49_999), ("references", "440002-450000".to_owned()));
        assert_eq!(written(modbus::Table::InputRegisters, 40_101, 40_101), ("input_registers", "40101".to_owned()));
        assert_eq!(written(modbus::Table::Registers, 65_535, 65_535), ("registers", "65535".to_owned()));
        assert_eq!(written(modbus::Table::Coils, 7, 7), ("coils", "7".to_owned()));
    }

    #[test]
    fn numbers_are_those_of_toml() {
        for (value, text) in [(0.0, "0"), (-3.0, "-3"), (0.3, "0.3"), (1e300, "1e300"), (1.5e-10, "1.5e-10")] {
            assert_eq!(number(value), text);
            assert_eq!(format!("x = {text}").parse::<toml::Table>().ok().map(|table| table.len()), Some(1), "{text}");
        }
        assert_eq!((key("a-b_1"), key("a.b")), ("a-b_1".to_owned(), "\"a.b\"".to_owned()));
    }
}
