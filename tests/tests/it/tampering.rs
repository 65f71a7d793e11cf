//! What somebody does to recordings who can write the disk and the database, and cannot sign: the broker does not help
//! them, and `recording verify --all` names it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sallyport_tests::{Finished, Person, Plant, Setup, Terminal, eventually, recordings};

fn with_alice(setup: Setup) -> (Plant, Person) {
    let plant = setup.start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    plant.quiet();
    (plant, alice)
}

/// A session that has ended; its id.
fn session(plant: &Plant, alice: &Person, host: &str) -> String {
    let known = ids(plant);
    alice.leased_ssh([host, "echo harmless; head -c 20000 /dev/urandom | base64; echo EVIL"]).ok();
    plant.quiet();
    new_id(plant, &known)
}

/// A session that is live; its id.
fn live(plant: &Plant, alice: &Person) -> (Terminal, String) {
    let known = ids(plant);
    let terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    (terminal, new_id(plant, &known))
}

fn ids(plant: &Plant) -> Vec<String> {
    let text = |each: &serde_json::Value| each["session"].as_str().unwrap().to_owned();
    plant.recordings().iter().map(text).collect()
}

#[track_caller]
fn new_id(plant: &Plant, known: &[String]) -> String {
    ids(plant).into_iter().find(|id| !known.contains(id)).expect("a new recording")
}

fn file(plant: &Plant, id: &str) -> PathBuf {
    recordings(&plant.recordings_folder()).into_iter().find(|path| path.to_str().unwrap().contains(id)).unwrap()
}

/// Everything verifies but this recording, of which these words are said.
#[track_caller]
fn named(plant: &Plant, id: &str, words: &[&str]) {
    let verified = plant.sallyport(&["recording", "verify", "--all", "--allow-unsealed"]);
    verified.refused();
    let said = about(&verified, id);
    for word in words {
        assert!(said.contains(word), "no `{word}` of {id}: {verified}");
    }
    assert_eq!(verified.text().matches("fault:").count(), 1, "{verified}");
    plant.sallyport(&["audit", "verify"]).ok();
}

/// The lines about one recording.
fn about(verified: &Finished, id: &str) -> String {
    let text = verified.text();
    let lines = text.lines().skip_while(|line| !line.starts_with(id));
    let (first, rest) = (lines.clone().take(1), lines.skip(1).take_while(|line| line.starts_with(' ')));
    first.chain(rest).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn nothing_wrong(plant: &Plant) {
    plant.sallyport(&["recording", "verify", "--all", "--allow-unsealed"]).ok();
}

fn codes(plant: &Plant, id: &str) -> Vec<String> {
    let events = plant.audit().into_iter().filter(|event| event["session"] == id);
    events.map(|event| event["code"].as_str().unwrap().to_owned()).collect()
}

fn cut(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.len() * 2 / 3);
    fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn a_recording_that_was_cut_is_not_sealed_again() {
    let (mut plant, alice) = with_alice(Setup::standard());
    let (first, second) = (session(&plant, &alice, "ews-1"), session(&plant, &alice, "ews-1"));
    nothing_wrong(&plant);
    let reopen = |plant: &Plant, id: &str| {
        plant.sql(&format!(
            "UPDATE recordings SET state = 'open', head = NULL, closed_at = NULL WHERE session = '{id}'"
        ));
    };
    // While the broker runs.
    let whole = fs::read(file(&plant, &first)).unwrap();
    cut(&file(&plant, &first));
    reopen(&plant, &first);
    named(&plant, &first, &["damaged", "the audit chain has head"]);
    fs::write(file(&plant, &first), whole).unwrap();
    // While it is stopped; the other is only called open, which the next start mends.
    plant.broker().terminate();
    let stump = cut(&file(&plant, &second));
    reopen(&plant, &second);
    named(&plant, &second, &["damaged", "the audit chain has head"]);
    plant.serve();
    assert_eq!(fs::read(file(&plant, &second)).unwrap(), stump, "sealed again");
    assert_eq!(codes(&plant, &second).last().unwrap(), "SP-4008");
    named(&plant, &second, &["damaged", "the audit chain has head"]);
    let listed = plant.recordings();
    let state = |id: &str| listed.iter().find(|each| each["session"] == id).unwrap()["state"].clone();
    assert_eq!((state(&first), state(&second)), ("sealed".into(), "failed".into()));
}

#[test]
fn a_recording_that_was_cut_off_and_removed_is_missed() {
    let (mut plant, alice) = with_alice(Setup::standard());
    let remove = |plant: &Plant, id: &str| {
        fs::remove_file(file(plant, id)).unwrap();
        plant.sql(&format!("DELETE FROM recordings WHERE session = '{id}'"));
    };
    // While the broker and the session live, and after the session's end.
    let (mut terminal, running) = live(&plant, &alice);
    nothing_wrong(&plant);
    let kept = plant.folder().join("kept.srec");
    let path = file(&plant, &running);
    fs::copy(&path, &kept).unwrap();
    let row = plant.sql(&format!("SELECT path FROM recordings WHERE session = '{running}'"));
    remove(&plant, &running);
    named(&plant, &running, &["missing", "its beginning"]);
    terminal.send("exit\n");
    terminal.ended();
    plant.quiet();
    named(&plant, &running, &["missing", "its head"]);
    assert!(path.ends_with(row.trim()), "{row}");

    // While the broker is down.
    let (_terminal, second) = live(&plant, &alice);
    plant.broker().kill();
    remove(&plant, &second);
    let said = |plant: &Plant| {
        let verified = plant.sallyport(&["recording", "verify", "--all", "--allow-unsealed"]);
        verified.refused();
        about(&verified, &second)
    };
    assert!(said(&plant).contains("missing"), "{}", said(&plant));
    plant.serve();
    assert!(said(&plant).contains("missing"), "{}", said(&plant));
    assert!(codes(&plant, &second).contains(&"SP-4008".to_owned()));
}

#[test]
fn rows_alone_make_retention_remove_nothing() {
    let (mut plant, alice) = with_alice(
        Setup::standard()
            .setting("[recording]\nkeep_days = 3650\n[recording.retention.safety]\nkeep_bytes = \"1 KiB\""),
    );
    let (held, led) = (session(&plant, &alice, "ews-1"), session(&plant, &alice, "ews-1"));
    let let_go = session(&plant, &alice, "sis-1");
    plant.sallyport(&["recording", "hold", &held, "--reason", "case 17"]).ok();
    nothing_wrong(&plant);
    let victim = plant.folder().join("victim.key");
    fs::write(&victim, "precious").unwrap();
    let path = file(&plant, &held);
    let long_ago = 11_i64 * 366 * 24 * 3600 * 1_000_000;
    let age = |id: &str| {
        format!("UPDATE recordings SET legal_hold = 0, closed_at = closed_at - {long_ago} WHERE session = '{id}'")
    };
    // One while the broker is stopped, one while it runs and has read everything before.
    plant.broker().terminate();
    plant.sql(&age(&held));
    named(&plant, &held, &["damaged", "the audit chain has it held"]);
    plant.serve();
    plant.sql(&age(&led));
    plant.sql(&format!("UPDATE recordings SET path = '../../victim.key' WHERE session = '{led}'"));
    eventually("retention has looked", Duration::from_secs(60), || {
        codes(&plant, &let_go).contains(&"SP-4004".to_owned()).then_some(())
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(path.exists(), "a recording that is held was removed");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    for id in [&held, &led] {
        assert!(!codes(&plant, id).contains(&"SP-4004".to_owned()), "{id}");
    }
    let verified = plant.sallyport(&["recording", "verify", "--all"]);
    verified.refused();
    assert!(about(&verified, &held).contains("has it held"), "{verified}");
    assert!(about(&verified, &led).contains("the catalogue's path"), "{verified}");
    assert_eq!(about(&verified, &let_go), "", "rightly removed: {verified}");
    // Nor is anything read from there.
    let read = plant.sallyport(&["recording", "verify", &led]);
    assert!(read.refused().contains("the catalogue's path"), "{read}");
}

#[test]
fn a_chain_that_does_not_verify_proves_nothing() {
    let (plant, alice) = with_alice(Setup::standard());
    let id = session(&plant, &alice, "ews-1");
    let verified = plant.sallyport(&["recording", "verify", "--all"]).ok();
    assert!(verified.starts_with("audit chain: whole"), "{verified}");
    // The recording goes, and every trace of it. Another session stands behind it: a chain cut at its end looks whole.
    session(&plant, &alice, "ews-1");
    fs::remove_file(file(&plant, &id)).unwrap();
    for table in ["files", "recordings", "audit"] {
        plant.sql(&format!("DELETE FROM {table} WHERE session = '{id}'"));
    }
    let verified = plant.sallyport(&["recording", "verify", "--all"]);
    verified.refused();
    assert!(about(&verified, "audit chain").contains("missing"), "{verified}");
}
