//! `terms`: what a grant allows.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::log::Log;
use super::value::{Alone, Section, Value, word};
use crate::terms::{ChannelKind, FileTransfer, OnEnd, RecorderTrouble, Terms};

/// The longest duration that may be written; `unlimited` is the way to say more.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);
/// Whoever needs to look on for longer needs more time, not more grace.
const LONGEST_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// The terms of a grant; what is not written has its default.
pub(crate) fn read(log: &mut Log<'_>, value: Value<'_>, owner: &str) -> Option<Terms> {
    let mut section = value.section(log, value.at, format!("`terms` of {owner}"))?;
    let mut terms = Terms::default();
    if let Some(limit) = take_limit(log, &mut section, "max_duration") {
        terms.max_duration = limit;
    }
    if let Some(limit) = take_limit(log, &mut section, "idle") {
        terms.idle = limit;
    }
    let what = section.name_of("concurrent");
    terms.concurrent = section.take("concurrent").and_then(|value| value.number(log, &what, 1, 10_000));
    let what = section.name_of("connections");
    if let Some(connections) = section.take("connections").and_then(|value| value.number(log, &what, 1, 10_000)) {
        terms.connections = connections;
    }
    let what = section.name_of("sessions");
    if let Some(sessions) = section.take("sessions").and_then(|value| value.number(log, &what, 1, 10_000)) {
        terms.sessions = sessions;
    }
    if let Some(channels) = take_channels(log, &mut section) {
        terms.channels = channels;
    }
    if let Some(files) = section.take_word(log, "file_transfer", &FileTransfer::ALL, FileTransfer::as_str) {
        terms.file_transfer = files;
    }
    if let Some(env) = take_env(log, &mut section) {
        terms.env = env;
    }
    if let Some(trouble) = section.take_word(log, "recorder_trouble", &RecorderTrouble::ALL, RecorderTrouble::as_str) {
        terms.recorder_trouble = trouble;
    }
    if let Some(on_end) = section.take_word(log, "on_end", &OnEnd::ALL, OnEnd::as_str) {
        terms.on_end = on_end;
    }
    let what = section.name_of("grace");
    if let Some(value) = section.take("grace") {
        if terms.on_end == OnEnd::End {
            log.error(value.at, format!("{what} means nothing beside `on_end = \"end\"`"));
        }
        if let Some(grace) = value.duration(log, &what, SignedDuration::from_secs(1), LONGEST_GRACE) {
            terms.grace = grace;
        }
    }
    let carries_files = [ChannelKind::Sftp, ChannelKind::Exec].iter().any(|kind| terms.allows(*kind));
    if terms.file_transfer != FileTransfer::None && !carries_files {
        let message =
            format!("{} allow files, but neither of the channels `sftp` and `exec` that carry them", section.title);
        log.error(section.at, message);
    }
    section.finish(log);
    Some(terms)
}

/// A duration, or `unlimited`.
fn take_limit(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str) -> Option<Option<SignedDuration>> {
    let what = section.name_of(key);
    let value = section.take(key)?;
    if value.text(log, &what)? == "unlimited" {
        return Some(None);
    }
    value.duration(log, &what, SignedDuration::from_secs(1), LONGEST).map(Some)
}

fn take_channels(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<BTreeSet<ChannelKind>> {
    let what = section.name_of("channels");
    let texts = section.take("channels")?.texts(log, &what, Alone::Nothing)?;
    let kinds =
        texts.into_iter().filter_map(|(at, text)| word(log, at, &what, text, &ChannelKind::ALL, ChannelKind::as_str));
    Some(kinds.collect())
}

fn take_env(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<Vec<String>> {
    let what = section.name_of("env");
    let mut names = Vec::new();
    for value in section.take("env")?.list(log, &what, Alone::Nothing)? {
        let Some(text) = value.text(log, &what) else { continue };
        if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '*' | '?')) {
            log.error(value.at, format!("`{text}` is no name of an environment variable, such as `LANG` or `LC_*`"));
        }
        names.push(text.to_owned());
    }
    names.sort();
    names.dedup();
    Some(names)
}
