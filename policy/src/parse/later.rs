//! `break_glass`: read and checked for its shape, so that a plant file can hold it; without effect yet.

use jiff::SignedDuration;

use super::Names;
use super::log::{At, Log};
use super::selectors::{take_assets, take_globs};
use super::value::{Key, Section, Value};
use crate::policy::BreakGlass;
use crate::selector::Glob;

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
