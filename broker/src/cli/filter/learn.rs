//! `sallyport filter learn`.

use std::path::PathBuf;

use jiff::Timestamp;
use sallyport_policy::{Place, Protocol};
use sallyport_protocol_filter::Phase;
use sallyport_protocol_filter::modbus::{Mode, Rules, Seen, Tag};
use sallyport_session_recorder::export::{Verdict, operations};

use super::proposal::{LeftOut, Proposal};
use super::recorded::{EntryPhase, Recorded};
use super::replay::{Replay, Wanted};
use super::told::{Listener, Told};
use super::{CliError, Context, Learn, place};
use crate::audit::AuditEvent;
use crate::capture::Connection;
use crate::cli::recording::source::{Eyes, Source, check_identity, put_on_record};
use crate::cli::{output::tell, policy};
use crate::tcp::rules::{Dated, Known};

pub(super) async fn learn(arguments: Learn, context: &Context) -> Result<(), CliError> {
    let policy = policy::policy(&arguments.plant, context).await?;
    let place = place(&policy, &arguments.asset, arguments.service.as_ref(), Some(Protocol::Modbus))?;
    let known = Known::of(&policy, place.service);
    let mut lesson = Lesson::new(known.tags.clone());
    // What was read before a fault is sound, and is learned.
    let mut faults = Vec::new();
    if !arguments.from.is_empty() {
        let eyes = Eyes::new(&arguments.keys, context).await?;
        for named in &arguments.from {
            faults.extend(lesson.recording(named, place, &eyes, context).await?);
        }
    }
    let wanted = arguments.traffic.wanted(Some(place), Protocol::Modbus);
    let mut lesson = lesson.captures(&arguments.pcap, wanted, &known, &mut faults)?;
    for fault in &faults {
        tell(fault);
    }
    if lesson.seen.operations() == 0 {
        return Err(CliError::Failed(format!("there is nothing to learn: no operation passed ({})", lesson.left_out)));
    }
    lesson.sources.dedup();
    let proposal = Proposal {
        name: arguments.name,
        asset: place.asset.id.to_string(),
        service: place.service.name.to_string(),
        sources: lesson.sources,
        requests: lesson.seen.operations(),
        refused_by_asset: lesson.refused,
        left_out: LeftOut { unfitting: lesson.seen.left_out(), ..lesson.left_out },
        lines: lesson.seen.learned(),
    };
    match context.json() {
        true => context.print_json(&proposal.json())?,
        false => context.print(&proposal.toml())?,
    }
    match faults.len() {
        0 => Ok(()),
        count => Err(CliError::Failed(format!("{count} of the sources could not be read to their end"))),
    }
}

/// What was seen so far.
struct Lesson {
    seen: Seen,
    left_out: LeftOut,
    refused: u64,
    sources: Vec<String>,
}

impl Lesson {
    fn new(tags: Vec<Tag>) -> Self {
        Self { seen: Seen::new(tags), left_out: LeftOut::default(), refused: 0, sources: Vec::new() }
    }

    /// Learns from a recording, and gives the fault that it ended with. That it was read is on record.
    async fn recording(
        &mut self,
        named: &str,
        place: Place<'_>,
        eyes: &Eyes,
        context: &Context,
    ) -> Result<Option<String>, CliError> {
        let source = Source::find(named, context).await?;
        let reader = eyes.open(&source)?;
        let header = reader.header().clone();
        check_identity(&header, &source)?;
        let (asset, service) = (place.asset.id.as_str(), place.service.name.as_str());
        if (header.asset.as_str(), header.service.as_str()) != (asset, service) {
            return Err(CliError::Failed(format!(
                "`{}` is a recording of {} of asset `{}`, not of {service} of `{asset}`",
                header.session, header.service, header.asset
            )));
        }
        let what = "operations, to learn a filter".to_owned();
        put_on_record(AuditEvent::RecordingRead { session: header.session.clone(), what }, &source, context).await?;
        self.sources.push(format!("recording {}", header.session));
        let mut pdu = Vec::new();
        for operation in operations(&header, reader) {
            let operation = match operation {
                Ok(operation) => operation,
                Err(error) => return Ok(Some(format!("`{}`: {error}", source.path.display()))),
            };
            let Some(recorded) = Recorded::of(operation.body()) else { continue };
            match recorded {
                Ok(recorded) => self.entry(&recorded, operation.verdict(), operation.at, &mut pdu),
                Err(_) => self.left_out.unreadable += 1,
            }
        }
        Ok(None)
    }

    fn entry(&mut self, recorded: &Recorded, verdict: Option<Verdict>, micros: i64, pdu: &mut Vec<u8>) {
        match (recorded.phase, verdict) {
            (EntryPhase::Malformed, _) => self.left_out.malformed += 1,
            (EntryPhase::Response, _) => self.refused += u64::from(recorded.exception.is_some()),
            (EntryPhase::Notice, _) => {}
            (EntryPhase::Request, Some(Verdict::Pass | Verdict::WouldDeny)) => match recorded.request(pdu) {
                Some(request) => {
                    let last = |table, address| recorded.last(table, address);
                    self.seen.see(recorded.unit, &request, &last, micros.div_euclid(1000));
                }
                None => self.left_out.unreadable += 1,
            },
            (EntryPhase::Request, Some(Verdict::Deny) | None) => self.left_out.denied += 1,
        }
    }

    /// Learns from captures: nothing judged what is in them, so all of it passed.
    fn captures(
        self,
        paths: &[PathBuf],
        wanted: Wanted,
        known: &Known,
        faults: &mut Vec<String>,
    ) -> Result<Self, CliError> {
        let everything = |_| {
            let rules = Rules::new("observe", Mode::Observe, Rules::full().rules().to_vec(), known.tags.clone());
            Dated { rules: rules.on(known.device), until: None }
        };
        let mut replay = Replay::new(everything, self);
        for path in paths {
            let found = replay.file(path, wanted)?;
            found.notes(path);
            faults.extend(found.fault.map(|fault| fault.to_string()));
        }
        let mut lesson = replay.listener();
        lesson.sources.extend(paths.iter().map(|path| format!("capture {}", path.display())));
        Ok(lesson)
    }
}

impl Listener for Lesson {
    fn hear(&mut self, at: Timestamp, _connection: &Connection, told: Told<'_>) {
        match told {
            Told::Malformed(_) => self.left_out.malformed += 1,
            Told::Cut(_) => self.left_out.cut += 1,
            Told::Operation(operation) => match operation.phase {
                Phase::Request if operation.verdict.passes() => {
                    let last = |table, address| operation.old(table, address);
                    self.seen.see(operation.unit, &operation.request, &last, at.as_millisecond());
                }
                Phase::Request => self.left_out.denied += 1,
                Phase::Response => self.refused += u64::from(operation.exception().is_some()),
                Phase::Notice => {}
            },
        }
    }
}
