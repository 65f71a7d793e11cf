//! What an auditor does with a session: find, replay, search, export, verify; and what verification finds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Finished, Form, Person, Plant, Setup, Terminal, finish, recordings, repository};

/// A plant with one terminal session, one command and one file on record.
fn recorded() -> (Plant, Person, Vec<String>) {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    terminal.send("printf 'pump %s\\n' st''arted\n");
    terminal.expect("pump started");
    terminal.send("exit\n");
    terminal.ended();
    fs::write(alice.folder().join("recipe.txt"), "42 bar\n").unwrap();
    let local = alice.folder().join("recipe.txt").display().to_string();
    alice.leased_tool("scp", &["-q", &local, "ews-1.direct:recipe.txt"], b"").ok();
    plant.quiet();
    let mut ids: Vec<_> = plant.recordings().iter().map(|each| each["session"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    assert_eq!(ids.len(), 3);
    (plant, alice, ids)
}

fn with_key(plant: &Plant, arguments: &[&str]) -> Finished {
    let key = plant.auditor_key();
    plant.sallyport(&[arguments, &["--key-file", key.to_str().unwrap()]].concat())
}

#[test]
fn a_session_is_listed_replayed_searched_and_exported() {
    let (plant, _alice, ids) = recorded();
    let shell = &ids[1];

    let replayed = with_key(&plant, &["recording", "replay", shell, "--speed", "100"]).ok();
    assert!(replayed.contains("pump started"), "{replayed}");

    let found = with_key(&plant, &["recording", "search", "pump started"]).ok();
    assert!(found.contains(shell.as_str()) && !found.contains(ids[0].as_str()), "{found}");
    assert!(!with_key(&plant, &["recording", "search", "no such words"]).text().contains(shell.as_str()));

    // asciinema, which knows nothing of us, plays the export.
    let cast = plant.folder().join("session.cast");
    let exported = with_key(&plant, &["recording", "export", shell, "--format", "asciicast"]).ok();
    fs::write(&cast, &exported).unwrap();
    let mut asciinema = Command::new("asciinema");
    asciinema.args(["play", "--speed", "100"]).arg(&cast).env("HOME", plant.folder()).env("LC_ALL", "C.UTF-8");
    let mut played = Terminal::start(&asciinema, 80, 24);
    played.expect("pump started");
    assert_eq!(played.ended().code(), Some(0), "{}", played.shown());

    let lines = with_key(&plant, &["recording", "export", shell, "--format", "jsonl"]).ok();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 5);

    let files = with_key(&plant, &["recording", "files", &ids[2], "--json"]).ok();
    assert!(files.contains("recipe.txt") && files.contains(&super::files::sha256(b"42 bar\n")), "{files}");

    let codes: Vec<_> = plant.audit().iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect();
    for code in ["SP-1001", "SP-1003", "SP-2001", "SP-3001", "SP-3002", "SP-3005", "SP-4001", "SP-4002", "SP-4003"] {
        assert!(codes.iter().any(|each| each == code), "no {code} in {codes:?}");
    }
    plant.sallyport(&["audit", "verify"]).ok();
    assert!(plant.sallyport(&["audit", "export"]).ok().lines().count() >= codes.len());
}

#[test]
fn what_passed_is_what_is_recorded() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        alice.leased_ssh_with(b"in-words", [&form.host("ews-1"), "cat; echo err-words >&2"]).ok();
    }
    plant.quiet();
    let all = Evidence::all(&plant);
    assert_eq!(all.len(), 3);
    for evidence in &all[1..] {
        assert_eq!(evidence.content(Kind::Input), b"in-words");
        assert_eq!(evidence.content(Kind::Output), b"in-words");
        assert_eq!(evidence.content(Kind::ErrorOutput), b"err-words\n");
        let closed = evidence.entries.iter().find(|entry| entry.kind == Kind::Closed).unwrap();
        assert_eq!(closed.json().unwrap()["exit_status"], 0);
    }
    // Nothing of it stands in the file in clear.
    for path in recordings(&plant.recordings_folder()) {
        let bytes = fs::read(path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"in-words"));
    }
}

#[test]
fn an_independent_verifier_agrees() {
    let (plant, _alice, _ids) = recorded();
    // As it is printed.
    let key = plant.sallyport(&["secrets", "show", "evidence"]).ok();
    let key = key.trim();
    for path in recordings(&plant.recordings_folder()) {
        verify_with_python(&plant, &path, key).ok();
        let bytes = fs::read(&path).unwrap();
        let damaged = plant.folder().join("damaged.srec");
        for at in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 20] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(&damaged, &other).unwrap();
            verify_with_python(&plant, &damaged, key).refused();
        }
    }
}

fn verify_with_python(plant: &Plant, recording: &Path, key: &str) -> Finished {
    let mut python = Command::new("/usr/bin/python3");
    python.arg(repository().join("tests/verify_recording.py")).arg(recording).args(["--key", key]);
    python.arg("--identity").arg(plant.auditor_key());
    finish(python, b"")
}

#[test]
fn verification_names_what_was_done_to_a_recording() {
    let (plant, _alice, ids) = recorded();
    plant.sallyport(&["recording", "verify", "--all"]).ok();
    let paths = recordings(&plant.recordings_folder());
    let path = |id: &str| -> PathBuf { paths.iter().find(|path| path.to_str().unwrap().contains(id)).unwrap().clone() };
    let (first, second) = (path(&ids[0]), path(&ids[1]));
    let (one, two) = (fs::read(&first).unwrap(), fs::read(&second).unwrap());
    let refused = |what: &str| {
        let verified = plant.sallyport(&["recording", "verify", "--all"]);
        assert!(!verified.status.success(), "{what} went unnoticed: {verified}");
        let said = verified.text() + &verified.stderr;
        assert!(said.contains(ids[1].as_str()), "{what}: which recording? {said}");
        assert!(!said.contains(&format!("{} is damaged", ids[2])), "{said}");
    };
    for at in (16..two.len()).step_by(two.len() / 12) {
        let mut flipped = two.clone();
        flipped[at] ^= 0x20;
        fs::write(&second, &flipped).unwrap();
        refused(&format!("a bit at {at} of {}", two.len()));
    }
    for left in [two.len() - 1, two.len() / 2, 100, 0] {
        fs::write(&second, &two[..left]).unwrap();
        refused(&format!("a cut to {left} bytes"));
    }
    fs::write(&second, [two.clone(), b"more".to_vec()].concat()).unwrap();
    refused("something added");
    fs::write(&second, &one).unwrap();
    refused("another recording in its place");
    fs::remove_file(&second).unwrap();
    refused("a deleted recording");
    fs::write(&second, &two).unwrap();
    plant.sallyport(&["recording", "verify", "--all"]).ok();

    // Whoever can write the database takes it out of the catalogue too: the audit chain still knows it.
    let Some(database) = plant.sqlite() else { return };
    let sql = |change: &str| {
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).arg(&database).arg(change);
        finish(python, b"").ok();
    };
    let named = format!("session LIKE '{}%'", ids[1]);
    sql(&format!("CREATE TABLE kept AS SELECT * FROM recordings; DELETE FROM recordings WHERE {named}"));
    fs::remove_file(&second).unwrap();
    refused("a recording deleted together with its entry");
    sql("DELETE FROM recordings; INSERT INTO recordings SELECT * FROM kept");
    fs::write(&second, &two).unwrap();
    plant.sallyport(&["recording", "verify", "--all"]).ok();
    // Cut where a checkpoint stands, with an entry that calls it open: whole as far as it goes, and not the one that was sealed.
    let sealed = fs::read(&second).unwrap();
    sql(&format!("UPDATE recordings SET state = 'open', head = NULL WHERE {named}"));
    let unsealed = (sealed.len() * 2 / 3..sealed.len()).rev().any(|left| {
        fs::write(&second, &sealed[..left]).unwrap();
        let verified = plant.sallyport(&["recording", "verify", "--all", "--allow-unsealed", "--json"]);
        verified.text().contains("\"unsealed\"") && verified.status.success()
    });
    assert!(!unsealed, "a cut recording passed for one that was never sealed");
}

#[test]
fn verification_names_what_was_done_to_the_audit_table() {
    let (mut plant, _alice, _ids) = recorded();
    plant.broker().terminate();
    let Some(database) = plant.sqlite() else { return };
    // What a third party noted of the chain: nothing in the table itself can show that its end is missing.
    let verified = plant.sallyport(&["audit", "verify"]).ok();
    let head = verified.lines().find_map(|line| line.strip_prefix("head: ")).unwrap().to_owned();
    let verify = || plant.sallyport(&["audit", "verify", "--expect-head", &head]);
    verify().ok();
    let keep = plant.folder().join("kept.db");
    fs::copy(&database, &keep).unwrap();
    let changes = [
        "UPDATE audit SET actor = 'nobody' WHERE seq = 5",
        "UPDATE audit SET at = at + 1 WHERE seq = 5",
        "UPDATE audit SET event = replace(event, 'alice', 'malic') WHERE seq = 6 OR event LIKE '%alice%'",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)",
        "UPDATE audit SET signature = NULL WHERE signature IS NOT NULL",
        "UPDATE audit SET seq = -1 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = 6; UPDATE audit SET seq = 6 WHERE seq = -1",
    ];
    for change in changes {
        fs::copy(&keep, &database).unwrap();
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()\n\
                      c.execute('PRAGMA wal_checkpoint(TRUNCATE)')";
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", script]).arg(&database).arg(change);
        finish(python, b"").ok();
        let verified = verify();
        assert!(!verified.status.success(), "`{change}` went unnoticed: {verified}");
    }
}

#[test]
fn holds_are_listed_with_their_reasons_and_retention_says_what_it_would_remove() {
    let plant = Setup::standard().setting("[recording]\nkeep_days = 30").start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    alice.leased_ssh(["ews-2", "true"]).ok();
    plant.quiet();
    let ids: Vec<_> = plant.recordings().iter().map(|each| each["session"].as_str().unwrap().to_owned()).collect();
    let [newest, first] = ids.as_slice() else { panic!("{ids:?}") };
    assert_eq!(plant.json(&["session", "show", "last"])["id"], newest.as_str());
    let ambiguous = plant.sallyport(&["session", "show", "0"]);
    assert!(ids.iter().all(|id| ambiguous.refused().contains(&format!("{id} (alice to ews-"))), "{ambiguous}");

    assert_eq!(plant.json(&["recording", "holds"]), serde_json::json!([]));
    plant.sallyport(&["recording", "hold", first, "--reason", "incident 4710"]).ok();
    plant.sallyport(&["recording", "release", first, "--reason", "closed"]).ok();
    plant.sallyport(&["recording", "hold", first, "--reason", "incident 4711"]).ok();
    let holds = plant.json(&["recording", "holds"]);
    assert_eq!((holds.as_array().unwrap().len(), &holds[0]["session"]), (1, &first.as_str().into()));
    assert_eq!((&holds[0]["reason"], &holds[0]["fault"]), (&"incident 4711".into(), &serde_json::Value::Null));

    assert_eq!(plant.json(&["recording", "retention", "--dry-run"]), serde_json::json!([]));
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 31);
    let due = plant.json(&["recording", "retention", "--at", &later.to_string()]);
    assert_eq!((due.as_array().unwrap().len(), &due[0]["session"]), (1, &newest.as_str().into()));
    assert!(due[0]["reason"].as_str().unwrap().contains("30 days"), "{due}");
    assert_eq!(plant.recordings().len(), 2, "nothing is removed");

    // Whoever writes the database lifts the hold behind the chain's back.
    plant.sallyport(&["recording", "verify", first]).ok();
    plant.sql(&format!("UPDATE recordings SET legal_hold = 0 WHERE session = '{first}'"));
    let verified = plant.sallyport(&["recording", "verify", first]);
    assert!(!verified.status.success() && verified.text().contains("the catalogue does not"), "{verified}");
    assert_eq!(plant.json(&["recording", "holds"])[0]["fault"], "the catalogue has it not held");
    assert_eq!(plant.json(&["recording", "retention", "--at", &later.to_string()]), due);
}
