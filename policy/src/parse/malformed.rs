//! What is not TOML, in words that say what to do.
//!
//! A section that is written twice makes each of its keys one, too: it is told once, with where it stood first.

use toml::de::Error;

use super::log::{At, Log};

/// What a word processor makes of quotes.
const CURLY: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '‚', '«'];

/// Notes what the reader of TOML found in a file.
pub(crate) fn note(log: &mut Log<'_>, file: usize, text: &str, errors: Vec<Error>) {
    let mut told = 0;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let at = At { file, offset: span.start };
        let written = Written { text, at: span.start };
        if !error.message().starts_with(TWICE) {
            match written.curly() {
                Some(quote) => {
                    let message = format!("`{quote}` is no quote of TOML");
                    log.suggest(at, message, Some("write `\"`, as an editor for programs does".to_owned()));
                }
                None => log.error(at, error.message().replace('\n', ", ")),
            }
            continue;
        }
        if span.start < told {
            continue;
        }
        match written.header() {
            Some(header) => {
                told = written.section_end();
                let first = written.first_line(|line| header_of(line) == Some(header));
                log.error(at, format!("section `[{header}]` {}", stands(first)));
            }
            None => {
                let key = written.key(text.get(span).unwrap_or_default().trim());
                let first = written.first_in_section(key);
                log.error(at, format!("key `{key}` {}", stands(first)));
            }
        }
    }
}

/// How the reader of TOML says it.
const TWICE: &str = "duplicate key";

fn stands(first: Option<usize>) -> String {
    first.map_or_else(|| "is written twice".to_owned(), |line| format!("is written in line {line} already"))
}

/// A place in a text.
struct Written<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Written<'t> {
    fn before(&self) -> &'t str {
        self.text.get(..self.at).unwrap_or_default()
    }

    fn line_begin(&self) -> usize {
        self.before().rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn line(&self) -> &'t str {
        self.text.get(self.line_begin()..).and_then(|rest| rest.lines().next()).unwrap_or_default()
    }

    /// The whole key, where `last` is the end of a dotted one at the beginning of its line.
    fn key(&self, last: &'t str) -> &'t str {
        let begun = self.text.get(self.line_begin()..self.at + last.len()).unwrap_or(last).trim_start();
        if begun.contains(['=', '{', ',']) { last } else { begun }
    }

    /// The header that this line is, if it is one.
    fn header(&self) -> Option<&'t str> {
        header_of(self.line())
    }

    /// Where the next section begins.
    fn section_end(&self) -> usize {
        let mut end = self.line_begin();
        for (number, line) in self.text.get(end..).unwrap_or_default().split_inclusive('\n').enumerate() {
            if number > 0 && line.trim_start().starts_with('[') {
                break;
            }
            end += line.len();
        }
        end
    }

    /// The first line before this one of which something holds, from 1.
    fn first_line(&self, holds: impl Fn(&str) -> bool) -> Option<usize> {
        let before = self.text.get(..self.line_begin()).unwrap_or_default();
        before.lines().position(holds).map(|number| number + 1)
    }

    /// The line in this section that gave the key first.
    fn first_in_section(&self, key: &str) -> Option<usize> {
        let before: Vec<&str> = self.text.get(..self.line_begin()).unwrap_or_default().lines().collect();
        let begin = before.iter().rposition(|line| line.trim_start().starts_with('[')).map_or(0, |number| number + 1);
        let gives = |line: &&str| {
            let rest = line.trim_start().strip_prefix(key).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with(['=', '.']))
        };
        before.iter().skip(begin).position(gives).map(|number| begin + number + 1)
    }

    /// A quote of a word processor at this place, or just before it.
    fn curly(&self) -> Option<char> {
        let here = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let in_line = self.line().chars().find(|char| CURLY.contains(char));
        here.filter(|char| CURLY.contains(char)).or(in_line)
    }
}

/// What stands between the brackets of a header, without blanks.
fn header_of(line: &str) -> Option<&str> {
    let inner = line.trim_start().strip_prefix('[')?;
    let (name, _) = inner.split_once(']')?;
    (!name.starts_with('[')).then(|| name.trim())
}
