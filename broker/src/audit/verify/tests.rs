#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use ed25519_dalek::{Signer as _, SigningKey};
use jiff::Timestamp;

use super::super::entry::{Draft, entry_to_line};
use super::super::{AuditEvent, Severity};
use super::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn sign(entry: &mut AuditEntry, key: &SigningKey) {
    let signature = key.sign(format!("{SIGNED_PREFIX}{}", entry.hash).as_bytes());
    entry.signature = Some(HEXLOWER.encode(&signature.to_bytes()));
}

/// Nine entries, signed at 3, 6 and 9.
fn chain() -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    for seq in 1..=9_i64 {
        let event = AuditEvent::IdentityLocked { identity: format!("p{seq} \"ø\"\n\u{7f}"), reason: "left".into() };
        let draft = Draft::new(&event, Timestamp::from_second(seq).unwrap(), "b1", "root").unwrap();
        let previous = entries.last().map_or(GENESIS.to_owned(), |entry| entry.hash.clone());
        let mut entry = draft.enter(seq, &previous);
        if seq % 3 == 0 {
            sign(&mut entry, &key());
        }
        entries.push(entry);
    }
    entries
}

fn export(entries: &[AuditEntry]) -> String {
    entries.iter().map(|entry| entry_to_line(entry) + "\n").collect()
}

/// What is wrong with the chain after `change`, in words.
fn faults_of(entries: &[AuditEntry], expected: Expected) -> Vec<String> {
    let keys = [key().verifying_key()];
    let found = verify_lines(export(entries).as_bytes(), &keys, expected).unwrap();
    found.faults.iter().map(ToString::to_string).collect()
}

fn check(change: impl FnOnce(&mut Vec<AuditEntry>), expected: &[&str]) {
    let mut entries = chain();
    change(&mut entries);
    assert_eq!(faults_of(&entries, Expected::default()), expected);
}

/// Makes everything from `from` on fit again, as somebody without the key could.
fn rehash(entries: &mut [AuditEntry], from: usize) {
    for index in from..entries.len() {
        if index > 0 {
            entries[index].previous = entries[index - 1].hash.clone();
        }
        entries[index].seq = i64::try_from(index).unwrap() + 1;
        entries[index].hash = entries[index].expected_hash();
    }
}

#[test]
fn an_untouched_chain_is_whole() {
    check(|_| {}, &[]);
    let found = verify_lines(export(&chain()).as_bytes(), &[key().verifying_key()], Expected::default()).unwrap();
    assert_eq!((found.entries, found.first, found.signatures), (9, Some(1), 3));
    assert!(AuditEvent::KINDS.iter().any(|kind| kind.severity == Severity::Alert));
}

#[test]
fn every_column_is_covered() {
    type Edit = fn(&mut AuditEntry);
    let edits: [(&str, Edit); 9] = [
        ("id", |entry| entry.id.push('x')),
        ("at", |entry| entry.at += 1),
        ("code", |entry| entry.code = "SP-5103".into()),
        ("broker", |entry| entry.broker = "b2".into()),
        ("actor", |entry| entry.actor = "nobody".into()),
        ("identity", |entry| entry.identity = None),
        ("session", |entry| entry.session = Some("s".into())),
        ("event", |entry| entry.event = entry.event.replace("left", "none")),
        ("hash", |entry| entry.hash = GENESIS.into()),
    ];
    for (column, edit) in edits {
        let mut entries = chain();
        edit(&mut entries[4]);
        let faults = faults_of(&entries, Expected::default());
        assert_eq!(faults[0], "entry 5 was edited: its content does not match its hash", "{column}");
    }
}

#[test]
fn an_edit_that_is_hashed_again_breaks_a_signature() {
    let edit = |entries: &mut Vec<AuditEntry>| {
        entries[4].actor = "nobody".into();
        rehash(entries, 4);
    };
    check(
        edit,
        &[
            "entry 6 is not signed by a trusted key",
            "entry 9 is not signed by a trusted key",
            "no signature covers the entries from 4 on",
        ],
    );
    let strip = |entries: &mut Vec<AuditEntry>| {
        edit(entries);
        entries[5].signature = None;
        entries[8].signature = None;
    };
    check(strip, &["no signature covers the entries from 4 on"]);
    let own = SigningKey::from_bytes(&[8; 32]);
    let sign_anew = |entries: &mut Vec<AuditEntry>| {
        edit(entries);
        for index in [5, 8] {
            sign(&mut entries[index], &own);
        }
    };
    check(
        sign_anew,
        &[
            "entry 6 is not signed by a trusted key",
            "entry 9 is not signed by a trusted key",
            "no signature covers the entries from 4 on",
        ],
    );
}

#[test]
fn deletions_insertions_and_moves_are_named() {
    check(|entries| drop(entries.remove(4)), &["entry 5 is missing"]);
    check(|entries| drop(entries.drain(0..2)), &["entries 1 to 2 are missing"]);
    check(
        |entries| entries.swap(3, 4),
        &[
            "entry 4 is missing",
            "entry 4 is out of order",
            "entries 5 to 5 are missing".replace("entries 5 to 5 are", "entry 5 is").as_str(),
        ],
    );
    check(|entries| entries.insert(5, entries[4].clone()), &["entry 5 is out of order"]);
    let renumbered = |entries: &mut Vec<AuditEntry>| {
        entries.remove(4);
        rehash(entries, 4);
    };
    let mut entries = chain();
    renumbered(&mut entries);
    assert!(!faults_of(&entries, Expected::default()).is_empty());
    let forged = |entries: &mut Vec<AuditEntry>| {
        let mut entry = entries[4].clone();
        entry.previous = GENESIS.into();
        entry.hash = entry.expected_hash();
        entries[4] = entry;
    };
    check(forged, &["entry 5 does not continue the entry before it", "entry 6 does not continue the entry before it"]);
}

#[test]
fn a_cut_tail_shows_as_unsigned_or_against_a_noted_head() {
    check(|entries| entries.truncate(8), &["no signature covers the entries from 7 on"]);
    let entries = chain();
    let head = Some((9, entries[8].hash.clone()));
    let cut = faults_of(&entries[..6], Expected { head: head.clone(), partial: false, ..Expected::default() });
    assert_eq!(cut, ["entry 9, noted as head, is missing: the chain was cut short"]);
    assert!(faults_of(&entries, Expected { head, partial: false, ..Expected::default() }).is_empty());
    let other = Some((9, GENESIS.to_owned()));
    let rewritten = faults_of(&entries, Expected { head: other, partial: false, ..Expected::default() });
    assert_eq!(rewritten, ["entry 9, noted as head, has another hash: the chain was rewritten"]);
    assert!(faults_of(&entries[3..], Expected { head: None, partial: true, ..Expected::default() }).is_empty());
}

#[test]
fn a_line_that_could_be_read_two_ways_is_refused() {
    let keys = [key().verifying_key()];
    let text = export(&chain());
    for (from, to) in [
        ("\"actor\":\"root\"", "\"actor\":\"x\",\"actor\":\"root\""),
        ("\"actor\":\"root\"", "\"actor\": \"root\""),
        ("\"actor\":\"root\"", "\"actor\":\"r\\u006fot\""),
    ] {
        let found = verify_lines(text.replacen(from, to, 1).as_bytes(), &keys, Expected::default()).unwrap();
        assert!(matches!(found.faults[0], ChainFault::Unreadable { line: 1, .. }), "{to}");
    }
}

#[test]
fn nothing_in_an_export_acts_on_a_terminal_and_it_verifies_in_either_form() {
    let hostile = "ev\u{9b}31m\u{202e}\u{2028}\u{9d}0;title\u{9c}\u{e0041}\u{7f} ø";
    let event = AuditEvent::IdentityLocked { identity: hostile.to_owned(), reason: "left".into() };
    let mut entry = Draft::new(&event, Timestamp::UNIX_EPOCH, "b1", hostile).unwrap().enter(1, GENESIS);
    sign(&mut entry, &key());
    let line = entry_to_line(&entry);
    assert!(line.chars().all(sallyport_plain::is_plain), "{line:?}");
    assert!(line.contains(r#""identity":"ev\u009b31m\u202e\u2028\u009d0;title\u009c\udb40\udc41\u007f ø""#), "{line}");
    // Another reader of JSON sees what was hashed.
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["identity"], &value["event"]["identity"]), (&hostile.into(), &hostile.into()));
    let as_it_was = super::super::entry::canonical(&value);
    let keys = [key().verifying_key()];
    for whole in [&line, &as_it_was] {
        assert!(verify_lines(whole.as_bytes(), &keys, Expected::default()).unwrap().whole(), "{whole}");
    }
    // No third way to write the same.
    for other in [line.replacen("\\u009b", "\u{9b}", 1), line.replacen("left", "l\\u0065ft", 1)] {
        assert_ne!(other, line);
        assert!(!verify_lines(other.as_bytes(), &keys, Expected::default()).unwrap().whole(), "{other}");
    }
}

/// A chain in which the evidence key hands over to another at entry 4; `old` signs up to there, `new` after it.
fn handed_over(new: &SigningKey, named: &SigningKey) -> Vec<AuditEntry> {
    let line = |key: &SigningKey| {
        let key = ssh_key::public::Ed25519PublicKey(key.verifying_key().to_bytes());
        Some(ssh_key::PublicKey::from(key).to_openssh().unwrap())
    };
    let mut entries = chain();
    let event = AuditEvent::SecretsRotated {
        key: "evidence".into(),
        step: "in use at once".into(),
        old: line(&key()),
        new: line(named),
    };
    let draft = Draft::new(&event, Timestamp::from_second(4).unwrap(), "cli", "root").unwrap();
    entries[3] = draft.enter(4, &entries[2].hash.clone());
    rehash(&mut entries, 4);
    let old = key();
    for index in [3, 5, 8] {
        sign(&mut entries[index], if index == 3 { &old } else { new });
    }
    entries
}

#[test]
fn an_evidence_key_hands_over_to_the_next_and_signs_no_more() {
    let (new, thief) = (SigningKey::from_bytes(&[8; 32]), SigningKey::from_bytes(&[9; 32]));
    let (old_key, new_key) = (key().verifying_key(), new.verifying_key());
    let found = |entries: &[AuditEntry], keys: &[VerifyingKey]| {
        let found = verify_lines(export(entries).as_bytes(), keys, Expected::default()).unwrap();
        found.faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let entries = handed_over(&new, &new);
    // Whoever knows only the first learns of the next by the chain itself.
    for keys in [&[old_key][..], &[old_key, new_key], &[new_key, old_key]] {
        assert_eq!(found(&entries, keys), Vec::<String>::new());
    }
    let unsigned = |seq: i64| format!("entry {seq} is not signed by a trusted key");
    assert_eq!(found(&entries, &[new_key])[0], unsigned(3));
    // The old key goes on signing, whoever has it; or it names one key, and another signs.
    let both = [old_key, new_key];
    assert_eq!(found(&handed_over(&key(), &new), &both)[0], unsigned(6));
    assert_eq!(found(&handed_over(&thief, &new), &both)[0], unsigned(6));
    // Without the old key's signature nothing is handed over; nor by an entry whose content is another.
    let mut forged = handed_over(&thief, &thief);
    sign(&mut forged[3], &thief);
    assert_eq!(found(&forged, &[old_key])[0], unsigned(4));
    let mut edited = handed_over(&thief, &new);
    let other = handed_over(&thief, &thief);
    edited[3].event = other[3].event.clone();
    assert!(found(&edited, &[old_key]).contains(&unsigned(6)));
}
