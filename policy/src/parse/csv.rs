//! One line of a CSV file (RFC 4180, without line breaks in fields), each field with its place.

/// A field: where it begins in the line, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) offset: usize,
    pub(crate) text: String,
}

/// Why a line cannot be taken apart, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsvError {
    #[error("a quoted field is not closed on its line")]
    Unclosed(usize),
    #[error("a quote within a field: quote the whole field, and write the quote twice")]
    StrayQuote(usize),
}

impl CsvError {
    pub(crate) fn offset(self) -> usize {
        match self {
            Self::Unclosed(offset) | Self::StrayQuote(offset) => offset,
        }
    }
}

/// The fields of a line, without the blanks around them.
pub(crate) fn fields(line: &str) -> Result<Vec<Field>, CsvError> {
    let mut fields = Vec::new();
    let mut begin = 0;
    loop {
        let offset = begin + blanks(&line[begin..]);
        let rest = &line[offset..];
        let (text, length) = match rest.strip_prefix('"') {
            Some(rest) => quoted(rest).ok_or(CsvError::Unclosed(offset)).map(|(text, length)| (text, length + 1))?,
            None => plain(rest).map_err(|at| CsvError::StrayQuote(offset + at))?,
        };
        let end = offset + length;
        fields.push(Field { offset, text });
        let after = end + blanks(&line[end..]);
        match line[after..].chars().next() {
            None => return Ok(fields),
            Some(',') => begin = after + 1,
            Some(_) => return Err(CsvError::StrayQuote(offset)),
        }
    }
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t']).len()
}

/// Up to the closing quote, and how long that is; two quotes are one within.
fn quoted(rest: &str) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = 0;
    loop {
        let quote = at + rest[at..].find('"')?;
        text.push_str(&rest[at..quote]);
        if !rest[quote + 1..].starts_with('"') {
            return Some((text, quote + 1));
        }
        text.push('"');
        at = quote + 2;
    }
}

/// Up to the next comma, or where a quote stands in the way.
fn plain(rest: &str) -> Result<(String, usize), usize> {
    let field = &rest[..rest.find(',').unwrap_or(rest.len())];
    match field.find('"') {
        Some(quote) => Err(quote),
        None => {
            let text = field.trim_end_matches([' ', '\t']);
            Ok((text.to_owned(), text.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Result<Vec<String>, CsvError> {
        Ok(fields(line)?.into_iter().map(|field| field.text).collect())
    }

    #[test]
    fn fields_are_taken_apart_as_spreadsheets_write_them() {
        for (line, expected) in [
            ("", vec![""]),
            (",", vec!["", ""]),
            ("a,b", vec!["a", "b"]),
            (" a b ,\t\"c, d\" ,", vec!["a b", "c, d", ""]),
            (r#""say ""no""",x"#, vec![r#"say "no""#, "x"]),
            (r#""","""""#, vec!["", "\""]),
            ("é,°C", vec!["é", "°C"]),
        ] {
            assert_eq!(texts(line), Ok(expected.into_iter().map(str::to_owned).collect()), "{line}");
        }
        assert_eq!(fields("a, b").map(|fields| fields[1].offset), Ok(3));
    }

    #[test]
    fn a_quote_that_is_out_of_place_is_said() {
        assert_eq!(texts("a,\"b"), Err(CsvError::Unclosed(2)));
        assert_eq!(texts("a,\"b\"\""), Err(CsvError::Unclosed(2)));
        assert_eq!(texts("a,b\"c"), Err(CsvError::StrayQuote(3)));
        assert_eq!(texts("a,\"b\"c"), Err(CsvError::StrayQuote(2)));
    }
}
