//! `policy explain` of people whom the gate does not let in.

use serde_json::Value;

use sallyport_tests::{Plant, Setup};

/// What is asked of somebody who has proven all there is to prove.
fn asked<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["policy", "explain", name, "ews-1", "operator", "--factor", "key", "--factor", "totp"], more].concat()
}

fn explained(plant: &Plant, name: &str, more: &[&str]) -> Value {
    plant.json(&asked(name, more))
}

#[test]
fn whoever_the_gate_refuses_is_denied_by_explain_with_the_reason() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
    let active = explained(&plant, "alice", &[]);
    assert_eq!((&active["identity"]["state"], &active["decision"]["decision"]), (&"active".into(), &"permit".into()));
    assert!(active.get("otherwise").is_none(), "{active}");

    plant.sallyport(&["identity", "lock", "alice", "--reason", "badge lost"]).ok();
    alice.ssh(["ews-1", "echo in"]).refused();
    let locked = explained(&plant, "alice", &[]);
    assert_eq!(locked["decision"]["decision"], "deny", "{locked}");
    assert_eq!(locked["decision"]["reason"]["identity"]["state"], "locked", "{locked}");
    assert_eq!(locked["otherwise"]["decision"]["decision"], "permit", "{locked}");
    assert_eq!(locked["grants"], serde_json::json!([]), "{locked}");
    let said = plant.sallyport(&asked("alice", &[])).ok();
    assert!(said.starts_with("deny: `alice` is locked: badge lost\nwithout that: permit: role engineer"), "{said}");

    plant.sallyport(&["identity", "remove", "alice", "--reason", "left", "--yes"]).ok();
    alice.ssh(["ews-1", "echo in"]).refused();
    let said = plant.sallyport(&asked("alice", &[])).ok();
    assert!(said.starts_with("deny: `alice` was removed"), "{said}");
}

#[test]
fn whoever_is_not_known_or_whose_time_is_over_is_denied_by_explain() {
    let plant = Setup::standard().lay_out();
    for (name, until) in [("victor", "2126-12-01T18:00:00Z"), ("ada", "2126-12-01T18:00:00Z")] {
        plant.sallyport(&["identity", "add", name, "--valid-until", until]).ok();
    }
    assert_eq!(explained(&plant, "victor", &[])["decision"]["decision"], "permit");
    let over = explained(&plant, "victor", &["--at", "2126-12-01T18:00:00Z"]);
    assert_eq!(over["identity"]["state"], "expired", "{over}");
    assert_eq!(over["decision"]["decision"], "deny", "{over}");
    // A member of the role whom nobody enrolled.
    let unknown = explained(&plant, "alan", &[]);
    assert_eq!(unknown["identity"]["state"], "unknown", "{unknown}");
    assert_eq!(
        (&unknown["decision"]["decision"], &unknown["otherwise"]["decision"]["decision"]),
        (&"deny".into(), &"permit".into())
    );
    let said = plant.sallyport(&asked("victro", &[])).ok();
    assert!(said.starts_with("deny: there is no identity `victro`; did you mean `victor`?\n"), "{said}");
    // Where there is no broker nobody is known, and that is said.
    let plant_file = plant.folder().join("plant.toml");
    let mut alone = std::process::Command::new(sallyport_tests::sallyport());
    alone.args(["--config", "/nonexistent/broker.toml"]).args(asked("alan", &["-f", plant_file.to_str().unwrap()]));
    let said = sallyport_tests::finish(alone, b"").ok();
    assert!(said.starts_with("permit: ") && said.contains("there is no broker's configuration here"), "{said}");
}

#[test]
fn the_groups_that_somebody_is_in_count_for_explain() {
    let plant = Setup::standard().lay_out();
    plant.sallyport(&["identity", "add", "victor", "--group", "vendor:pumps"]).ok();
    let said = plant.json(&["policy", "explain", "victor", "sis-1", "operator", "--factor", "key", "--factor", "totp"]);
    assert!(said["decision"]["reason"].get("forbidden").is_some(), "{said}");
}
