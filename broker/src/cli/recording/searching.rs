//! `sallyport recording search`: prints as it finds, and holds no more than one line.

use std::io::Write;
use std::path::Path;

use sallyport_plain::printable;
use sallyport_session_recorder::search as find;
use serde::Serialize;

use super::source::{Eyes, Source, check_identity, is_on_record, put_on_record};
use super::{CliError, Context, Search};
use crate::audit::{AuditEvent, searched_digest};
use crate::cli::output::tell;
use crate::store::recordings::RecordingFilter;

pub(super) async fn search(arguments: Search, context: &Context) -> Result<(), CliError> {
    let Search { text, recordings, ignore_case, limit, per_recording, keys, filter } = arguments;
    // A key was given so before a person was.
    if let Some(file) = filter.identity.as_deref().filter(|name| Path::new(name).exists()) {
        return Err(CliError::Usage(format!("`--identity` is a person; give the key `{file}` with `--key-file`")));
    }
    let query = find::Query::new(&text, ignore_case)
        .ok_or_else(|| CliError::Usage("there is nothing to look for".to_owned()))?;
    let mut sources = Vec::new();
    for named in &recordings {
        sources.push(Source::find(named, context).await?);
    }
    if recordings.is_empty() {
        let all = RecordingFilter { removed: false, limit: None, ..filter.into() };
        for each in context.store().await?.recordings(&all).await.map_err(CliError::failed)? {
            sources.push(Source::of(each.recording, context)?);
        }
    }
    let eyes = Eyes::new(&keys.into(), context).await?;
    audit(&text, &sources, context).await?;
    let mut found = Found::begin(std::io::stdout().lock(), context.json(), limit, per_recording)?;
    let mut unread = 0_usize;
    for source in &sources {
        // One recording that cannot be read does not hide the others.
        match search_one(source, &eyes, &query, &mut found) {
            Ok(()) => {}
            Err(CliError::Output(error)) => return Err(CliError::Output(error)),
            Err(error) => {
                tell(&error.to_string());
                unread += 1;
            }
        }
    }
    found.end()?;
    match unread {
        0 => Ok(()),
        _ => Err(CliError::Failed(format!(
            "{unread} of {} recordings could not be searched to their end",
            sources.len()
        ))),
    }
}

/// Puts on record that somebody searched, not for what: it may be a password that got out.
async fn audit(text: &str, sources: &[Source], context: &Context) -> Result<(), CliError> {
    let Some(first) = sources.first().filter(|source| is_on_record(source, context)) else { return Ok(()) };
    let session = match sources {
        [source] => source.recording.as_ref().map(|recording| recording.start.session.clone()),
        _ => None,
    };
    let key = context.vault().await?.evidence_key().map_err(CliError::setup)?;
    let event = AuditEvent::RecordingSearched {
        session,
        text: String::new(),
        digest: Some(searched_digest(&key, text)),
        length: Some(text.chars().count() as u64),
        recordings: sources.len() as u64,
    };
    put_on_record(event, first, context).await
}

fn search_one<W: Write>(
    source: &Source,
    eyes: &Eyes,
    query: &find::Query,
    found: &mut Found<W>,
) -> Result<(), CliError> {
    let reader = eyes.open(source)?;
    let header = reader.header().clone();
    check_identity(&header, source)?;
    let mut read = Ok(());
    found.recording();
    for hit in find::Hits::new(&header, reader, query.clone()) {
        match hit {
            Ok(hit) => found.hit(&header.session, hit)?,
            Err(error) => read = Err(CliError::Failed(format!("`{}`: {error}", source.path.display()))),
        }
    }
    if found.rest > 0 {
        let (rest, session) = (found.rest, &header.session);
        tell(&format!("{rest} more in `{session}` are not shown; `--per-recording` and `--limit` show more"));
    }
    read
}

/// Hits as they are printed.
struct Found<W> {
    out: W,
    json: bool,
    limit: u64,
    per_recording: u64,
    /// How many were printed: in all, and of this recording.
    printed: u64,
    here: u64,
    /// How many of this recording were not.
    rest: u64,
}

/// A hit as it is shown.
#[derive(Debug, Serialize)]
struct HitLine<'a> {
    session: &'a str,
    #[serde(flatten)]
    hit: find::Hit,
}

impl<W: Write> Found<W> {
    fn begin(mut out: W, json: bool, limit: u64, per_recording: u64) -> Result<Self, CliError> {
        let head = if json { "[".to_owned() } else { line("SESSION", "OFFSET", "TRACK", "PLACE", "LINE") + "\n" };
        out.write_all(head.as_bytes()).map_err(CliError::Output)?;
        Ok(Self { out, json, limit, per_recording, printed: 0, here: 0, rest: 0 })
    }

    /// Another recording begins.
    fn recording(&mut self) {
        (self.here, self.rest) = (0, 0);
    }

    fn hit(&mut self, session: &str, hit: find::Hit) -> Result<(), CliError> {
        if self.printed >= self.limit || self.here >= self.per_recording {
            self.rest += 1;
            return Ok(());
        }
        let text = if self.json {
            let text = serde_json::to_string(&HitLine { session, hit }).map_err(CliError::failed)?;
            let between = if self.printed == 0 { "\n" } else { ",\n" };
            format!("{between}{}", sallyport_plain::json(&text))
        } else {
            let offset = format!("{}.{:03}", hit.offset_micros / 1_000_000, hit.offset_micros / 1000 % 1000);
            line(session, &offset, &hit.track.to_string(), hit.place, &hit.line) + "\n"
        };
        self.out.write_all(text.as_bytes()).map_err(CliError::Output)?;
        self.printed += 1;
        self.here += 1;
        Ok(())
    }

    fn end(mut self) -> Result<(), CliError> {
        if self.json {
            self.out.write_all(if self.printed == 0 { b"]\n" } else { b"\n]\n" }).map_err(CliError::Output)?;
        }
        self.out.flush().map_err(CliError::Output)
    }
}

/// A line of the table, as wide as its columns mostly are: the widest is known only at the end.
fn line(session: &str, offset: &str, track: &str, place: &str, line: &str) -> String {
    format!("{:<26}  {offset:>9}  {track:>5}  {place:<9}  {}", printable(session), printable(line))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    fn hit(line: &str) -> find::Hit {
        find::Hit { offset_micros: 1_500_000, at: 0, track: 1, place: "screen", line: line.to_owned() }
    }

    #[test]
    fn lines_are_printed_up_to_their_limits_and_the_rest_is_counted() {
        let mut out = Vec::new();
        let mut found = Found::begin(&mut out, false, 3, 2).unwrap();
        let mut rests = Vec::new();
        for session in ["s1", "s2"] {
            found.recording();
            (0..5).for_each(|_| found.hit(session, hit("x\u{1b}[2J")).unwrap());
            rests.push(found.rest);
        }
        found.end().unwrap();
        assert_eq!(rests, [3, 4]);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.ends_with("1.500      1  screen     x\\u{1b}[2J\n"), "{text}");
    }

    #[test]
    fn as_json_it_is_one_list_in_which_nothing_acts_on_a_terminal() {
        for (hits, expected) in [(0, 0), (2, 2), (9, 3)] {
            let mut out = Vec::new();
            let mut found = Found::begin(&mut out, true, 3, 100).unwrap();
            (0..hits).for_each(|_| found.hit("s1", hit("x\u{9b}2J")).unwrap());
            found.end().unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.chars().all(|char| char == '\n' || sallyport_plain::is_plain(char)), "{text:?}");
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read.as_array().unwrap().len(), expected);
        }
    }
}
