//! Tables for people.

/// A line of a table.
pub trait Row {
    /// The headings.
    const COLUMNS: &'static [&'static str];
    /// The values, one per heading.
    fn cells(&self) -> Vec<String>;
}

/// What came from outside, made safe for a terminal: control characters (escape sequences!) and
/// characters that turn the reading direction are shown as `\u{…}`.
#[must_use]
pub fn printable(text: &str) -> String {
    let unsafe_on_a_terminal = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(unsafe_on_a_terminal) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 16), |mut shown, c| {
        if unsafe_on_a_terminal(c) {
            shown.extend(c.escape_unicode())
        } else {
            shown.push(c)
        }
        shown
    })
}

/// Aligns cells in columns. Every cell is made [`printable`].
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = headings.iter().map(|name| name.to_uppercase()).collect();
    let body = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>());
    let lines: Vec<Vec<String>> = std::iter::once(heading).filter(|line| !line.is_empty()).chain(body).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    lines.iter().fold(String::new(), |mut text, line| {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_escapes_are_shown() {
        let rows = [vec!["a".to_owned(), "\u{1b}[2J".to_owned()], vec!["long".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["id", "name"], &rows), "ID    NAME\na     \\u{1b}[2J\nlong  x\n");
    }
}
