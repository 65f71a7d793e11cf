//! `[[role.NAME.window]]`: which write windows the members of a role may open for others.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Names;
use super::log::{At, Log, nearest};
use super::selectors::{identity, take_assets, take_globs};
use super::value::{Alone, Section, Value};
use crate::names::RoleId;
use crate::selector::Glob;
use crate::window_rule::{Beneficiary, WindowRule, WindowRuleRef};

/// A longer one would be a grant.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// A rule about windows, and where it names services, for the checks that need the whole plant.
pub(crate) struct Openable {
    pub(crate) services: Vec<(At, Glob)>,
    pub(crate) rule: WindowRule,
}

pub(crate) fn window(
    log: &mut Log<'_>,
    value: Value<'_>,
    role: &RoleId,
    number: usize,
    names: &Names,
) -> Option<Openable> {
    let mut section = value.section(log, value.at, format!("window {number} of role `{role}`"))?;
    for key in ["assets", "services"] {
        section.must_have(log, key);
    }
    let assets = take_assets(log, &mut section, names).unwrap_or_default();
    let services = take_globs(log, &mut section, "services").unwrap_or_default();
    let people = take_people(log, &mut section, names);
    let what = section.name_of("max");
    let max =
        section.need(log, "max").and_then(|value| value.duration(log, &what, SignedDuration::from_mins(1), LONGEST));
    section.finish(log);
    let (file, line) = log.line(value.at);
    let rule = WindowRuleRef { role: role.clone(), window: number, file: Arc::from(file), line };
    let globs = services.iter().map(|(_, glob)| glob.clone()).collect();
    Some(Openable { services, rule: WindowRule { rule, assets, services: globs, people, max: max? } })
}

/// People as elsewhere, or `role:x`.
fn take_people(log: &mut Log<'_>, section: &mut Section<'_>, names: &Names) -> BTreeSet<Beneficiary> {
    let what = section.name_of("for");
    let texts = section.need(log, "for").and_then(|value| value.texts(log, &what, Alone::Nothing));
    let mut people = BTreeSet::new();
    for (at, text) in texts.unwrap_or_default() {
        match text.split_once(':') {
            Some(("role", role)) => people.extend(known_role(log, at, role, &section.title, names)),
            Some((kind, _)) if kind != "group" && nearest(kind, ["role"]).is_some() => {
                let message =
                    format!("`{text}` in {what} selects nobody: write a name, `role:…`, `group:…` or a pattern");
                log.unknown(at, message, kind, ["role"]);
            }
            Some(_) | None => people.extend(identity(log, at, text).map(Beneficiary::Identity)),
        }
    }
    people
}

fn known_role(log: &mut Log<'_>, at: At, text: &str, owner: &str, names: &Names) -> Option<Beneficiary> {
    let role: Option<RoleId> = text.parse().ok().filter(|role| names.roles.contains(role));
    if role.is_none() {
        let known = names.roles.iter().map(RoleId::as_str);
        log.unknown(at, format!("unknown role `{text}` in {owner}"), text, known);
    }
    role.map(Beneficiary::Role)
}
