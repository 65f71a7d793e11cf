//! One terminal, drawn again, and what newly stands on it.
use super::Query;
use crate::export::TextStream;
use avt::observer::DirtyRows;
use avt::{Anchor, Position, Terminal};
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// One terminal, drawn, with the places where the text stands on it now.
pub(super) struct Screen {
    terminal: Terminal,
    text: TextStream,
    dirty: DirtyRows,
    known: Vec<Anchor>,
}

/// Columns and rows for output without a terminal; longer lines wrap and are joined again.
pub(super) const PLAIN: (u16, u16) = (200, 60);
/// Line feed also returns the carriage: what plain output means by a new line.
const NEW_LINE_MODE: &str = "\x1b[20h";

impl Screen {
    pub(super) fn new(terminal: Option<(u16, u16)>) -> Option<Screen> {
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

    /// The text of the next bytes, which is to be drawn piece by piece.
    pub(super) fn text(&mut self, bytes: &[u8]) -> String {
        self.text.push(bytes)
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
        let stretches = self.stretches(dirty, query.needle.len());
        let mut found = Vec::new();
        for Stretch { cells, touched } in &stretches {
            let chars: Vec<char> = cells.iter().map(|cell| cell.char).collect();
            for start in query.find_all(&chars) {
                if touched.contains(&cells[start].row) {
                    found.push((cells[start].row, cells[start].col, excerpt(&chars, start, query.needle.len())));
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

/// The longest line that a hit tells, in characters.
const LONGEST_LINE: usize = 1000;

/// The line, or of a longer one what stands around the text.
fn excerpt(line: &[char], start: usize, length: usize) -> String {
    let before = LONGEST_LINE.saturating_sub(length) / 2;
    let first = start.saturating_sub(before).min(line.len().saturating_sub(LONGEST_LINE));
    let last = (first + LONGEST_LINE).max(start + length).min(line.len());
    line[first..last].iter().collect::<String>().trim_end().to_owned()
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
