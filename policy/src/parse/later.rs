//! `filter` and `break_glass`: read and checked for their shape, so that a plant file can hold them; without effect yet.

use jiff::SignedDuration;

use super::Names;
use super::log::{At, Log};
use super::selectors::{take_assets, take_globs};
use super::value::{Alone, Key, Section, Value};
use crate::asset::Protocol;
use crate::policy::{BreakGlass, Filter};
use crate::selector::Glob;

/// The protocols that rules can be written for.
const DECODED: [Protocol; 1] = [Protocol::Modbus];

/// `[filter.setpoints]`
pub(crate) fn filter(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>) -> Option<Filter> {
    let title = format!("filter `{}`", key.text);
    if key.text == super::BUILT_IN_FILTER {
        log.error(key.at, format!("{title} is built in and cannot be written anew"));
    }
    let mut protocols = std::collections::BTreeSet::new();
    for (protocol, rules) in value.table(log, &title)? {
        let known = DECODED.map(Protocol::as_str);
        let Some(decoded) = DECODED.into_iter().find(|decoded| decoded.as_str() == protocol.text) else {
            let message = format!("{title} has rules for `{}`, which is not decoded", protocol.text);
            log.unknown(protocol.at, message, protocol.text, known);
            continue;
        };
        protocols.insert(decoded);
        let what = format!("`{}` of {title}", protocol.text);
        for rule in rules.list(log, &what, Alone::Nothing).unwrap_or_default() {
            modbus_rule(log, rule, &what);
        }
    }
    Some(Filter { name: key.text.to_owned(), protocols })
}

/// Keys of a Modbus rule that hold address ranges.
const RANGES: [&str; 4] = ["coils", "discrete_inputs", "input_registers", "registers"];

fn modbus_rule(log: &mut Log<'_>, value: Value<'_>, owner: &str) {
    let Some(mut section) = value.section(log, value.at, format!("a rule in {owner}")) else { return };
    let what = section.name_of("operations");
    let operations = section.need(log, "operations").and_then(|value| value.texts(log, &what, Alone::Nothing));
    for (at, text) in operations.unwrap_or_default() {
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            log.error(at, format!("`{}` is no word for an operation", text.escape_debug()));
        }
    }
    let what = section.name_of("unit");
    for unit in section.take("unit").and_then(|value| value.list(log, &what, Alone::Nothing)).unwrap_or_default() {
        unit.number::<u8>(log, &what, 0, u8::MAX);
    }
    for key in RANGES {
        let what = section.name_of(key);
        let texts = section.take(key).and_then(|value| value.texts(log, &what, Alone::Nothing));
        for (at, text) in texts.unwrap_or_default() {
            if !is_range(text) {
                log.error(at, format!("{what} has ranges such as \"100-109\" or \"7\", not `{text}`"));
            }
        }
    }
    if let Some(values) = section.take("values") {
        value_limits(log, values, &section.title);
    }
    section.finish(log);
}

fn is_range(text: &str) -> bool {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<u16>(), last.parse::<u16>()) {
        (Ok(first), Ok(last)) => first <= last,
        _ => false,
    }
}

fn value_limits(log: &mut Log<'_>, value: Value<'_>, owner: &str) {
    let Some(mut section) = value.section(log, value.at, format!("`values` of {owner}")) else { return };
    let mut number = |key| {
        let what = section.name_of(key);
        section.take(key).and_then(|value| value.float(log, &what))
    };
    let (min, max) = (number("min"), number("max"));
    number("max_step");
    if let (Some(min), Some(max)) = (min, max)
        && max < min
    {
        log.error(section.at, format!("`max` is less than `min` in {}", section.title));
    }
    section.finish(log);
}

/// `[break_glass.control-room]`
pub(crate) fn break_glass(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>, names: &Names) -> Option<BreakGlass> {
    let mut section = value.section(log, key.at, format!("break_glass `{}`", key.text))?;
    for needed in ["assets", "services"] {
        section.must_have(log, needed);
    }
    let assets = take_assets(log, &mut section, names).unwrap_or_default();
    let globs = |named: Vec<(At, Glob)>| named.into_iter().map(|(_, glob)| glob).collect();
    let services = take_globs(log, &mut section, "services").map(globs).unwrap_or_default();
    let accounts = take_globs(log, &mut section, "accounts").map(globs).unwrap_or_default();
    let max_duration = take_duration(log, &mut section, "max_duration", SignedDuration::from_hours(24));
    let review_within = take_duration(log, &mut section, "review_within", SignedDuration::from_hours(24 * 31));
    section.finish(log);
    let name = key.text.to_owned();
    Some(BreakGlass { name, assets, services, accounts, max_duration: max_duration?, review_within: review_within? })
}

fn take_duration(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    longest: SignedDuration,
) -> Option<SignedDuration> {
    let what = section.name_of(key);
    section.need(log, key)?.duration(log, &what, SignedDuration::from_secs(60), longest)
}
