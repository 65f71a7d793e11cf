//! People who are changed: their bounds and names, and an authenticator that counts once a code of it was given.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use sallyport_tests::{Person, Plant, Setup, Terminal, eventually};

#[test]
fn a_bound_is_moved_on_record_and_one_that_has_passed_ends_everything_at_once() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let set = |arguments: &[&str]| plant.sallyport(&[&["identity", "set", "alice"], arguments].concat());
    let said = set(&["--display-name", "Alice Berg", "--valid-until", "2099-01-31T17:00:00Z"]).ok();
    assert_eq!(said, "display name: `` -> `Alice Berg`\nvalid until: never -> 2099-01-31T17:00:00Z\n");
    assert_eq!(set(&["--display-name", "Alice Berg"]).ok(), "Everything is as it was.\n");
    assert_eq!(set(&[]).code(), 64);
    let shown = plant.json(&["identity", "show", "alice"]);
    assert!(shown["display_name"] == "Alice Berg" && shown["valid_until"] == "2099-01-31T17:00:00Z", "{shown}");

    alice.take_lease("ews-1");
    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    let said = set(&["--valid-until", "2026-01-01T00:00:00Z", "--group", "vendors"]).ok();
    let asked = Instant::now();
    assert!(said.contains("groups: none -> vendors\n") && said.contains("leases ended: 1\n"), "{said}");
    while terminal.poll().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(1), "still open: {}", terminal.shown());
    }
    alice.ssh(["ews-1", "echo let through"]).refused();

    // She comes back with a code, and her lease does not.
    set(&["--valid-until", "never"]).ok();
    plant.settle();
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
    let told: Vec<String> = plant
        .audit()
        .iter()
        .filter(|entry| entry["code"] == "SP-5105")
        .map(|entry| entry["event"]["change"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(plant.json(&["identity", "show", "alice"])["groups"][0], "vendors");
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn somebody_is_added_with_a_key_or_not_at_all() {
    let plant = Setup::standard().lay_out();
    let alice = plant.stranger("alice");
    let public = alice.key().with_extension("pub");
    let add = |file: &std::path::Path| plant.sallyport(&["identity", "add", "alice", "--key", file.to_str().unwrap()]);
    // A private key, a file that is not there, and one that holds no key add nobody.
    let private = add(&alice.key());
    assert!(private.refused().contains("private key") && !private.stderr.contains("b3BlbnNzaC"), "{private}");
    add(&plant.folder().join("nowhere")).refused();
    add(&plant.config()).refused();
    assert_eq!(plant.json(&["identity", "list"]).as_array().unwrap().len(), 0);
    assert!(add(&public).ok().contains("alice was added with a key"));
    let keys = plant.json(&["identity", "key", "list", "alice"]);
    assert_eq!(keys[0]["public_key"].as_str().unwrap(), alice.public_key(), "{keys}");
}

#[test]
fn nobody_is_added_twice_in_other_letters_or_too_late_and_nobody_is_asked_about_nobody() {
    let plant = Setup::standard().lay_out();
    let added = plant.sallyport(&["identity", "add", "anna"]).ok();
    assert!(added.contains("anna was added"), "{added}");
    let alike = plant.sallyport(&["identity", "add", "Anna"]);
    assert!(alike.refused().contains("`Anna` differs from `anna` only in upper and lower case"), "{alike}");
    plant.sallyport(&["identity", "remove", "anna", "--reason", "left", "--yes"]).ok();
    plant.sallyport(&["identity", "add", "ANNA"]).refused();
    let late = plant.sallyport(&["identity", "add", "ida", "--valid-until", "2020-01-01T00:00:00Z"]);
    assert!(late.refused().contains("`2020-01-01T00:00:00Z` is in the past"), "{late}");
    assert_eq!(plant.json(&["identity", "list"]).as_array().unwrap().len(), 1);
    // Nobody is there to be asked; that there is no such person is said before.
    for nobody in ["hugo", "anna"] {
        let refused = plant.sallyport(&["identity", "remove", nobody, "--reason", "left"]);
        assert_eq!(refused.code(), 1, "{refused}");
        assert!(refused.stderr.contains(&format!("no identity `{nobody}`")), "{refused}");
    }
}

/// The secret that a terminal shows to be typed in.
fn secret_in(shown: &str) -> Option<String> {
    let (_, after) = shown.split_once("To type it in: ")?;
    let (secret, _) = after.split_once('\r')?;
    Some(secret.to_owned())
}

fn enrols(plant: &Plant, person: &Person) -> (Terminal, String) {
    let terminal = Terminal::start(&plant.command(&["identity", "totp", &person.name]), 100, 60);
    terminal.expect("Code that the app shows:");
    let secret = secret_in(&terminal.shown()).unwrap_or_else(|| panic!("no secret: {}", terminal.shown()));
    (terminal, secret)
}

#[test]
fn an_authenticator_counts_once_a_code_proves_it_and_the_old_one_until_then() {
    let plant = Plant::start();
    let mut alice = plant.person("alice");
    alice.take_lease("ews-1");
    let (mut terminal, _) = enrols(&plant, &alice);
    for number in 1..=3 {
        terminal.send("000000\n");
        eventually("it is refused", Duration::from_secs(10), || {
            (terminal.shown().matches("this is not its code").count() == number).then_some(())
        });
    }
    terminal.expect("what was enrolled before is as it was");
    assert_eq!(terminal.ended().code(), Some(1));
    // Nor did the lease end that the old one proved.
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");

    let (mut terminal, secret) = enrols(&plant, &alice);
    let old = alice.with_key(&secret).unwrap();
    let code = alice.fresh_code();
    terminal.send(&format!("{code}\n"));
    terminal.expect("The authenticator is in force.");
    assert_eq!(terminal.ended().code(), Some(0));
    // That code is spent, and the old authenticator with it.
    let mut spent = alice.command_answering("ssh", &[code]);
    spent.arg("-F").arg(alice.config()).args(["ews-1", "echo let through"]);
    sallyport_tests::finish(spent, b"").refused();
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
    alice.with_key(&old);
    plant.sallyport(&["lease", "revoke", "--identity", "alice"]).ok();
    alice.ssh(["ews-1", "echo let through"]).refused();

    let proven: Vec<_> = plant
        .audit()
        .iter()
        .filter(|entry| entry["code"] == "SP-5106" && entry["event"]["factor"] == "totp")
        .map(|entry| entry["event"]["proven"].clone())
        .collect();
    assert_eq!(proven, [false, true]);
}

#[test]
fn a_program_proves_an_authenticator_by_standard_input_or_says_that_it_does_not() {
    let plant = Plant::start();
    let mut alice = plant.person_without_second_factor("alice");
    // Nobody can be asked, and nothing was said about a code.
    let neither = plant.sallyport(&["identity", "totp", "alice", "--json"]);
    assert_eq!(neither.code(), 64, "{neither}");
    assert!(neither.stderr.contains("--code-stdin") && neither.stdout.is_empty(), "{neither}");
    plant.sallyport(&["identity", "totp", "nobody", "--code-stdin"]).refused();

    let mut command = plant.command(&["identity", "totp", "alice", "--code-stdin", "--json"]);
    let mut enrolling = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(enrolling.stdout.take().unwrap()).lines();
    let mut text = String::new();
    for line in lines {
        let line = line.unwrap();
        text.push_str(&line);
        if line == "}" {
            break;
        }
    }
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    alice.enrol(answer["secret"].as_str().unwrap());
    let code = alice.fresh_code();
    enrolling.stdin.take().unwrap().write_all(format!("{code}\n").as_bytes()).unwrap();
    assert!(enrolling.wait().unwrap().success());
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
}

#[test]
fn without_an_authenticator_nobody_gets_in_by_what_is_left() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let codes = plant.json(&["identity", "recovery-codes", "alice"]);
    let code = codes["codes"][0].as_str().unwrap().to_owned();
    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    plant.sallyport(&["identity", "totp", "alice", "--remove"]).ok();
    let asked = Instant::now();
    while terminal.poll().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(1), "still open: {}", terminal.shown());
    }
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    alice.ssh(["ews-1", "echo let through"]).refused();
    let mut recovery = alice.command_answering("ssh", &[code]);
    recovery.arg("-F").arg(alice.config()).args(["ews-1", "echo let through"]);
    sallyport_tests::finish(recovery, b"").refused();
    assert!(plant.json(&["lease", "list"]).as_array().unwrap().is_empty());
    let again = plant.sallyport(&["identity", "totp", "alice", "--remove"]);
    assert!(again.refused().contains("no authenticator of `alice`"), "{again}");
    let taken: Vec<_> = plant
        .audit()
        .iter()
        .filter(|entry| entry["code"] == "SP-5107")
        .map(|entry| entry["event"]["credential"].clone())
        .collect();
    assert_eq!(taken, ["recovery-code", "totp"]);
    plant.sallyport(&["audit", "verify"]).ok();
}
