//! `sallyport recording export --format png` and `--format frames`: what was on the screen of a VNC session.

mod album;
mod picture;
mod viewing;

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sallyport_session_recorder::{Moment, Reader};
use serde_json::json;

use super::destination::output;
use super::source::{Eyes, Source};
use super::{CliError, Context, Export, Format, not_negative};
use album::Album;
use viewing::{Connection, Viewing};

/// A time within a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum At {
    /// By the broker's calendar.
    Clock(Timestamp),
    /// From the session's start.
    Offset(Duration),
}

/// How far frames are apart where nothing else is asked for.
const EVERY: Duration = Duration::from_secs(1);

/// Refuses options that the format knows nothing of, before anything is read.
pub(super) fn check(arguments: &Export) -> Result<(), CliError> {
    let refuse = |sentence: &str| Err(CliError::Usage(sentence.to_owned()));
    match arguments.format {
        Format::Frames if arguments.at.is_some() => refuse("`--at` is for `--format png`; frames are of all times"),
        Format::Frames => folder(arguments).map(|_| ()),
        _ if arguments.every.is_some() => refuse("`--every` is for `--format frames`"),
        Format::Png => Ok(()),
        _ if arguments.at.is_some() => refuse("`--at` is for `--format png`"),
        Format::Asciicast | Format::Jsonl | Format::Pcapng | Format::Operations => Ok(()),
    }
}

fn folder(arguments: &Export) -> Result<&Path, CliError> {
    arguments
        .output
        .as_deref()
        .ok_or_else(|| CliError::Usage("frames are files; give the folder for them with `--output DIR`".to_owned()))
}

/// The picture at a time.
pub(super) fn png(arguments: Export, eyes: &Eyes, source: &Source) -> Result<(), CliError> {
    let connection = Connection::find(eyes.open(source)?, arguments.track)?;
    let mut viewing = Viewing::new(connection);
    let seen = look(&mut viewing, eyes.open(source)?, arguments.at)?;
    let screen = viewing.screen().ok_or_else(|| viewing.nothing_to_see())?;
    let (width, height) = screen.size();
    if width == 0 || height == 0 {
        return Err(CliError::Failed("the screen had no pixels then".to_owned()));
    }
    let mut out = output(arguments.output)?;
    picture::write(screen, &mut out).map_err(picture::error)?;
    out.flush().map_err(CliError::Output)?;
    if let (Some(_), Seen::ToTheEnd { last }) = (arguments.at, seen) {
        eprintln!("sallyport: the connection is on record until {last}: that is when the picture is of");
    }
    viewing.end()
}

/// How far a connection was played back.
enum Seen {
    /// To the time that was asked for.
    UntilThen,
    /// That time lies behind all that is on record.
    ToTheEnd { last: String },
}

fn look(viewing: &mut Viewing, entries: Reader<BufReader<File>>, at: Option<At>) -> Result<Seen, CliError> {
    let mut reached = false;
    for entry in entries {
        let Some(entry) = viewing.own(entry) else { continue };
        reached |= at.is_some_and(|at| at.is_before(entry.at, viewing.started()));
        if reached && viewing.screen().is_some() {
            break;
        }
        // What comes too late is looked at only to tell when the screen opened.
        viewing.take(&entry);
        if reached && viewing.screen().is_some() {
            let opened = viewing.time(entry.at);
            return Err(CliError::Failed(format!("there was no screen yet: it opened at {opened}")));
        }
        if viewing.is_over() {
            break;
        }
    }
    Ok(if reached || viewing.is_over() { Seen::UntilThen } else { Seen::ToTheEnd { last: viewing.last() } })
}

/// A picture for each change, at most one in each `every` of the session's time.
pub(super) fn frames(arguments: Export, eyes: &Eyes, source: &Source, context: &Context) -> Result<(), CliError> {
    let folder = folder(&arguments)?;
    let mut album = Album::new(folder.to_owned(), arguments.every.unwrap_or(EVERY))?;
    let connection = Connection::find(eyes.open(source)?, arguments.track)?;
    let mut viewing = Viewing::new(connection);
    for entry in eyes.open(source)? {
        let Some(entry) = viewing.own(entry) else { continue };
        let offset = entry.at.micros_since(viewing.started());
        if let Some(screen) = viewing.screen() {
            album.reach(offset, screen)?;
        }
        let drew = viewing.take(&entry);
        if drew && viewing.screen().is_some() {
            album.changed(entry.at.unix_micros, offset);
        }
        if viewing.is_over() {
            break;
        }
    }
    let Some(screen) = viewing.screen() else { return Err(viewing.nothing_to_see()) };
    album.end(screen)?;
    summary(&album, folder, context)?;
    viewing.end()
}

fn summary(album: &Album, folder: &Path, context: &Context) -> Result<(), CliError> {
    if context.json() {
        return context.print_json(&json!({ "frames": album.frames, "bytes": album.bytes, "folder": folder }));
    }
    context.print(&format!("{} frames, {} bytes in `{}`\n", album.frames, album.bytes, folder.display()))
}

impl At {
    /// Does it lie before that moment?
    fn is_before(self, moment: Moment, started: Moment) -> bool {
        match self {
            At::Clock(at) => at.as_microsecond() < moment.unix_micros,
            At::Offset(offset) => offset < Duration::from_micros(moment.micros_since(started)),
        }
    }
}

/// `2026-11-23T08:01:30Z`, or from the session's start: `90`, `+90s`, `1m30s`.
pub(super) fn at(text: &str) -> Result<At, String> {
    match text.parse() {
        Ok(clock) => Ok(At::Clock(clock)),
        Err(_) => span(text).map(At::Offset).map_err(|error| {
            format!(
                "{error}: give a time as `2026-11-23T08:01:30Z`, or one from the session's start as `90` or `1m30s`"
            )
        }),
    }
}

/// More than nothing, as [`span`].
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let shortest = Duration::from_millis(1);
    let period = span(text).map_err(|error| format!("{error}: give seconds as `5`, or as `1m30s`"))?;
    if period < shortest { Err("must be a millisecond or more".to_owned()) } else { Ok(period) }
}

/// Seconds, or with units.
fn span(text: &str) -> Result<Duration, String> {
    if text.parse::<f64>().is_ok() {
        return not_negative(text).map(Duration::from_secs_f64);
    }
    let span: SignedDuration = text.parse().map_err(|_| "neither a time nor a length of time".to_owned())?;
    Duration::try_from(span).map_err(|_| "must be 0 or more".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn times_are_taken_by_the_calendar_and_from_the_start() {
        let seconds = |text| match at(text) {
            Ok(At::Offset(offset)) => offset.as_secs_f64(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(["90", "+90", "+90s", "1m30s", "1m 30s", "PT90S"].map(seconds), [90.0; 6]);
        assert_eq!(["0", "1.5", "250ms"].map(seconds), [0.0, 1.5, 0.25]);
        let clock = At::Clock("2026-11-23T08:01:30Z".parse().unwrap());
        assert_eq!(["2026-11-23T08:01:30Z", "2026-11-23T09:01:30+01:00"].map(at), [Ok(clock), Ok(clock)]);
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for text in ["", "-1", "-90s", "nan", "inf", "1e300", "yesterday", "2026-11-23", "1 month"] {
            let refused = at(text).unwrap_err();
            assert!(refused.contains("`1m30s`"), "{text}: {refused}");
        }
        for text in ["0", "0s", "0.0001", "-1", "x"] {
            assert!(period(text).is_err(), "{text}");
        }
        assert_eq!(period("1m30s"), Ok(Duration::from_secs(90)));
    }
}
