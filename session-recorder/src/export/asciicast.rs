//! asciicast v2, which asciinema and its player open.
use super::tracks::window_change;
use super::{ExportError, TextStream, Track};
use crate::entry::{Direction, Entry, TrackId};
use crate::header::Header;
use crate::read::ReadError;
use serde_json::json;
use std::io::Write;

/// Writes one track. Times count from the start of the recording, as in replay and search.
pub fn asciicast(
    header: &Header,
    track: &Track,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
    mut out: impl Write,
) -> Result<(), ExportError> {
    let mut cast = Cast::new(header, track);
    writeln!(out, "{}", cast.head())?;
    for entry in entries {
        let entry = entry?;
        if entry.track != TrackId(track.track) {
            continue;
        }
        if let Some((code, text)) = cast.event(&entry) {
            let seconds = micros_to_seconds(entry.at.micros_since(header.started));
            writeln!(out, "{}", serde_json::to_string(&(seconds, code, text))?)?;
        }
    }
    out.flush()?;
    Ok(())
}

struct Cast<'a> {
    header: &'a Header,
    track: &'a Track,
    input: TextStream,
    output: TextStream,
    errors: TextStream,
}

impl<'a> Cast<'a> {
    fn new(header: &'a Header, track: &'a Track) -> Self {
        Self {
            header,
            track,
            input: TextStream::default(),
            output: TextStream::default(),
            errors: TextStream::default(),
        }
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
            "title": format!("{}: {}@{} ({})", header.identity, header.account, header.asset, header.session),
        });
        if let Some(command) = &self.track.command {
            head["command"] = json!(command);
        }
        if let Some(term) = &self.track.term {
            head["env"] = json!({ "TERM": term });
        }
        head
    }

    fn event(&mut self, entry: &Entry) -> Option<(&'static str, String)> {
        if let Some((cols, rows)) = window_change(entry) {
            return Some(("r", format!("{cols}x{rows}")));
        }
        let direction = entry.kind.direction()?;
        let code = if direction == Direction::Input { "i" } else { "o" };
        if let Some((length, _)) = entry.digest() {
            let text = format!("\r\n[{length} bytes, recorded as SHA-256 only]\r\n");
            return (direction != Direction::Input).then_some((code, text));
        }
        let text = match direction {
            Direction::Input => self.input.push(&entry.body),
            Direction::Output => self.output.push(&entry.body),
            Direction::ErrorOutput => self.errors.push(&entry.body),
        };
        if text.is_empty() {
            return None;
        }
        // Without a terminal nobody has turned line ends into what a terminal needs.
        let raw = self.track.terminal.is_none() && direction != Direction::Input;
        Some((code, if raw { text.replace('\n', "\r\n") } else { text }))
    }
}

fn micros_to_seconds(micros: u64) -> f64 {
    // Exact enough for some three centuries.
    #[allow(clippy::cast_precision_loss, reason = "asciicast wants seconds as a number")]
    let micros = micros as f64;
    micros / 1_000_000.0
}
