//! `values`: what may be written under a rule.

use super::known_tags::KnownTags;
use super::log::{At, Log};
use super::value::{Alone, Section, Value};
use crate::modbus::{RulePoints, ValueLimits};

/// `{ min = 0, max = 1500, max_step = 50 }`
pub(crate) fn read(
    log: &mut Log<'_>,
    value: Value<'_>,
    owner: &str,
    points: &RulePoints,
    known: &KnownTags<'_>,
) -> Option<ValueLimits> {
    let mut section = value.section(log, value.at, format!("`values` of {owner}"))?;
    if !["min", "max", "max_step", "allowed", "bits"].into_iter().any(|key| section.was_written(key)) {
        log.error(value.at, format!("`values` of {owner} limit nothing"));
    }
    let (min, max) = (take_number(log, &mut section, "min"), take_number(log, &mut section, "max"));
    let max_step = take_number(log, &mut section, "max_step");
    let allowed = take_allowed(log, &mut section);
    let bits = take_bits(log, &mut section);
    section.finish(log);
    if let (Some((_, min)), Some((at, max))) = (min, max)
        && max < min
    {
        log.error(at, format!("`max` is less than `min` in `values` of {owner}"));
    }
    if let Some((at, step)) = max_step
        && step <= 0.0
    {
        log.error(at, format!("`max_step` of `values` of {owner} is more than 0"));
    }
    if let Some((at, bits)) = bits {
        check_bits(log, at, bits, owner, points, known);
    }
    let within = [min, max].into_iter().flatten().chain(allowed.iter().flat_map(|(_, values)| values.iter().copied()));
    check_numbers(log, within, owner, points);
    let allowed = allowed.map(|(_, values)| {
        let mut values: Vec<f64> = values.into_iter().map(|(_, value)| value).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    });
    let number = |taken: Option<(At, f64)>| taken.map(|(_, number)| number);
    let bits = bits.map(|(_, bits)| bits);
    Some(ValueLimits { min: number(min), max: number(max), allowed, max_step: number(max_step), bits })
}

fn take_number(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str) -> Option<(At, f64)> {
    let what = section.name_of(key);
    let value = section.take(key)?;
    Some((value.at, number(log, value, &what)?))
}

/// Minus zero is zero, so that two that mean the same are the same.
fn number(log: &mut Log<'_>, value: Value<'_>, what: &str) -> Option<f64> {
    let number = value.float(log, what)?;
    if !number.is_finite() {
        log.error(value.at, format!("{what} is a finite number"));
        return None;
    }
    Some(number + 0.0)
}

fn take_allowed(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<(At, Vec<(At, f64)>)> {
    let what = section.name_of("allowed");
    let value = section.take("allowed")?;
    let values = value.list(log, &what, Alone::Nothing)?;
    if values.is_empty() {
        log.error(value.at, format!("{what} is empty: a rule that lets no value be written is left out"));
    }
    let each = format!("each of {what}");
    Some((value.at, values.into_iter().filter_map(|value| Some((value.at, number(log, value, &each)?))).collect()))
}

/// A mask, as a number or as a text in hexadecimal or binary.
fn take_bits(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<(At, u64)> {
    let what = section.name_of("bits");
    let value = section.take("bits")?;
    let bits = if value.is_number() {
        value.number::<i64>(log, &what, 1, i64::MAX).and_then(|bits| u64::try_from(bits).ok())
    } else {
        let text = value.text(log, &what)?;
        let bits = mask(text);
        if bits.is_none() {
            let message = format!(
                "{what} is a mask such as \"0x00ff\" or \"0b1111\" with at least one bit set, not `{}`",
                text.escape_debug()
            );
            log.error(value.at, message);
        }
        bits
    };
    Some((value.at, bits?))
}

fn mask(text: &str) -> Option<u64> {
    let (digits, radix) = match (text.strip_prefix("0x"), text.strip_prefix("0b")) {
        (Some(digits), _) => (digits, 16),
        (_, Some(digits)) => (digits, 2),
        _ => return None,
    };
    // `from_str_radix` would take a sign.
    let clean = digits.chars().all(|digit| digit.is_digit(radix));
    clean.then(|| u64::from_str_radix(digits, radix).ok()).flatten().filter(|bits| *bits != 0)
}

/// The mask must fit what it is laid on.
fn check_bits(log: &mut Log<'_>, at: At, bits: u64, owner: &str, points: &RulePoints, known: &KnownTags<'_>) {
    let too_wide = |what: &str| format!("`bits` of `values` of {owner} are wider than {what}");
    match points {
        RulePoints::Everywhere if bits > REGISTER => log.error(at, too_wide("a register")),
        RulePoints::Everywhere => {}
        RulePoints::Ranges(ranges) => {
            if ranges.iter().any(|range| range.table().is_bits()) && bits > 1 {
                log.error(at, too_wide("a coil"));
            } else if bits > REGISTER {
                log.error(at, too_wide("a register"));
            }
        }
        RulePoints::Tags(tags) => {
            for tag in tags.iter().filter_map(|tag| known.tags.get(tag.as_str())).flatten() {
                if tag.kind.is_float() {
                    let message = format!(
                        "`bits` of `values` of {owner}: the bits of tag `{}`, of type {}, mean nothing one by one",
                        tag.name, tag.kind
                    );
                    log.error(at, message);
                } else if bits & !tag.kind.all_bits() != 0 {
                    log.error(at, too_wide(&format!("tag `{}`, of type {}", tag.name, tag.kind)));
                }
            }
        }
    }
}

const REGISTER: u64 = 0xffff;

/// What no register or coil can hold looks like a slip: a tag was meant, or a scale forgotten.
fn check_numbers(log: &mut Log<'_>, numbers: impl Iterator<Item = (At, f64)>, owner: &str, points: &RulePoints) {
    let RulePoints::Ranges(ranges) = points else { return };
    let (most, what) = match ranges.iter().all(|range| range.table().is_bits()) {
        true => (1.0, "a coil is 0 or 1"),
        false => (65_535.0, "a register without a tag is a whole number from 0 to 65535"),
    };
    for (at, number) in numbers {
        if number < 0.0 || number > most || number.fract() != 0.0 {
            log.warn(at, format!("`values` of {owner} name {number}, but {what}"));
        }
    }
}
