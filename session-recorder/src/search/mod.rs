//! Search in the text as it stood on the screen, so that what was drawn across escape sequences is found; and in what control
//! strings hold, which no screen shows.
mod query;
mod screen;

pub use query::Query;

use crate::entry::{Direction, Entry, Kind, TrackId};
use crate::export::{LARGEST, is_opaque, refused, terminal, window_change};
use crate::header::Header;
use crate::read::ReadError;
use query::LONGEST_LINE;
use screen::{PLAIN, Screen, first_piece};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};

/// One place where the text was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Microseconds from the start of the recording.
    pub offset_micros: u64,
    /// Microseconds since the Unix epoch.
    pub at: i64,
    /// The track.
    pub track: u32,
    /// Where: `screen`, `output`, `error-output`, `input`, `title` (of a window), `control-string` (which no screen shows), or
    /// the kind of the entry (`request`, `operation`, …).
    pub place: &'static str,
    /// The line it stands in.
    pub line: String,
}

/// More connections than this at a time are not remembered as opaque; their bytes are drawn, as text or not.
const MOST_OPAQUE: usize = 10_000;

/// Reads the entries to their end and says where the text was seen.
pub struct Hits<I> {
    entries: I,
    query: Query,
    started: crate::Moment,
    screens: HashMap<(TrackId, Direction), Screen>,
    terminals: HashMap<TrackId, (u16, u16)>,
    /// Connections whose bytes are no text: their operations are searched instead.
    opaque: HashSet<TrackId>,
    drawing: Option<Drawing>,
    pending: VecDeque<Hit>,
}

/// More screens than this at a time are not drawn; a recording with as many open channels is hostile.
const MOST_SCREENS: usize = 256;
/// More cells than those of this many of the largest terminals are not drawn at a time: a terminal beyond them is drawn
/// as plain output.
const MOST_LARGE: usize = 3;

/// Output that is being drawn: piece by piece, so that only the hits of one wait to be told.
struct Drawing {
    key: (TrackId, Direction),
    text: String,
    /// How much of it was drawn.
    drawn: usize,
    place: &'static str,
    offset_micros: u64,
    at: i64,
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Hits<I> {
    /// Searches the entries of one recording.
    pub fn new(header: &Header, entries: I, query: Query) -> Self {
        Self {
            entries,
            query,
            started: header.started,
            screens: HashMap::new(),
            terminals: HashMap::new(),
            opaque: HashSet::new(),
            drawing: None,
            pending: VecDeque::new(),
        }
    }

    fn take(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Input | Kind::Output | Kind::ErrorOutput => self.take_bytes(entry),
            Kind::InputDigest
            | Kind::OutputDigest
            | Kind::ErrorOutputDigest
            | Kind::InputFile
            | Kind::OutputFile
            | Kind::ErrorOutputFile => {}
            Kind::Opened | Kind::Request | Kind::Operation | Kind::Notice => self.take_json(entry),
            Kind::Closed => {
                self.take_json(entry);
                self.screens.retain(|(track, _), _| *track != entry.track);
                self.terminals.remove(&entry.track);
                self.opaque.remove(&entry.track);
            }
        }
    }

    fn take_json(&mut self, entry: &Entry) {
        let Some(body) = entry.json() else { return };
        if entry.kind == Kind::Request && body["request"] == "pty" {
            if refused(&body) {
                self.terminals.remove(&entry.track);
            } else if let Some(size) = terminal(&body) {
                self.terminals.insert(entry.track, size);
            }
        }
        if let Some((cols, rows)) = window_change(entry) {
            for direction in [Direction::Output, Direction::ErrorOutput] {
                let size = self.drawn_size((cols, rows), (entry.track, direction));
                if let Some(screen) = self.screens.get_mut(&(entry.track, direction)) {
                    screen.resize(size);
                }
            }
            if let Some(terminal) = self.terminals.get_mut(&entry.track) {
                *terminal = (cols, rows);
            }
        }
        if entry.kind == Kind::Opened && is_opaque(&body) && self.opaque.len() < MOST_OPAQUE {
            self.opaque.insert(entry.track);
        }
        let mut lines = Vec::new();
        strings(&body, &mut lines);
        let mut found: Vec<String> = lines.into_iter().filter_map(|line| self.query.line(line)).collect();
        // An operation says in one line what its fields say again.
        if let (Kind::Operation, Some(text), false) = (entry.kind, body["text"].as_str(), found.is_empty()) {
            found = vec![self.query.line(text).unwrap_or_else(|| text.chars().take(LONGEST_LINE).collect())];
        }
        for line in found {
            self.pending.push_back(self.hit(entry, entry.kind.word(), line));
        }
    }

    fn take_bytes(&mut self, entry: &Entry) {
        let Some(direction) = entry.kind.direction() else { return };
        if self.opaque.contains(&entry.track) {
            return;
        }
        let terminal = self.terminals.get(&entry.track).copied();
        // What is typed on a terminal is seen on it, or was not meant to be seen.
        if direction == Direction::Input && terminal.is_some() {
            return;
        }
        let key = (entry.track, direction);
        if !self.screens.contains_key(&key) {
            if self.screens.len() >= MOST_SCREENS {
                return;
            }
            let size = terminal.map(|size| self.drawn_size(size, key));
            let Some(screen) = Screen::new(size, &self.query) else { return };
            self.screens.insert(key, screen);
        }
        let Some(screen) = self.screens.get_mut(&key) else { return };
        let text = screen.text(&entry.body);
        let heard = screen.heard(&text, &self.query);
        self.drawing = Some(Drawing {
            key,
            text,
            drawn: 0,
            place: if terminal.is_some() { "screen" } else { entry.kind.word() },
            offset_micros: entry.at.micros_since(self.started),
            at: entry.at.unix_micros,
        });
        for (place, line) in heard {
            self.pending.push_back(self.hit(entry, place, line));
        }
    }

    /// The size that a terminal is drawn in: its own, while there is room for it beside the others.
    fn drawn_size(&self, (cols, rows): (u16, u16), key: (TrackId, Direction)) -> (u16, u16) {
        let cells = |(cols, rows): (u16, u16)| usize::from(cols) * usize::from(rows);
        let others = self.screens.iter().filter(|(other, _)| **other != key);
        let taken: usize = others.map(|(_, screen)| screen.cells()).filter(|size| *size > cells(PLAIN)).sum();
        let wanted = cells((cols, rows));
        let fits = wanted <= cells(PLAIN) || taken + wanted <= MOST_LARGE * cells(LARGEST);
        if fits { (cols, rows) } else { PLAIN }
    }

    /// Draws one more piece; false when nothing is left to be drawn.
    fn draw(&mut self) -> bool {
        let Some(drawing) = &mut self.drawing else { return false };
        let (Some(piece), Some(screen)) =
            (first_piece(&drawing.text[drawing.drawn..]), self.screens.get_mut(&drawing.key))
        else {
            self.drawing = None;
            return false;
        };
        drawing.drawn += piece.len();
        let lines = screen.show(piece, &self.query);
        self.pending.extend(lines.into_iter().map(|line| Hit {
            offset_micros: drawing.offset_micros,
            at: drawing.at,
            track: drawing.key.0.0,
            place: drawing.place,
            line,
        }));
        true
    }

    fn hit(&self, entry: &Entry, place: &'static str, line: String) -> Hit {
        Hit {
            offset_micros: entry.at.micros_since(self.started),
            at: entry.at.unix_micros,
            track: entry.track.0,
            place,
            line,
        }
    }
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Iterator for Hits<I> {
    type Item = Result<Hit, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(hit) = self.pending.pop_front() {
                return Some(Ok(hit));
            }
            if self.draw() {
                continue;
            }
            match self.entries.next()? {
                Ok(entry) => self.take(&entry),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn strings<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|value| strings(value, into)),
        Value::Object(values) => values.values().for_each(|value| strings(value, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
