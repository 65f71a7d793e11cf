//! What a recording holds, track by track.
use crate::entry::{Direction, Entry, Kind, TrackId};
use crate::header::Header;
use crate::read::ReadError;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One channel of the session, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Track {
    /// Its number.
    pub track: u32,
    /// What was opened.
    pub opened: Value,
    /// The terminal that was granted: columns and rows as first asked.
    pub terminal: Option<(u16, u16)>,
    /// The most columns and the most rows that it had.
    pub largest: Option<(u16, u16)>,
    /// The terminal's type.
    pub term: Option<String>,
    /// `shell`, `exec` or `subsystem`.
    pub runs: Option<String>,
    /// The command or subsystem.
    pub command: Option<String>,
    /// How it ended, if it did.
    pub closed: Option<Value>,
    /// Microseconds from the start of the recording to the first entry.
    pub from_micros: u64,
    /// Microseconds from the start of the recording to the last entry.
    pub to_micros: u64,
    /// Bytes from the person.
    pub input_bytes: u64,
    /// Bytes from the asset.
    pub output_bytes: u64,
    /// Bytes of either that are held as digests only.
    pub digested_bytes: u64,
}

/// The largest terminal that is drawn; a client may claim any size.
pub(crate) const LARGEST: (u16, u16) = (1000, 500);

/// The tracks of a recording; reads it to the end.
pub fn tracks(
    header: &Header,
    entries: impl Iterator<Item = Result<Entry, ReadError>>,
) -> Result<Vec<Track>, ReadError> {
    const MOST: usize = 100_000;
    let mut tracks: BTreeMap<TrackId, Track> = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if tracks.len() >= MOST && !tracks.contains_key(&entry.track) {
            continue;
        }
        let offset = entry.at.micros_since(header.started);
        let track = tracks.entry(entry.track).or_insert_with(|| Track {
            track: entry.track.0,
            from_micros: offset,
            ..Track::default()
        });
        track.to_micros = offset;
        track.take(&entry);
    }
    Ok(tracks.into_values().collect())
}

impl Track {
    /// True for a TCP connection: it has bytes, and no screen.
    pub fn is_tcp(&self) -> bool {
        is_tcp(&self.opened)
    }

    fn take(&mut self, entry: &Entry) {
        let unstored = entry.unstored();
        let bytes = unstored.unwrap_or(entry.body.len() as u64);
        match entry.kind.direction() {
            Some(Direction::Input) => self.input_bytes = self.input_bytes.saturating_add(bytes),
            Some(Direction::Output | Direction::ErrorOutput) => {
                self.output_bytes = self.output_bytes.saturating_add(bytes);
            }
            None => {}
        }
        self.digested_bytes = self.digested_bytes.saturating_add(unstored.unwrap_or(0));
        match (entry.kind, entry.json()) {
            (Kind::Opened, Some(body)) => self.opened = body,
            (Kind::Closed, Some(body)) => self.closed = Some(body),
            (Kind::Request, Some(body)) => self.take_request(&body),
            _ => {}
        }
    }

    fn grow(&mut self, size: Option<(u16, u16)>) {
        let Some((cols, rows)) = size else { return };
        let (most_cols, most_rows) = self.largest.unwrap_or_default();
        self.largest = Some((cols.max(most_cols), rows.max(most_rows)));
    }

    /// A request and its answer may be one entry or two, of which the second repeats nothing.
    fn take_request(&mut self, body: &Value) {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let request = body["request"].as_str();
        match (request, refused(body)) {
            (Some("pty"), false) => {
                self.terminal = terminal(body).or(self.terminal);
                self.grow(self.terminal);
                self.term = text("term").or_else(|| self.term.take());
            }
            (Some("pty"), true) => (self.terminal, self.term, self.largest) = (None, None, None),
            (Some("window"), _) => self.grow(terminal(body)),
            (Some("shell" | "exec" | "subsystem"), false) => {
                self.runs = text("request");
                self.command = text("command").or_else(|| text("name")).or_else(|| self.command.take());
            }
            (Some("shell" | "exec" | "subsystem"), true) => (self.runs, self.command) = (None, None),
            _ => {}
        }
    }
}

/// True when what was opened is a TCP connection: a session's own, or a forward inside an ssh session.
pub(crate) fn is_tcp(opened: &Value) -> bool {
    opened["channel"] == "stream" || opened["channel"] == "forward"
}

/// True for a TCP connection whose bytes are no text: its protocol is a binary one.
pub(crate) fn is_opaque(opened: &Value) -> bool {
    is_tcp(opened) && opened["protocol"].as_str().is_some_and(|protocol| protocol != "tcp")
}

/// True when a request was refused by the broker or by the asset.
pub(crate) fn refused(body: &Value) -> bool {
    body["allowed"] == false || body["answer"] == "failure"
}

/// The size that a `pty` or `window` request asks for; `None` when the entry says none.
pub(crate) fn terminal(body: &Value) -> Option<(u16, u16)> {
    body.get("cols").map(|_| size(body))
}

/// Columns and rows of a `pty` or `window` request, within what can be drawn.
fn size(body: &Value) -> (u16, u16) {
    let within = |name: &str, usual: u16, largest: u16| {
        let asked = body[name].as_u64().filter(|asked| *asked > 0).unwrap_or(usual.into());
        u16::try_from(asked).unwrap_or(largest).min(largest)
    };
    (within("cols", 80, LARGEST.0), within("rows", 24, LARGEST.1))
}

/// The new size, for an entry that is a window change.
pub(crate) fn window_change(entry: &Entry) -> Option<(u16, u16)> {
    let body = entry.json().filter(|_| entry.kind == Kind::Request)?;
    if body["request"] == "window" { terminal(&body) } else { None }
}
