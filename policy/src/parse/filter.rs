//! `filter`: what may be done within a decoded protocol.

use std::collections::{BTreeMap, BTreeSet};

use super::known_tags::KnownTags;
use super::log::{At, Log};
use super::modbus;
use super::value::{Alone, Key, Section, Value, word};
use crate::filter::{BuiltIn, ClipboardWay, FilterMode, FilterSection, RdpFilter, RdpSecurity, VncFilter};
use crate::names::AssetId;

/// `[filter.setpoints]`
pub(crate) fn filter(
    log: &mut Log<'_>,
    key: Key<'_>,
    value: Value<'_>,
    known: &KnownTags<'_>,
) -> Option<FilterSection> {
    let mut section = value.section(log, key.at, format!("filter `{}`", key.text))?;
    if BuiltIn::named(key.text).is_some() {
        log.error(key.at, format!("{} is built in and cannot be written anew", section.title));
    }
    // Written like every other name, so that a rule's own name, `setpoints/2`, is none that could be written.
    if let Err(error) = key.text.parse::<AssetId>() {
        log.error(key.at, format!("`{}` cannot be the name of a filter: {error}", key.text.escape_debug()));
    }
    let mode = section.take_word(log, "mode", &FilterMode::ALL, FilterMode::as_str).unwrap_or_default();
    let modbus = section.take("modbus").map(|value| modbus_rules(log, value, key.text, known));
    let vnc = section.take("vnc").map(|value| vnc(log, value, &section));
    let rdp = section.take("rdp").map(|value| rdp(log, value, &section));
    if modbus.is_none() && vnc.is_none() && rdp.is_none() {
        log.error(key.at, format!("{} says nothing of `modbus`, `vnc` or `rdp`", section.title));
    }
    section.finish(log);
    // A protocol that is badly written has said something all the same: the plant is refused for it.
    Some(FilterSection { name: key.text.to_owned(), mode, modbus, vnc: vnc.flatten(), rdp: rdp.flatten() })
}

fn modbus_rules(
    log: &mut Log<'_>,
    value: Value<'_>,
    filter: &str,
    known: &KnownTags<'_>,
) -> Vec<crate::modbus::ModbusRule> {
    let values = value.list(log, &format!("`modbus` of filter `{filter}`"), Alone::Nothing);
    if values.as_ref().is_some_and(Vec::is_empty) {
        log.warn(value.at, format!("`modbus` of filter `{filter}` has no rule, and so denies everything"));
    }
    let mut names: BTreeMap<String, At> = BTreeMap::new();
    let mut rules = Vec::new();
    for (number, value) in values.unwrap_or_default().into_iter().enumerate() {
        let Some(rule) = modbus::rule(log, value, filter, number + 1, known) else { continue };
        match names.get(&rule.name) {
            Some(other) => {
                let (file, line) = log.line(*other);
                let message = format!("filter `{filter}` has a rule called `{}` already, in {file}:{line}", rule.name);
                log.error(value.at, message);
            }
            None => drop(names.insert(rule.name.clone(), value.at)),
        }
        rules.push(rule);
    }
    rules
}

/// A word, or `{ input = …, clipboard = […] }`.
fn vnc(log: &mut Log<'_>, value: Value<'_>, owner: &Section<'_>) -> Option<VncFilter> {
    let words = [BuiltIn::ViewOnly, BuiltIn::Interactive];
    if value.is_table() {
        let mut section = value.section(log, value.at, owner.name_of("vnc"))?;
        let what = section.name_of("input");
        let input = section.take("input").and_then(|value| value.boolean(log, &what)).unwrap_or(false);
        let clipboard = take_clipboard(log, &mut section);
        section.finish(log);
        return Some(VncFilter { input, clipboard });
    }
    let what = owner.name_of("vnc");
    let text = value.text(log, &what)?;
    match word(log, value.at, &what, text, &words, BuiltIn::as_str)? {
        BuiltIn::Interactive => Some(VncFilter::interactive()),
        BuiltIn::ReadOnly | BuiltIn::ViewOnly | BuiltIn::Observe | BuiltIn::Full => Some(VncFilter::view_only()),
    }
}

fn take_clipboard(log: &mut Log<'_>, section: &mut Section<'_>) -> BTreeSet<ClipboardWay> {
    let what = section.name_of("clipboard");
    let values = section.take("clipboard").and_then(|value| value.list(log, &what, Alone::Nothing)).unwrap_or_default();
    let mut ways = BTreeSet::new();
    for value in values {
        let Some(text) = value.text(log, &format!("each of {what}")) else { continue };
        ways.extend(word(log, value.at, &what, text, &ClipboardWay::ALL, ClipboardWay::as_str));
    }
    ways
}

fn rdp(log: &mut Log<'_>, value: Value<'_>, owner: &Section<'_>) -> Option<RdpFilter> {
    let mut section = value.section(log, value.at, owner.name_of("rdp"))?;
    let require = section.take_word(log, "require", &RdpSecurity::ALL, RdpSecurity::as_str).unwrap_or_default();
    section.finish(log);
    Some(RdpFilter { require })
}
