//! A rule of a filter for Modbus.

use std::collections::BTreeSet;

use super::known_tags::KnownTags;
use super::log::{At, Log};
use super::value::{Alone, Section, Value, word};
use super::{limits, when};
use crate::modbus::{ModbusFunction, ModbusRule, OperationKind, RulePoints, UnitRange};
use crate::names::AssetId;
use crate::points::{PointError, PointRange, Table, looks_like_reference};

/// `{ operations = ["write"], registers = ["100-109"], … }`
pub(crate) fn rule(
    log: &mut Log<'_>,
    value: Value<'_>,
    filter: &str,
    number: usize,
    known: &KnownTags<'_>,
) -> Option<ModbusRule> {
    let mut section = value.section(log, value.at, format!("rule {number} of filter `{filter}`"))?;
    let name = take_name(log, &mut section).unwrap_or_else(|| format!("{filter}/{number}"));
    if !section.was_written("operations") && !section.was_written("functions") {
        log.error(section.at, format!("{} has neither `operations` nor `functions`", section.title));
    }
    let operations = take_operations(log, &mut section);
    let functions = take_functions(log, &mut section, &operations);
    let units = take_units(log, &mut section);
    let points = take_points(log, &mut section, known);
    let per_minute = section.take("per_minute").map(|value| {
        let what = section.name_of("per_minute");
        (value.at, value.number(log, &what, 1, MOST_PER_MINUTE))
    });
    let title = section.title.clone();
    let when = section.take("when").and_then(|value| when::read(log, value, &title));
    let values = section.take("values").map(|value| (value.at, value));
    section.finish(log);
    let mut rule = ModbusRule { name, operations, functions, units, points, values: None, per_minute: None, when };
    let limited = [("values", values.map(|(at, _)| at)), ("per_minute", per_minute.map(|(at, _)| at))];
    check_reach(log, &rule, &title, value.at, limited, known);
    rule.values = values.and_then(|(_, value)| limits::read(log, value, &title, &rule.points, known));
    rule.per_minute = per_minute.and_then(|(_, count)| count);
    Some(rule)
}

/// More are not counted.
const MOST_PER_MINUTE: u32 = 6_000;

fn take_name(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<String> {
    let what = section.name_of("name");
    let value = section.take("name")?;
    let text = value.text(log, &what)?;
    if let Err(error) = text.parse::<AssetId>() {
        log.error(value.at, format!("{what} cannot be `{}`: {error}", text.escape_debug()));
    }
    Some(text.to_owned())
}

fn take_operations(log: &mut Log<'_>, section: &mut Section<'_>) -> BTreeSet<OperationKind> {
    let what = section.name_of("operations");
    let texts = section.take("operations").and_then(|value| value.texts(log, &what, Alone::Nothing));
    let kind = |(at, text)| word(log, at, &what, text, &OperationKind::ALL, OperationKind::as_str);
    texts.unwrap_or_default().into_iter().filter_map(kind).collect()
}

/// Codes as numbers, or as texts where a subfunction is named.
fn take_functions(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    operations: &BTreeSet<OperationKind>,
) -> BTreeSet<ModbusFunction> {
    let what = section.name_of("functions");
    let Some(value) = section.take("functions") else { return BTreeSet::new() };
    let values = value.list(log, &what, Alone::Nothing);
    if values.as_ref().is_some_and(Vec::is_empty) {
        log.error(value.at, format!("{what} is empty"));
    }
    let mut functions = BTreeSet::new();
    for value in values.unwrap_or_default() {
        let each = format!("each of {what}");
        let function = if value.is_number() {
            value.number(log, &each, 1, 127).map(|code| ModbusFunction { code, sub: None })
        } else {
            let Some(text) = value.text(log, &each) else { continue };
            let function = ModbusFunction::parse(text);
            if function.is_none() {
                let message = format!(
                    "`{}` in {what} is no function: write a code from 1 to 127, or `8/1` or `43/14` for one of its subfunctions",
                    text.escape_debug()
                );
                log.error(value.at, message);
            }
            function
        };
        let Some(function) = function else { continue };
        if !operations.is_empty() && !function.kinds().iter().any(|kind| operations.contains(kind)) {
            let kinds = listed(function.kinds().iter().map(|kind| kind.as_str()));
            let message = format!("function {function} is {kinds}, which `operations` of {} leaves out", section.title);
            log.error(value.at, message);
        }
        functions.insert(function);
    }
    functions
}

fn take_units(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<BTreeSet<UnitRange>> {
    let what = section.name_of("unit");
    let value = section.take("unit")?;
    let values = value.list(log, &what, Alone::Nothing)?;
    if values.is_empty() {
        log.error(value.at, format!("{what} is empty"));
    }
    let mut units = BTreeSet::new();
    for value in values {
        let each = format!("each of {what}");
        if value.is_number() {
            let unit: Option<u8> = value.number(log, &each, 0, u8::MAX);
            units.extend(unit.and_then(|unit| UnitRange::new(unit, unit)));
            continue;
        }
        let Some(text) = value.text(log, &each) else { continue };
        match UnitRange::parse(text) {
            Some(range) => drop(units.insert(range)),
            None => {
                let message = format!(
                    "`{}` in {what} is neither a unit from 0 to 255 nor a range such as \"1-4\"",
                    text.escape_debug()
                );
                log.error(value.at, message);
            }
        }
    }
    Some(units)
}

/// Ranges of addresses, or tags.
fn take_points(log: &mut Log<'_>, section: &mut Section<'_>, known: &KnownTags<'_>) -> RulePoints {
    let mut ranges = BTreeSet::new();
    let mut by_range: Option<&'static str> = None;
    for table in Table::ALL {
        let what = section.name_of(table.key());
        let Some(value) = section.take(table.key()) else { continue };
        by_range.get_or_insert(table.key());
        for (at, text) in value.texts(log, &what, Alone::Nothing).unwrap_or_default() {
            match PointRange::parse(table, text) {
                Ok(range) => {
                    ranges.insert(range);
                    if looks_like_reference(table, text) {
                        log.warn(at, format!("{what} is read as the zero-based address `{text}`: if the reference is meant, write it under `references`"));
                    }
                }
                Err(error) => log.suggest(at, format!("{what}: {error}"), instead(table, text)),
            }
        }
    }
    let what = section.name_of("references");
    if let Some(value) = section.take("references") {
        by_range.get_or_insert("references");
        for (at, text) in value.texts(log, &what, Alone::Nothing).unwrap_or_default() {
            match PointRange::parse_reference(text) {
                Ok(range) => drop(ranges.insert(range)),
                Err(error) => log.suggest(at, format!("{what}: {error}"), zero_based(&error, text)),
            }
        }
    }
    let Some(value) = section.take("tags") else {
        return if by_range.is_some() { RulePoints::Ranges(ranges) } else { RulePoints::Everywhere };
    };
    if let Some(key) = by_range {
        log.error(value.at, format!("{} has both `tags` and `{key}`: write two rules", section.title));
    }
    RulePoints::Tags(tags(log, value, section, known))
}

/// A reference that no address can be, such as `400101` under `registers`.
fn instead(table: Table, text: &str) -> Option<String> {
    looks_like_reference(table, text).then(|| "a reference is written under `references`".to_owned())
}

/// An address under `references`.
fn zero_based(error: &PointError, text: &str) -> Option<String> {
    let is_address = matches!(error, PointError::NotAReference(_)) && PointRange::parse(Table::Register, text).is_ok();
    is_address.then(|| "zero-based addresses are written under `registers` or `coils`".to_owned())
}

fn tags(log: &mut Log<'_>, value: Value<'_>, section: &Section<'_>, known: &KnownTags<'_>) -> BTreeSet<String> {
    let what = section.name_of("tags");
    let texts = value.texts(log, &what, Alone::Nothing).unwrap_or_default();
    for (at, text) in &texts {
        if known.complete && !known.tags.contains_key(text) {
            let message = format!("no tag list of a modbus service has the tag `{text}` of {}", section.title);
            log.unknown(*at, message, text, known.tags.keys().copied());
        }
    }
    texts.into_iter().map(|(_, text)| text.to_owned()).collect()
}

/// What a rule says must be possible: limits need something that can be written, addresses something that has them.
fn check_reach(
    log: &mut Log<'_>,
    rule: &ModbusRule,
    title: &str,
    at: At,
    limited: [(&str, Option<At>); 2],
    known: &KnownTags<'_>,
) {
    let ModbusRule { operations, functions, points, .. } = rule;
    let tables = tables(points, known);
    let of_kind = |kind: OperationKind| operations.is_empty() || operations.contains(&kind);
    let by_function = |test: &dyn Fn(&ModbusFunction) -> bool| functions.is_empty() || functions.iter().any(test);
    let writable = tables.is_empty() || tables.iter().any(|table| table.is_writable());
    let writes =
        of_kind(OperationKind::Write) && by_function(&|function| function.kinds().contains(&OperationKind::Write));
    for (key, at) in limited {
        let (Some(at), false) = (at, writes && writable) else { continue };
        log.error(at, format!("`{key}` of {title} limits what is written, but the rule lets nothing be written"));
    }
    let touches = of_kind(OperationKind::Read) || of_kind(OperationKind::Write);
    let has_points = touches && by_function(&|function| function.has_points());
    if !has_points && !matches!(points, RulePoints::Everywhere) {
        log.error(at, format!("{title} names addresses, but nothing that it allows has any"));
    } else if !of_kind(OperationKind::Read) && writes && !writable {
        let tables = listed(tables.iter().map(|table| table.key()));
        log.error(at, format!("{title} allows writing only, but to {tables}, which nothing can write"));
    }
}

/// The tables a rule speaks of; empty: all, or it is not known which.
fn tables(points: &RulePoints, known: &KnownTags<'_>) -> BTreeSet<Table> {
    match points {
        RulePoints::Everywhere => BTreeSet::new(),
        RulePoints::Ranges(ranges) => ranges.iter().map(|range| range.table()).collect(),
        RulePoints::Tags(tags) => {
            tags.iter().filter_map(|tag| known.tags.get(tag.as_str())).flatten().map(|tag| tag.table).collect()
        }
    }
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" and ")
}
