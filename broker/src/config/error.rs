//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use sallyport_plain::printable;

use crate::redact::without_secrets;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`: {source}{}", path.display(), mend(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says something that cannot be meant.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What.
    pub message: String,
    /// How to mend it.
    pub suggestion: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = without_secrets(&self.message);
        write!(f, "{}:{}:{}: {message}", self.file.display(), self.line, self.column)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; {suggestion}")?;
        }
        Ok(())
    }
}

fn mend(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "; name another with `--config FILE`, or make one: `sallyport init --dir DIR`",
        std::io::ErrorKind::PermissionDenied => "; it is for root and the broker's user: put `sudo` before the command",
        _ => "",
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Line and column of an offset, both from 1.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// What the TOML reader found, in our words and with the nearest name.
pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let (line, column) = place(text, error.span().map_or(0, |span| span.start));
    let first = error.message().lines().next().unwrap_or_default().to_owned();
    let written = error.span().and_then(|span| text.get(span)).unwrap_or_default();
    let (message, suggestion) = match (unknown_key(&first), mistyped(&first, written)) {
        (Some((unknown, known)), _) => (format!("unknown key `{unknown}`"), nearest(unknown, &known)),
        (None, Some((message, mend))) => (message, Some(mend.to_owned())),
        (None, None) if first == "duplicate key" => (format!("`{}` is written twice", printable(written)), None),
        (None, None) => (first, None),
    };
    ConfigError::Invalid(vec![Problem { file: path.to_path_buf(), line, column, message, suggestion }])
}

/// Reads serde's "invalid type: integer `2222`, expected a string", and says what is wanted in words of this file.
fn mistyped(message: &str, written: &str) -> Option<(String, &'static str)> {
    let (found, expected) = message.strip_prefix("invalid ")?.split_once(", expected ")?;
    let found = found.strip_prefix("type: ").or_else(|| found.strip_prefix("value: "))?;
    let is_number = found.starts_with("integer") || found.starts_with("float");
    let (wanted, mend) = match expected {
        "a string" if is_number => ("a text", "write it in quotes: an address with its port as `\"0.0.0.0:2222\"`"),
        "a string" => ("a text", "write it in quotes"),
        "a sequence" => ("a list", "write it in brackets: `[\"…\"]`"),
        "a boolean" => ("true or false", "write it without quotes"),
        "u16" | "u32" | "u64" | "usize" => ("a whole number, not below 0", "write it without quotes and sign"),
        _ => return None,
    };
    // The value itself may be a secret in the wrong place: what is shown of it is its kind, and a number.
    let found = match (is_number, found.split_once(' ')) {
        (true, _) => format!("`{}`", printable(written)),
        (false, Some((kind, _))) => kind_of(kind).to_owned(),
        (false, None) => kind_of(found).to_owned(),
    };
    Some((format!("this is {wanted}, not {found}"), mend))
}

fn kind_of(kind: &str) -> &'static str {
    match kind.trim_end_matches(':') {
        "string" => "a text",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        _ => "what stands there",
    }
}

/// Reads serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut names = rest.split('`').skip(1).step_by(2);
    Some((names.next()?, names.collect()))
}

fn nearest(unknown: &str, known: &[&str]) -> Option<String> {
    let similarity = |name: &&&str| (strsim::jaro_winkler(unknown, name) * 1000.0) as u32;
    match known.iter().max_by_key(similarity) {
        Some(name) if strsim::jaro_winkler(unknown, name) > 0.75 => Some(format!("did you mean `{name}`?")),
        Some(_) => Some(format!("known here: {}", known.join(", "))),
        None => None,
    }
}
