//! Emergencies: what a sealed code gives, and what somebody known may do by breaking the glass. Neither more than the section says.

use jiff::SignedDuration;
use sallyport_policy::{
    Decision, FactorKind, PermitRule, PlantFile, Policy, Proof, Request, Subject, decide, decide_emergency,
    decide_lifted,
};

const PLANT: &str = r#"
[zone.cell-1]
level = 2
security_level = 2
networks = ["10.10.1.0/24"]
[zone.safety]
level = 1
security_level = 3
networks = ["10.10.9.0/24"]
[[conduit]]
to = "cell-1"
services = ["ssh", "modbus"]
[asset.ews-1]
zone = "cell-1"
address = "10.10.1.20"
services.ssh = { port = 22, host_key = "HOST_KEY" }
accounts.operator = { auth = "certificate" }
accounts.root = { auth = "certificate" }
[asset.plc-1]
zone = "cell-1"
address = "10.10.1.30"
services.modbus.port = 502
[asset.sis-1]
zone = "safety"
address = "10.10.9.30"
services.modbus.port = 502
[filter.setpoints]
modbus = [{ operations = ["read"] }, { operations = ["write"], unit = [1], registers = ["100-109"] }]
[role.engineer]
[[role.engineer.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
approval = { by = "engineer", count = 1 }
when = { days = "Mon-Fri", from = "06:00", to = "18:00", timezone = "UTC" }
factors = ["webauthn"]
terms = { concurrent = 1, max_duration = "2h" }
[role.engineer.members]
identities = ["alice", "bob"]
[[forbid]]
identities = ["mallory"]
[break_glass.control-room]
assets = ["zone:cell-1", "sis-1"]
services = ["ssh", "modbus"]
accounts = ["operator"]
max_duration = "1h"
review_within = "24h"
filter = "setpoints"
[break_glass.control-room.members]
identities = ["alice", "mallory"]
"#;

fn policy(text: &str) -> Policy {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let text = text.replace("HOST_KEY", key);
    Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text }]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn subject(name: &str) -> Subject {
    Subject { identity: name.parse().unwrap(), groups: Default::default() }
}

fn told(decision: Decision) -> String {
    match decision {
        Decision::Permit(permit) => {
            let terms = permit.terms;
            let filter = terms.filter.unwrap_or_else(|| "no filter".to_owned());
            format!("{}: {:?}, {filter}, concurrent {:?}", permit.rule, terms.max_duration.unwrap(), terms.concurrent)
        }
        other => other.to_string(),
    }
}

/// As `asset service account`, with what is left of the emergency.
fn opened(text: &str, target: &str, left: i64) -> String {
    let names: Vec<&str> = target.split(' ').collect();
    let (asset, service, account) = (names[0].parse().unwrap(), names[1].parse().unwrap(), names[2].parse().unwrap());
    let glass = subject("glass");
    let request = Request {
        subject: &glass,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &[],
        live: &[],
        approvals: &[],
    };
    told(decide_emergency(&policy(text), "control-room", &request, SignedDuration::from_mins(left)))
}

#[test]
fn an_envelope_gives_what_its_section_names_and_for_no_longer() {
    let rule = "break-glass control-room (plant.toml:42)";
    assert_eq!(opened(PLANT, "ews-1 ssh operator", 240), format!("{rule}: 1h, no filter, concurrent None"));
    assert_eq!(opened(PLANT, "plc-1 modbus -", 12), format!("{rule}: 12m, setpoints, concurrent None"));
    for (target, refused) in [
        ("ews-1 ssh root", "deny: no grant of theirs names it"),
        ("ews-1 modbus -", "deny: asset `ews-1` has no service `modbus`"),
        ("plc-2 modbus -", "deny: the plant has no asset `plc-2`"),
        // The section names it, and no conduit lets it pass: an emergency lifts no ceiling.
        ("sis-1 modbus -", "deny: no conduit lets `modbus` pass into zone `safety`"),
    ] {
        assert_eq!(opened(PLANT, target, 60), refused, "{target}");
    }
    let without = PLANT
        .replace("filter = \"setpoints\"\n[break_glass.control-room.members]", "[break_glass.control-room.members]");
    assert_eq!(opened(&without, "plc-1 modbus -", 60), format!("{rule}: 1h, read-only, concurrent None"));
    let forbidden = format!("{PLANT}[[forbid]]\nassets = [\"plc-1\"]\n");
    assert_eq!(opened(&forbidden, "plc-1 modbus -", 60), "deny: forbid (plant.toml:51)");
    let gone = PLANT.replace("[break_glass.control-room", "[break_glass.other");
    assert_eq!(opened(&gone, "plc-1 modbus -", 60), "deny: no grant of theirs names it");
}

/// At 20:00, when nobody is let in by the grant.
fn lifted(who: &str, kinds: &[FactorKind]) -> (String, String) {
    let now = "2026-11-26T20:00:00Z".parse().unwrap();
    let proofs: Vec<Proof> = kinds.iter().map(|kind| Proof { kind: *kind, at: now }).collect();
    let (asset, service, account) = ("ews-1".parse().unwrap(), "ssh".parse().unwrap(), "operator".parse().unwrap());
    let person = subject(who);
    let request = Request {
        subject: &person,
        asset: &asset,
        service: &service,
        account: &account,
        proofs: &proofs,
        live: &[],
        approvals: &[],
    };
    let policy = policy(PLANT);
    let left = SignedDuration::from_mins(60);
    (told(decide(&policy, &request, now)), told(decide_lifted(&policy, "control-room", &request, now, left)))
}

#[test]
fn breaking_the_glass_lifts_window_and_approval_and_nothing_else() {
    let (key, passkey) = (FactorKind::Key, FactorKind::WebAuthn);
    let (without, with) = lifted("alice", &[key, passkey]);
    assert!(without.contains("outside its window"), "{without}");
    let by = "break-glass control-room (plant.toml:42), for role engineer, grant 1 (plant.toml:30)";
    assert_eq!(with, format!("{by}: 1h, no filter, concurrent None"));
    // The factors that the grant asks for.
    let (_, code) = lifted("alice", &[key, FactorKind::Totp]);
    assert!(code.contains("needs webauthn"), "{code}");
    // Whom the section does not name, though the grant does; and whom a forbid names.
    assert_eq!(lifted("bob", &[key, passkey]).1, "deny: no grant of theirs names it");
    assert_eq!(lifted("mallory", &[key, passkey]).1, "deny: forbid (plant.toml:40)");
}

#[test]
fn a_section_is_checked_as_a_grant_is() {
    let check = |from: &str, to: &str, expected: &str| {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
        let text = PLANT.replace("HOST_KEY", key).replace(from, to);
        let errors = Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text }]).map(drop).unwrap_err();
        assert!(errors.to_string().contains(expected), "{errors}");
    };
    let at = "review_within = \"24h\"";
    check(at, "", "break_glass `control-room` has no `review_within`");
    check(at, "review_within = \"24h\"\nenvelopes = 9", "is a whole number from 1 to 3");
    check(
        at,
        "review_within = \"24h\"\noverdue_stops_sealing = 1",
        "`overdue_stops_sealing` of break_glass `control-room`",
    );
    check(at, "review_within = \"24h\"\ncall = \"a\\nb\"", "is printed on a sheet: one line");
    check(at, "review_within = \"24h\"\ndoors = 3", "unknown key `doors`");
    check(
        "[break_glass.control-room]",
        "[break_glass.\"control room\"]",
        "cannot be the name of a break-glass section",
    );
    check("accounts = [\"operator\"]\nmax_duration", "accounts = [\"operater\"]\nmax_duration", "operater");
    check("filter = \"setpoints\"\n[break", "filter = \"setpoint\"\n[break", "unknown filter `setpoint`");
}

#[test]
fn what_permitted_a_session_is_written_so_that_no_grant_is_read_from_it() {
    let by = "break-glass control-room (plant.toml:42), for role engineer, grant 1 (plant.toml:30)";
    assert!(by.parse::<sallyport_policy::RuleRef>().is_err());
    let permit = PermitRule::Emergency(sallyport_policy::EmergencyRef {
        name: "control-room".to_owned(),
        file: "plant.toml".into(),
        line: 47,
    });
    assert!(permit.to_string().parse::<sallyport_policy::RuleRef>().is_err());
}
