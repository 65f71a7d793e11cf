//! Whatever a recording holds: every export comes to an end, is what its format says, and is not much longer than the recording.

use std::time::Duration;

use sallyport_session_recorder::export::{
    Content, ExportError, Played, Track, Verdict, asciicast, files, jsonl, operation_lines, operations, pcapng, tracks,
};
use sallyport_session_recorder::replay::{Pace, Sanitizer, Show, Steps};
use sallyport_session_recorder::search::{Hit, Hits, Query};
use sallyport_session_recorder::{Entry, Kind, ReadError, Reader};

use super::desk::{DESK, header};
use super::terminal::acts;

pub(super) fn hold(entries: &[Entry]) {
    let most = most(entries);
    let tracks = tracks(&header(), all(entries)).expect("sound entries");
    assert!(tracks.len() <= entries.len());
    for track in tracks.iter().take(3) {
        let cast = written(|out| asciicast(&header(), track, Played::Clean, all(entries), out)).expect("sound entries");
        lines_of_json(&cast, most);
        shown(track, entries);
    }
    let lines = written(|out| operation_lines(&header(), all(entries), out)).expect("sound entries");
    lines_of_json(&lines, most);
    assert!(!std::str::from_utf8(&lines).expect("text").chars().any(|char| char.is_control() && char != '\n'));
    for operation in operations(&header(), all(entries)) {
        let operation = operation.expect("sound entries");
        let said = [operation.name(), operation.what(), operation.change(), operation.judgement()].concat();
        assert!(said.len() + operation.phase().len() + operation.rule().len() <= most);
        assert_eq!(operation.verdict() == Some(Verdict::Pass), operation.judgement().split(':').next() == Some("pass"));
    }
    assert!(files(&header(), all(entries)).all(|file| file.is_ok()));
    packets(&written(|out| pcapng(&header(), None, all(entries), out)).expect("few connections"), most);
    found(entries);
}

/// Everything in a recording is in its lines of JSON.
pub(super) fn are_all_there(bytes: &[u8], entries: &[Entry]) {
    let mut reader = Reader::open(bytes, &DESK.readers, Some(&DESK.trusted)).expect("a recording for this reader");
    let everything = written(|out| jsonl(&mut reader, Content::With, out)).expect("sound entries");
    assert_eq!(lines_of_json(&everything, most(entries)), entries.len() + 2, "an entry is missing");
}

/// For each entry what stands around it, and for each byte the longest way to write it.
fn most(entries: &[Entry]) -> usize {
    let size: usize = entries.iter().map(|entry| entry.body.len()).sum();
    4096 * (entries.len() + 2) + 16 * size
}

fn all(entries: &[Entry]) -> impl Iterator<Item = Result<Entry, ReadError>> {
    entries.iter().cloned().map(Ok)
}

fn written(export: impl FnOnce(&mut Vec<u8>) -> Result<(), ExportError>) -> Result<Vec<u8>, ExportError> {
    let mut out = Vec::new();
    export(&mut out).map(|()| out)
}

/// How many there are.
fn lines_of_json(bytes: &[u8], most: usize) -> usize {
    assert!(bytes.len() <= most, "{} bytes were written, {most} at most", bytes.len());
    let text = std::str::from_utf8(bytes).expect("text");
    assert!(text.is_empty() || text.ends_with('\n'));
    let read: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    read.len()
}

/// Nothing that is shown acts on the auditor's terminal, and what is safe stays as it is.
fn shown(track: &Track, entries: &[Entry]) {
    let pace = Pace { speed: 2.0, idle: Some(Duration::from_secs(1)), seek: Duration::from_millis(10) };
    let mut all_shown = Vec::new();
    for step in Steps::new(&header(), track, all(entries), pace) {
        let step = step.expect("sound entries");
        assert!(step.wait <= Duration::from_secs(1), "a pause is not cut");
        if let Show::Bytes(bytes) = step.show {
            all_shown.extend_from_slice(&bytes);
        }
    }
    assert_eq!(acts(&String::from_utf8_lossy(&all_shown)), None);
    // Output and its errors are two streams: each may cut the other's characters.
    if !entries.iter().any(|entry| entry.kind == Kind::ErrorOutput) {
        assert_eq!(Sanitizer::default().clean(&all_shown, false).into_bytes(), all_shown, "cleaning again changes it");
    }
}

/// Blocks one behind the other, each as long as it says at both ends.
fn packets(mut bytes: &[u8], most: usize) {
    assert!(bytes.len() <= most, "{} bytes of packets, {most} at most", bytes.len());
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |all, byte| all << 8 | usize::from(*byte));
    while !bytes.is_empty() {
        let length = number(&bytes[4..8]);
        assert!(length >= 12 && length.is_multiple_of(4), "a block of {length} bytes");
        let (block, rest) = bytes.split_at(length);
        assert_eq!(number(&block[length - 4..]), length, "a block with two lengths");
        bytes = rest;
    }
}

/// Every hit holds what was looked for.
fn found(entries: &[Entry]) {
    for (text, ignore_case) in [("a", false), ("ER", true)] {
        let query = Query::new(text, ignore_case).expect("something to look for");
        for hit in Hits::new(&header(), all(entries), query) {
            let Hit { line, place, .. } = hit.expect("sound entries");
            let line = if ignore_case { line.to_uppercase() } else { line };
            // Of an operation its own line is told, in whichever field the text stands.
            assert!(place == "operation" || line.contains(text), "{text:?} is not in {line:?}");
        }
    }
}
