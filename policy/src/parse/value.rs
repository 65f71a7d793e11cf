//! TOML values that know their place and complain in an administrator's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use jiff::{SignedDuration, Timestamp};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::log::{At, Log};
use crate::duration;

/// A value and its place.
#[derive(Clone, Copy)]
pub(crate) struct Value<'t> {
    pub(crate) at: At,
    value: &'t DeValue<'t>,
}

/// A key and its place.
#[derive(Clone, Copy)]
pub(crate) struct Key<'t> {
    pub(crate) at: At,
    pub(crate) text: &'t str,
}

/// A table whose keys are taken one by one; what is left at the end is unknown.
pub(crate) struct Section<'t> {
    pub(crate) at: At,
    /// How messages call it, as ``zone `cell-1` ``.
    pub(crate) title: String,
    entries: BTreeMap<&'t str, (Key<'t>, Value<'t>)>,
    known: BTreeSet<&'static str>,
}

impl<'t> Value<'t> {
    /// The whole document.
    pub(crate) fn document(file: usize, table: &'t Spanned<DeTable<'t>>) -> Vec<(Key<'t>, Self)> {
        entries(file, table.get_ref())
    }

    fn child(self, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { at: At { file: self.at.file, offset: value.span().start }, value: value.get_ref() }
    }

    /// A table's value under a key, without a word on what is wrong.
    pub(crate) fn peek(self, key: &str) -> Option<Self> {
        let DeValue::Table(table) = self.value else { return None };
        table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| self.child(value))
    }

    /// A table's values, without a word on what is wrong.
    pub(crate) fn peek_all(self) -> Vec<Self> {
        let DeValue::Table(table) = self.value else { return Vec::new() };
        table.iter().map(|(_, value)| self.child(value)).collect()
    }

    /// A text, without a word on what is wrong.
    pub(crate) fn peek_text(self) -> Option<String> {
        let DeValue::String(text) = self.value else { return None };
        Some(text.to_string())
    }

    /// A list's texts, without a word on what is wrong.
    pub(crate) fn peek_texts(self) -> Vec<String> {
        let DeValue::Array(items) = self.value else { return Vec::new() };
        items.iter().filter_map(|item| self.child(item).peek_text()).collect()
    }

    /// Is it this very text?
    pub(crate) fn is_text(self, text: &str) -> bool {
        matches!(self.value, DeValue::String(written) if written == text)
    }

    /// Is it a whole number?
    pub(crate) fn is_number(self) -> bool {
        matches!(self.value, DeValue::Integer(_))
    }

    /// Is it a table?
    pub(crate) fn is_table(self) -> bool {
        matches!(self.value, DeValue::Table(_))
    }

    fn mistyped(self, log: &mut Log<'_>, what: &str, wanted: &str) {
        let found = match self.value {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        log.error(self.at, format!("{what} is {wanted}, not {found}"));
    }

    pub(crate) fn text(self, log: &mut Log<'_>, what: &str) -> Option<&'t str> {
        if let DeValue::String(text) = self.value {
            return Some(text);
        }
        self.mistyped(log, what, "a text in quotes");
        None
    }

    pub(crate) fn boolean(self, log: &mut Log<'_>, what: &str) -> Option<bool> {
        if let DeValue::Boolean(is) = self.value {
            return Some(*is);
        }
        self.mistyped(log, what, "true or false");
        None
    }

    /// A whole number within bounds.
    pub(crate) fn number<N: TryFrom<i64> + PartialOrd + Display + Copy>(
        self,
        log: &mut Log<'_>,
        what: &str,
        min: N,
        max: N,
    ) -> Option<N> {
        let DeValue::Integer(integer) = self.value else {
            self.mistyped(log, what, "a whole number");
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| N::try_from(n).ok());
        let number = number.filter(|n| min <= *n && *n <= max);
        if number.is_none() {
            log.error(self.at, format!("{what} is a whole number from {min} to {max}"));
        }
        number
    }

    /// A number, with or without a fraction.
    pub(crate) fn float(self, log: &mut Log<'_>, what: &str) -> Option<f64> {
        let read = match self.value {
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(exactly),
            _ => {
                self.mistyped(log, what, "a number");
                return None;
            }
        };
        if read.is_none() {
            log.error(self.at, format!("{what} is a number of at most 2^53"));
        }
        read
    }

    /// A list; one value by itself is a list of one where `alone` says so.
    pub(crate) fn list(self, log: &mut Log<'_>, what: &str, alone: Alone) -> Option<Vec<Self>> {
        match (self.value, alone) {
            (DeValue::Array(items), _) => Some(items.iter().map(|item| self.child(item)).collect()),
            (DeValue::String(_), Alone::Text) | (DeValue::Table(_), Alone::Table) => Some(vec![self]),
            (DeValue::String(text), Alone::Nothing | Alone::Table) => {
                let mend = format!("write `[\"{text}\"]`");
                log.suggest(self.at, format!("{what} is a list, not a text"), Some(mend));
                None
            }
            _ => {
                self.mistyped(log, what, "a list");
                None
            }
        }
    }

    /// The texts of a list that holds at least one.
    pub(crate) fn texts(self, log: &mut Log<'_>, what: &str, alone: Alone) -> Option<Vec<(At, &'t str)>> {
        let items = self.list(log, what, alone)?;
        if items.is_empty() {
            log.error(self.at, format!("{what} is empty"));
        }
        Some(
            items.into_iter().filter_map(|item| Some((item.at, item.text(log, &format!("each of {what}"))?))).collect(),
        )
    }

    pub(crate) fn table(self, log: &mut Log<'_>, what: &str) -> Option<Vec<(Key<'t>, Self)>> {
        if let DeValue::Table(table) = self.value {
            return Some(entries(self.at.file, table));
        }
        self.mistyped(log, what, "a table");
        None
    }

    /// A table with known keys. `at` is where it is best pointed at: its name, if it has one.
    pub(crate) fn section(self, log: &mut Log<'_>, at: At, title: impl Into<String>) -> Option<Section<'t>> {
        let title = title.into();
        let entries = self.table(log, &title)?.into_iter().map(|(key, value)| (key.text, (key, value))).collect();
        Some(Section { at, title, entries, known: BTreeSet::new() })
    }

    /// A duration as `15m` or `4h`.
    pub(crate) fn duration(
        self,
        log: &mut Log<'_>,
        what: &str,
        min: SignedDuration,
        max: SignedDuration,
    ) -> Option<SignedDuration> {
        let text = self.text(log, what)?;
        let read = duration::parse(text);
        match read {
            None => log.error(self.at, format!("{what} is a duration such as `15m`, `4h` or `1h30m`, not `{text}`")),
            Some(duration) if duration < min || max < duration => {
                let (min, max) = (duration::display(min), duration::display(max));
                log.error(self.at, format!("{what} is from {min} to {max}, not `{text}`"));
                return None;
            }
            Some(_) => {}
        }
        read
    }

    /// An instant, with its offset from UTC or its time zone.
    pub(crate) fn instant(self, log: &mut Log<'_>, what: &str) -> Option<Timestamp> {
        let text = match self.value {
            DeValue::Datetime(date) => date.to_string(),
            _ => self.text(log, what)?.to_owned(),
        };
        let read = instant(&text);
        if read.is_none() {
            log.suggest(
                self.at,
                format!("{what} is an instant, not `{text}`"),
                Some("write it with its offset, as `2026-12-01T06:00:00+01:00`".to_owned()),
            );
        }
        read
    }
}

/// A whole number as one with a fraction; none if it would become another.
#[expect(clippy::cast_precision_loss, reason = "only what loses none is taken")]
fn exactly(number: i64) -> Option<f64> {
    (number.unsigned_abs() <= 1 << 53).then_some(number as f64)
}

/// Reads `2026-12-01T06:00:00+01:00`, `…Z` or `2026-12-01T06:00:00[Europe/Oslo]`.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp);
    }
    // Split here instead of by `Zoned::from_str`, which would ask the process's own time zone database.
    let (reading, zone) = text.strip_suffix(']')?.split_once('[')?;
    let zone = super::time_zone::named(zone)?;
    zone.to_timestamp(reading.parse::<jiff::civil::DateTime>().ok()?).ok()
}

/// What may stand alone in place of a list of one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alone {
    Nothing,
    Text,
    Table,
}

impl<'t> Section<'t> {
    /// The value of a key, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.insert(key);
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// The value of a key that has to be there.
    pub(crate) fn need(&mut self, log: &mut Log<'_>, key: &'static str) -> Option<Value<'t>> {
        let value = self.take(key);
        if value.is_none() {
            log.error(self.at, format!("{} has no `{key}`", self.title));
        }
        value
    }

    /// Is this key there and not yet taken?
    pub(crate) fn was_written(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Complains if a key is not there.
    pub(crate) fn must_have(&self, log: &mut Log<'_>, key: &str) {
        if !self.was_written(key) {
            log.error(self.at, format!("{} has no `{key}`", self.title));
        }
    }

    /// How messages call a key.
    pub(crate) fn name_of(&self, key: &str) -> String {
        format!("`{key}` of {}", self.title)
    }

    /// A text, if it is there.
    pub(crate) fn take_text(&mut self, log: &mut Log<'_>, key: &'static str) -> Option<&'t str> {
        let what = self.name_of(key);
        self.take(key)?.text(log, &what)
    }

    /// One of a few words, if it is there.
    pub(crate) fn take_word<T: Copy>(
        &mut self,
        log: &mut Log<'_>,
        key: &'static str,
        words: &[T],
        as_str: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let what = self.name_of(key);
        let value = self.take(key)?;
        let text = value.text(log, &what)?;
        word(log, value.at, &what, text, words, as_str)
    }

    /// Complains of every key that nobody took.
    pub(crate) fn finish(self, log: &mut Log<'_>) {
        for (key, _) in self.entries.values() {
            let known = self.known.iter().copied();
            log.unknown(key.at, format!("unknown key `{}` in {}", key.text, self.title), key.text, known);
        }
    }
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    log: &mut Log<'_>,
    at: At,
    what: &str,
    text: &str,
    words: &[T],
    as_str: impl Fn(T) -> &'static str,
) -> Option<T> {
    let found = words.iter().copied().find(|word| as_str(*word) == text);
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|word| as_str(*word)).collect();
        let message = format!("{what} cannot be `{text}`: it is one of {}", all.join(", "));
        log.unknown(at, message, text, all.iter().copied());
    }
    found
}

fn entries<'t>(file: usize, table: &'t DeTable<'t>) -> Vec<(Key<'t>, Value<'t>)> {
    table
        .iter()
        .map(|(key, value)| {
            let place = At { file, offset: key.span().start };
            // A table made by its header has the header's place, which is the key's too.
            let at = At { file, offset: value.span().start };
            (Key { at: place, text: key.get_ref().as_ref() }, Value { at, value: value.get_ref() })
        })
        .collect()
}
