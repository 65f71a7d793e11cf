//! `role` and `forbid`: who may, and who may not whatever is granted.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;

use super::check::Given;
use super::log::{At, Log};
use super::opening::{self, Openable};
use super::selectors::{group, take_assets, take_globs, take_identities};
use super::value::{Alone, Key, Section, Value, word};
use super::{Names, terms, when};
use crate::access_request;
use crate::factors::FactorKind;
use crate::filter::BuiltIn;
use crate::names::RoleId;
use crate::role::{ApprovalRule, Forbid, ForbidRef, Grant, Role, RuleRef};
use crate::selector::{Glob, IdentitySelector};
use crate::terms::Terms;

/// A lease that is not written.
const USUAL_LEASE: SignedDuration = SignedDuration::from_hours(1);

/// The longest lease: a working day with its night.
const LONGEST_LEASE: SignedDuration = SignedDuration::from_hours(24);

/// A grant, and where it names what it names, for the checks that need the whole plant.
pub(crate) struct Granted {
    pub(crate) given: Given,
    pub(crate) grant: Grant,
}

/// One file's share of a role: what stands in it, with its places.
#[derive(Default)]
pub(crate) struct Share {
    pub(crate) grants: Vec<Granted>,
    pub(crate) windows: Vec<Openable>,
}

/// `[role.process-engineer]`, one file's share of it: `role` gets the members, and the rest is returned.
pub(crate) fn role(log: &mut Log<'_>, key: Key<'_>, value: Value<'_>, role: &mut Role, names: &Names) -> Share {
    let Some(mut section) = value.section(log, key.at, format!("role `{}`", role.id)) else { return Share::default() };
    if let Some(text) = section.take_text(log, "description") {
        role.description = Some(text.to_owned());
    }
    if let Some(value) = section.take("members") {
        role.members.extend(members(log, value, &section.title));
    }
    let what = section.name_of("grant");
    let values = section.take("grant").and_then(|value| value.list(log, &what, Alone::Table)).unwrap_or_default();
    let what = section.name_of("window");
    let windows = section.take("window").and_then(|value| value.list(log, &what, Alone::Table)).unwrap_or_default();
    section.finish(log);
    let mut grants = Vec::new();
    for value in values {
        let number = role.grants.len() + grants.len() + 1;
        let (file, line) = log.line(value.at);
        let rule = RuleRef { role: role.id.clone(), grant: number, file: Arc::from(file), line };
        grants.extend(grant(log, value, rule, names));
    }
    let first = role.windows.len() + 1;
    let numbered = windows.into_iter().zip(first..);
    let windows = numbered.filter_map(|(value, number)| opening::window(log, value, &role.id, number, names)).collect();
    Share { grants, windows }
}

/// Who holds a role, or may break the glass.
pub(crate) fn members(log: &mut Log<'_>, value: Value<'_>, owner: &str) -> BTreeSet<IdentitySelector> {
    let Some(mut section) = value.section(log, value.at, format!("`members` of {owner}")) else {
        return BTreeSet::new();
    };
    let mut members = take_identities(log, &mut section).unwrap_or_default();
    let what = section.name_of("groups");
    let groups = section.take("groups").and_then(|value| value.texts(log, &what, Alone::Nothing)).unwrap_or_default();
    members.extend(groups.into_iter().filter_map(|(at, text)| group(log, at, text)).map(IdentitySelector::Group));
    section.finish(log);
    members
}

fn grant(log: &mut Log<'_>, value: Value<'_>, rule: RuleRef, names: &Names) -> Option<Granted> {
    let owner = format!("grant {} of role `{}`", rule.grant, rule.role);
    let mut section = value.section(log, value.at, owner.clone())?;
    for key in ["assets", "services"] {
        section.must_have(log, key);
    }
    let assets = take_assets(log, &mut section, names).unwrap_or_default();
    let services = take_globs(log, &mut section, "services").unwrap_or_default();
    let accounts = take_globs(log, &mut section, "accounts").unwrap_or_default();
    let when = section.take("when").and_then(|value| when::read(log, value, &owner));
    let mut instant = |key| {
        let what = section.name_of(key);
        section.take(key).and_then(|value| Some((value.at, value.instant(log, &what)?)))
    };
    let (valid_from, valid_until) = (instant("valid_from"), instant("valid_until"));
    if let (Some((_, from)), Some((at, until))) = (valid_from, valid_until)
        && until <= from
    {
        log.error(at, format!("`valid_until` of {owner} is not after its `valid_from`"));
    }
    let factors = factors(log, &mut section);
    let what = section.name_of("lease");
    let lease = section.take("lease").and_then(|v| v.duration(log, &what, SignedDuration::ZERO, LONGEST_LEASE));
    let approval = section.take("approval").and_then(|value| approval_rule(log, value, &rule, names));
    let mut terms = section.take("terms").map_or_else(|| Some(Terms::default()), |v| terms::read(log, v, &owner))?;
    let filter = filter(log, &mut section, names);
    terms.filter = filter.as_ref().map(|(_, name)| name.clone());
    section.finish(log);
    let globs = |named: &[(At, Glob)]| named.iter().map(|(_, glob)| glob.clone()).collect();
    let grant = Grant {
        rule,
        assets,
        services: globs(&services),
        accounts: globs(&accounts),
        when,
        valid_from: valid_from.map(|(_, from)| from),
        valid_until: valid_until.map(|(_, until)| until),
        factors,
        lease: lease.unwrap_or(USUAL_LEASE),
        approval,
        terms,
    };
    Some(Granted { given: Given { at: value.at, owner, services, accounts, filter }, grant })
}

/// The kinds a grant may ask for. A recovery code cannot be asked for: it stands in for TOTP.
const NAMEABLE: [FactorKind; 6] = [
    FactorKind::Key,
    FactorKind::SecurityKey,
    FactorKind::Certificate,
    FactorKind::Password,
    FactorKind::Totp,
    FactorKind::WebAuthn,
];

fn factors(log: &mut Log<'_>, section: &mut Section<'_>) -> BTreeSet<FactorKind> {
    let what = section.name_of("factors");
    let Some(value) = section.take("factors") else { return FactorKind::SECOND.into() };
    let texts = value.texts(log, &what, Alone::Nothing).unwrap_or_default();
    texts.into_iter().filter_map(|(at, text)| word(log, at, &what, text, &NAMEABLE, FactorKind::as_str)).collect()
}

fn approval_rule(log: &mut Log<'_>, value: Value<'_>, rule: &RuleRef, names: &Names) -> Option<ApprovalRule> {
    let title = format!("`approval` of grant {} of role `{}`", rule.grant, rule.role);
    let mut section = value.section(log, value.at, title)?;
    let what = section.name_of("by");
    let by = section.need(log, "by").and_then(|value| {
        let text = value.text(log, &what)?;
        let role: Option<RoleId> = text.parse().ok().filter(|role| names.roles.contains(role));
        if role.is_none() {
            let known = names.roles.iter().map(RoleId::as_str);
            log.unknown(value.at, format!("unknown role `{text}` in {}", section.title), text, known);
        }
        role
    });
    let what = section.name_of("count");
    let count = section.take("count").map_or(Some(1), |value| value.number(log, &what, 1, 16));
    let what = section.name_of("max");
    let longest = access_request::LONGEST;
    let max = section.take("max").map_or(Some(access_request::USUAL_LONGEST), |value| {
        value.duration(log, &what, SignedDuration::from_mins(1), longest)
    });
    section.finish(log);
    Some(ApprovalRule { rule: rule.clone(), by: by?, count: count?, max: max? })
}

/// The filter of a grant or an emergency, and where it is named.
pub(crate) fn filter(log: &mut Log<'_>, section: &mut Section<'_>, names: &Names) -> Option<(At, String)> {
    let what = section.name_of("filter");
    let value = section.take("filter")?;
    let text = value.text(log, &what)?;
    if BuiltIn::named(text).is_none() && !names.filters.contains(text) {
        let known = names.filters.iter().map(String::as_str).chain(BuiltIn::ALL.map(BuiltIn::as_str));
        log.unknown(value.at, format!("unknown filter `{text}` in {}", section.title), text, known);
    }
    Some((value.at, text.to_owned()))
}

/// `[[forbid]]`
pub(crate) fn forbid(log: &mut Log<'_>, value: Value<'_>, names: &Names) -> Option<(Forbid, Vec<(At, Glob)>)> {
    let mut section = value.section(log, value.at, "a forbid")?;
    let (file, line) = log.line(value.at);
    let rule = ForbidRef { file: Arc::from(file), line };
    let keys = ["identities", "assets", "services", "accounts"];
    if !keys.into_iter().any(|key| section.was_written(key)) {
        let message = "this forbid names nobody and nothing, and would stop everything: say so with `assets = [\"*\"]` if it should";
        log.error(value.at, message);
    }
    let identities = take_identities(log, &mut section).unwrap_or_default();
    let assets = take_assets(log, &mut section, names).unwrap_or_default();
    let services = take_globs(log, &mut section, "services").unwrap_or_default();
    let accounts = take_globs(log, &mut section, "accounts").unwrap_or_default();
    let reason = section.take_text(log, "reason").map(str::to_owned);
    section.finish(log);
    let globs = |named: &[(At, Glob)]| named.iter().map(|(_, glob)| glob.clone()).collect();
    let forbid = Forbid { rule, identities, assets, services: globs(&services), accounts: globs(&accounts), reason };
    Some((forbid, services))
}
