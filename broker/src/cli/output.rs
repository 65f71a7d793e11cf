//! Tables for people.

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
