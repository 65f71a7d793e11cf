//! What a filter decided, as entries of the recording.

mod fields;
mod modbus;
mod rdp;
mod rfb;

use std::fmt;
use std::sync::Arc;

use sallyport_protocol_filter::{Journal, Kind, Malformed, Phase, Verdict};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::live::Operations;

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
    /// The counts of the session.
    operations: Arc<Operations>,
}

impl Journal<sallyport_protocol_filter::modbus::Filter> for Notes {
    fn note(&mut self, operation: &sallyport_protocol_filter::modbus::Operation<'_>) {
        let passes = operation.verdict.passes();
        self.denied += u64::from(!passes);
        if operation.phase == Phase::Request {
            self.operations.asked(operation.unit, operation.request.function().code);
            if passes && operation.kind() == Kind::Write {
                self.operations.wrote();
            }
        }
        for tolerance in operation.tolerated.iter() {
            self.operations.tolerated(tolerance.word());
        }
        self.write(&modbus::Entry(operation));
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
    /// None yet; what they tell of is counted there.
    pub(super) fn counting(operations: &Arc<Operations>) -> Self {
        Self { operations: Arc::clone(operations), ..Self::default() }
    }

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
pub(crate) fn modbus_entry(
    operation: &sallyport_protocol_filter::modbus::Operation<'_>,
) -> serde_json::Result<Map<String, Value>> {
    serde_json::to_value(modbus::Entry(operation)).and_then(serde_json::from_value)
}

/// The same of VNC.
pub(crate) fn rfb_entry(
    operation: &sallyport_protocol_filter::rfb::Operation<'_>,
) -> serde_json::Result<Map<String, Value>> {
    serde_json::to_value(rfb::entry(operation)).and_then(serde_json::from_value)
}

/// The same of RDP.
pub(crate) fn rdp_entry(
    operation: &sallyport_protocol_filter::rdp::Operation<'_>,
) -> serde_json::Result<Map<String, Value>> {
    serde_json::to_value(rdp::entry(operation)).and_then(serde_json::from_value)
}

/// What something says of itself.
struct Words<T>(T);

impl<T: fmt::Display> Serialize for Words<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes in hex.
struct Hex<'a>(&'a [u8]);

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&data_encoding::HEXLOWER.encode_display(self.0))
    }
}

/// The rule that gave a verdict, and why it denies.
fn grounds(verdict: Verdict<'_>) -> (&str, Option<&'static str>) {
    match verdict {
        Verdict::Pass { rule } => (rule, None),
        Verdict::WouldDeny { rule, cause } | Verdict::Deny { rule, cause } => (rule, Some(cause.word())),
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
mod tests;
