#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use sallyport_policy::{
    AccountName, Claimant, Decision, FactorKind, IdentityId, PermitRule, PlantFile, Policy, Request, Subject, decide,
};

use super::row::{AccessAnswer, AccessRow, AccessRule};
use super::{Agreed, Scope, Uses};
use crate::identity::{Somebody, Standing};
use crate::store::last_use::LastUse;

/// Of a number, one choice after the other.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()]
    }

    fn some(&mut self, of: &[&str]) -> String {
        let chosen: Vec<String> = of.iter().filter(|_| self.roll(2) == 0).map(|word| format!("{word:?}")).collect();
        if chosen.is_empty() { format!("{:?}", self.one(of)) } else { chosen.join(", ") }
    }
}

const ASSETS: [&str; 5] = ["zone:cell-1", "zone:cell-2", "tag:odd", "a-0", "*"];
const PEOPLE: [&str; 5] = ["p-0", "p-1", "p-2", "p-3", "ghost"];
const NOW: &str = "2026-11-23T12:00:00Z";

fn plant(dice: &mut Dice) -> Policy {
    let mut text = String::new();
    for zone in 1..=2 {
        text += &format!("[zone.cell-{zone}]\nnetworks = [\"10.{zone}.0.0/16\"]\n");
        text += &format!("[[conduit]]\nto = \"cell-{zone}\"\nservices = [{}]\n", dice.some(&["ssh", "vnc", "modbus"]));
    }
    for asset in 0..4 {
        // Whatever a rule selects is there: an empty tag or zone is an error.
        let zone = if asset < 2 { asset + 1 } else { dice.roll(2) + 1 };
        text += &format!("[asset.a-{asset}]\nzone = \"cell-{zone}\"\naddress = \"10.{zone}.0.{}\"\n", asset + 1);
        text += if asset == 0 || dice.roll(2) == 0 { "tags = [\"odd\"]\n" } else { "tags = [\"even\"]\n" };
        text += "services.ssh = {}\nservices.vnc = {}\nservices.modbus = {}\n";
        text += "accounts.operator = { auth = \"prompt\" }\naccounts.admin = { auth = \"prompt\" }\n";
    }
    for role in 0..3 {
        text += &format!("[role.r-{role}]\n");
        for _ in 0..=dice.roll(2) {
            text += &format!("[[role.r-{role}.grant]]\nassets = [{}]\n", dice.some(&ASSETS));
            text += &format!("services = [{}]\n", dice.some(&["ssh", "vnc", "modbus"]));
            text += &format!("accounts = [{}]\n", dice.some(&["operator", "admin", "*"]));
            text += dice.one(&["", "factors = [\"webauthn\"]\n", "factors = [\"totp\", \"key\"]\n"]);
            text += dice.one(&["", "", "valid_until = 2026-01-01T00:00:00Z\n", "valid_from = 2027-01-01T00:00:00Z\n"]);
            text += dice.one(&["", "approval = { by = \"r-0\" }\n"]);
            text +=
                dice.one(&["", "when = { days = \"Sat\", from = \"06:00\", to = \"18:00\", timezone = \"UTC\" }\n"]);
        }
        text += &format!("[role.r-{role}.members]\nidentities = [{}]\n", dice.some(&PEOPLE));
        text += dice.one(&["", "groups = [\"vendor:*\"]\n"]);
    }
    if dice.roll(2) == 0 {
        text += &format!("[[forbid]]\nidentities = [{}]\n", dice.some(&["p-0", "p-1", "vendor:*"]));
        text += &format!("assets = [{}]\n", dice.some(&ASSETS));
    }
    if dice.roll(2) == 0 {
        text += &format!("[break_glass.nights]\nassets = [{}]\nservices = [\"ssh\", \"vnc\"]\n", dice.some(&ASSETS));
        text += "accounts = [\"*\"]\nmax_duration = \"1h\"\nreview_within = \"24h\"\n";
        text += &format!("[break_glass.nights.members]\nidentities = [{}]\n", dice.some(&PEOPLE));
    }
    Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text: text.clone() }])
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn person(name: &str, dice: &mut Dice) -> Somebody {
    let groups = if dice.roll(2) == 0 { BTreeSet::from(["vendor:pumps".to_owned()]) } else { BTreeSet::new() };
    let subject = Subject { identity: name.parse().unwrap(), groups };
    let standing = match dice.roll(4) {
        0 => Standing::Locked { reason: "lost".to_owned() },
        1 => Standing::Expired { at: Timestamp::UNIX_EPOCH },
        _ => Standing::Active { subject: subject.clone(), valid_until: None },
    };
    let all = [FactorKind::Key, FactorKind::Password, FactorKind::Totp, FactorKind::WebAuthn, FactorKind::RecoveryCode];
    let factors = all.into_iter().filter(|_| dice.roll(2) == 0).collect();
    Somebody { subject, display_name: name.to_uppercase(), standing, factors, by_passkey_alone: dice.roll(2) == 0 }
}

fn everybody(dice: &mut Dice) -> Vec<Somebody> {
    PEOPLE.iter().filter(|name| **name != "ghost").map(|name| person(name, dice)).collect()
}

fn report(policy: &Policy, people: &[Somebody], uses: &Uses, scope: &Scope) -> Vec<AccessRow> {
    let mut all = Vec::new();
    let taken = super::report(
        policy,
        people,
        uses,
        &Agreed::default(),
        scope,
        |rows| -> Result<(), std::convert::Infallible> {
            all.extend(rows);
            Ok(())
        },
    );
    let Ok(()) = taken;
    all
}

fn all(at: Timestamp) -> Scope {
    Scope { identity: None, asset: None, at }
}

/// A way of somebody, as both the report and the gate name it.
type Way = (String, String, String, String);

fn way(row: &AccessRow) -> Way {
    (row.person.identity.clone(), row.asset.to_string(), row.service.to_string(), row.account.to_string())
}

proptest! {
    /// For every person, asset, service and account there is a row with what the gate would answer, or none where it would never let them.
    #[test]
    fn the_report_says_what_the_gate_would_answer(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (policy, people) = (plant(&mut dice), everybody(&mut dice));
        let now: Timestamp = NOW.parse().unwrap();
        let rows = report(&policy, &people, &Uses::default(), &all(now));
        let by_grant = rows.iter().filter(|row| row.by == AccessRule::Grant);
        let mut told: BTreeMap<Way, &AccessRow> = by_grant.map(|row| (way(row), row)).collect();
        for somebody in &people {
            let proofs = somebody.proofs(now);
            for place in policy.places() {
                for account in accounts(place.asset.accounts.keys(), place.service.protocol.has_accounts()) {
                    let (subject, asset, service) = (&somebody.subject, &place.asset.id, &place.service.name);
                    let request = Request { subject, asset, service, account: &account, proofs: &proofs, live: &[], approvals: &[] };
                    let decision = decide(&policy, &request, now);
                    let row = told.remove(&(
                        subject.identity.to_string(), asset.to_string(), service.to_string(), account.to_string(),
                    ));
                    let stands = matches!(somebody.standing, Standing::Active { .. }) && somebody.lacks().is_none();
                    match (&decision, row) {
                        (Decision::Permit(permit), Some(row)) if stands => {
                            prop_assert_eq!(row.answer, AccessAnswer::Yes);
                            prop_assert_eq!(&row.rule, &permit.rule.to_string());
                            prop_assert_eq!(&row.filter, &permit.terms.filter);
                        }
                        (Decision::NeedApproval(approval), Some(row)) if stands => {
                            prop_assert_eq!(row.answer, AccessAnswer::Approval);
                            prop_assert_eq!(&row.rule, &approval.rule.to_string());
                        }
                        (_, Some(row)) => {
                            prop_assert_eq!(row.answer, AccessAnswer::No);
                            prop_assert!(!row.why.is_empty());
                        }
                        (Decision::Deny(_), None) => {}
                        (decision, None) => prop_assert!(false, "no row for {}", decision),
                    }
                }
            }
        }
        // What is left is of people who are named and not enrolled.
        for row in told.values() {
            prop_assert_eq!(row.person.identity.as_str(), "ghost");
            prop_assert_eq!((row.person.state, row.answer), ("not enrolled", AccessAnswer::No));
        }
    }

    /// What the rows of emergencies say is what breaking the glass would give.
    #[test]
    fn emergencies_are_reported_as_they_would_be_given(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let (policy, people) = (plant(&mut dice), everybody(&mut dice));
        let now: Timestamp = NOW.parse().unwrap();
        let rows = report(&policy, &people, &Uses::default(), &all(now));
        let mut breaking: BTreeMap<Way, &AccessRow> =
            rows.iter().filter(|row| row.by == AccessRule::BreakGlass).map(|row| (way(row), row)).collect();
        for (glass, somebody) in policy.break_glass().flat_map(|glass| people.iter().map(move |each| (glass, each))) {
            let name = glass.rule.name.as_str();
            let claimant = Claimant::Breaking { subject: &somebody.subject, name, left: glass.max_duration };
            for reach in policy.reach(claimant, &somebody.proofs(now), &[], &[], now) {
                let (asset, service) = (reach.asset.to_string(), reach.service.to_string());
                let way = (somebody.subject.identity.to_string(), asset, service, reach.account.to_string());
                let row = breaking.remove(&way).unwrap();
                let stands = matches!(somebody.standing, Standing::Active { .. }) && somebody.lacks().is_none();
                let lifted = matches!(&reach.decision, Decision::Permit(permit)
                    if matches!(permit.rule, PermitRule::Lifted { .. }));
                prop_assert_eq!(row.answer == AccessAnswer::Yes, lifted && stands);
            }
        }
        prop_assert!(breaking.values().all(|row| row.person.identity == "ghost"));
        let sealed = rows.iter().filter(|row| row.by == AccessRule::Envelope);
        prop_assert!(sealed.clone().all(|row| row.person.identity == "glass" && row.answer == AccessAnswer::Yes));
        prop_assert!(policy.break_glass().next().is_some() || sealed.count() == 0);
    }
}

fn accounts<'a>(known: impl Iterator<Item = &'a AccountName>, there_are: bool) -> Vec<AccountName> {
    if there_are { known.cloned().collect() } else { vec![AccountName::none()] }
}

#[test]
fn a_way_was_last_used_by_the_kind_of_rule_that_let_somebody() {
    let mut dice = Dice(7);
    let text = "[zone.cell-1]\nnetworks = [\"10.1.0.0/16\"]\n[[conduit]]\nto = \"cell-1\"\nservices = [\"ssh\"]\n\
                [asset.a-0]\nzone = \"cell-1\"\naddress = \"10.1.0.1\"\nservices.ssh = {}\n\
                accounts.operator = { auth = \"prompt\" }\n\
                [role.r]\n[[role.r.grant]]\nassets = [\"*\"]\nservices = [\"ssh\"]\naccounts = [\"*\"]\n\
                [role.r.members]\nidentities = [\"p-0\"]\n\
                [break_glass.nights]\nassets = [\"*\"]\nservices = [\"ssh\"]\naccounts = [\"*\"]\n\
                max_duration = \"1h\"\nreview_within = \"24h\"\n[break_glass.nights.members]\nidentities = [\"p-0\"]\n";
    let policy = Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text: text.to_owned() }]).unwrap();
    let used = |identity: &str, emergency: &str, second: i64| LastUse {
        identity: identity.to_owned(),
        asset: "a-0".to_owned(),
        service: "ssh".to_owned(),
        account: "operator".to_owned(),
        emergency: emergency.to_owned(),
        at: Timestamp::from_second(second).unwrap(),
    };
    let uses = Uses::of(vec![
        used("p-0", "", 1),
        used("p-0", "break-glass nights (plant.toml:7), for role r, grant 1 (plant.toml:3)", 3),
        used("p-0", "break-glass nights (plant.toml:9), for role r, grant 1 (plant.toml:3)", 2),
        used("glass", "break-glass nights (plant.toml:7)", 4),
    ]);
    let now: Timestamp = NOW.parse().unwrap();
    let rows = report(&policy, &[person("p-0", &mut dice)], &uses, &all(now));
    let last: Vec<_> = rows.iter().map(|row| (row.by, row.last_used.map(Timestamp::as_second))).collect();
    assert_eq!(
        last,
        [(AccessRule::Grant, Some(1)), (AccessRule::BreakGlass, Some(3)), (AccessRule::Envelope, Some(4))]
    );
    let one: IdentityId = "p-0".parse().unwrap();
    let of_one = report(&policy, &[], &uses, &Scope { identity: Some(one), asset: None, at: now });
    assert!(of_one.iter().all(|row| row.person.state == "not enrolled"), "{of_one:?}");
    assert_eq!(of_one.len(), 2);
}
