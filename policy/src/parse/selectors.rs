//! `assets`, `identities`, `services`, `accounts`: who and what a rule names.

use std::collections::BTreeSet;

use super::Names;
use super::log::{At, Log, nearest};
use super::value::{Alone, Section};
use crate::names::NameError;
use crate::selector::{AssetSelector, Glob, IdentitySelector, is_pattern};

/// The longest selector.
const MAX_LENGTH: usize = 128;

/// Assets: a name, `tag:x`, `zone:x`, or a pattern. What is named must exist.
pub(crate) fn take_assets(
    log: &mut Log<'_>,
    section: &mut Section<'_>,
    names: &Names,
) -> Option<BTreeSet<AssetSelector>> {
    let what = section.name_of("assets");
    let texts = section.take("assets")?.texts(log, &what, Alone::Nothing)?;
    Some(texts.into_iter().filter_map(|(at, text)| asset(log, at, text, names, &section.title)).collect())
}

fn asset(log: &mut Log<'_>, at: At, text: &str, names: &Names, owner: &str) -> Option<AssetSelector> {
    if let Some(tag) = text.strip_prefix("tag:") {
        if !names.tags.contains(tag) {
            let tags = names.tags.iter().map(String::as_str);
            log.unknown(at, format!("no asset has the tag `{tag}` of {owner}"), tag, tags);
        }
        return Some(AssetSelector::Tag(tag.to_owned()));
    }
    if let Some(zone) = text.strip_prefix("zone:") {
        return names.zone(log, at, zone, owner).map(AssetSelector::Zone);
    }
    if let Some((kind, _)) = text.split_once(':') {
        let message = format!("`{text}` in {owner} selects no assets: write a name, `tag:…`, `zone:…` or a pattern");
        log.unknown(at, message, kind, ["tag", "zone"]);
        return None;
    }
    if is_pattern(text) {
        let glob = pattern(log, at, text)?;
        if !names.assets.keys().any(|id| glob.matches(id.as_str())) {
            log.warn(at, format!("no asset's name matches `{text}` of {owner}"));
        }
        return Some(AssetSelector::Glob(glob));
    }
    match text.parse() {
        Ok(id) if names.assets.contains_key(&id) => Some(AssetSelector::Name(id)),
        Ok(_) => {
            let known = names.assets.keys().map(|id| id.as_str());
            log.unknown(at, format!("unknown asset `{text}` in {owner}"), text, known);
            None
        }
        Err(error) => bad_name(log, at, text, error),
    }
}

/// Identities: a name, a pattern, `group:x`, or a group whose name has a colon, as `vendor:*`.
pub(crate) fn take_identities(log: &mut Log<'_>, section: &mut Section<'_>) -> Option<BTreeSet<IdentitySelector>> {
    let what = section.name_of("identities");
    let texts = section.take("identities")?.texts(log, &what, Alone::Nothing)?;
    Some(texts.into_iter().filter_map(|(at, text)| identity(log, at, text)).collect())
}

/// One person or many.
pub(crate) fn identity(log: &mut Log<'_>, at: At, text: &str) -> Option<IdentitySelector> {
    if let Some(name) = text.strip_prefix("group:") {
        return group(log, at, name).map(IdentitySelector::Group);
    }
    if let Some((kind, _)) = text.split_once(':') {
        // Groups are kept elsewhere and cannot be looked up here, so at least the word `group` itself is checked.
        if nearest(kind, ["group"]).is_some() {
            let message = format!("`{text}` selects no identities: write a name, `group:…` or a pattern");
            log.unknown(at, message, kind, ["group"]);
            return None;
        }
        return group(log, at, text).map(IdentitySelector::Group);
    }
    if is_pattern(text) {
        return pattern(log, at, text).map(IdentitySelector::Glob);
    }
    match text.parse() {
        Ok(id) => Some(IdentitySelector::Name(id)),
        Err(error) => bad_name(log, at, text, error),
    }
}

/// A group's name or a pattern of one. Directories allow much in it, even spaces.
pub(crate) fn group(log: &mut Log<'_>, at: At, text: &str) -> Option<Glob> {
    if text.is_empty() || text.len() > MAX_LENGTH || text.chars().any(char::is_control) || text.trim() != text {
        log.error(at, format!("`{}` is no name of a group", text.escape_debug()));
        return None;
    }
    Some(Glob::new(text))
}

/// Names or patterns of services or accounts.
pub(crate) fn take_globs(log: &mut Log<'_>, section: &mut Section<'_>, key: &'static str) -> Option<Vec<(At, Glob)>> {
    let what = section.name_of(key);
    let texts = section.take(key)?.texts(log, &what, Alone::Nothing)?;
    Some(texts.into_iter().filter_map(|(at, text)| Some((at, pattern(log, at, text)?))).collect())
}

/// A pattern of names: what a name may have, and `*` and `?`.
fn pattern(log: &mut Log<'_>, at: At, text: &str) -> Option<Glob> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '*' | '?');
    if text.is_empty() || text.len() > MAX_LENGTH || !text.chars().all(allowed) {
        let message = format!("`{}` is neither a name nor a pattern of names", text.escape_debug());
        log.error(at, message);
        return None;
    }
    Some(Glob::new(text))
}

fn bad_name<T>(log: &mut Log<'_>, at: At, text: &str, error: NameError) -> Option<T> {
    log.error(at, format!("`{}` is no name: {error}", text.escape_debug()));
    None
}
