//! Stock clients through the broker and straight to the same sshd: the same bytes on either output, the same exit code.

use std::path::Path;
use std::time::Duration;

use sallyport_tests::{Accounts, Place, Plant, Setup, Sshd, finish, finish_within, repository};
use serde_json::{Value, json};

/// A plant whose gate forwards, for once: the office reaches the asset's sshd without the broker as well.
fn both_ways() -> (Plant, sallyport_tests::Person) {
    // By design each login is told that it is recorded, on standard error: not here.
    let plant = Setup::standard().setting("[ssh]\nlogin_notice = \"\"").start();
    let alice = plant.person("alice");
    let key = Sshd::account_key(&plant.folder().join("sshd"));
    let set = ["account", "set", "hmi-1", Accounts::FITTER, "--key", key.to_str().unwrap()];
    finish(plant.command(&set), b"").ok();
    let mut forwarding = plant.network().command(Place::Gate, "sh");
    forwarding.args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]);
    finish(forwarding, b"").ok();
    alice.take_lease("ews-1");
    (plant, alice)
}

#[track_caller]
fn the_same(client: &str, ways: &[&str]) {
    let (plant, alice) = both_ways();
    let folder = plant.folder().join("sshd");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let settings = json!({
        "key": text(&alice.key()), "name": "alice", "broker": Plant::BROKER.0, "port": Plant::BROKER.1,
        "config": text(&alice.config()), "folder": text(alice.folder()),
        "asset": "hmi-1", "address": "10.10.1.34", "account": Accounts::FITTER, "account_key": text(&Sshd::account_key(&folder)),
    });
    let mut python = alice.leased("/usr/bin/python3");
    python.args(["-W", "ignore"]).arg(repository().join("tests/data/differential.py")).arg(client);
    let ran = finish_within(Duration::from_secs(240), python, settings.to_string().as_bytes());
    let ran: Value = serde_json::from_str(&ran.ok()).unwrap();
    assert_eq!((&ran["commands"], &ran["ways"]), (&json!(40), &json!(ways)), "{ran}");
    let differ: Vec<String> = ran["differ"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(differ.is_empty(), "{client}:\n{}", differ.join("\n"));
}

#[test]
fn openssh_sees_no_broker() {
    the_same("openssh", &["direct", "jump"]);
}

#[test]
fn plink_sees_no_broker() {
    the_same("plink", &["direct"]);
}

#[test]
fn dbclient_sees_no_broker() {
    the_same("dbclient", &["direct"]);
}

#[test]
fn paramiko_sees_no_broker() {
    the_same("paramiko", &["direct", "jump"]);
}

#[test]
fn asyncssh_sees_no_broker() {
    the_same("asyncssh", &["direct", "jump"]);
}
