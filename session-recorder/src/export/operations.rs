//! Operations: what was done, decoded, one by one.
use super::ExportError;
use crate::entry::{Entry, Kind};
use crate::header::Header;
use crate::read::ReadError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;

/// One operation: who and when from the recording, the rest as it was decoded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operation<'a> {
    /// When, in microseconds since the Unix epoch.
    pub at: i64,
    /// Microseconds from the start of the recording.
    pub offset_micros: u64,
    /// The session.
    pub session: &'a str,
    /// Who.
    pub identity: &'a str,
    /// On which asset.
    pub asset: &'a str,
    /// The track.
    pub track: u32,
    #[serde(flatten)]
    body: Map<String, Value>,
}

/// What the filter made of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went on.
    Pass,
    /// It went on, and would not have if the filter enforced.
    WouldDeny,
    /// It did not go on.
    Deny,
}

/// The operations of a recording, in order. Holds one at a time.
pub fn operations<'a, I>(header: &'a Header, entries: I) -> impl Iterator<Item = Result<Operation<'a>, ReadError>>
where
    I: Iterator<Item = Result<Entry, ReadError>>,
{
    entries.filter_map(move |entry| match entry {
        Ok(entry) if entry.kind == Kind::Operation => Some(Ok(Operation::of(header, &entry))),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Writes every operation as one JSON object a line.
pub fn operation_lines(
    header: &Header,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
    mut out: impl Write,
) -> Result<(), ExportError> {
    for operation in operations(header, entries) {
        writeln!(out, "{}", operation?.json_line()?)?;
    }
    out.flush()?;
    Ok(())
}

impl<'a> Operation<'a> {
    /// The names that a body cannot take: who and when are the recorder's to say.
    const OWN: [&'static str; 6] = ["at", "offset_micros", "session", "identity", "asset", "track"];

    fn of(header: &'a Header, entry: &Entry) -> Self {
        let mut body = match entry.json() {
            Some(Value::Object(body)) => body,
            // It is there, so it shows.
            Some(_) | None => Map::from_iter([("text".to_owned(), json!("an operation that cannot be read"))]),
        };
        body.retain(|name, _| !Self::OWN.contains(&name.as_str()));
        Self {
            at: entry.at.unix_micros,
            offset_micros: entry.at.micros_since(header.started),
            session: &header.session,
            identity: &header.identity,
            asset: &header.asset,
            track: entry.track.0,
            body,
        }
    }

    /// The operation as one line of JSON in which nothing acts on a terminal.
    pub fn json_line(&self) -> Result<String, serde_json::Error> {
        Ok(sallyport_plain::json(&serde_json::to_string(self)?).into_owned())
    }

    /// The operation as it was decoded, field by field.
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// What the filter made of it; `None` where nothing judged it.
    pub fn verdict(&self) -> Option<Verdict> {
        match (self.text("verdict"), self.text("op")) {
            (Some("pass"), _) => Some(Verdict::Pass),
            (Some("would-deny"), _) => Some(Verdict::WouldDeny),
            (Some("deny"), _) | (None, Some("file-refused")) => Some(Verdict::Deny),
            _ => None,
        }
    }

    /// True when it changes something on the asset, or would have: a write, control or program operation, a file
    /// that goes up, a file system that is changed.
    pub fn is_write(&self) -> bool {
        match self.text("op") {
            Some("file") => self.text("direction") == Some("upload"),
            Some("file-refused") => !matches!(self.text("what"), Some("open-read" | "read" | "download")),
            Some(_) => true,
            None => self.text("kind").is_some_and(|kind| !matches!(kind, "read" | "diagnose" | "session")),
        }
    }

    /// The unit behind the asset's address, where the protocol has units.
    pub fn unit(&self) -> Option<u64> {
        self.body.get("unit")?.as_u64()
    }

    /// `request`, `response` or `notice`, where the protocol tells them apart.
    pub fn phase(&self) -> &str {
        self.text("phase").unwrap_or_default()
    }

    /// The act in the protocol's own words.
    pub fn name(&self) -> String {
        let word = self.text("name").or(self.text("operation")).or(self.text("op")).unwrap_or_default();
        match (self.text("op"), self.text("direction"), self.text("via")) {
            (Some("file"), Some(direction), Some(via)) => format!("{direction} by {via}"),
            (Some("file-refused"), _, Some(via)) => {
                format!("{} by {via}", self.text("what").unwrap_or("file"))
            }
            (Some(_), _, Some(via)) => format!("{word} by {via}"),
            _ => word.to_owned(),
        }
    }

    /// What it was done to: tags where they are known, and where they stand; a path; or the act in words.
    pub fn what(&self) -> String {
        let names: Vec<&str> = self.tags().iter().filter_map(|tag| tag["name"].as_str()).collect();
        match (names.is_empty(), self.points()) {
            (false, Some(points)) => format!("{} ({points})", joined(&names)),
            (false, None) => joined(&names),
            (true, Some(points)) => points,
            (true, None) => match (self.text("path"), self.text("to")) {
                (Some(path), Some(to)) => format!("{path} -> {to}"),
                (Some(path), None) => path.to_owned(),
                (None, _) => self.text("text").unwrap_or_default().to_owned(),
            },
        }
    }

    /// The values: `old -> new` for what writes, the values alone for what reads; the asset's exception; a size.
    pub fn change(&self) -> String {
        let mut parts = Vec::new();
        let (values, tags) = (self.list("values"), self.tags());
        for tag in tags.iter().take(MOST) {
            let unit = tag["unit"].as_str().map(|unit| format!(" {unit}")).unwrap_or_default();
            let name = tag["name"].as_str().filter(|_| tags.len() > 1).map(|name| format!("{name} "));
            let said = self.step(tag.get("old").map(shown), tag.get("value").map(shown));
            parts.extend(said.map(|said| format!("{}{said}{unit}", name.unwrap_or_default())));
        }
        if tags.len() > MOST {
            parts.push(format!("{} tags in all", tags.len()));
        }
        // A tag may cover only a part of what was written: the rest shows too.
        if tags.is_empty() || (values.len() > 1 && values.len() != tags.len()) {
            let all = |values: &[Value]| joined(&values.iter().map(shown).collect::<Vec<_>>());
            let old = self.list("old");
            let said = self.step((!old.is_empty()).then(|| all(old)), (!values.is_empty()).then(|| all(values)));
            parts.extend(said.map(|said| if tags.is_empty() { said } else { format!("values {said}") }));
        }
        // A mask, several parts: what has no one value is said in words.
        if parts.is_empty() && self.is_write() && self.points().is_some() {
            parts.extend(self.text("text").map(str::to_owned));
        }
        if let Some(exception) = self.body.get("exception").and_then(Value::as_u64) {
            parts.push(format!("exception {exception}"));
        }
        if let Some(size) = self.body.get("size").and_then(Value::as_u64) {
            parts.push(format!("{size} bytes"));
        }
        parts.join("; ")
    }

    /// The verdict and its cause, in words.
    pub fn judgement(&self) -> String {
        let word = match self.verdict() {
            Some(Verdict::Pass) => "pass",
            Some(Verdict::WouldDeny) => "would-deny",
            Some(Verdict::Deny) => "deny",
            None => self.text("verdict").unwrap_or_default(),
        };
        match self.text("cause") {
            Some(cause) => format!("{word}: {cause}"),
            None => word.to_owned(),
        }
    }

    /// The rule that gave the verdict.
    pub fn rule(&self) -> &str {
        self.text("rule").unwrap_or_default()
    }

    fn step(&self, old: Option<String>, new: Option<String>) -> Option<String> {
        match (self.is_write(), old, new) {
            (true, Some(old), Some(new)) => Some(format!("{old} -> {new}")),
            (true, None, Some(new)) => Some(format!("? -> {new}")),
            (true, _, None) => None,
            (false, _, new) => new,
        }
    }

    /// `register 100`, `coil 0-15`.
    fn points(&self) -> Option<String> {
        let address = self.body.get("address")?.as_u64()?;
        let table = self.text("table").unwrap_or("address");
        let quantity = self.body.get("quantity").and_then(Value::as_u64).unwrap_or(1);
        Some(match quantity {
            0 | 1 => format!("{table} {address}"),
            many => format!("{table} {address}-{}", address.saturating_add(many - 1)),
        })
    }

    fn tags(&self) -> &[Value] {
        self.list("tags")
    }

    fn list(&self, name: &str) -> &[Value] {
        self.body.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }
}

/// More than so many values or tags do not make a line that anybody reads; JSON has all.
const MOST: usize = 8;

fn joined<T: AsRef<str>>(values: &[T]) -> String {
    let mut text = values.iter().take(MOST).map(T::as_ref).collect::<Vec<_>>().join(", ");
    if values.len() > MOST {
        text.push_str(&format!(" … ({} in all)", values.len()));
    }
    text
}

/// `?` is a value that nobody knew.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "?".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
