//! `sallyport recording operations`.

use std::io::{BufWriter, Write};

use jiff::Timestamp;
use sallyport_session_recorder::export::{Operation, Verdict, operations as decoded};

use super::reading::read_error;
use super::source::{Eyes, Source, check_identity, put_on_record};
use super::{CliError, Context, Judged, Operations};
use crate::audit::AuditEvent;
use crate::cli::output::table;

pub(super) async fn operations(arguments: Operations, context: &Context) -> Result<(), CliError> {
    let source = Source::find(&arguments.recording, context).await?;
    let reader = Eyes::new(&arguments.keys, context).await?.open(&source)?;
    let header = reader.header().clone();
    check_identity(&header, &source)?;
    let event = AuditEvent::RecordingRead { session: header.session.clone(), what: "operations".to_owned() };
    put_on_record(event, &source, context).await?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut timeline = Timeline::begin(&mut out, context.json()).map_err(CliError::Output)?;
    // What was read before a fault is sound, and it shows.
    let mut fault = None;
    for operation in decoded(&header, reader) {
        match operation {
            Ok(operation) if arguments.wants(&operation) => timeline.show(&operation)?,
            Ok(_) => {}
            Err(error) => fault = Some(read_error(error)),
        }
    }
    let shown = timeline.end().map_err(CliError::Output)?;
    match fault {
        Some(fault) => Err(fault),
        None => {
            if shown == 0 {
                eprintln!("sallyport: {}", arguments.nothing());
            }
            Ok(())
        }
    }
}

impl Operations {
    fn wants(&self, operation: &Operation<'_>) -> bool {
        let verdict = match self.verdict {
            None => true,
            Some(Judged::Pass) => operation.verdict() == Some(Verdict::Pass),
            Some(Judged::WouldDeny) => operation.verdict() == Some(Verdict::WouldDeny),
            Some(Judged::Deny) => operation.verdict() == Some(Verdict::Deny),
        };
        verdict && (!self.writes || operation.is_write())
    }

    fn nothing(&self) -> &'static str {
        match (self.verdict, self.writes) {
            (None, false) => "the recording holds no operations",
            (Some(_), _) | (None, true) => "the recording holds no such operations",
        }
    }
}

/// A table, or a JSON array, written as it is read: a day of Modbus is too much to hold.
struct Timeline<W> {
    out: W,
    json: bool,
    rows: Vec<Vec<String>>,
    shown: u64,
}

const COLUMNS: [&str; 10] =
    ["at", "identity", "track", "unit", "phase", "operation", "what", "change", "verdict", "rule"];
/// So many rows are aligned to each other, under headings of their own.
const PAGE: usize = 1000;

impl<W: Write> Timeline<W> {
    fn begin(mut out: W, json: bool) -> std::io::Result<Self> {
        if json {
            write!(out, "[")?;
        }
        Ok(Self { out, json, rows: Vec::new(), shown: 0 })
    }

    fn show(&mut self, operation: &Operation<'_>) -> Result<(), CliError> {
        if self.json {
            let line = operation.json_line().map_err(CliError::failed)?;
            let between = if self.shown == 0 { "\n" } else { ",\n" };
            write!(self.out, "{between}{line}").map_err(CliError::Output)?;
        } else {
            self.rows.push(cells(operation));
            if self.rows.len() >= PAGE {
                self.page().map_err(CliError::Output)?;
            }
        }
        self.shown += 1;
        Ok(())
    }

    fn page(&mut self) -> std::io::Result<()> {
        self.out.write_all(table(&COLUMNS, &self.rows).as_bytes())?;
        self.rows.clear();
        Ok(())
    }

    fn end(mut self) -> std::io::Result<u64> {
        if self.json {
            writeln!(self.out, "{}", if self.shown == 0 { "]" } else { "\n]" })?;
        } else if self.shown == 0 || !self.rows.is_empty() {
            self.page()?;
        }
        self.out.flush()?;
        Ok(self.shown)
    }
}

fn cells(operation: &Operation<'_>) -> Vec<String> {
    let at = Timestamp::from_microsecond(operation.at).unwrap_or_default();
    vec![
        format!("{at:.3}"),
        operation.identity.to_owned(),
        operation.track.to_string(),
        operation.unit().map(|unit| unit.to_string()).unwrap_or_default(),
        operation.phase().to_owned(),
        operation.name(),
        operation.what(),
        operation.change(),
        operation.judgement(),
        operation.rule().to_owned(),
    ]
}
