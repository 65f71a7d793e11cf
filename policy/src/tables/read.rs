//! Reads a decision table.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use toml::de::DeTable;

use super::{Case, Expected, ExpectedRule, ExpectedTerms, denial_codes};
use crate::error::{PlantErrors, PlantFile};
use crate::factors::FactorKind;
use crate::names::AccountName;
use crate::parse::{Alone, At, Log, Section, Value, word};
use crate::subject::Subject;
use crate::terms::{ChannelKind, FileTransfer, RecorderTrouble};

/// The cases of a table, or everything that is wrong with it.
pub(super) fn table(file: &PlantFile) -> Result<Vec<Case>, PlantErrors> {
    let mut log = Log::new(vec![file]);
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        log.error(At { file: 0, offset }, error.message().replace('\n', ", "));
    }
    let mut cases = Vec::new();
    if !log.has_errors() {
        let mut values = Vec::new();
        for (key, value) in Value::document(0, &document) {
            match key.text {
                "case" => values.extend(value.list(&mut log, "`case`", Alone::Nothing).unwrap_or_default()),
                other => log.unknown(key.at, format!("unknown section `{other}`"), other, ["case"]),
            }
        }
        if values.is_empty() {
            log.error(At { file: 0, offset: 0 }, "a decision table has at least one `[[case]]`");
        }
        cases.extend(values.into_iter().filter_map(|value| case(&mut log, value)));
    }
    if log.has_errors() { Err(PlantErrors::of(log.finish().0)) } else { Ok(cases) }
}

fn case(log: &mut Log<'_>, value: Value<'_>) -> Option<Case> {
    let mut section = value.section(log, value.at, "this case")?;
    let name = section.take_text(log, "name");
    let identity = need_name(log, &mut section, "identity");
    let what = section.name_of("groups");
    let groups = section.take("groups").and_then(|value| value.list(log, &what, Alone::Nothing)).unwrap_or_default();
    let groups: BTreeSet<String> =
        groups.into_iter().filter_map(|value| value.text(log, &what)).map(str::to_owned).collect();
    let asset = need_name(log, &mut section, "asset");
    let service = need_name(log, &mut section, "service");
    let account = match section.was_written("account") {
        true => need_name(log, &mut section, "account"),
        false => Some(AccountName::none()),
    };
    let factors = factors(log, &mut section, "factors").unwrap_or_default();
    let what = section.name_of("age");
    let longest = SignedDuration::from_hours(24 * 366);
    let age = section.take("age").and_then(|value| value.duration(log, &what, SignedDuration::ZERO, longest));
    let what = section.name_of("live");
    let live: u32 = section.take("live").and_then(|value| value.number(log, &what, 0, 10_000)).unwrap_or(0);
    let what = section.name_of("at");
    let at = section.need(log, "at").and_then(|value| value.instant(log, &what));
    let expected = expected(log, &mut section);
    section.finish(log);
    let (file, line) = log.line(value.at);
    let (identity, asset, service, account) = (identity?, asset?, service?, account?);
    let name = name.map_or_else(|| format!("{identity} -> {account}@{asset} {service}"), str::to_owned);
    Some(Case {
        name,
        file: file.to_owned(),
        line,
        subject: Subject { identity, groups },
        asset,
        service,
        account,
        factors,
        age: age.unwrap_or(SignedDuration::ZERO),
        live: usize::try_from(live).ok()?,
        at: at?,
        expected: expected?,
    })
}

fn need_name<N: std::str::FromStr<Err = crate::NameError>>(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> Option<N> {
    let what = section.name_of(key);
    let value = section.need(log, key)?;
    let text = value.text(log, &what)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            log.error(value.at, format!("{what} cannot be `{}`: {error}", text.escape_debug()));
            None
        }
    }
}

fn factors(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str) -> Option<BTreeSet<FactorKind>> {
    let what = section.name_of(key);
    let values = section.take(key)?.list(log, &what, Alone::Nothing)?;
    let texts: Vec<_> = values.into_iter().filter_map(|value| Some((value.at, value.text(log, &what)?))).collect();
    let kinds =
        texts.into_iter().filter_map(|(at, text)| word(log, at, &what, text, &FactorKind::ALL, FactorKind::as_str));
    Some(kinds.collect())
}

const ANSWERS: [&str; 4] = ["permit", "deny", "need factors", "need approval"];

/// What is expected; a key that the answer cannot have is left, and so is unknown.
fn expected(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<Expected> {
    section.must_have(log, "expect");
    match section.take_word(log, "expect", &ANSWERS, |word| word)? {
        "permit" => {
            let rule = rule(log, section);
            let terms = section.take("terms").and_then(|value| terms(log, value)).unwrap_or_default();
            Some(Expected::Permit { rule, terms })
        }
        "deny" => {
            let what = section.name_of("reason");
            let reason = section.take("reason").and_then(|value| {
                let text = value.text(log, &what)?;
                let codes: Vec<&'static str> = denial_codes().collect();
                word(log, value.at, &what, text, &codes, |code| code).map(str::to_owned)
            });
            Some(Expected::Deny { reason })
        }
        "need factors" => {
            let needs = factors(log, section, "needs");
            Some(Expected::NeedFactors { needs, rule: rule(log, section) })
        }
        _ => {
            let by = section.was_written("by").then(|| need_name(log, section, "by")).flatten();
            Some(Expected::NeedApproval { by, rule: rule(log, section) })
        }
    }
}

fn rule(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<ExpectedRule> {
    let what = section.name_of("rule");
    let value = section.take("rule")?;
    let text = value.text(log, &what)?;
    let (role, grant) = match text.split_once('/') {
        Some((role, grant)) => (role, grant.parse().ok().map(Some)),
        None => (text, Some(None)),
    };
    match (role.parse(), grant) {
        (Ok(role), Some(grant)) => Some(ExpectedRule { role, grant }),
        _ => {
            log.error(value.at, format!("{what} is a role or one of its grants, as `engineer` or `engineer/1`"));
            None
        }
    }
}

fn terms(log: &mut Log<'_>, value: Value<'_>) -> Option<ExpectedTerms> {
    let mut section = value.section(log, value.at, "`terms` of this case")?;
    let not_after = or_word(log, &mut section, "none", "not_after", |value, log, what| value.instant(log, what));
    let longest = SignedDuration::from_hours(24 * 366);
    let duration =
        |value: Value<'_>, log: &mut Log<'_>, what: &str| value.duration(log, what, SignedDuration::ZERO, longest);
    let max_duration = or_word(log, &mut section, "unlimited", "max_duration", duration);
    let idle = or_word(log, &mut section, "unlimited", "idle", duration);
    let concurrent =
        or_word(log, &mut section, "unlimited", "concurrent", |value, log, what| value.number(log, what, 1, 10_000));
    let what = section.name_of("channels");
    let channels = section.take("channels").and_then(|value| value.texts(log, &what, Alone::Nothing)).map(|texts| {
        let kind = |(at, text)| word(log, at, &what, text, &ChannelKind::ALL, ChannelKind::as_str);
        texts.into_iter().filter_map(kind).collect()
    });
    let file_transfer = section.take_word(log, "file_transfer", &FileTransfer::ALL, FileTransfer::as_str);
    let recorder_trouble = section.take_word(log, "recorder_trouble", &RecorderTrouble::ALL, RecorderTrouble::as_str);
    let filter =
        or_word(log, &mut section, "none", "filter", |value, log, what| value.text(log, what).map(str::to_owned));
    section.finish(log);
    Some(ExpectedTerms { not_after, max_duration, idle, concurrent, channels, file_transfer, recorder_trouble, filter })
}

/// A value, or the word that says there is none. `None`: not written.
fn or_word<T>(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    none: &str,
    key: &'static str,
    read: impl FnOnce(Value<'_>, &mut Log<'_>, &str) -> Option<T>,
) -> Option<Option<T>> {
    let what = section.name_of(key);
    let value = section.take(key)?;
    if value.is_text(none) {
        return Some(None);
    }
    read(value, log, &what).map(Some)
}
