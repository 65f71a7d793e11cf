//! Search in the text as it stood on the screen, so that what was drawn across escape sequences is found.
use crate::entry::{Direction, Entry, Kind, TrackId};
use crate::export::{TextStream, is_opaque, refused, terminal, window_change};
use crate::header::Header;
use crate::read::ReadError;
use avt::observer::DirtyRows;
use avt::{Anchor, Position, Terminal};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet, VecDeque};

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query {
    needle: Vec<char>,
    ignore_case: bool,
}

/// One place where the text was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Microseconds from the start of the recording.
    pub offset_micros: u64,
    /// Microseconds since the Unix epoch.
    pub at: i64,
    /// The track.
    pub track: u32,
    /// Where: `screen`, `output`, `error-output`, `input`, or the kind of the entry (`request`, `operation`, …).
    pub place: &'static str,
    /// The line it stands in.
    pub line: String,
}

impl Query {
    /// Looks for `text`, which must not be empty.
    pub fn new(text: &str, ignore_case: bool) -> Option<Query> {
        let needle: Vec<char> = text.chars().map(|char| fold(char, ignore_case)).collect();
        (!needle.is_empty()).then_some(Query { needle, ignore_case })
    }

    /// Where the text begins in a line, in characters.
    fn find_all(&self, line: &[char]) -> Vec<usize> {
        if line.len() < self.needle.len() {
            return Vec::new();
        }
        let folded: Vec<char> = line.iter().map(|char| fold(*char, self.ignore_case)).collect();
        folded
            .windows(self.needle.len())
            .enumerate()
            .filter(|(_, window)| *window == self.needle)
            .map(|(start, _)| start)
            .collect()
    }
}

fn fold(char: char, ignore_case: bool) -> char {
    if ignore_case { char.to_lowercase().next().unwrap_or(char) } else { char }
}

/// More connections than this at a time are not remembered as opaque; their bytes are drawn, as text or not.
const MOST_OPAQUE: usize = 10_000;

/// Reads the entries to their end and says where the text was seen.
pub struct Search<I> {
    entries: I,
    query: Query,
    started: crate::Moment,
    screens: HashMap<(TrackId, Direction), Screen>,
    terminals: HashMap<TrackId, (u16, u16)>,
    /// Connections whose bytes are no text: their operations are searched instead.
    opaque: HashSet<TrackId>,
    pending: VecDeque<Hit>,
}

/// More screens than this at a time are not drawn; a recording with as many open channels is hostile.
const MOST_SCREENS: usize = 256;

impl<I: Iterator<Item = Result<Entry, ReadError>>> Search<I> {
    /// Searches the entries of one recording.
    pub fn new(header: &Header, entries: I, query: Query) -> Self {
        Self {
            entries,
            query,
            started: header.started,
            screens: HashMap::new(),
            terminals: HashMap::new(),
            opaque: HashSet::new(),
            pending: VecDeque::new(),
        }
    }

    fn take(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Input | Kind::Output | Kind::ErrorOutput => self.take_bytes(entry),
            Kind::InputDigest | Kind::OutputDigest | Kind::ErrorOutputDigest => {}
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
                if let Some(screen) = self.screens.get_mut(&(entry.track, direction)) {
                    screen.terminal.resize(cols.into(), rows.into());
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
        lines.retain(|line| !self.query.find_all(&line.chars().collect::<Vec<_>>()).is_empty());
        // An operation says in one line what its fields say again.
        if let (Kind::Operation, Some(text), false) = (entry.kind, body["text"].as_str(), lines.is_empty()) {
            lines = vec![text];
        }
        for line in lines {
            let hit = self.hit(entry, entry.kind.word(), line.to_owned());
            self.pending.push_back(hit);
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
            let Some(screen) = Screen::new(terminal) else { return };
            self.screens.insert(key, screen);
        }
        let Some(screen) = self.screens.get_mut(&key) else { return };
        let lines = screen.show(&entry.body, &self.query);
        let place = if terminal.is_some() { "screen" } else { entry.kind.word() };
        for line in lines {
            let hit = self.hit(entry, place, line);
            self.pending.push_back(hit);
        }
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

impl<I: Iterator<Item = Result<Entry, ReadError>>> Iterator for Search<I> {
    type Item = Result<Hit, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(hit) = self.pending.pop_front() {
                return Some(Ok(hit));
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

/// One terminal, drawn, with the places where the text stands on it now.
struct Screen {
    terminal: Terminal,
    text: TextStream,
    dirty: DirtyRows,
    known: Vec<Anchor>,
}

/// Columns and rows for output without a terminal; longer lines wrap and are joined again.
const PLAIN: (u16, u16) = (200, 60);
/// Line feed also returns the carriage: what plain output means by a new line.
const NEW_LINE_MODE: &str = "\x1b[20h";

impl Screen {
    fn new(terminal: Option<(u16, u16)>) -> Option<Screen> {
        let (cols, rows) = terminal.unwrap_or(PLAIN);
        let mut screen = Screen {
            terminal: Terminal::new(cols.into(), rows.into()).ok()?,
            text: TextStream::default(),
            dirty: DirtyRows::new(),
            known: Vec::new(),
        };
        if terminal.is_none() {
            screen.terminal.feed(NEW_LINE_MODE);
        }
        Some(screen)
    }

    /// Draws the bytes and returns the lines in which the text newly stands.
    fn show(&mut self, bytes: &[u8], query: &Query) -> Vec<String> {
        let text = self.text.push(bytes);
        let mut lines = Vec::new();
        for piece in pieces(&text) {
            let dirty = self.terminal.feed_with(piece, &mut self.dirty);
            // A new line only moves what stands there.
            if piece != "\n" && !dirty.is_empty() {
                self.look(&dirty, query, &mut lines);
            }
        }
        lines
    }

    fn look(&mut self, dirty: &[usize], query: &Query, lines: &mut Vec<String>) {
        let logical = self.logical_lines(dirty);
        let mut found = Vec::new();
        for line in &logical {
            let chars: Vec<char> = line.iter().map(|cell| cell.char).collect();
            for start in query.find_all(&chars) {
                found.push((line[start].row, line[start].col, chars.iter().collect::<String>()));
            }
        }
        let screen = self.terminal.active_screen_kind();
        let touched = |row: isize| logical.iter().flatten().any(|cell| cell.row == row);
        let mut known_places = Vec::new();
        let terminal = &self.terminal;
        self.known.retain(|anchor| {
            let Some(place) = terminal.resolve(anchor) else { return false };
            if place.screen != screen || !touched(place.row) {
                return true;
            }
            known_places.push((place.row, place.col));
            found.iter().any(|(row, col, _)| (*row, *col) == (place.row, place.col))
        });
        let mut last = None;
        for (row, col, line) in found {
            if known_places.contains(&(row, col)) {
                continue;
            }
            if let Some(anchor) = self.terminal.anchor_at(Position { screen, col, row }) {
                self.known.push(anchor);
            }
            // Twice in one line is one hit.
            if last.replace(row) != Some(row) {
                lines.push(line.trim_end().to_owned());
            }
        }
    }

    /// The dirty rows as logical lines: rows that the terminal wrapped are one line.
    fn logical_lines(&self, dirty: &[usize]) -> Vec<Vec<Placed>> {
        let rows: Vec<&avt::Line> = self.terminal.screen().visible_lines().collect();
        let mut lines = Vec::new();
        let mut next = 0;
        for row in dirty {
            if *row < next || *row >= rows.len() {
                continue;
            }
            let mut first = *row;
            while first > 0 && rows[first - 1].is_wrapped() {
                first -= 1;
            }
            let mut line = Vec::new();
            let mut at = first;
            loop {
                place_cells(rows[at], at, &mut line);
                let wrapped = rows[at].is_wrapped();
                at += 1;
                if !wrapped || at >= rows.len() {
                    break;
                }
            }
            next = at;
            lines.push(line);
        }
        lines
    }
}

struct Placed {
    char: char,
    row: isize,
    col: usize,
}

fn place_cells(line: &avt::Line, row: usize, into: &mut Vec<Placed>) {
    let row = isize::try_from(row).unwrap_or(isize::MAX);
    for (col, cell) in line.cells().iter().enumerate() {
        if cell.width() > 0 {
            into.push(Placed { char: cell.char(), row, col });
        }
    }
}

/// Cuts text before everything that may move or erase, so that what is shown only for a moment is seen too.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = if first == '\n' {
            1
        } else {
            let body = first.len_utf8();
            rest[body..].find(['\n', '\r', '\x1b', '\x08']).map_or(rest.len(), |at| at + body)
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}
