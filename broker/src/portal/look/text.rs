//! The small values that pages are made of.

use std::fmt;

use jiff::Timestamp;

/// Text from outside, as it may be shown: nothing in it acts on its reader or hides. The template escapes it for HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// True where there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: AsRef<str>> From<T> for Shown {
    fn from(text: T) -> Self {
        Self(sallyport_plain::printable(text.as_ref()).into_owned())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A moment: for the reader in UTC, as the log and the command line have it, and for the script that counts down to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// `2026-11-29 18:00 UTC`
    pub text: String,
    /// RFC 3339.
    pub iso: String,
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        Self { text: at.strftime("%Y-%m-%d %H:%M UTC").to_string(), iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() }
    }
}

/// A stretch of time that is partly over: what the time axis draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub from: When,
    /// When it ends.
    pub to: When,
    /// How many hundredths of it are over: 0 to 100.
    pub gone: u8,
}

impl Span {
    /// From one moment to another, as it stands at `now`.
    #[must_use]
    pub fn new(from: Timestamp, to: Timestamp, now: Timestamp) -> Self {
        let whole = to.as_millisecond().saturating_sub(from.as_millisecond()).max(1);
        let over = now.as_millisecond().saturating_sub(from.as_millisecond()).clamp(0, whole);
        let gone = u8::try_from(over.saturating_mul(100) / whole).unwrap_or(100);
        Self { from: from.into(), to: to.into(), gone }
    }
}

/// One line of a list to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What the form sends.
    pub value: String,
    /// What is read.
    pub text: Shown,
}
