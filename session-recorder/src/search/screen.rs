//! One terminal, drawn again, and what newly stands on it.
use super::Query;
use super::query::{LONGEST_LINE, excerpt};
use crate::export::TextStream;
use crate::replay::{Heard, Sanitizer};
use avt::observer::DirtyRows;
use avt::{Anchor, Position, Terminal};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// One terminal, drawn, with the places where the text stands on it now.
pub(super) struct Screen {
    terminal: Terminal,
    text: TextStream,
    dirty: DirtyRows,
    /// Listens to what control strings hold.
    ear: Sanitizer,
    known: Vec<Anchor>,
}

/// Columns and rows for output without a terminal; longer lines wrap and are joined again.
pub(super) const PLAIN: (u16, u16) = (200, 60);
/// Line feed also returns the carriage: what plain output means by a new line.
const NEW_LINE_MODE: &str = "\x1b[20h";

impl Screen {
    pub(super) fn new(terminal: Option<(u16, u16)>, query: &Query) -> Option<Screen> {
        let (cols, rows) = terminal.unwrap_or(PLAIN);
        let mut screen = Screen {
            terminal: Terminal::new(cols.into(), rows.into()).ok()?,
            text: TextStream::or_latin1(),
            dirty: DirtyRows::new(),
            // A letter may be written as several characters, and with such between that cannot be seen.
            ear: Sanitizer::listening(4 * query.length()),
            known: Vec::new(),
        };
        if terminal.is_none() {
            screen.terminal.feed(NEW_LINE_MODE);
        }
        Some(screen)
    }

    /// The text of the next bytes, which is to be drawn piece by piece. A control of eight bits is none: what it would hide from
    /// the screen is text, as in a replay.
    pub(super) fn text(&mut self, bytes: &[u8]) -> String {
        let text = self.text.push(bytes);
        let eight_bits = |char| matches!(char, '\u{80}'..='\u{9f}');
        if text.contains(eight_bits) { text.replace(eight_bits, "\u{fffd}") } else { text }
    }

    /// Where in control strings the text newly stands: titles, and what hides there. No screen shows it.
    pub(super) fn heard(&mut self, text: &str, query: &Query) -> Vec<(&'static str, String)> {
        self.ear.clean_text(text, false);
        let mut found = Vec::new();
        for Heard { text, before, title } in self.ear.heard() {
            // What was heard before was told before.
            let new = query.find_all(&text).into_iter().find(|place| place.end > before);
            found.extend(new.map(|place| (if title { "title" } else { "control-string" }, excerpt(&text, &place))));
        }
        found
    }

    pub(super) fn resize(&mut self, (cols, rows): (u16, u16)) {
        self.terminal.resize(cols.into(), rows.into());
    }

    /// How many characters there is room for.
    pub(super) fn cells(&self) -> usize {
        let (cols, rows) = self.terminal.size();
        cols * rows
    }

    /// Draws a piece and returns the lines in which the text newly stands.
    pub(super) fn show(&mut self, piece: &str, query: &Query) -> Vec<String> {
        let dirty = self.terminal.feed_with(piece, &mut self.dirty);
        // A new line only moves what stands there.
        if piece == "\n" || dirty.is_empty() {
            return Vec::new();
        }
        self.look(&dirty, query)
    }

    fn look(&mut self, dirty: &[usize], query: &Query) -> Vec<String> {
        let stretches = self.stretches(dirty, query.length());
        let mut found = Vec::new();
        for Stretch { cells, touched } in &stretches {
            let chars: Vec<char> = cells.iter().map(|cell| cell.char).collect();
            for place in query.find_all(&chars) {
                let start = &cells[place.start];
                if touched.contains(&start.row) {
                    found.push((start.row, start.col, excerpt(&chars, &place)));
                }
            }
        }
        let screen = self.terminal.active_screen_kind();
        let places: HashSet<(isize, usize)> = found.iter().map(|(row, col, _)| (*row, *col)).collect();
        let mut known_places = HashSet::new();
        let terminal = &self.terminal;
        self.known.retain(|anchor| {
            let Some(place) = terminal.resolve(anchor) else { return false };
            if place.screen != screen || !stretches.iter().any(|stretch| stretch.touched.contains(&place.row)) {
                return true;
            }
            known_places.insert((place.row, place.col));
            places.contains(&(place.row, place.col))
        });
        let (mut lines, mut last) = (Vec::new(), None);
        for (row, col, line) in found {
            if known_places.contains(&(row, col)) {
                continue;
            }
            if let Some(anchor) = self.terminal.anchor_at(Position { screen, col, row }) {
                self.known.push(anchor);
            }
            // Twice in one line is one hit.
            if last.replace(row) != Some(row) {
                lines.push(line);
            }
        }
        lines
    }

    /// The dirty rows with what stands around them: rows that the terminal wrapped are one line, as far as a hit tells of it.
    fn stretches(&self, dirty: &[usize], needle: usize) -> Vec<Stretch> {
        let rows: Vec<&avt::Line> = self.terminal.screen().visible_lines().collect();
        // A character takes two cells at most.
        let reach = (2 * needle).max(LONGEST_LINE) / self.terminal.size().0.max(1) + 1;
        let mut dirty = dirty.iter().copied().filter(|row| *row < rows.len()).peekable();
        let mut stretches = Vec::new();
        while let Some(row) = dirty.next() {
            let mut first = row;
            while first > 0 && row - first < reach && rows[first - 1].is_wrapped() {
                first -= 1;
            }
            let (mut cells, mut at, mut last) = (Vec::new(), first, row);
            loop {
                place_cells(rows[at], at, &mut cells);
                let wrapped = rows[at].is_wrapped();
                at += 1;
                if !wrapped || at >= rows.len() {
                    // The line ends here, and whatever of it is dirty was seen.
                    while let Some(row) = dirty.next_if(|row| *row < at) {
                        last = row;
                    }
                    break;
                }
                while let Some(row) = dirty.next_if(|row| *row <= at) {
                    last = row;
                }
                if at > last + reach {
                    break;
                }
            }
            stretches.push(Stretch { cells, touched: signed(first)..=signed(last) });
        }
        stretches
    }
}

/// A part of a line. What begins in the touched rows may be new or gone; what begins behind them stands as it stood.
struct Stretch {
    cells: Vec<Placed>,
    touched: RangeInclusive<isize>,
}

fn signed(row: usize) -> isize {
    isize::try_from(row).unwrap_or(isize::MAX)
}

struct Placed {
    char: char,
    row: isize,
    col: usize,
}

fn place_cells(line: &avt::Line, row: usize, into: &mut Vec<Placed>) {
    let row = signed(row);
    for (col, cell) in line.cells().iter().enumerate() {
        if cell.width() > 0 {
            into.push(Placed { char: cell.char(), row, col });
        }
    }
}

/// Text up to what may move or erase next, so that what is shown only for a moment is seen too.
pub(super) fn first_piece(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    if first == '\n' {
        return text.get(..1);
    }
    let body = first.len_utf8();
    let end = text[body..].find(['\n', '\r', '\x1b', '\x08']).map_or(text.len(), |at| at + body);
    text.get(..end)
}
