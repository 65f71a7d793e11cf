//! A larger terminal on a smaller one: of what stood on it, the part around the cursor.
use avt::{Cell, Color, Pen, Terminal};
use std::fmt::Write as _;

/// Draws what was shown on a terminal of one size, and shows of it what another has room for.
pub struct Fit {
    terminal: Terminal,
    columns: usize,
    rows: usize,
}

impl Fit {
    /// A terminal of `recorded` columns and rows on one of `here`; `None` if either has none.
    pub fn new(recorded: (u16, u16), here: (u16, u16)) -> Option<Self> {
        let (columns, rows) = (usize::from(here.0), usize::from(here.1));
        let terminal = Terminal::new(recorded.0.into(), recorded.1.into()).ok()?;
        (columns > 0 && rows > 0).then_some(Self { terminal, columns, rows })
    }

    /// The terminal got another size, in columns and rows.
    pub fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.terminal.resize(usize::from(columns).max(1), usize::from(rows).max(1));
    }

    /// Draws what a replay shows, which is [clean](super::Sanitizer), and returns the whole picture anew. The part shown is the
    /// upper left one, moved as far as the cursor needs.
    pub fn show(&mut self, clean: &str) -> String {
        self.terminal.feed(clean);
        let at = self.terminal.cursor_position();
        let row = usize::try_from(at.row).unwrap_or(0);
        let (left, top) = (first(at.col, self.columns), first(row, self.rows));
        let mut picture = String::from("\x1b[?25l");
        for (number, line) in self.terminal.screen().visible_lines().skip(top).take(self.rows).enumerate() {
            // Writing to a string cannot fail.
            write!(picture, "\x1b[{};1H\x1b[0m", number + 1).ok();
            draw(line.cells().get(left..).unwrap_or_default(), self.columns, &mut picture);
            picture.push_str("\x1b[0m\x1b[K");
        }
        let shown = if self.terminal.cursor().visible { "\x1b[?25h" } else { "" };
        write!(picture, "\x1b[0m\x1b[J\x1b[{};{}H{shown}", row - top + 1, at.col.saturating_sub(left) + 1).ok();
        picture
    }
}

/// The first of so many places, so that the cursor's is among them.
fn first(cursor: usize, places: usize) -> usize {
    (cursor + 1).saturating_sub(places)
}

fn draw(cells: &[Cell], columns: usize, picture: &mut String) {
    let mut pen = Pen::default();
    let mut column = 0;
    for cell in cells {
        let width = usize::from(cell.width());
        if column + width > columns {
            return;
        }
        if *cell.pen() != pen {
            pen = *cell.pen();
            colour(&pen, picture);
        }
        if width > 0 {
            picture.push(cell.char());
        }
        column += width;
    }
}

fn colour(pen: &Pen, picture: &mut String) {
    picture.push_str("\x1b[0");
    let attributes = [
        (pen.is_bold(), 1),
        (pen.is_faint(), 2),
        (pen.is_italic(), 3),
        (pen.is_underline(), 4),
        (pen.is_blink(), 5),
        (pen.is_inverse(), 7),
        (pen.is_strikethrough(), 9),
    ];
    for (_, number) in attributes.into_iter().filter(|(set, _)| *set) {
        write!(picture, ";{number}").ok();
    }
    for (plane, colour) in [(38, pen.foreground()), (48, pen.background())] {
        match colour {
            Some(Color::Indexed(index)) => write!(picture, ";{plane};5;{index}").ok(),
            Some(Color::RGB(rgb)) => write!(picture, ";{plane};2;{};{};{}", rgb.r, rgb.g, rgb.b).ok(),
            None => None,
        };
    }
    picture.push('m');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::replay::Sanitizer;

    /// What a terminal of that size shows of the picture.
    fn seen(picture: &str, (columns, rows): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(columns.into(), rows.into()).unwrap();
        terminal.feed(picture);
        terminal.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect()
    }

    #[test]
    fn the_part_around_the_cursor_is_shown_and_nothing_wraps() {
        let here = (10, 3);
        let mut fit = Fit::new((300, 100), here).unwrap();
        let wide = fit.show(&format!("{}\r\nsecond\x1b[1;1H", "0123456789".repeat(30)));
        assert_eq!(seen(&wide, here), ["0123456789", "second", ""]);
        let far = fit.show("\x1b[50;250Hend\x1b[48;240H\x1b[31mred\x1b[50;253H");
        assert_eq!(seen(&far, here), ["", "", "      end"]);
        // A wide character that would stand half outside does not.
        let mut fit = Fit::new((300, 100), (3, 1)).unwrap();
        assert_eq!(seen(&fit.show("界界界\x1b[1;1H"), (3, 1)), ["界"]);
        for picture in [wide, far] {
            assert_eq!(Sanitizer::default().clean(picture.as_bytes(), false), picture, "it only draws");
        }
    }
}
