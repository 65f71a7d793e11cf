//! `when`: windows of time.

use jiff::tz::TimeZone;

use super::log::{Log, nearest};
use super::time_zone;
use super::value::{Alone, Section, Value};
use crate::window::{DayTime, Days, When, Window};

/// More would be a calendar, not a rule.
const MOST_WINDOWS: usize = 32;

/// One window or a list of them.
pub(crate) fn read(log: &mut Log<'_>, value: Value<'_>, owner: &str) -> Option<When> {
    let items = value.list(log, &format!("`when` of {owner}"), Alone::Table)?;
    if items.is_empty() || items.len() > MOST_WINDOWS {
        log.error(value.at, format!("`when` of {owner} has from 1 to {MOST_WINDOWS} windows"));
    }
    let windows: Vec<Option<Window>> = items.into_iter().map(|item| window(log, item, owner)).collect();
    Some(When::new(windows.into_iter().collect::<Option<_>>()?))
}

fn window(log: &mut Log<'_>, value: Value<'_>, owner: &str) -> Option<Window> {
    let mut section = value.section(log, value.at, format!("`when` of {owner}"))?;
    let days = match section.take("days") {
        None => Some(Days::ALL),
        Some(days) => read_days(log, days, &section),
    };
    let from = read_time(log, &mut section, "from", DayTime::START);
    let to = read_time(log, &mut section, "to", DayTime::END);
    if from == Some(DayTime::END) {
        log.error(section.at, format!("{} begins at 24:00: write 00:00 of the next day", section.title));
    }
    let timezone = section.need(log, "timezone").and_then(|zone| read_timezone(log, zone, &section));
    section.finish(log);
    Some(Window { days: days?, from: from?, to: to?, timezone: timezone? })
}

fn read_days(log: &mut Log<'_>, value: Value<'_>, section: &Section<'_>) -> Option<Days> {
    let text = value.text(log, &section.name_of("days"))?;
    match Days::parse(text) {
        Ok(days) => Some(days),
        Err(words) => {
            let near = |word: &String| nearest(word, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
            let meant: Option<Vec<&str>> = words.iter().map(near).collect();
            let hint = meant.map(|days| format!("did you mean {}?", quoted(&days)));
            let are = if words.len() == 1 { "is no day" } else { "are no days" };
            let message = format!("{} {are} of the week; write days as `Mon-Fri` or `Sat,Sun`", quoted(&words));
            log.suggest(value.at, message, hint);
            None
        }
    }
}

fn quoted<T: AsRef<str>>(words: &[T]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(" and ")
}

fn read_time(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str, unsaid: DayTime) -> Option<DayTime> {
    let what = section.name_of(key);
    let Some(value) = section.take(key) else { return Some(unsaid) };
    let text = value.text(log, &what)?;
    let time = DayTime::parse(text);
    if time.is_none() {
        log.error(value.at, format!("{what} is a time of day such as \"06:00\" or \"18:30:15\", not `{text}`"));
    }
    time
}

fn read_timezone(log: &mut Log<'_>, value: Value<'_>, section: &Section<'_>) -> Option<TimeZone> {
    let text = value.text(log, &section.name_of("timezone"))?;
    let zone = time_zone::named(text);
    if zone.is_none() {
        let known: Vec<String> = time_zone::known().collect();
        let message = format!("unknown time zone `{text}`");
        log.unknown(value.at, message, text, known.iter().map(String::as_str));
    }
    zone
}
