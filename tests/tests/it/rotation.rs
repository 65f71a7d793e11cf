//! The broker's own keys are changed, and nobody who had time to learn of it is locked out; what was signed before still proves.

use std::fs;
use std::path::Path;
use std::process::Command;

use sallyport_tests::{Finished, Plant, finish, recordings, sallyport};

fn rotate(plant: &Plant, arguments: &[&str]) -> Finished {
    plant.sallyport(&[&["secrets", "rotate"], arguments].concat())
}

fn told(plant: &Plant, key: &str) -> Vec<String> {
    let entries = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-5305" && entry["event"]["key"] == key);
    entries.map(|entry| entry["event"]["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn assets_learn_of_the_next_user_authority_before_it_signs() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let trusted = plant.folder().join("sshd/user_ca.pub");
    let before = plant.sallyport(&["user-ca"]).ok();
    assert!(rotate(&plant, &["user-ca", "--use"]).refused().contains("no next `user-ca` is made"));
    assert!(rotate(&plant, &["user-ca", "--drop"]).refused().contains("no old `user-ca`"));
    rotate(&plant, &["user-ca"]).ok();
    assert!(rotate(&plant, &["user-ca"]).refused().contains("--use"));
    let both = plant.sallyport(&["user-ca"]).ok();
    let next = both.strip_prefix(&before).expect("the one in use stands first").to_owned();
    assert_eq!(both.lines().count(), 2, "{both}");

    // Staged: the old one signs, also after a restart.
    plant.broker().terminate();
    plant.serve();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    fs::write(&trusted, &next).unwrap();
    alice.leased_ssh(["ews-1", "true"]).refused();
    fs::write(&trusted, &both).unwrap();
    rotate(&plant, &["user-ca", "--use"]).ok();
    plant.broker().terminate();
    plant.serve();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    fs::write(&trusted, &before).unwrap();
    alice.leased_ssh(["ews-1", "true"]).refused();
    fs::write(&trusted, &next).unwrap();
    assert_eq!(alice.leased_ssh(["ews-1.direct", "echo in"]).ok(), "in\n");

    assert_eq!(plant.sallyport(&["user-ca"]).ok(), format!("{next}{before}"), "the old one is listed still");
    rotate(&plant, &["user-ca", "--drop"]).ok();
    assert_eq!(plant.sallyport(&["user-ca"]).ok(), next);
    // Stolen: nothing is left of it, staged or old.
    rotate(&plant, &["user-ca"]).ok();
    rotate(&plant, &["user-ca", "--at-once"]).ok();
    let last = plant.sallyport(&["user-ca"]).ok();
    assert!(last.lines().count() == 1 && last != next, "{last}");
    assert_eq!(told(&plant, "user-ca"), ["staged", "in use", "old ones dropped", "staged", "in use at once"]);
    plant.sallyport(&["audit", "verify"]).ok();
    plant.sallyport(&["secrets", "rekey"]).ok();
    assert_eq!(plant.sallyport(&["user-ca"]).ok(), last);
}

#[test]
fn workstations_learn_of_the_next_host_authority_before_it_signs() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let known = alice.folder().join("known_hosts");
    let before = fs::read_to_string(&known).unwrap();
    rotate(&plant, &["host-ca"]).ok();
    let both = plant.sallyport(&["known-hosts"]).ok();
    assert!(both.starts_with(&before) && both.lines().count() == 2 * before.lines().count(), "{both}");
    rotate(&plant, &["host-ca", "--use"]).ok();
    // Behind the authority the host key may change at any time.
    rotate(&plant, &["host-key"]).ok();
    plant.broker().terminate();
    plant.serve();
    for host in ["ews-1", "ews-1.direct"] {
        assert!(alice.leased_ssh([host, "true"]).refused().contains("Host key verification failed"));
    }
    fs::write(&known, &both).unwrap();
    for host in ["ews-1", "ews-1.direct"] {
        assert_eq!(alice.leased_ssh([host, "echo in"]).ok(), "in\n");
    }
    assert_eq!(told(&plant, "host-ca"), ["staged", "in use"]);
    assert_eq!(told(&plant, "host-key"), ["in use at once"]);
    assert!(rotate(&plant, &["host-key", "--use"]).refused().contains("in use at once"));
}

#[test]
fn what_an_old_evidence_key_has_signed_still_proves_and_the_new_one_signs() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    plant.quiet();
    let refused = rotate(&plant, &["evidence"]);
    assert!(refused.refused().contains("while no broker runs") && refused.stderr.contains("is alive"), "{refused}");
    let old = plant.sallyport(&["secrets", "show", "evidence"]).ok();
    plant.broker().terminate();
    rotate(&plant, &["evidence"]).ok();
    let both = plant.sallyport(&["secrets", "show", "evidence"]).ok();
    let new = both.strip_suffix(&old).expect("the old one stands last").to_owned();
    plant.serve();
    alice.leased_ssh(["ews-1.direct", "echo in"]).ok();
    plant.quiet();
    // Killed in a session: what was begun under the new key is closed by it.
    let terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    plant.broker().kill();
    plant.serve();
    plant.sallyport(&["audit", "verify"]).ok();
    let verified = plant.sallyport(&["recording", "verify", "--all"]);
    assert!(verified.ok().contains("interrupted") && verified.text().matches(": sealed\n").count() == 2, "{verified}");
    assert!(rotate(&plant, &["evidence", "--drop"]).refused().contains("old evidence keys stay"));
    plant.broker().terminate();

    let chain = plant.folder().join("audit.jsonl");
    plant.sallyport(&["audit", "export", "--output", chain.to_str().unwrap()]).ok();
    let key = |name: &str, lines: &str| {
        fs::write(plant.folder().join(name), lines).unwrap();
        plant.folder().join(name)
    };
    let (old, new, both) = (key("old.pub", &old), key("new.pub", &new), key("both.pub", &both));
    let offline = |arguments: &[&str], key: &Path| {
        let mut command = Command::new(sallyport());
        command.args(["--config", "/nonexistent/broker.toml"]).args(arguments).arg("--public-key").arg(key);
        finish(command, b"")
    };
    let whole = ["audit", "verify", "--file", chain.to_str().unwrap()];
    offline(&whole, &both).ok();
    offline(&whole, &old).ok();
    offline(&whole, &new).refused();
    let folder = plant.recordings_folder();
    offline(&["recording", "verify", folder.to_str().unwrap(), "--audit", chain.to_str().unwrap()], &both).ok();
    let files = recordings(&folder);
    let signed_by = |key: &Path| {
        files
            .iter()
            .map(|file| offline(&["recording", "verify", file.to_str().unwrap()], key).status.success())
            .collect::<Vec<_>>()
    };
    assert_eq!((signed_by(&old), signed_by(&new)), (vec![true, false, false], vec![false, true, true]));
}
