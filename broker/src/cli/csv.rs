//! Tables for spreadsheets: CSV as RFC 4180 has it, in which nothing is a formula.

use super::printable;

/// The first line: names of our own.
pub(super) fn csv_heading(names: &[&str]) -> String {
    line(names.iter().map(|name| (*name).to_owned()))
}

/// Rows. What a spreadsheet would take for a formula gets an apostrophe in front.
pub(super) fn csv_rows(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    rows.into_iter().map(|row| line(row.into_iter().map(|cell| harmless(&cell)))).collect()
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.map(|cell| quoted(&cell)).collect();
    cells.join(",") + "\r\n"
}

fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// Whoever chose a name must not choose what the reader's spreadsheet does, nor their terminal.
fn harmless(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if formula { format!("'{}", printable(cell)) } else { printable(cell) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_commas_and_quotes_is_quoted_and_no_cell_is_a_formula() {
        let cells =
            ["plain", "a, b", "say \"yes\"", "=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "a=b", ""];
        let row: Vec<String> = cells.map(str::to_owned).to_vec();
        assert_eq!(
            csv_heading(&["one", "two"]) + &csv_rows([row]),
            "one,two\r\nplain,\"a, b\",\"say \"\"yes\"\"\",\"'=HYPERLINK(\"\"x\"\")\",'+1,'-1,'@SUM(A1),'\\tx,'\\rx,a=b,\r\n"
        );
    }
}
