//! asciicast v2, which asciinema and its player open.
use super::tracks::window_change;
use super::{ExportError, TextStream, Track};
use crate::entry::{Direction, Entry, TrackId};
use crate::header::Header;
use crate::read::ReadError;
use crate::replay::Sanitizer;
use sallyport_plain::printable;
use serde_json::json;
use std::io::Write;

/// How much of what passed an export shows to whoever plays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// What a replay would show: an asset may be hostile to its auditor, and a player's terminal obeys.
    Clean,
    /// All of it.
    Raw,
}

/// Writes one track. Times count from the start of the recording, as in replay and search.
pub fn asciicast(
    header: &Header,
    track: &Track,
    played: Played,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
    mut out: impl Write,
) -> Result<(), ExportError> {
    let mut cast = Cast::new(header, track, played);
    writeln!(out, "{}", sallyport_plain::json(&cast.head().to_string()))?;
    for entry in entries {
        let entry = entry?;
        if entry.track != TrackId(track.track) {
            continue;
        }
        if let Some((code, text)) = cast.event(&entry) {
            write_event(&mut out, entry.at.micros_since(header.started), code, &text)?;
        }
    }
    let left = cast.left();
    if !left.is_empty() {
        write_event(&mut out, track.to_micros, "o", &left)?;
    }
    out.flush()?;
    Ok(())
}

fn write_event(out: &mut impl Write, micros: u64, code: &str, text: &str) -> Result<(), ExportError> {
    let line = serde_json::to_string(&(micros_to_seconds(micros), code, text))?;
    writeln!(out, "{}", sallyport_plain::json(&line))?;
    Ok(())
}

struct Cast<'a> {
    header: &'a Header,
    track: &'a Track,
    input: Stream,
    output: Stream,
    errors: Stream,
}

/// One direction's bytes as text.
enum Stream {
    Clean(Box<Sanitizer>),
    Raw(TextStream),
}

impl Stream {
    fn new(played: Played) -> Self {
        match played {
            Played::Clean => Stream::Clean(Box::default()),
            Played::Raw => Stream::Raw(TextStream::default()),
        }
    }

    /// `lines`: without a terminal nobody has turned line ends into what a terminal needs.
    fn push(&mut self, bytes: &[u8], lines: bool) -> String {
        match self {
            Stream::Clean(sanitizer) => sanitizer.clean(bytes, lines),
            Stream::Raw(text) if lines => text.push(bytes).replace('\n', "\r\n"),
            Stream::Raw(text) => text.push(bytes),
        }
    }
}

impl<'a> Cast<'a> {
    fn new(header: &'a Header, track: &'a Track, played: Played) -> Self {
        Self { header, track, input: Stream::new(played), output: Stream::new(played), errors: Stream::new(played) }
    }

    fn head(&self) -> serde_json::Value {
        let (width, height) = self.track.terminal.unwrap_or((80, 24));
        let header = self.header;
        let mut head = json!({
            "version": 2,
            "width": width,
            "height": height,
            "timestamp": header.started.unix_micros.div_euclid(1_000_000),
            "duration": micros_to_seconds(self.track.to_micros),
            "title": printable(&format!("{}: {}@{} ({})", header.identity, header.account, header.asset, header.session)),
        });
        if let Some(command) = &self.track.command {
            head["command"] = json!(printable(command));
        }
        if let Some(term) = &self.track.term {
            head["env"] = json!({ "TERM": printable(term) });
        }
        head
    }

    fn event(&mut self, entry: &Entry) -> Option<(&'static str, String)> {
        if let Some((cols, rows)) = window_change(entry) {
            return Some(("r", format!("{cols}x{rows}")));
        }
        let direction = entry.kind.direction()?;
        let code = if direction == Direction::Input { "i" } else { "o" };
        if let Some(length) = entry.unstored() {
            let text = format!("\r\n[{length} bytes, recorded as SHA-256 only]\r\n");
            return (direction != Direction::Input).then_some((code, text));
        }
        let lines = self.track.terminal.is_none();
        let text = match direction {
            Direction::Input => self.input.push(&entry.body, false),
            Direction::Output => self.output.push(&entry.body, lines),
            Direction::ErrorOutput => self.errors.push(&entry.body, lines),
        };
        (!text.is_empty()).then_some((code, text))
    }

    /// What the streams still hold back.
    fn left(&mut self) -> String {
        let left = |stream: &mut Stream| match stream {
            Stream::Clean(sanitizer) => sanitizer.finish(),
            Stream::Raw(text) => text.finish().to_owned(),
        };
        left(&mut self.output) + &left(&mut self.errors)
    }
}

fn micros_to_seconds(micros: u64) -> f64 {
    // Exact enough for some three centuries.
    #[allow(clippy::cast_precision_loss, reason = "asciicast wants seconds as a number")]
    let micros = micros as f64;
    micros / 1_000_000.0
}
