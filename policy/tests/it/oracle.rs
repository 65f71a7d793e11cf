//! An independent oracle: the same random plant, written as a Cedar policy, must give the same answers.
//!
//! Windows are judged by Cedar from the weekday and the second of the day on the wall clock; factors from the age of
//! each proof. Neither touches this crate's code. The hours around a fold are left out (see `windows.rs` for them): there
//! a plant file's window is one stretch of time, which the wall clock's reading alone cannot tell.

#![expect(clippy::disallowed_types, reason = "the entities of Cedar are built from hash maps and sets")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sallyport_policy::{Decision, FactorKind};

use crate::random::{ASSETS, Asked, Forbid, Grant, Plant, ROLES, Window, ZONES_OF_TIME, asked, plant};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn cedar_agrees(plant in plant(), requests in proptest::collection::vec(asked(), 24)) {
        let policy = plant.policy();
        let cedar = PolicySet::from_str(&translate(&plant)).unwrap_or_else(|error| panic!("{error}\n{}", translate(&plant)));
        for asked in requests.iter().filter(|asked| !near_a_fold(asked.now)) {
            let decision = asked.decide(&policy);
            let allows = |proven, approved| cedar_allows(&cedar, &plant, asked, proven, approved);
            let (now, if_approved, at_best) = (allows(false, false), allows(false, true), allows(true, true));
            match &decision {
                Decision::Permit(_) => prop_assert!(now, "{asked:?}"),
                Decision::NeedFactors(_) => prop_assert!(!now && at_best, "{decision:?} {asked:?}"),
                Decision::NeedApproval(_) => prop_assert!(!now && if_approved, "{decision:?} {asked:?}"),
                Decision::Deny(_) => prop_assert!(!at_best, "{decision:?} {asked:?}"),
            }
        }
    }
}

/// The comparison would prove nothing if most answers were the same.
#[test]
fn the_random_requests_get_every_answer() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::{Config, TestRunner};
    let mut runner = TestRunner::new_with_rng(Config::default(), deterministic_rng());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..150 {
        let plant = plant().new_tree(&mut runner).unwrap().current();
        let policy = plant.policy();
        for _ in 0..24 {
            let word = match asked().new_tree(&mut runner).unwrap().current().decide(&policy) {
                Decision::Permit(_) => "permit",
                Decision::NeedFactors(_) => "need factors",
                Decision::NeedApproval(_) => "need approval",
                Decision::Deny(denial) => denial.code(),
            };
            *counts.entry(word).or_default() += 1;
        }
    }
    for word in [
        "permit",
        "need factors",
        "need approval",
        "forbidden",
        "no-conduit",
        "no-grant",
        "outside-window",
        "no-longer-valid",
        "not-yet-valid",
        "concurrent",
        "unknown-account",
    ] {
        assert!(counts.get(word).is_some_and(|count| *count >= 5), "{word}: {counts:?}");
    }
    eprintln!("{counts:?}");
}

fn deterministic_rng() -> proptest::test_runner::TestRng {
    proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha)
}

/// One Cedar policy per grant and forbid, and one for the conduits and for what exists.
fn translate(plant: &Plant) -> String {
    let mut text = String::new();
    let mut numbers = [0; ROLES.len()];
    for grant in &plant.grants {
        numbers[grant.role] += 1;
        let conditions = grant_conditions(plant, grant, numbers[grant.role]);
        writeln!(text, "permit(principal, action, resource) when {{ {} }};", all(&conditions)).unwrap();
    }
    for forbid in &plant.forbids {
        writeln!(text, "forbid(principal, action, resource) when {{ {} }};", all(&forbid_conditions(forbid))).unwrap();
    }
    let conduits: Vec<String> = plant
        .conduits
        .iter()
        .filter(|conduit| !conduit.elsewhere)
        .map(|conduit| {
            format!("resource in Zone::\"{}\" && {:?}.contains(context.service)", conduit.to, conduit.services)
        })
        .collect();
    writeln!(text, "forbid(principal, action, resource) unless {{ {} }};", any_of(&conduits)).unwrap();
    text.push_str(
        "forbid(principal, action, resource) unless {
            resource has name && [\"ssh\", \"vnc\", \"modbus\"].contains(context.service)
            && (if context.service == \"modbus\" then context.account == \"-\" else [\"op\", \"adm\"].contains(context.account))
        };",
    );
    text
}

fn grant_conditions(plant: &Plant, grant: &Grant, number: usize) -> Vec<String> {
    let accounts = any_of(&grant.accounts.iter().map(|a| like("context.account", a)).collect::<Vec<_>>());
    let mut conditions = vec![
        any_of(&plant.members[grant.role].iter().map(|m| identity(m)).collect::<Vec<_>>()),
        any_of(&grant.assets.iter().map(|a| asset(a)).collect::<Vec<_>>()),
        any_of(&grant.services.iter().map(|s| like("context.service", s)).collect::<Vec<_>>()),
        format!("context.service == \"modbus\" || {accounts}"),
        format!("context.proven || ({})", factors(grant)),
    ];
    if !grant.windows.is_empty() {
        conditions.push(any_of(&grant.windows.iter().map(window).collect::<Vec<_>>()));
    }
    conditions.extend(grant.valid_from.map(|from| format!("context.now >= {from}")));
    conditions.extend(grant.valid_until.map(|until| format!("context.now < {until}")));
    if let Some(limit) = grant.concurrent {
        conditions.push(format!("context.live[\"{}/{number}\"] < {limit}", ROLES[grant.role]));
    }
    if grant.approval {
        conditions.push("context.approved".to_owned());
    }
    conditions
}

fn forbid_conditions(forbid: &Forbid) -> Vec<String> {
    let mut conditions = vec![any_of(&forbid.identities.iter().map(|i| identity(i)).collect::<Vec<_>>())];
    if !forbid.assets.is_empty() {
        conditions.push(any_of(&forbid.assets.iter().map(|a| asset(a)).collect::<Vec<_>>()));
    }
    for (attribute, patterns) in [("context.service", &forbid.services), ("context.account", &forbid.accounts)] {
        if !patterns.is_empty() {
            conditions.push(any_of(&patterns.iter().map(|p| like(attribute, p)).collect::<Vec<_>>()));
        }
    }
    conditions
}

fn identity(selector: &str) -> String {
    match selector {
        "group:ops" => "principal in Group::\"ops\"".to_owned(),
        "vendor:acme" => "principal in Group::\"vendor:acme\"".to_owned(),
        "vendor:*" => "principal in Kind::\"vendor\"".to_owned(),
        name => like("principal.name", name),
    }
}

fn asset(selector: &str) -> String {
    match selector.split_once(':') {
        Some(("tag", tag)) => format!("resource in Tag::\"{tag}\""),
        Some((_, zone)) => format!("resource in Zone::\"{zone}\""),
        None => like("resource.name", selector),
    }
}

/// Cedar's `like` has no `?`: the few patterns that use it are spelled out.
fn like(attribute: &str, pattern: &str) -> String {
    match pattern {
        "?nc" => format!("[\"vnc\"].contains({attribute})"),
        "o?" => format!("{attribute} == \"op\""),
        pattern => format!("{attribute} like {pattern:?}"),
    }
}

fn factors(grant: &Grant) -> String {
    let max_age = grant.lease.max(60);
    let fresh = |kind: &str| format!("(context has {kind}_age && context.{kind}_age <= {max_age})");
    let second = format!("({} || {})", fresh("totp"), fresh("webauthn"));
    let named = grant.factors.clone().unwrap_or(vec!["totp", "webauthn"]);
    let named: Vec<String> = named
        .into_iter()
        .map(|kind| match kind {
            "totp" | "webauthn" => fresh(kind),
            first => format!("context.first.contains(\"{first}\")"),
        })
        .collect();
    format!("{second} && ({})", any_of(&named))
}

fn window(window: &Window) -> String {
    let clock = format!("context.clock[\"{}\"]", window.timezone);
    let (from, to) = (window.from * 60, window.to * 60);
    let on = |days: Vec<usize>| format!("{days:?}.contains({clock}.weekday)");
    if window.to > window.from {
        return format!("{} && {clock}.second >= {from} && {clock}.second < {to}", on(window.days.clone()));
    }
    let after = window.days.iter().map(|day| (day + 1) % 7).collect();
    format!("({} && {clock}.second >= {from}) || ({} && {clock}.second < {to})", on(window.days.clone()), on(after))
}

fn cedar_allows(policies: &PolicySet, plant: &Plant, asked: &Asked, proven: bool, approved: bool) -> bool {
    let principal = uid("Identity", asked.subject.identity.as_str());
    let resource = uid("Asset", asked.asset);
    let request =
        Request::new(principal, uid("Action", "use"), resource, context(asked, proven, approved), None).unwrap();
    let response = Authorizer::new().is_authorized(&request, policies, &entities(plant, asked));
    // A policy that stumbles is left out by Cedar, which would hide a disagreement; only the asset that is not there has
    // no attributes to be asked for.
    assert!(asked.asset == "c0" || response.diagnostics().errors().next().is_none(), "{response:?}");
    response.decision() == CedarDecision::Allow
}

fn entities(plant: &Plant, asked: &Asked) -> Entities {
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let mut entities = Vec::new();
    let mut groups = HashSet::new();
    for group in &asked.subject.groups {
        let kind = group.split_once(':').map(|(kind, _)| uid("Kind", kind));
        entities.push(Entity::new_no_attrs(uid("Group", group), kind.into_iter().collect()));
        groups.insert(uid("Group", group));
    }
    let name = asked.subject.identity.as_str();
    let attributes = HashMap::from([("name".to_owned(), text(name))]);
    entities.push(Entity::new(uid("Identity", name), attributes, groups).unwrap());
    for (number, (asset, zone)) in ASSETS.iter().zip(&plant.zones).enumerate() {
        let parents = HashSet::from([uid("Zone", zone), uid("Tag", if number < 2 { "t0" } else { "t1" })]);
        let attributes = HashMap::from([("name".to_owned(), text(asset))]);
        entities.push(Entity::new(uid("Asset", asset), attributes, parents).unwrap());
    }
    Entities::from_entities(entities, None).unwrap()
}

fn context(asked: &Asked, proven: bool, approved: bool) -> Context {
    let mut first = Vec::new();
    let mut ages: BTreeMap<&str, i64> = BTreeMap::new();
    for proof in &asked.proofs {
        let age = asked.now.duration_since(proof.at).as_secs();
        match proof.kind {
            FactorKind::Totp | FactorKind::RecoveryCode if age >= -5 => {
                ages.entry("totp_age").and_modify(|other| *other = age.min(*other)).or_insert(age);
            }
            FactorKind::WebAuthn if age >= -5 => {
                ages.entry("webauthn_age").and_modify(|other| *other = age.min(*other)).or_insert(age);
            }
            FactorKind::Totp | FactorKind::RecoveryCode | FactorKind::WebAuthn => {}
            kind => first.push(kind.as_str()),
        }
    }
    let mut json = serde_json::json!({
        "service": asked.service,
        "account": asked.account,
        "proven": proven,
        "approved": approved,
        "now": asked.now.as_second(),
        "first": first,
        "clock": {},
        "live": {},
    });
    for (kind, age) in ages {
        json[kind] = age.into();
    }
    for name in ZONES_OF_TIME {
        let clock = timezone(name).to_datetime(asked.now);
        let second = i64::from(clock.hour()) * 3_600 + i64::from(clock.minute()) * 60 + i64::from(clock.second());
        json["clock"][name] =
            serde_json::json!({ "weekday": clock.weekday().to_monday_zero_offset(), "second": second });
    }
    for (role, name) in ROLES.iter().enumerate() {
        for grant in 1..=8 {
            let mine = (asked.subject.identity.as_str(), role, grant);
            json["live"][format!("{name}/{grant}")] = asked.live.iter().filter(|live| **live == mine).count().into();
        }
    }
    Context::from_json_value(json, None).unwrap()
}

fn uid(kind: &str, id: &str) -> EntityUid {
    EntityUid::from_str(&format!("{kind}::{id:?}")).unwrap()
}

fn timezone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn near_a_fold(now: Timestamp) -> bool {
    let from = now - SignedDuration::from_hours(3);
    let to = now + SignedDuration::from_hours(3);
    ZONES_OF_TIME.iter().any(|name| {
        let zone = timezone(name);
        zone.to_offset(from) > zone.to_offset(to)
    })
}

fn all(conditions: &[String]) -> String {
    conditions.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" && ")
}

fn any_of(conditions: &[String]) -> String {
    let any = conditions.iter().map(|condition| format!("({condition})")).collect::<Vec<_>>().join(" || ");
    if any.is_empty() { "false".to_owned() } else { format!("({any})") }
}
