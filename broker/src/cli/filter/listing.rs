//! What came of a capture: each operation with its verdict, and the counts.

use std::collections::BTreeMap;
use std::io::{BufWriter, StdoutLock, Write};

use jiff::Timestamp;
use sallyport_policy::FilterMode;
use sallyport_protocol_filter::{Malformed, Side, Verdict};
use serde_json::{Map, Value, json};

use super::CliError;
use super::replay::Found;
use super::told::Cut;
use crate::capture::Connection;
use crate::cli::output::table;
use crate::tcp::journal::malformed_entry;

/// What came of the operations.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By verdict, rule and cause.
    rules: BTreeMap<(&'static str, String, &'static str), u64>,
    malformed: u64,
    cut: u64,
}

impl Counts {
    fn of(&self, verdict: &str) -> u64 {
        self.rules.iter().filter(|((word, _, _), _)| *word == verdict).map(|(_, count)| count).sum()
    }

    fn operations(&self) -> u64 {
        self.rules.values().sum()
    }

    /// What keeps this from being a plain yes.
    pub(super) fn complaint(&self) -> Option<String> {
        let (denied, malformed, cut) = (self.of(DENY), self.malformed, self.cut);
        let parts: Vec<String> = [
            (denied, format!("would be denied: {denied} of {} operations", self.operations())),
            (malformed, format!("connections that end with malformed bytes: {malformed}")),
            (cut, format!("connections not followed to their end: {cut}")),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(_, text)| text)
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |((verdict, rule, cause), count): (&(&str, String, &str), &u64)| {
            vec![(*verdict).to_owned(), rule.clone(), (*cause).to_owned(), count.to_string()]
        };
        self.rules.iter().map(row).collect()
    }

    fn json(&self, found: &Found) -> (Value, Value) {
        let counts = json!({
            "connections": found.connections,
            "operations": self.operations(),
            "pass": self.of("pass"),
            "would-deny": self.of("would-deny"),
            "deny": self.of(DENY),
            "malformed": self.malformed,
            "cut": self.cut,
            "unheard_bytes": found.unheard,
        });
        let rule = |((verdict, rule, cause), count): (&(&str, String, &str), &u64)| {
            let cause = if cause.is_empty() { Value::Null } else { json!(cause) };
            json!({ "verdict": verdict, "rule": rule, "cause": cause, "count": count })
        };
        (counts, self.rules.iter().map(rule).collect())
    }
}

const DENY: &str = "deny";
const COLUMNS: [&str; 6] = ["at", "connection", "client", "operation", "verdict", "rule"];
/// So many rows are aligned to each other, under headings of their own.
const PAGE: usize = 1000;

/// One operation of a capture.
pub(super) struct Act<'a> {
    pub(super) verdict: Verdict<'a>,
    /// In words.
    pub(super) text: String,
    /// What evidence would say.
    pub(super) entry: &'a dyn Fn() -> serde_json::Result<Map<String, Value>>,
}

/// A table, or a JSON object, written as it is found: a day of Modbus is too much to hold.
pub(super) struct Listing {
    out: BufWriter<StdoutLock<'static>>,
    protocol: &'static str,
    json: bool,
    /// What a filter that enforces denies is only observed in the replay.
    enforced: bool,
    rows: Vec<Vec<String>>,
    shown: u64,
    counts: Counts,
    fault: Option<std::io::Error>,
}

impl Listing {
    pub(super) fn begin(protocol: &'static str, json: bool, mode: FilterMode) -> Self {
        Self {
            out: BufWriter::new(std::io::stdout().lock()),
            protocol,
            json,
            enforced: mode == FilterMode::Enforce,
            rows: Vec::new(),
            shown: 0,
            counts: Counts::default(),
            fault: None,
        }
    }

    /// The verdict that a session with the filter would have given.
    fn judged<'a>(&self, verdict: Verdict<'a>) -> (&'static str, &'a str, &'static str) {
        match verdict {
            Verdict::Pass { rule } => (verdict.word(), rule, ""),
            Verdict::WouldDeny { rule, cause } if self.enforced => (DENY, rule, cause.word()),
            Verdict::WouldDeny { rule, cause } | Verdict::Deny { rule, cause } => (verdict.word(), rule, cause.word()),
        }
    }

    /// One operation: what it is, and what evidence would say of it.
    pub(super) fn operation(&mut self, at: Timestamp, connection: &Connection, act: &Act<'_>) {
        if self.fault.is_none() {
            self.fault = self.write_operation(at, connection, act).err();
        }
    }

    /// The session would have ended here.
    pub(super) fn malformed(&mut self, at: Timestamp, connection: &Connection, malformed: &Malformed) {
        if self.fault.is_none() {
            self.fault = self.write_malformed(at, connection, malformed).err();
        }
    }

    /// It is followed no further.
    pub(super) fn cut(&mut self, at: Timestamp, connection: &Connection, cut: Cut) {
        if self.fault.is_none() {
            self.fault = self.write_cut(at, connection, cut).err();
        }
    }

    /// Can nothing more be written?
    pub(super) fn is_broken(&self) -> bool {
        self.fault.is_some()
    }

    fn write_operation(&mut self, at: Timestamp, connection: &Connection, act: &Act<'_>) -> std::io::Result<()> {
        let (word, rule, cause) = self.judged(act.verdict);
        *self.counts.rules.entry((word, rule.to_owned(), cause)).or_default() += 1;
        if self.json {
            let mut entry = (act.entry)()?;
            entry.insert("verdict".to_owned(), json!(word));
            entry.insert("text".to_owned(), json!(act.text));
            return self.entry(at, connection, entry);
        }
        let verdict = if cause.is_empty() { word.to_owned() } else { format!("{word}: {cause}") };
        self.row(at, connection, act.text.clone(), verdict, rule)
    }

    fn write_malformed(
        &mut self,
        at: Timestamp,
        connection: &Connection,
        malformed: &Malformed,
    ) -> std::io::Result<()> {
        self.counts.malformed += 1;
        if self.json {
            return self.entry(at, connection, malformed_entry(self.protocol, malformed));
        }
        let bytes = data_encoding::HEXLOWER.encode(&malformed.bytes);
        let what = format!("{} from the {}: {bytes}", malformed.reason, malformed.side);
        self.row(at, connection, what, "malformed".to_owned(), "")
    }

    fn write_cut(&mut self, at: Timestamp, connection: &Connection, cut: Cut) -> std::io::Result<()> {
        self.counts.cut += 1;
        let text = match cut {
            Cut::Missing(side) => match side {
                Side::Client => "bytes of the client are not in the capture: not followed further",
                Side::Server => "bytes of the server are not in the capture: not followed further",
            },
            Cut::Crowded => "too many connections are open at once: not followed further",
            Cut::Unanswered => "more is asked than the filter lets wait for answers: not followed further",
            Cut::Midway => "it began before the capture, and what its sides agreed on is not there: not followed",
        };
        if self.json {
            let entry = [("phase", "cut"), ("text", text)].map(|(name, value)| (name.to_owned(), json!(value)));
            return self.entry(at, connection, entry.into_iter().collect());
        }
        self.row(at, connection, text.to_owned(), "cut".to_owned(), "")
    }

    fn entry(&mut self, at: Timestamp, connection: &Connection, entry: Map<String, Value>) -> std::io::Result<()> {
        let mut line = Map::new();
        line.insert("at".to_owned(), json!(at));
        line.insert("connection".to_owned(), json!(connection.number));
        line.insert("client".to_owned(), json!(connection.client.to_string()));
        line.insert("server".to_owned(), json!(connection.server.to_string()));
        line.extend(entry);
        let begin = if self.shown == 0 { "{\"operations\":[\n" } else { ",\n" };
        self.shown += 1;
        write!(self.out, "{begin}{}", Value::Object(line))
    }

    fn row(
        &mut self,
        at: Timestamp,
        connection: &Connection,
        what: String,
        verdict: String,
        rule: &str,
    ) -> std::io::Result<()> {
        self.shown += 1;
        self.rows.push(vec![
            format!("{at:.3}"),
            connection.number.to_string(),
            connection.client.to_string(),
            what,
            verdict,
            rule.to_owned(),
        ]);
        if self.rows.len() >= PAGE { self.page() } else { Ok(()) }
    }

    fn page(&mut self) -> std::io::Result<()> {
        self.out.write_all(table(&COLUMNS, &self.rows).as_bytes())?;
        self.rows.clear();
        Ok(())
    }

    /// Writes what is left, and the counts.
    pub(super) fn end(mut self, found: &Found) -> Result<Counts, CliError> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.close(found),
        }
        .map_err(CliError::Output)?;
        Ok(self.counts)
    }

    fn close(&mut self, found: &Found) -> std::io::Result<()> {
        if self.json {
            let begin = if self.shown == 0 { "{\"operations\":[" } else { "\n" };
            let (counts, rules) = self.counts.json(found);
            writeln!(self.out, "{begin}],\n\"counts\":{counts},\n\"rules\":{rules}}}")?;
            return self.out.flush();
        }
        if self.shown == 0 || !self.rows.is_empty() {
            self.page()?;
        }
        let Counts { malformed, cut, .. } = self.counts;
        writeln!(
            self.out,
            "\noperations: {}, connections: {}, of these malformed: {malformed}, cut short: {cut}",
            self.counts.operations(),
            found.connections
        )?;
        if !self.counts.rules.is_empty() {
            self.out.write_all(table(&["verdict", "rule", "cause", "count"], &self.counts.rows()).as_bytes())?;
        }
        self.out.flush()
    }
}
