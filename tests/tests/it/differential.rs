//! The same commands straight to an sshd and through the broker, by clients of five makers: same bytes, same ends.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sallyport_tests::{Place, Plant, finish, finish_within};
use serde::Deserialize;

/// What a command came to: its name, its end as this client tells it, what it wrote, and what it wrote to its error output, in Base64.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Came(String, serde_json::Value, String, String);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/differential.py");
const COMMANDS: usize = 40;

#[test]
fn openssh_sees_no_difference() {
    differs_nowhere("openssh");
}

#[test]
fn plink_sees_no_difference() {
    differs_nowhere("plink");
}

#[test]
fn dropbears_client_sees_no_difference() {
    differs_nowhere("dbclient");
}

#[test]
fn paramiko_sees_no_difference() {
    differs_nowhere("paramiko");
}

#[test]
fn asyncssh_sees_no_difference() {
    differs_nowhere("asyncssh");
}

fn differs_nowhere(client: &str) {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let key = alice.key();
    // The straight way is for this test: the broker's people have no key on the asset.
    fs::copy(key.with_extension("pub"), plant.folder().join("sshd/authorized_keys/operator"))
        .expect("an authorized key");
    let converted = format!(
        "puttygen {key} -o {key}.ppk -O private && dropbearconvert openssh dropbear {key} {key}.dropbear",
        key = key.display()
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &converted]);
    finish(shell, b"").ok();

    let at = |shell: Command, host: &str, port: u16, user: &str, config: Option<&Path>| {
        let mut python = shell;
        python
            .env("HOME", alice.folder())
            .args(["-W", "ignore", SCRIPT, client, host, &port.to_string(), user])
            .arg(&key);
        python.args(config);
        let ran = finish_within(Duration::from_secs(240), python, b"").ok();
        ran.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect::<Vec<Came>>()
    };
    let (broker, port) = Plant::BROKER;
    let straight = at(plant.network().command(Place::Plant, "/usr/bin/python3"), "10.10.1.20", 22, "operator", None);
    assert_eq!(straight.len(), COMMANDS);
    let direct = at(alice.leased("/usr/bin/python3"), broker, port, "alice:operator@ews-1", None);
    let jump = at(alice.leased("/usr/bin/python3"), "ews-1", 22, "operator", Some(&alice.config()));
    for (form, through) in [("direct", direct), ("jump", jump)] {
        assert_eq!(through.len(), COMMANDS, "{form}");
        for (straight, through) in straight.iter().zip(through) {
            assert_eq!(*straight, through, "{client}, {form}");
        }
    }
}
