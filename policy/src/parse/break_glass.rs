//! `break_glass`: what an emergency gives.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Names;
use super::check::Given;
use super::log::{At, Log};
use super::rules::{filter, members};
use super::selectors::{take_assets, take_globs};
use super::terms;
use super::value::{Key, Section, Value};
use crate::break_glass::{BreakGlass, EmergencyRef};
use crate::selector::Glob;
use crate::terms::Terms;

/// The longest an emergency may last by one opening.
const LONGEST_EMERGENCY: SignedDuration = SignedDuration::from_hours(24);
/// The latest that another person may look at it.
const LATEST_REVIEW: SignedDuration = SignedDuration::from_hours(24 * 31);
/// The longest text that is printed on a sheet.
const LONGEST_TEXT: usize = 200;
/// The longest name: it is printed on a sheet.
const LONGEST_NAME: usize = 40;

/// `[break_glass.control-room]`, and where it names what it names, for the checks that need the whole plant.
pub(crate) fn break_glass(
    log: &mut Log<'_>,
    key: Key<'_>,
    value: Value<'_>,
    names: &Names,
) -> Option<(BreakGlass, Given)> {
    let mut section = value.section(log, key.at, format!("break_glass `{}`", key.text))?;
    let owner = section.title.clone();
    for needed in ["assets", "services"] {
        section.must_have(log, needed);
    }
    let name = name(log, key)?;
    let assets = take_assets(log, &mut section, names).unwrap_or_default();
    let services = take_globs(log, &mut section, "services").unwrap_or_default();
    let accounts = take_globs(log, &mut section, "accounts").unwrap_or_default();
    let max_duration = take_duration(log, &mut section, "max_duration", LONGEST_EMERGENCY);
    let review_within = take_duration(log, &mut section, "review_within", LATEST_REVIEW);
    let what = section.name_of("envelopes");
    let envelopes = section.take("envelopes").map_or(Some(1), |value| value.number(log, &what, 1, 3));
    let what = section.name_of("in_isolation");
    let in_isolation = section.take("in_isolation").and_then(|value| value.boolean(log, &what)).unwrap_or(false);
    let what = section.name_of("overdue_stops_sealing");
    let overdue_stops_sealing =
        section.take("overdue_stops_sealing").and_then(|value| value.boolean(log, &what)).unwrap_or(false);
    let members = section.take("members").map(|value| members(log, value, &owner)).unwrap_or_default();
    let who = take_words(log, &mut section, "who");
    let call = take_words(log, &mut section, "call");
    let mut terms = section.take("terms").map_or_else(|| Some(Terms::default()), |v| terms::read(log, v, &owner))?;
    let filter = filter(log, &mut section, names);
    terms.filter = filter.as_ref().map(|(_, name)| name.clone());
    section.finish(log);
    let max_duration = max_duration?;
    terms.max_duration = Some(max_duration);
    let (file, line) = log.line(key.at);
    let globs = |named: &[(At, Glob)]| named.iter().map(|(_, glob)| glob.clone()).collect::<BTreeSet<_>>();
    let glass = BreakGlass {
        rule: EmergencyRef { name, file: Arc::from(file), line },
        assets,
        services: globs(&services),
        accounts: globs(&accounts),
        max_duration,
        review_within: review_within?,
        envelopes: envelopes?,
        overdue_stops_sealing,
        in_isolation,
        members,
        who,
        call,
        terms,
    };
    Some((glass, Given { at: key.at, owner, services, accounts, filter }))
}

/// It stands on sheets, in commands and in the record.
fn name(log: &mut Log<'_>, key: Key<'_>) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if key.text.is_empty() || key.text.len() > LONGEST_NAME || !key.text.chars().all(allowed) {
        let message = format!(
            "`{}` cannot be the name of a break-glass section: letters, digits, `.`, `_` and `-`, at most {LONGEST_NAME}",
            key.text.escape_debug()
        );
        log.error(key.at, message);
        return None;
    }
    Some(key.text.to_owned())
}

/// Words for people in an emergency.
fn take_words(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let what = section.name_of(key);
    let value = section.take(key)?;
    let text = value.text(log, &what)?;
    if text.chars().count() > LONGEST_TEXT || text.chars().any(char::is_control) {
        log.error(value.at, format!("{what} is printed on a sheet: one line of at most {LONGEST_TEXT} characters"));
        return None;
    }
    Some(text.to_owned())
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
