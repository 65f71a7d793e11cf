//! The fields of an entry whose protocol has a side for each message: written down in the order of their names, without a tree.

use std::fmt;

use sallyport_protocol_filter::rfb::Encoding;
use sallyport_protocol_filter::{Phase, Side, Verdict};
use serde::ser::{Error, Serialize, Serializer};

use super::{Hex, Words, grounds, phase};

/// No entry has as many.
const MOST: usize = 16;

/// An entry in the making.
pub(super) struct Fields<'a> {
    fields: [(&'static str, Field<'a>); MOST],
    used: usize,
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Text(&'a str),
    /// What something says of itself.
    Shown(&'a dyn fmt::Display),
    /// A text as it was sent: what of it is not UTF-8 is replaced.
    Sent(&'a [u8]),
    Hex([u8; 16]),
    Number(u64),
    Flag(bool),
    Numbers(&'a [u8]),
    Encodings(&'a [Encoding]),
    /// A version as it was named: major, minor.
    Named(u16, u16),
}

impl<'a> Fields<'a> {
    pub(super) fn begin(protocol: &'static str, of: Phase, from: &'a Side) -> Self {
        let mut entry = Self { fields: [("", Field::Flag(false)); MOST], used: 0 };
        entry.put("operation", Field::Text(protocol));
        entry.put("phase", Field::Text(phase(of)));
        entry.put("side", Field::Shown(from));
        entry
    }

    pub(super) fn put(&mut self, name: &'static str, value: Field<'a>) {
        if let Some(field) = self.fields.get_mut(self.used) {
            *field = (name, value);
        }
        self.used += 1;
    }

    pub(super) fn end(mut self, verdict: Verdict<'a>, words: &'a dyn fmt::Display) -> Self {
        let (rule, cause) = grounds(verdict);
        self.put("verdict", Field::Text(verdict.word()));
        self.put("rule", Field::Text(rule));
        if let Some(cause) = cause {
            self.put("cause", Field::Text(cause));
        }
        self.put("text", Field::Shown(words));
        let used = self.used.min(MOST);
        self.fields[..used].sort_unstable_by_key(|(name, _)| *name);
        self
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields.get(..self.used).ok_or_else(|| S::Error::custom("an entry has too many fields"))?;
        serializer.collect_map(fields.iter().map(|(name, value)| (*name, value)))
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Field::Text(text) => serializer.serialize_str(text),
            Field::Shown(words) => Words(words).serialize(serializer),
            Field::Sent(bytes) => serializer.collect_str(&fmt::from_fn(|f| sent(bytes, f))),
            Field::Hex(bytes) => Hex(&bytes).serialize(serializer),
            Field::Number(number) => serializer.serialize_u64(number),
            Field::Flag(flag) => serializer.serialize_bool(flag),
            Field::Numbers(numbers) => serializer.collect_seq(numbers),
            Field::Encodings(encodings) => serializer.collect_seq(encodings.iter().map(|encoding| encoding.number())),
            Field::Named(major, minor) => serializer.collect_str(&format_args!("{major}.{minor}")),
        }
    }
}

/// As `String::from_utf8_lossy` has it.
fn sent(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.utf8_chunks().try_for_each(|chunk| {
        f.write_str(chunk.valid())?;
        if chunk.invalid().is_empty() { Ok(()) } else { f.write_str("\u{fffd}") }
    })
}
