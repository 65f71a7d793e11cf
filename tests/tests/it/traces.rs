//! Every refusal leaves its trace in the audit chain: a row per way to be refused.

use std::time::Duration;

use sallyport_tests::{Person, Plant, eventually, finish};
use serde_json::Value;

/// One way to be refused, and what must stand in the chain then.
struct Row {
    what: &'static str,
    who: &'static str,
    /// Arguments of ssh, after those that name the person.
    ssh: &'static [&'static str],
    code: &'static str,
    /// Texts that the event holds.
    holds: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        what: "the direct form, to an asset that does not exist",
        who: "dave",
        ssh: &["-o", "User=dave:operator@ews-99", "broker", "true"],
        code: "SP-2002",
        holds: &["ews-99", "not an asset of the plant file"],
    },
    Row {
        what: "the direct form, to an asset that is not granted, with no account named",
        who: "dave",
        ssh: &["-o", "User=dave:ews-2", "broker", "true"],
        code: "SP-2002",
        holds: &["ews-2", "no grant names it"],
    },
    Row {
        what: "the direct form, to an account that is not granted",
        who: "dave",
        ssh: &["-o", "User=dave:root@ews-1", "broker", "true"],
        code: "SP-2002",
        holds: &["ews-1", "root"],
    },
    Row {
        what: "a jump to an asset that is not granted",
        who: "dave",
        ssh: &["ews-3", "true"],
        code: "SP-2002",
        holds: &["ews-3"],
    },
    Row {
        what: "a forwarded port of the broker's own network",
        who: "dave",
        ssh: &["-W", "127.0.0.1:2222", "broker"],
        code: "SP-2002",
        holds: &["127.0.0.1", "not a service of the plant file"],
    },
    Row {
        what: "another host through an asset",
        who: "alice",
        ssh: &["-W", "10.0.0.1:80", "ews-1.direct"],
        code: "SP-3007",
        holds: &["direct-tcpip to 10.0.0.1:80", "own loopback"],
    },
    Row {
        what: "an asset's loopback without the right to forward",
        who: "dave",
        ssh: &["-W", "127.0.0.1:22", "ews-1.direct"],
        code: "SP-3007",
        holds: &["direct-tcpip to 127.0.0.1:22", "forwarded ports"],
    },
    Row {
        what: "a remote forward",
        who: "alice",
        ssh: &["-R", "4000:localhost:22", "ews-1.direct", "true"],
        code: "SP-3007",
        holds: &["remote forward of", "4000"],
    },
    Row {
        what: "a remote forward of a Unix socket",
        who: "alice",
        ssh: &["-R", "/tmp/sallyport-refused:localhost:22", "ews-1.direct", "true"],
        code: "SP-3007",
        holds: &["remote forward of the Unix socket /tmp/sallyport-refused"],
    },
    Row {
        what: "a shell that is not granted",
        who: "carol",
        ssh: &["-tt", "ews-1.direct"],
        code: "SP-3007",
        holds: &["\"shell\"", "a shell is not granted here"],
    },
    Row {
        what: "a command that is not granted",
        who: "carol",
        ssh: &["ews-1", "id -u"],
        code: "SP-3007",
        holds: &["exec id -u", "commands are not granted here"],
    },
    Row {
        what: "a subsystem that there is not",
        who: "alice",
        ssh: &["-s", "ews-1.direct", "netconf"],
        code: "SP-3007",
        holds: &["subsystem netconf"],
    },
];

#[test]
fn every_refusal_of_somebody_known_is_in_the_chain() {
    let plant = Plant::start();
    let people: Vec<Person> = ["alice", "carol", "dave"].iter().map(|name| plant.person(name)).collect();
    for person in &people {
        person.ssh(["broker", "ls"]).ok();
    }
    for row in ROWS {
        let person = people.iter().find(|person| person.name == row.who).expect("a person of the table");
        let before = plant.audit().len();
        person.leased_ssh(row.ssh);
        entered(&plant, before, row.what, row.code, row.holds);
    }
    // A Unix socket is asked for when somebody connects.
    let (alice, before) = (&people[0], plant.audit().len());
    let mut connect = alice.leased("bash");
    connect.args(["-c", UNIX_SOCKET, "bash"]).arg(alice.config());
    finish(connect, b"");
    let holds = ["a connection to the Unix socket /var/run/docker.sock", "the broker does not carry it"];
    entered(&plant, before, "a Unix socket", "SP-3007", &holds);
    plant.sallyport(&["audit", "verify"]).ok();
}

/// Forwards a port to a Unix socket and connects to it.
const UNIX_SOCKET: &str = "ssh -F \"$1\" -N -L 127.0.0.1:4711:/var/run/docker.sock ews-1.direct & held=$!
for _ in $(seq 100); do sleep 0.1; exec 3<>/dev/tcp/127.0.0.1/4711 && break; done 2>/dev/null
head -c 1 <&3; kill $held";

#[test]
fn a_first_factor_that_no_second_one_follows_is_an_alarm_and_no_guess() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let holds = ["\"alice\"", "10.0.0.10", "\"key\"", "SHA256:"];
    // A thief who has the key alone: the client can ask nobody.
    let before = plant.audit().len();
    alice.leased_ssh(["-o", "BatchMode=yes", "ews-1.direct", "true"]).refused();
    entered(&plant, before, "somebody who leaves", "SP-1020", &[&holds[..], &["after 0 wrong codes"]].concat());
    // A terminal that is gone answers with nothing.
    let before = plant.audit().len();
    alice.leased_ssh(["ews-1.direct", "true"]).refused();
    entered(&plant, before, "nothing answered", "SP-1020", &holds);
    let events = plant.audit().split_off(before);
    assert!(events.iter().all(|event| event["code"] != "SP-1004"), "nothing is no guess: {events:?}");
    // One wrong code, and away.
    let before = plant.audit().len();
    let mut command = alice.command_answering("ssh", &["000000".to_owned()]);
    command.arg("-F").arg(alice.config()).args(["-o", "NumberOfPasswordPrompts=1", "ews-1.direct", "true"]);
    finish(command, b"").refused();
    entered(&plant, before, "a guess", "SP-1004", &["wrong code"]);
    entered(&plant, before, "a guess, and away", "SP-1020", &["after 1 wrong codes"]);
    // Whoever gets in has not gone.
    let before = plant.audit().len();
    assert_eq!(alice.ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
    std::thread::sleep(Duration::from_millis(300));
    assert!(plant.audit().split_off(before).iter().all(|event| event["code"] != "SP-1020"));
}

#[test]
fn whoever_has_no_second_factor_is_not_said_to_have_guessed() {
    let plant = Plant::start();
    let alan = plant.person_without_second_factor("alan");
    let mut command = alan.command_answering("ssh", &["1", "2", "3"].map(str::to_owned));
    command.arg("-F").arg(alan.config()).args(["-o", "NumberOfPasswordPrompts=3", "ews-1.direct", "true"]);
    finish(command, b"").refused();
    entered(&plant, 0, "no second factor", "SP-1002", &["no second factor is enrolled"]);
}

#[test]
fn a_flood_of_refused_files_is_counted_and_its_paths_are_shortened() {
    let plant = Plant::start();
    let dave = plant.person("dave");
    dave.ssh(["broker", "ls"]).ok();
    let long = "x".repeat(900);
    let batch: String = (0..400).map(|n| format!("-mkdir /{long}{n}\n")).collect();
    let before = plant.audit().len();
    let mut command = dave.leased("sftp");
    command.arg("-F").arg(dave.config()).args(["-b", "-", "ews-1.direct"]);
    finish(command, batch.as_bytes());
    plant.quiet();
    let events = plant.audit().split_off(before);
    let refused: Vec<&Value> = events.iter().filter(|event| event["code"] == "SP-3006").collect();
    assert_eq!(refused.len(), 50);
    assert!(refused.iter().all(|event| event.to_string().len() < 1200), "{}", refused[0]);
    assert!(refused[0].to_string().contains("… (90"), "{}", refused[0]);
    let counts: Vec<&Value> =
        events.iter().filter(|event| event["code"] == "SP-3015").map(|event| &event["event"]["refusals"]).collect();
    assert_eq!(counts, [100, 200, 400]);
}

/// Waits until an event of this code that holds these texts is in the chain behind the first `before` entries.
#[track_caller]
fn entered(plant: &Plant, before: usize, what: &str, code: &str, holds: &[&str]) {
    eventually(&format!("{what}: {code} with {holds:?}"), Duration::from_secs(5), || {
        let events = plant.audit().split_off(before.min(plant.audit().len()));
        let found = |event: &Value| {
            let text = event.to_string();
            event["code"] == code && holds.iter().all(|held| text.contains(held))
        };
        events.iter().any(found).then_some(())
    });
}
