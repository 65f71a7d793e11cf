//! Exports and replay.
use crate::desk::{DESK, Memory, at, header};
use sallyport_session_recorder::export::{Content, Played, asciicast, files, jsonl, tracks};
use sallyport_session_recorder::replay::{Pace, Show, Steps};
use sallyport_session_recorder::{Budget, Direction, Kind, Recorder, TrackId};
use serde_json::{Value, json};
use std::time::Duration;

/// A shell on track 1, a command on track 2, a file on track 3.
fn session() -> Vec<u8> {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let say = |recorder: &mut Recorder<Memory>, ms, track, kind, body: Value| {
        recorder.append(at(ms), TrackId(track), kind, body.to_string().as_bytes()).unwrap();
    };
    let bytes = |recorder: &mut Recorder<Memory>, ms, track, kind, body: &[u8]| {
        recorder.append(at(ms), TrackId(track), kind, body).unwrap();
    };
    say(&mut recorder, 10, 1, Kind::Opened, json!({ "channel": "session" }));
    say(
        &mut recorder,
        11,
        1,
        Kind::Request,
        json!({ "request": "pty", "term": "xterm", "cols": 100, "rows": 30, "allowed": true }),
    );
    say(&mut recorder, 11, 1, Kind::Request, json!({ "request": "pty", "answer": "success" }));
    say(&mut recorder, 12, 1, Kind::Request, json!({ "request": "shell", "allowed": true, "answer": "success" }));
    bytes(&mut recorder, 500, 1, Kind::Output, b"$ ");
    bytes(&mut recorder, 1000, 1, Kind::Input, b"l");
    bytes(&mut recorder, 1100, 1, Kind::Output, "gr\u{fc}".as_bytes().split_at(3).0);
    bytes(&mut recorder, 1200, 1, Kind::Output, "gr\u{fc}\x1b[6n".as_bytes().split_at(3).1);
    say(&mut recorder, 20_000, 1, Kind::Request, json!({ "request": "window", "cols": 120, "rows": 40 }));
    bytes(&mut recorder, 61_000, 1, Kind::Output, b"bye\r\n");
    say(&mut recorder, 61_100, 1, Kind::Closed, json!({ "exit_status": 0 }));
    say(&mut recorder, 62_000, 2, Kind::Opened, json!({ "channel": "session" }));
    say(&mut recorder, 62_001, 2, Kind::Request, json!({ "request": "exec", "command": "status", "allowed": true }));
    say(&mut recorder, 62_002, 2, Kind::Request, json!({ "request": "exec", "answer": "success" }));
    bytes(&mut recorder, 62_100, 2, Kind::Output, b"one\ntwo\n");
    bytes(&mut recorder, 62_200, 2, Kind::ErrorOutput, b"oops\n");
    recorder.append_bulk(at(62_300), TrackId(2), Direction::Output, &[0; 5000], &mut Budget::none()).unwrap();
    let file = json!({ "op": "file", "direction": "upload", "via": "sftp", "path": "/tmp/a", "size": 5, "sha256": "ab", "complete": true });
    say(&mut recorder, 63_000, 3, Kind::Operation, file);
    say(
        &mut recorder,
        63_001,
        3,
        Kind::Operation,
        json!({ "op": "file-refused", "via": "scp", "path": "/b", "what": "open-write" }),
    );
    recorder.seal(at(64_000), "closed", "").unwrap();
    memory.bytes()
}

#[test]
fn the_tracks_say_what_ran_on_them() {
    let tracks = tracks(&header("s1"), DESK.reader(&session())).unwrap();
    let summary: Vec<_> = tracks
        .iter()
        .map(|track| (track.track, track.terminal, track.runs.as_deref(), track.command.as_deref(), track.output_bytes))
        .collect();
    assert_eq!(
        summary,
        [
            (1, Some((100, 30)), Some("shell"), None, 15),
            (2, None, Some("exec"), Some("status"), 5013),
            (3, None, None, None, 0)
        ]
    );
    assert_eq!(tracks[0].closed, Some(json!({ "exit_status": 0 })));
    assert_eq!(tracks[1].digested_bytes, 5000);
}

fn cast(track: usize, played: Played) -> Vec<Value> {
    let bytes = session();
    let tracks = tracks(&header("s1"), DESK.reader(&bytes)).unwrap();
    let mut out = Vec::new();
    asciicast(&header("s1"), &tracks[track], played, DESK.reader(&bytes), &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_shell_becomes_an_asciicast() {
    let lines = cast(0, Played::Raw);
    assert_eq!(lines[0]["version"], 2);
    assert_eq!((&lines[0]["width"], &lines[0]["height"]), (&json!(100), &json!(30)));
    assert_eq!(lines[0]["env"], json!({ "TERM": "xterm" }));
    assert_eq!(
        lines[1..],
        [
            json!([0.5, "o", "$ "]),
            json!([1.0, "i", "l"]),
            json!([1.1, "o", "gr"]),
            json!([1.2, "o", "ü\u{1b}[6n"]),
            json!([20.0, "r", "120x40"]),
            json!([61.0, "o", "bye\r\n"])
        ]
    );
    // A player's terminal would answer the report; it is there only where all was asked for.
    assert_eq!(cast(0, Played::Clean)[4], json!([1.2, "o", "ü"]));
}

#[test]
fn an_asciicast_says_what_an_unfinished_control_string_hides() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let pty = json!({ "request": "pty", "cols": 80, "rows": 24, "answer": "success" }).to_string();
    recorder.append(at(1), TrackId(1), Kind::Request, pty.as_bytes()).unwrap();
    recorder.append(at(500), TrackId(1), Kind::Output, b"$ \x1b]52;c;").unwrap();
    recorder.append(at(900), TrackId(1), Kind::Output, b"cm0gLXJmIC8K").unwrap();
    let bytes = memory.bytes();
    let tracks = tracks(&header("s1"), DESK.reader(&bytes)).unwrap();
    let mut out = Vec::new();
    asciicast(&header("s1"), &tracks[0], Played::Clean, DESK.reader(&bytes), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with("[0.9,\"o\",\"\\r\\n[17 bytes inside an unfinished control string]\\r\\n\"]\n"), "{text}");
    let last = Steps::new(&header("s1"), &tracks[0], DESK.reader(&bytes), Pace::default()).last().unwrap().unwrap();
    let marker = "\r\n[17 bytes inside an unfinished control string]\r\n[it began at 0.500 s]\r\n";
    assert_eq!((last.offset, last.show), (Duration::from_millis(900), Show::Bytes(marker.into())));
}

#[test]
fn a_command_without_a_terminal_becomes_an_asciicast_that_a_terminal_shows_right() {
    let lines = cast(1, Played::Clean);
    assert_eq!(lines[0]["command"], "status");
    assert_eq!(lines[1], json!([62.1, "o", "one\r\ntwo\r\n"]));
    assert_eq!(lines[2], json!([62.2, "o", "oops\r\n"]));
    assert_eq!(lines[3], json!([62.3, "o", "\r\n[5000 bytes, recorded as SHA-256 only]\r\n"]));
}

#[test]
fn the_files_are_listed() {
    let files: Vec<_> = files(&header("s1"), DESK.reader(&session())).collect::<Result<_, _>>().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!((files[0].path.as_str(), files[0].size, files[0].offset_micros), ("/tmp/a", Some(5), 63_000_000));
    assert_eq!((files[1].op.as_str(), files[1].what.as_deref()), ("file-refused", Some("open-write")));
}

#[test]
fn json_lines_hold_everything_that_has_a_meaning_of_its_own() {
    let bytes = session();
    let lines = |content| -> Vec<Value> {
        let mut out = Vec::new();
        jsonl(&mut DESK.reader(&bytes), content, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let without = lines(Content::Without);
    let kinds: Vec<_> = without.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "recording",
            "opened",
            "request",
            "request",
            "request",
            "request",
            "closed",
            "opened",
            "request",
            "request",
            "operation",
            "operation",
            "end"
        ]
    );
    assert_eq!(without[0]["header"]["identity"], "alice");
    assert_eq!(without.last().unwrap()["state"], "sealed");
    let with = lines(Content::With);
    assert!(with.iter().any(|line| line["kind"] == "input" && line["base64"] == "bA=="));
    assert!(with.iter().any(|line| line["kind"] == "output-digest" && line["length"] == 5000));
}

fn replay(pace: Pace) -> Vec<(u64, u64, Show)> {
    let bytes = session();
    let tracks = tracks(&header("s1"), DESK.reader(&bytes)).unwrap();
    Steps::new(&header("s1"), &tracks[0], DESK.reader(&bytes), pace)
        .map(|step| step.unwrap())
        .map(|step| {
            let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
            (ms(step.wait), ms(step.offset), step.show)
        })
        .collect()
}

#[test]
fn a_replay_keeps_time_and_sends_nothing_that_acts_on_the_terminal() {
    let show = |text: &[u8]| Show::Bytes(text.to_vec());
    assert_eq!(
        replay(Pace::default()),
        [
            (490, 500, show(b"$ ")),
            (600, 1100, show(b"gr")),
            (100, 1200, show(b"\xc3\xbc")),
            (18_800, 20_000, Show::Resized(120, 40)),
            (41_000, 61_000, show(b"bye\r\n"))
        ]
    );
}

#[test]
fn a_replay_can_be_faster_without_pauses_and_from_the_middle() {
    let waits = |pace| -> Vec<u64> { replay(pace).into_iter().map(|(wait, _, _)| wait).collect() };
    assert_eq!(waits(Pace { speed: 2.0, ..Pace::default() }), [245, 300, 50, 9400, 20_500]);
    assert_eq!(waits(Pace { idle: Some(Duration::from_secs(1)), ..Pace::default() }), [490, 600, 100, 1000, 1000]);
    assert_eq!(waits(Pace { seek: Duration::from_secs(21), ..Pace::default() }), [0, 0, 0, 0, 40_000]);
    assert_eq!(waits(Pace { speed: f64::NAN, ..Pace::default() })[0], 490);
}
