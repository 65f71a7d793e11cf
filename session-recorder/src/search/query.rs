//! What is looked for, and where it stands in a line.
use sallyport_plain::is_plain;
use std::ops::Range;
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// What to look for.
///
/// It is found however its letters are composed (`ü` as one character or as two), with characters that cannot be seen between
/// them, and with any blank for a blank.
#[derive(Clone, Debug)]
pub struct Query {
    needle: Vec<char>,
    ignore_case: bool,
}

impl Query {
    /// Looks for `text`, which must not be empty.
    pub fn new(text: &str, ignore_case: bool) -> Option<Query> {
        let mut query = Query { needle: Vec::new(), ignore_case };
        let mut needle = Vec::new();
        text.chars().for_each(|char| query.fold(char, |char| needle.push(char)));
        query.needle = needle;
        (!query.needle.is_empty()).then_some(query)
    }

    /// The text line, or what of a longer one stands around the text, if it is there.
    pub(super) fn line(&self, text: &str) -> Option<String> {
        let line: Vec<char> = text.chars().collect();
        self.find_all(&line).first().map(|found| excerpt(&line, found))
    }

    /// How many characters it has, decomposed.
    pub(super) fn length(&self) -> usize {
        self.needle.len()
    }

    /// Where the text stands in a line, in characters.
    pub(super) fn find_all(&self, line: &[char]) -> Vec<Range<usize>> {
        let mut folded = Vec::with_capacity(line.len());
        for (at, char) in line.iter().enumerate() {
            self.fold(*char, |char| folded.push((char, at)));
        }
        let ends_here = |behind: usize| match folded.get(behind) {
            // The last letter would be another one with it.
            Some((char, _)) => !is_combining_mark(*char),
            None => true,
        };
        folded
            .windows(self.needle.len())
            .enumerate()
            .filter(|(_, window)| window.iter().map(|(char, _)| char).eq(&self.needle))
            .filter(|(start, _)| ends_here(start + self.needle.len()))
            .map(|(_, window)| window[0].1..window[window.len() - 1].1 + 1)
            .collect()
    }

    fn fold(&self, char: char, mut take: impl FnMut(char)) {
        let mut take = |char: char| {
            take(if self.ignore_case { char.to_lowercase().next().unwrap_or(char) } else { char });
        };
        match char {
            '\0'..='\x7f' => take(char),
            _ if char.is_whitespace() => take(' '),
            _ if is_plain(char) => decompose_canonical(char, take),
            // It cannot be seen, so that nobody can have looked for it.
            _ => {}
        }
    }
}

/// The longest line that a hit tells, in characters.
pub(super) const LONGEST_LINE: usize = 1000;

/// The line, or of a longer one what stands around the text.
pub(super) fn excerpt(line: &[char], found: &Range<usize>) -> String {
    let length = found.len();
    let before = LONGEST_LINE.saturating_sub(length) / 2;
    let first = found.start.saturating_sub(before).min(line.len().saturating_sub(LONGEST_LINE));
    let last = (first + LONGEST_LINE).max(found.end).min(line.len());
    line[first..last].iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;

    /// Where it begins and ends.
    fn found(text: &str, line: &str) -> Vec<(usize, usize)> {
        let found = Query::new(text, false).unwrap().find_all(&line.chars().collect::<Vec<_>>());
        found.into_iter().map(|place| (place.start, place.end)).collect()
    }

    #[test]
    fn letters_are_found_however_they_are_written() {
        assert_eq!(found("für", "a für b"), [(2, 5)]);
        assert_eq!(found("für", "a fu\u{308}r b"), [(2, 6)]);
        assert_eq!(found("fu\u{308}r", "für"), [(0, 3)]);
        assert_eq!(found("secret", "sec\u{200b}ret"), [(0, 7)]);
        assert_eq!(found("sec\u{ad}ret", "secret"), [(0, 6)]);
        assert_eq!(found("10 000", "10\u{a0}000"), [(0, 6)]);
        // Another letter is another letter.
        assert_eq!(found("fu", "für"), []);
        assert_eq!(found("u", "u\u{308} u"), [(3, 4)]);
        assert!(Query::new("\u{200b}", false).is_none());
    }
}
