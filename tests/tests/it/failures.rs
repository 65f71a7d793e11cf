//! The failure table of the design: a test for each row.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{
    Evidence, Form, Person, Plant, Postgres, Running, Setup, Terminal, eventually, finish, recordings,
};

/// Limits that suit a disk of a few MiB.
const SMALL: &str = "[recording]\nwarn_below = \"0\"\nlow_below = \"0\"\ncritical_below = \"0\"";

#[test]
fn a_recorder_that_cannot_start_means_no_session() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let accepted = logins(&plant);
    // Where the folder was there is a file.
    let folder = plant.recordings_folder();
    fs::rename(&folder, folder.with_extension("away")).unwrap();
    fs::write(&folder, "").unwrap();
    for form in Form::BOTH {
        let tried = alice.leased_ssh([&form.host("ews-1"), "echo let through"]);
        assert_eq!(tried.text(), "", "{tried}");
        assert!(!tried.refused().trim().is_empty(), "no word of why: {tried}");
    }
    assert_eq!(logins(&plant), accepted, "the asset was reached");
    fs::remove_file(&folder).unwrap();
    fs::rename(folder.with_extension("away"), &folder).unwrap();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
}

#[test]
fn a_full_disk_in_mid_session_lets_no_unrecorded_input_through() {
    for trouble in ["view-only", "end"] {
        let mut plant = Setup::with_plant_file(&with_terms(&format!("recorder_trouble = \"{trouble}\"")))
            .setting(SMALL)
            .recordings_disk("2M")
            .start();
        let alice = plant.person("alice");
        alice.take_lease("ews-1");
        for form in Form::BOTH {
            let mut terminal = open(&alice, form);
            let disk = plant.recordings_folder();
            let disk = plant.as_the_broker_sees(&disk);
            fill(&disk);
            // One key at a time, until the session ends: whatever the asset got must be in the recording.
            terminal.send("cat >received\n");
            for _ in 0..400 {
                if terminal.poll().is_some() {
                    break;
                }
                terminal.try_send(&"0123456789abcdef\n".repeat(4));
                std::thread::sleep(Duration::from_millis(10));
            }
            eventually("the session ends", Duration::from_secs(25), || terminal.poll());
            let path = recordings(&disk).pop().unwrap();
            let recorded = Evidence::read(&path, &plant.auditor_key()).content(Kind::Input);
            let received = fs::read(plant.sshd().home("operator").join("received")).unwrap_or_default();
            // The terminal's line discipline turned each carriage return into a line feed.
            let recorded: Vec<u8> = recorded.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect();
            let typed = recorded.windows(13).position(|window| window == b"cat >received").map_or(0, |at| at + 14);
            assert!(
                recorded[typed.min(recorded.len())..].starts_with(&received),
                "{trouble}, {form:?}: the asset has {} bytes that were typed, the recording {}",
                received.len(),
                recorded.len() - typed
            );
            // And while the disk is full nobody gets in.
            let tried = alice.leased_ssh([&form.host("ews-1"), "echo let through"]);
            assert_eq!(tried.text(), "", "{tried}");
            tried.refused();
            fs::remove_file(disk.join("ballast")).unwrap();
            assert_eq!(alice.leased_ssh([&form.host("ews-1"), "rm -f received; echo in"]).ok(), "in\n");
        }
        assert!(plant.audit().iter().any(|event| event["code"] == "SP-3010"), "no event of recorder trouble");
    }
}

#[test]
fn the_grace_of_a_failed_recorder_is_over_when_the_session_must_end() {
    let mut plant = Setup::with_plant_file(&with_terms("recorder_trouble = \"view-only\""))
        .setting(SMALL)
        .recordings_disk("2M")
        .start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut terminal = open(&alice, Form::Jump);
    let disk = plant.recordings_folder();
    fill(&plant.as_the_broker_sees(&disk));
    for _ in 0..400 {
        if terminal.shown().contains("can no longer be recorded") {
            break;
        }
        terminal.try_send(&"0123456789abcdef\n".repeat(4));
        std::thread::sleep(Duration::from_millis(10));
    }
    terminal.expect("can no longer be recorded");
    let live = plant.json(&["session", "list", "--live"]);
    plant.sallyport(&["session", "end", live[0]["id"].as_str().unwrap()]).ok();
    eventually("the session ends", Duration::from_secs(4), || terminal.poll());
}

#[test]
fn a_full_disk_at_the_close_leaves_a_recording_that_verifies_as_far_as_it_goes() {
    let mut plant = Setup::standard().setting(SMALL).recordings_disk("2M").start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let terminal = open(&alice, Form::Jump);
    let disk = plant.recordings_folder();
    let disk = plant.as_the_broker_sees(&disk);
    fill(&disk);
    terminal.hang_up();
    eventually("the session is over", Duration::from_secs(20), || {
        plant.json(&["session", "list", "--live"]).as_array().unwrap().is_empty().then_some(())
    });
    let path = recordings(&disk).pop().unwrap();
    let evidence = Evidence::read(&path, &plant.auditor_key());
    assert!(!evidence.content(Kind::Input).is_empty());
}

#[test]
fn below_the_last_mark_no_session_starts() {
    let plant = Setup::standard()
        .setting("[recording]\ncritical_below = \"900 TiB\"\nlow_below = \"950 TiB\"\nwarn_below = \"990 TiB\"")
        .start();
    let alice = plant.person("alice");
    for form in Form::BOTH {
        let tried = alice.ssh([&form.host("ews-1"), "echo let through"]);
        assert_eq!(tried.text(), "", "{tried}");
        assert!(!tried.refused().trim().is_empty(), "{tried}");
    }
    assert_eq!(logins(&plant), 0);
    assert!(plant.audit().iter().any(|event| event["code"] == "SP-6004"), "no event of the disk");
}

#[test]
fn while_the_database_is_gone_live_sessions_go_on_and_no_new_one_starts() {
    let postgres = Arc::new(Postgres::start());
    let plant = Setup::standard().on(&postgres).start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut live = open(&alice, Form::Jump);
    postgres.crash();
    let accepted = logins(&plant);
    for form in Form::BOTH {
        alice.leased_ssh([&form.host("ews-1"), "echo let through"]).refused();
    }
    assert_eq!(logins(&plant), accepted);
    std::thread::sleep(Duration::from_secs(3));
    live.send("echo still-$((40+2))\n");
    live.expect("still-42");
    // It may even end meanwhile: the event waits on disk.
    live.send("exit\n");
    assert_eq!(live.ended().code(), Some(0), "{}", live.shown());
    postgres.start_again();
    eventually("a login works again", Duration::from_secs(30), || {
        (alice.leased_ssh(["ews-1", "echo in"]).text() == "in\n").then_some(())
    });
    eventually("the events are reconciled", Duration::from_secs(20), || {
        let ends = plant.audit().iter().filter(|event| event["code"] == "SP-3002").count();
        (ends >= 3).then_some(())
    });
    // A session that ended meanwhile does not count against anybody's limit for ever.
    eventually("the store knows every end", Duration::from_secs(20), || {
        let live = plant.sallyport(&["session", "list", "--live", "--json"]).ok();
        (live.trim() == "[]").then_some(())
    });
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn without_an_audit_trail_there_is_no_session() {
    let plant = Plant::start();
    let Some(database) = plant.sqlite() else { return };
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let accepted = logins(&plant);
    let script = "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  c.execute('BEGIN EXCLUSIVE')\nprint('held', flush=True)\ntime.sleep(60)";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", script]).arg(database);
    let log = plant.folder().join("python.log");
    let mut lock = Running::start("the one that holds the database", python, &log);
    eventually("the database is held", Duration::from_secs(10), || lock.log().contains("held").then_some(()));
    let tried = alice.leased_ssh(["ews-1", "echo let through"]);
    assert_eq!(tried.text(), "", "{tried}");
    tried.refused();
    assert_eq!(logins(&plant), accepted);
    lock.kill();
    eventually("a login works again", Duration::from_secs(20), || {
        (alice.leased_ssh(["ews-1", "echo in"]).text() == "in\n").then_some(())
    });
}

#[test]
fn a_bad_plant_file_leaves_the_old_policy_and_at_start_there_is_none() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let bad = plant.folder().join("bad.toml");
    fs::write(&bad, plant.plant_file().replacen("zone = \"cell-1\"", "zone = \"cell-3\"", 1)).unwrap();
    let refused = plant.sallyport(&["apply", "-f", bad.to_str().unwrap()]);
    let said = refused.refused();
    assert!(said.contains("bad.toml:") && said.contains("cell-3") && said.contains("cell-1"), "{said}");
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");

    // Somebody writes nonsense into the table itself, as a restored backup may.
    let Some(database) = plant.sqlite() else { return };
    let nonsense = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
        c.execute(\"UPDATE plants SET files = replace(files, 'cell-1', 'cell 1')\")\nc.commit()";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", nonsense]).arg(database);
    finish(python, b"").ok();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    plant.broker().terminate();
    let log = plant.folder().join("second.log");
    let mut second = plant.start_broker(&plant.config(), &log);
    let status = eventually("it refuses to start", Duration::from_secs(10), || second.ended());
    assert!(!status.success(), "{}", second.log());
    assert!(second.log().contains("plants"), "{}", second.log());
}

#[test]
fn a_wrong_or_missing_master_key_is_a_refusal_to_start() {
    let mut plant = Plant::start();
    plant.broker().terminate();
    let key = plant.folder().join("broker/master.key");
    let original = fs::read(&key).unwrap();
    let other = plant.folder().join("other");
    let mut init = Command::new(sallyport_tests::sallyport());
    init.args(["init", "--dir"]).arg(&other);
    finish(init, b"").ok();
    for wrong in [Some(fs::read(other.join("master.key")).unwrap()), Some(b"short".to_vec()), None] {
        match &wrong {
            Some(bytes) => fs::write(&key, bytes).unwrap(),
            None => fs::remove_file(&key).unwrap(),
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).ok();
        let mut second = plant.start_broker(&plant.config(), &plant.folder().join("refused.log"));
        let status = eventually("it refuses to start", Duration::from_secs(10), || second.ended());
        assert_eq!(status.code(), Some(78), "{}", second.log());
        assert!(second.log().contains("master key"), "{}", second.log());
    }
    fs::write(&key, original).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let mut second = plant.start_broker(&plant.config(), &plant.folder().join("open.log"));
    let status = eventually("it refuses to start", Duration::from_secs(10), || second.ended());
    assert_eq!(status.code(), Some(78), "a master key that everybody can read: {}", second.log());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    plant.serve();
}

#[test]
fn on_sigterm_sessions_end_and_their_recordings_are_sealed() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut live = open(&alice, Form::Jump);
    assert!(plant.broker().terminate().success(), "{}", plant.broker().log());
    live.ended();
    plant.serve();
    for recording in plant.recordings() {
        assert_eq!(recording["state"], "sealed", "{recording}");
    }
}

fn open(person: &Person, form: Form) -> Terminal {
    let mut terminal = person.terminal(&[&form.host("ews-1")], 80, 24);
    terminal.expect("$");
    terminal.send("echo here-$((40+2))\n");
    terminal.expect("here-42");
    terminal
}

/// Fills a disk to the last byte.
fn fill(disk: &Path) {
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", disk.join("ballast").display()));
    finish(dd, b"").refused();
}

fn logins(plant: &Plant) -> usize {
    plant.sshd().log().matches("Accepted").count()
}

fn with_terms(term: &str) -> String {
    let standard = fs::read_to_string(sallyport_tests::repository().join("tests/data/plant.toml")).unwrap();
    let with = standard.replacen("file_transfer = \"both\" }", &format!("file_transfer = \"both\", {term} }}"), 1);
    assert_ne!(with, standard);
    with
}

#[test]
fn a_broker_that_is_asked_to_stop_lets_sessions_end_by_themselves_and_begins_none() {
    let mut plant = Setup::standard().setting("[broker]\ndrain = \"60s\"").start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    // Logged in before, in the lobby of a connection that stays.
    let mut master = alice.terminal(&["-M", "-S", "master", "-o", "ControlPath=%d/master", "ews-1.direct"], 80, 24);
    master.expect("$");
    plant.broker().signal(rustix::process::Signal::TERM);
    master.expect("the broker restarts: please end what you do");
    // Whether they can still connect or not: no session begins.
    alice.leased_ssh(["ews-1.direct", "echo let through"]).refused();
    assert!(plant.broker().ended().is_none(), "it waits for who is at work");
    master.send("echo still $((20 + 22))\n");
    master.expect("still 42");
    master.send("exit\n");
    master.ended();
    eventually("the broker ends", Duration::from_secs(15), || plant.broker().ended());
    plant.serve();
    plant.sallyport(&["recording", "verify", "--all"]).ok();
    assert_eq!(alice.ssh(["ews-1", "echo in"]).ok(), "in\n");
}
