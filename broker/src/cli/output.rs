//! Tables for people.

use std::io::IsTerminal;

use rustix::termios::tcgetwinsize;

/// A line of a table.
pub trait Row {
    /// The headings.
    const COLUMNS: &'static [&'static str];
    /// The values, one per heading.
    fn cells(&self) -> Vec<String>;
}

/// What came from outside, made safe for a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    sallyport_plain::printable(text).into_owned()
}

/// Says something on stderr, as this program. It may quote what came from outside.
pub(super) fn tell(text: &str) {
    eprintln!("sallyport: {}", sallyport_plain::printable_lines(text));
}

/// Aligns cells in columns, folded to the width of the terminal, if it goes to one. Every cell is made [`printable`].
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    table_within(headings, rows, terminal_width())
}

fn table_within(headings: &[&str], rows: &[Vec<String>], most: Option<usize>) -> String {
    let heading: Vec<String> = headings.iter().map(|name| name.to_uppercase()).collect();
    let body = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    let lines: Vec<Vec<String>> = std::iter::once(heading).filter(|line| !line.is_empty()).chain(body).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(width).collect();
    let folds = most.is_some_and(|most| narrow(&mut widths, most));
    lines.iter().fold(String::new(), |mut text, line| {
        let cells: Vec<Vec<String>> = match folds {
            true => line.iter().zip(&widths).map(|(cell, width)| fold(cell, *width)).collect(),
            false => line.iter().map(|cell| vec![cell.clone()]).collect(),
        };
        for number in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
            let part = |cell: &Vec<String>| cell.get(number).cloned().unwrap_or_default();
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{:<width$}", part(cell)));
            text.push_str(padded.collect::<Vec<_>>().join(BETWEEN).trim_end());
            text.push('\n');
        }
        text
    })
}

/// Takes from the widest columns until the table fits; says whether anything was taken. Ids stay whole while that is possible. A table
/// that cannot fit stays as it is.
fn narrow(widths: &mut [usize], most: usize) -> bool {
    let wide = widths.to_vec();
    let between = BETWEEN.len() * widths.len().saturating_sub(1);
    for least in [ID_WIDTH, NARROWEST] {
        while widths.iter().sum::<usize>() + between > most {
            match widths.iter_mut().max().filter(|widest| **widest > least) {
                Some(widest) => *widest -= 1,
                None => break,
            }
        }
    }
    if widths.iter().sum::<usize>() + between > most {
        widths.copy_from_slice(&wide);
    }
    *widths != *wide
}

/// A cell in lines that are no longer than this, broken at blanks where there are some.
fn fold(cell: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest: Vec<char> = cell.chars().collect();
    while rest.len() > width {
        let blank = rest[..=width].iter().rposition(|char| *char == ' ').filter(|at| *at > 0);
        let (end, next) = blank.map_or((width, width), |at| (at, at + 1));
        lines.push(rest[..end].iter().collect());
        rest.drain(..next);
    }
    lines.push(rest.into_iter().collect());
    lines
}

/// How wide the terminal is that reads this, if one does.
fn terminal_width() -> Option<usize> {
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| tcgetwinsize(&out).ok())??;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

const BETWEEN: &str = "  ";
/// The id of a session.
const ID_WIDTH: usize = 26;
/// What still can be read.
const NARROWEST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_escapes_are_shown() {
        let rows = [vec!["a".to_owned(), "\u{1b}[2J".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["id", "name"], &rows), "ID    NAME\na     \\u{1b}[2J\nlong  x\n");
    }

    #[test]
    fn a_table_folds_to_the_terminal_and_keeps_ids_whole() {
        let id = "01m8abcdefghjkmnpqrstvwxyz";
        let rows = [vec![id.to_owned(), "write register 100 = 1600 (was 1550), unit 1".to_owned(), "x".repeat(40)]];
        let folded = table_within(&["id", "what", "rule"], &rows, Some(80));
        assert!(folded.lines().all(|line| line.chars().count() <= 80), "{folded}");
        assert!(folded.contains(id) && folded.lines().count() > 2, "{folded}");
        let words = |text: &str| text.split_whitespace().collect::<String>();
        for word in ["register", "1550),"] {
            assert!(folded.contains(word), "{folded}");
        }
        assert_eq!(words(&folded).matches('x').count(), 41, "nothing is cut off: {folded}");
        assert_eq!(
            table_within(&["id", "what", "rule"], &rows, Some(20)),
            table_within(&["id", "what", "rule"], &rows, None)
        );
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("ab cd efghij", 5), ["ab cd", "efghi", "j"]);
    }
}
