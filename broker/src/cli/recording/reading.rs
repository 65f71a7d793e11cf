//! `sallyport recording export` and `files`.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use jiff::Timestamp;
use sallyport_session_recorder::export::{
    Content, ExportError, FileEntry, Played, Track, asciicast, jsonl, operation_lines, pcapng, tracks,
};
use sallyport_session_recorder::{ReadError, TrackId};
use serde::Serialize;

use super::destination::output;
use super::source::{Eyes, Source, check_identity, put_on_record};
use super::{CliError, Context, Export, Format, ReadKeys, frames};
use crate::audit::AuditEvent;
use crate::cli::Row;
use crate::cli::output::tell;

pub(super) async fn export(arguments: Export, context: &Context) -> Result<(), CliError> {
    frames::check(&arguments)?;
    if arguments.raw && arguments.format != Format::Asciicast {
        return Err(CliError::Usage("`--raw` is for `--format asciicast`".to_owned()));
    }
    let binary = matches!(arguments.format, Format::Pcapng | Format::Png);
    if binary && arguments.output.is_none() && std::io::stdout().is_terminal() {
        let format = word(arguments.format);
        return Err(CliError::Usage(format!("a terminal cannot show {format}; give a file with `--output FILE`")));
    }
    let source = Source::find(&arguments.recording, context).await?;
    let eyes = Eyes::new(&arguments.keys, context).await?;
    let reader = eyes.open(&source)?;
    let header = reader.header().clone();
    check_identity(&header, &source)?;
    let format = format!("{}{}", word(arguments.format), if arguments.raw { ", raw" } else { "" });
    let event = AuditEvent::RecordingExported { session: header.session.clone(), format };
    put_on_record(event, &source, context).await?;
    match arguments.format {
        Format::Jsonl => {
            let content = if arguments.content { Content::With } else { Content::Without };
            jsonl(&mut eyes.open(&source)?, content, output(arguments.output)?).map_err(export_error)
        }
        Format::Asciicast => {
            let track = choose(tracks(&header, reader).map_err(read_error)?, arguments.track)?;
            let played = if arguments.raw { Played::Raw } else { Played::Clean };
            if arguments.raw {
                tell(
                    "what was recorded is exported as it is: played, it acts on the terminal (clipboard, titles, reports)",
                );
            }
            asciicast(&header, &track, played, eyes.open(&source)?, output(arguments.output)?).map_err(export_error)
        }
        Format::Pcapng => {
            let tracks = tracks(&header, reader).map_err(read_error)?;
            let only = connections(&tracks, arguments.track)?;
            pcapng(&header, only, eyes.open(&source)?, output(arguments.output)?).map_err(export_error)?;
            let exported = tracks.iter().filter(|track| only.is_none_or(|only| track.track == only.0));
            for option in exported.filter_map(wireshark_option).collect::<BTreeSet<_>>() {
                eprintln!("sallyport: the asset's port is not the protocol's own: Wireshark knows it with `{option}`");
            }
            Ok(())
        }
        Format::Operations => operation_lines(&header, reader, output(arguments.output)?).map_err(export_error),
        Format::Png => frames::png(arguments, &eyes, &source),
        Format::Frames => frames::frames(arguments, &eyes, &source, context),
    }
}

fn word(format: Format) -> &'static str {
    match format {
        Format::Asciicast => "asciicast",
        Format::Jsonl => "jsonl",
        Format::Pcapng => "pcapng",
        Format::Operations => "operations",
        Format::Png => "png",
        Format::Frames => "frames",
    }
}

/// Whether there are connections to export: the one asked for, or any.
fn connections(tracks: &[Track], asked: Option<u32>) -> Result<Option<TrackId>, CliError> {
    let refuse = |sentence: String| Err(CliError::Failed(sentence));
    match asked {
        None if tracks.iter().any(Track::is_tcp) => Ok(None),
        None => refuse("the recording has no TCP connection; `--format jsonl` has what it holds".to_owned()),
        Some(number) => match tracks.iter().find(|track| track.track == number) {
            Some(track) if track.is_tcp() => Ok(Some(TrackId(number))),
            Some(_) => refuse(format!("track {number} is no TCP connection")),
            None => refuse(format!("the recording has no track {number}")),
        },
    }
}

/// How Wireshark (4.0) is told of a protocol on a port where it does not look for it. What is in the capture stays as it was.
fn wireshark_option(track: &Track) -> Option<String> {
    let (_, port) = track.opened["address"].as_str()?.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    match (track.opened["protocol"].as_str()?, port) {
        ("modbus", 502) | ("rdp", 3389) => None,
        // Only by this setting does it tell questions from answers, too.
        ("modbus", port) => Some(format!("-o mbtcp.tcp.port:{port}")),
        ("rdp", port) => Some(format!("-d tcp.port=={port},tpkt")),
        // VNC it finds by itself, on any port.
        _ => None,
    }
}

/// The track asked for, or the one that somebody most likely wants to see.
pub(super) fn choose(tracks: Vec<Track>, asked: Option<u32>) -> Result<Track, CliError> {
    let connection = tracks.iter().find(|track| track.is_tcp() && asked.is_none_or(|number| track.track == number));
    let connection = connection.map(|track| (track.track, track.opened["protocol"] == "vnc"));
    let mut shown = tracks.into_iter().filter(|track| !track.is_tcp());
    let found = match asked {
        Some(number) => shown.find(|track| track.track == number),
        None => {
            let shown: Vec<Track> = shown.collect();
            let first = |wanted: &dyn Fn(&Track) -> bool| shown.iter().find(|track| wanted(track)).cloned();
            first(&|track| track.terminal.is_some()).or_else(|| first(&|track| track.output_bytes > 0))
        }
    };
    found.ok_or_else(|| {
        CliError::Failed(match (connection, asked) {
            (Some((number, true)), _) => format!(
                "track {number} is a VNC connection, whose screen is no terminal's; see it with \
                 `sallyport recording export`, `--format png` or `--format frames`"
            ),
            (Some((number, false)), _) => format!(
                "track {number} is a TCP connection, which nothing showed on a screen; \
                 see `sallyport recording operations`, or export it with `--format pcapng`"
            ),
            (None, Some(number)) => format!("the recording has no track {number}"),
            (None, None) => "the recording has nothing to show".to_owned(),
        })
    })
}

pub(super) fn read_error(error: ReadError) -> CliError {
    CliError::Failed(error.to_string())
}

fn export_error(error: ExportError) -> CliError {
    match error {
        ExportError::Write(error) => CliError::Output(error),
        ExportError::Read(_) | ExportError::Json(_) | ExportError::Connections(_) => {
            CliError::Failed(error.to_string())
        }
    }
}

/// A file as it is shown.
#[derive(Debug, Serialize)]
struct FileLine {
    at: Timestamp,
    op: String,
    direction: Option<String>,
    via: String,
    path: String,
    size: Option<u64>,
    sha256: Option<String>,
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
}

impl Row for FileLine {
    const COLUMNS: &'static [&'static str] = &["at", "what", "via", "size", "sha256", "path"];

    fn cells(&self) -> Vec<String> {
        let what = match (&self.direction, &self.what, self.complete) {
            (Some(direction), _, Some(false)) => format!("{direction}, incomplete"),
            (Some(direction), _, _) => direction.clone(),
            (None, Some(what), _) => format!("refused: {what}"),
            (None, None, _) => self.op.clone(),
        };
        vec![
            format!("{:.0}", self.at),
            what,
            self.via.clone(),
            self.size.map(|size| size.to_string()).unwrap_or_default(),
            self.sha256.clone().unwrap_or_default(),
            self.path.clone(),
        ]
    }
}

impl From<FileEntry> for FileLine {
    fn from(file: FileEntry) -> Self {
        Self {
            at: Timestamp::from_microsecond(file.at).unwrap_or_default(),
            op: file.op,
            direction: file.direction,
            via: file.via,
            path: file.path,
            size: file.size,
            sha256: file.sha256,
            complete: file.complete,
            what: file.what,
        }
    }
}

pub(super) async fn files(named: &str, keys: &ReadKeys, context: &Context) -> Result<(), CliError> {
    let source = Source::find(named, context).await?;
    if let (Some(recording), None) = (&source.recording, &keys.key_file) {
        let session = recording.start.session.clone();
        let event = AuditEvent::RecordingRead { session: session.clone(), what: "files, from the index".to_owned() };
        put_on_record(event, &source, context).await?;
        let files = context.store().await?.files(&session).await.map_err(CliError::failed)?;
        let lines: Vec<FileLine> = files
            .into_iter()
            .map(|file| FileLine {
                at: file.at,
                op: "file".to_owned(),
                direction: Some(file.direction),
                via: file.via,
                path: file.path,
                size: Some(file.size),
                sha256: file.sha256,
                complete: Some(file.complete),
                what: None,
            })
            .collect();
        return context.print_list(&lines);
    }
    let reader = Eyes::new(keys, context).await?.open(&source)?;
    let header = reader.header().clone();
    check_identity(&header, &source)?;
    let event = AuditEvent::RecordingRead { session: header.session.clone(), what: "files".to_owned() };
    put_on_record(event, &source, context).await?;
    let mut lines = Vec::new();
    for file in sallyport_session_recorder::export::files(&header, reader) {
        lines.push(FileLine::from(file.map_err(read_error)?));
    }
    context.print_list(&lines)
}
