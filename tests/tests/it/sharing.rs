//! One session for somebody outside: they read and prove it on a machine where nothing is set up, and no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sallyport_tests::{Finished, Person, Plant, finish, recordings, repository, sallyport};

/// A `sallyport` command where there is no installation.
fn elsewhere(arguments: &[&str]) -> Finished {
    let mut command = Command::new(sallyport());
    command.args(["--config", "/nonexistent/broker.toml"]).args(arguments);
    finish(command, b"")
}

/// Somebody's age identity file, and the public key that they tell.
fn outsider(plant: &Plant, name: &str) -> (PathBuf, String) {
    let folder = plant.folder().join(name);
    let mut init = Command::new(sallyport());
    init.args(["init", "--name", name, "--dir"]).arg(&folder);
    finish(init, b"").ok();
    let key = folder.join("recordings-reader.key");
    let text = fs::read_to_string(&key).unwrap();
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    (key, public)
}

fn two_sessions() -> (Plant, Person, Vec<String>) {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    alice.leased_ssh(["ews-1", "echo first-words"]).ok();
    alice.leased_ssh(["ews-2.direct", "echo second-words"]).ok();
    plant.quiet();
    let mut ids: Vec<_> = plant.recordings().iter().map(|each| each["session"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    (plant, alice, ids)
}

fn share(plant: &Plant, arguments: &[&str]) -> Finished {
    let key = plant.auditor_key();
    plant.sallyport(&[&["recording", "share"], arguments, &["--identity", key.to_str().unwrap()]].concat())
}

#[test]
fn a_third_party_reads_and_proves_the_session_it_was_given_and_no_other() {
    let (plant, _alice, ids) = two_sessions();
    let (key, public) = outsider(&plant, "insurer");
    let (other_key, _) = outsider(&plant, "stranger");
    let folder = plant.folder().join("handed");
    let said = share(&plant, &[&ids[1], "--recipient", &public, "--out", folder.to_str().unwrap()]).ok();
    assert!(said.contains("SHA256:") && said.contains(&public), "{said}");
    let told: Vec<_> = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-4012").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["session"], &told[0]["event"]["recipients"][0]),
        (&ids[1].as_str().into(), &public.as_str().into())
    );

    // What is handed over is the recording as it was sealed, and nothing of anybody else.
    let original =
        recordings(&plant.recordings_folder()).into_iter().find(|path| path.to_str().unwrap().contains(&ids[1]));
    assert!(fs::read(folder.join("recording.srec")).unwrap() == fs::read(original.unwrap()).unwrap());
    let chain = fs::read_to_string(folder.join("chain.jsonl")).unwrap();
    assert_eq!(chain.lines().count(), 3, "{chain}");
    assert!(chain.lines().all(|line| line.contains(&ids[1])), "{chain}");
    for file in ["recording.key", "chain.jsonl", "evidence.pub", "README.txt"] {
        let bytes = fs::read(folder.join(file)).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"AGE-SECRET-KEY-"), "{file}");
    }

    let named = format!("{}/", folder.display());
    let evidence = folder.join("evidence.pub");
    let (evidence, key) = (evidence.to_str().unwrap(), key.to_str().unwrap());
    let verified = elsewhere(&["recording", "verify", &named, "--public-key", evidence]).ok();
    assert!(verified.contains(": sealed\n") && verified.contains("3 entries of the audit chain"), "{verified}");
    let opened = |action: &[&str], key: &str| {
        elsewhere(&[&["recording"], action, &["--public-key", evidence, "--key-file", key]].concat())
    };
    assert!(opened(&["replay", &named, "--speed", "100"], key).ok().contains("first-words"));
    assert!(opened(&["export", &named, "--format", "jsonl", "--content"], key).ok().contains(&ids[1]));
    for action in ["files", "operations"] {
        opened(&[action, &named], key).ok();
    }
    assert!(opened(&["files", &named], other_key.to_str().unwrap()).refused().contains("not encrypted"));
    // So does a program that was written from the page on the format alone.
    let mut python = Command::new("/usr/bin/python3");
    python.arg(repository().join("tests/verify_recording.py")).arg(folder.join("recording.srec"));
    python
        .args(["--key", evidence, "--identity", key, "--cat", "1:output", "--shared"])
        .arg(folder.join("recording.key"));
    assert_eq!(finish(python, b"").ok(), "first-words\n");
    // Not the others, whichever way they are put beside the key.
    for path in recordings(&plant.recordings_folder()) {
        let other = !path.to_str().unwrap().contains(&ids[1]);
        assert_eq!(opened(&["files", path.to_str().unwrap()], key).code(), 1, "{}", path.display());
        if other {
            fs::copy(&path, folder.join("recording.srec")).unwrap();
            assert!(opened(&["files", &named], key).refused().contains("does not decrypt"));
            let verified = elsewhere(&["recording", "verify", &named, "--public-key", evidence]);
            assert!(verified.text().contains("the audit chain has head"), "{verified}");
        }
    }
    // Whose key it is cannot be known from the folder.
    let refused = elsewhere(&["recording", "verify", &named]);
    assert!(refused.refused().contains("--public-key KEY") && !refused.stderr.contains("init"), "{refused}");
    let refused = elsewhere(&["recording", "replay", &named, "--key-file", key]);
    assert!(refused.refused().contains("--public-key KEY") && !refused.stderr.contains("init"), "{refused}");
}

#[test]
fn whatever_is_done_to_a_shared_folder_shows() {
    let (plant, _alice, ids) = two_sessions();
    let (_, public) = outsider(&plant, "insurer");
    let handed = |name: &str, id: &str| {
        let folder = plant.folder().join(name);
        share(&plant, &[id, "--recipient", &public, "--output", folder.to_str().unwrap()]).ok();
        folder
    };
    let (one, two) = (handed("one", &ids[1]), handed("two", &ids[2]));
    let verify = |folder: &Path| {
        let key = one.join("evidence.pub");
        elsewhere(&["recording", "verify", &format!("{}/", folder.display()), "--public-key", key.to_str().unwrap()])
    };
    verify(&one).ok();
    let (recording, chain) = (one.join("recording.srec"), one.join("chain.jsonl"));
    let (sealed, entries) = (fs::read(&recording).unwrap(), fs::read_to_string(&chain).unwrap());
    for at in (8..sealed.len()).step_by(sealed.len() / 9) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        fs::write(&recording, &flipped).unwrap();
        let verified = verify(&one);
        assert!(!verified.status.success() && verified.text().contains("fault: "), "byte {at}: {verified}");
    }
    fs::write(&recording, &sealed).unwrap();
    let lines: Vec<&str> = entries.lines().collect();
    let head = sealed_head(&verify(&one).ok());
    let others = fs::read_to_string(two.join("chain.jsonl")).unwrap();
    for (what, changed, fault) in [
        ("another person", entries.replace("alice", "mallory"), "was edited"),
        ("another head", entries.replace(&head, &"0".repeat(64)), "was edited"),
        ("an entry less", [lines[0], lines[2]].join("\n"), "are not those that entry"),
        ("no signature", entries.replace("\"signature\":\"", "\"signature\":\"00"), "not the signed one"),
        ("the order", [lines[1], lines[0], lines[2]].join("\n"), "are not those that entry"),
        ("another session's", others, "is of another session"),
        ("nothing", String::new(), "holds no entry"),
        ("no entry", "{}\n".to_owned(), "not an audit entry"),
    ] {
        fs::write(&chain, changed).unwrap();
        let verified = verify(&one);
        assert!(!verified.status.success() && verified.text().contains(fault), "{what}: {verified}");
    }
    fs::write(&chain, &entries).unwrap();
    verify(&one).ok();
}

fn sealed_head(verified: &str) -> String {
    verified.split("; head ").nth(1).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn a_recipient_in_a_wrong_form_or_a_session_that_is_not_over_is_refused_with_the_mend() {
    let (plant, alice, ids) = two_sessions();
    let (key, public) = outsider(&plant, "insurer");
    let secret = fs::read_to_string(&key).unwrap().lines().last().unwrap().to_owned();
    let folder = plant.folder().join("handed");
    let to = folder.to_str().unwrap();
    for (recipient, says) in [
        (secret.as_str(), "this is a secret key"),
        (&public[..public.len() - 3], "cut off"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "this is an ssh key"),
        ("insurer@example.com", "no age key"),
    ] {
        let refused = share(&plant, &[&ids[1], "--recipient", recipient, "--output", to]);
        assert_eq!(refused.code(), 64, "{refused}");
        assert!(refused.stderr.contains(says) && refused.stderr.contains("age-keygen"), "{refused}");
        assert!(!refused.stderr.contains(&secret), "{refused}");
    }
    let file = recordings(&plant.recordings_folder()).remove(0);
    share(&plant, &[file.to_str().unwrap(), "--recipient", &public, "--output", to]).refused();
    let terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    let live = plant.json(&["session", "list", "--live"]);
    let refused = share(&plant, &[live[0]["id"].as_str().unwrap(), "--recipient", &public, "--output", to]);
    assert!(refused.refused().contains("no seal yet"), "{refused}");
    assert!(!folder.exists() && !plant.audit().iter().any(|entry| entry["code"] == "SP-4012"));
    // Nothing is overwritten, and what is not written is not on record.
    fs::create_dir(&folder).unwrap();
    share(&plant, &[&ids[1], "--recipient", &public, "--output", to]).refused();
    assert!(!plant.audit().iter().any(|entry| entry["code"] == "SP-4012"));
}

#[test]
fn a_folder_of_recordings_is_held_against_an_exported_chain_without_any_installation() {
    let (mut plant, _alice, ids) = two_sessions();
    let home = plant.folder().join("home");
    fs::create_dir(&home).unwrap();
    let (chain, key) = (home.join("audit.jsonl"), home.join("evidence.pub"));
    let head = plant.json(&["audit", "verify"])["head"].as_str().unwrap().to_owned();
    plant.sallyport(&["audit", "export", "--output", chain.to_str().unwrap()]).ok();
    fs::write(&key, plant.sallyport(&["secrets", "show", "evidence"]).ok()).unwrap();
    plant.broker().terminate();
    let copy = home.join("recordings");
    let again = || {
        fs::remove_dir_all(&copy).ok();
        let mut copying = Command::new("cp");
        copying.arg("-r").arg(plant.recordings_folder()).arg(&copy);
        finish(copying, b"").ok();
        let mut all = recordings(&copy);
        assert_eq!(all.len(), ids.len());
        all.sort_by_key(|path| path.file_name().unwrap().to_owned());
        all
    };
    let verify = |more: &[&str]| {
        let named = ["recording", "verify", copy.to_str().unwrap(), "--audit", chain.to_str().unwrap()];
        elsewhere(&[&named[..], &["--public-key", key.to_str().unwrap()], more].concat())
    };
    again();
    let verified = verify(&["--expect-head", &head]);
    assert_eq!(verified.ok().matches(": sealed\n").count(), ids.len(), "{verified}");
    assert!(verified.text().contains("audit chain: whole"), "{verified}");
    let refused = |what: &str, says: &[&str]| {
        let verified = verify(&[]);
        assert!(!verified.status.success(), "{what} went unnoticed: {verified}");
        assert!(says.iter().all(|says| verified.text().contains(says)), "{what}, {says:?}: {verified}");
    };
    let all = again();
    fs::remove_file(&all[1]).unwrap();
    refused("a deleted recording", &[&format!("{}: missing (gate-1)", ids[1]), "no file is its"]);
    let all = again();
    fs::copy(&all[0], &all[1]).unwrap();
    refused("an exchanged recording", &[&format!("{}: missing", ids[1]), "is of the same session"]);
    let all = again();
    let sealed = fs::read(&all[1]).unwrap();
    fs::write(&all[1], &sealed[..sealed.len() - 40]).unwrap();
    refused("a cut recording", &[&ids[1], "the audit chain has head"]);
    let mut flipped = sealed.clone();
    flipped[sealed.len() / 2] ^= 4;
    fs::write(&all[1], &flipped).unwrap();
    refused("a bit", &[&ids[1], "damaged"]);
    fs::write(&all[1], &sealed[..40]).unwrap();
    refused("a header", &[&ids[1], "damaged"]);

    // A chain that lost its end no longer knows the last recording; one that was edited proves nothing.
    again();
    let entries = fs::read_to_string(&chain).unwrap();
    let lines: Vec<&str> = entries.lines().collect();
    let begun = lines.iter().position(|line| line.contains("SP-3001") && line.contains(&ids[2])).unwrap();
    fs::write(&chain, lines[..begun].join("\n") + "\n").unwrap();
    refused("an extra recording", &["unknown", "it began after the chain was exported"]);
    assert!(verify(&["--expect-head", &head]).text().contains("was cut short"));
    fs::write(&chain, entries.replace("alice", "mallory")).unwrap();
    refused("an edited chain", &["audit chain: damaged", "was edited"]);
    fs::write(&chain, &entries).unwrap();
    verify(&[]).ok();

    // The key in whatever form, and not without.
    let line = fs::read_to_string(&key).unwrap();
    let shown: serde_json::Value =
        serde_json::from_str(&plant.sallyport(&["secrets", "show", "evidence", "--json"]).ok()).unwrap();
    let blob = line.split_whitespace().nth(1).unwrap();
    let raw = data_encoding::HEXLOWER.decode(shown["hex"].as_str().unwrap().as_bytes()).unwrap();
    for form in [line.trim(), shown["hex"].as_str().unwrap(), blob, &data_encoding::BASE64.encode(&raw)] {
        let one = all[0].to_str().unwrap();
        elsewhere(&["recording", "verify", one, "--public-key", form]).ok();
        elsewhere(&["audit", "verify", "--file", chain.to_str().unwrap(), "--public-key", form]).ok();
    }
    let refused = elsewhere(&["recording", "verify", copy.to_str().unwrap(), "--audit", chain.to_str().unwrap()]);
    assert!(refused.refused().contains("--public-key KEY"), "{refused}");
    // Without a chain nothing can be said of a folder.
    let refused = elsewhere(&["recording", "verify", copy.to_str().unwrap(), "--public-key", line.trim()]);
    assert!(refused.refused().contains("--audit FILE"), "{refused}");
}
