//! A change made by one process is in force in a running broker within one second.

use std::time::{Duration, Instant};

use sallyport_tests::{Form, Plant, Running, Terminal, eventually};

/// From the moment that the administrator's command has returned.
const WITHIN: Duration = Duration::from_secs(1);

/// A shell that says something all the time, so that it is not idle.
fn busy(person: &sallyport_tests::Person, form: Form) -> Terminal {
    let mut terminal = person.terminal(&[&form.host("ews-1")], 80, 24);
    terminal.expect("$");
    terminal.send("echo here-$((40+2))\n");
    terminal.expect("here-42");
    terminal
}

#[track_caller]
fn ends_in_time(terminals: &mut [Terminal], changed: Instant) {
    for terminal in terminals {
        while terminal.poll().is_none() {
            assert!(changed.elapsed() < WITHIN, "still open after {:?}: {}", changed.elapsed(), terminal.shown());
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_ne!(terminal.ended().code(), Some(0));
    }
}

#[test]
fn locking_an_identity_ends_its_sessions_and_keeps_it_out() {
    let plant = Plant::start();
    let (alice, ada) = (plant.person("alice"), plant.person("ada"));
    alice.take_lease("ews-1");
    ada.take_lease("ews-1");
    let mut open = Form::BOTH.map(|form| busy(&alice, form));
    let mut others = busy(&ada, Form::Jump);
    plant.sallyport(&["identity", "lock", "alice", "--reason", "left the company"]).ok();
    ends_in_time(&mut open, Instant::now());
    for form in Form::BOTH {
        alice.ssh([&form.host("ews-1"), "echo let through"]).refused();
    }
    let ends =
        plant.audit().iter().filter(|event| event["code"] == "SP-3002").map(ToString::to_string).collect::<String>();
    assert!(ends.contains("revoked"), "{ends}");
    // Nobody else is touched.
    others.send("echo still-$((40+2))\n");
    others.expect("still-42");

    plant.sallyport(&["identity", "unlock", "alice"]).ok();
    plant.settle();
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
}

#[test]
fn locking_an_identity_ends_its_connections_without_a_session_too() {
    let plant = Plant::start();
    let (alice, ada) = (plant.person("alice"), plant.person("ada"));
    let stay = |person: &sallyport_tests::Person| {
        let mut command = person.command("ssh");
        command.arg("-F").arg(person.config()).args(["-N", "-v", "broker"]);
        let log = person.folder().join("stay.log");
        let ssh = Running::start("a connection without a session", command, &log);
        eventually("it has logged in", Duration::from_secs(20), || ssh.log().contains("Authenticated").then_some(()));
        ssh
    };
    let (mut hers, mut others) = (stay(&alice), stay(&ada));
    plant.sallyport(&["identity", "lock", "alice", "--reason", "left the company"]).ok();
    eventually("the connection ends", Duration::from_secs(5), || hers.ended());
    assert!(others.ended().is_none());
}

#[test]
fn a_plant_file_without_the_grant_ends_its_sessions() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut open = Form::BOTH.map(|form| busy(&alice, form));
    let with = plant.plant_file();
    let without = with.replace("identities = [\"alice\", \"alan\", \"ada\", \"victor\"]", "identities = [\"ada\"]");
    assert_ne!(with, without);
    plant.apply(&without);
    ends_in_time(&mut open, Instant::now());
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    plant.apply(&with);
    plant.settle();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
}

#[test]
fn a_plant_file_that_keeps_the_grant_disturbs_nobody() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut open = busy(&alice, Form::Jump);
    plant.apply(&format!("# a comment\n{}", plant.plant_file()));
    plant.settle();
    open.send("echo still-$((40+2))\n");
    open.expect("still-42");
    open.send("exit\n");
    assert_eq!(open.ended().code(), Some(0));
}

#[test]
fn an_administrator_ends_one_session() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut first = busy(&alice, Form::Direct);
    let live = plant.json(&["session", "list", "--live"]);
    let live = live.as_array().unwrap();
    assert_eq!(live.len(), 1, "{live:?}");
    let id = live[0]["id"].as_str().unwrap().to_owned();
    let mut second = busy(&alice, Form::Jump);
    plant.sallyport(&["session", "end", &id]).ok();
    ends_in_time(std::slice::from_mut(&mut first), Instant::now());
    second.send("echo still-$((40+2))\n");
    second.expect("still-42");
}

#[test]
fn a_revoked_lease_asks_for_a_code_again() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    alice.leased_ssh(["ews-1", "true"]).ok();
    let leases = plant.json(&["lease", "list"]);
    let lease = leases[0]["id"].as_str().unwrap_or_else(|| panic!("{leases}"));
    plant.sallyport(&["lease", "revoke", lease]).ok();
    plant.settle();
    for form in Form::BOTH {
        alice.leased_ssh([&form.host("ews-1"), "echo let through"]).refused();
    }
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
}
