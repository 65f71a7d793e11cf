//! Operations as lines for programs and as a timeline for people.
use crate::desk::{DESK, Memory, at, header};
use expect_test::{Expect, expect};
use sallyport_session_recorder::export::{Verdict, operation_lines, operations};
use sallyport_session_recorder::{Kind, TrackId};
use serde_json::{Value, json};

fn recording(bodies: &[Value]) -> Vec<u8> {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    for (ms, body) in (1..).zip(bodies) {
        recorder.append(at(ms), TrackId(1), Kind::Operation, body.to_string().as_bytes()).unwrap();
    }
    memory.bytes()
}

/// What stands in the timeline for one operation.
fn check(body: Value, expected: Expect) {
    let header = header("s1");
    let recording = recording(&[body]);
    let operation = operations(&header, DESK.reader(&recording)).next().unwrap().unwrap();
    let unit = operation.unit().map(|unit| unit.to_string()).unwrap_or_default();
    let cells = [
        unit,
        operation.phase().to_owned(),
        operation.name(),
        operation.what(),
        operation.change(),
        operation.judgement(),
        operation.rule().to_owned(),
    ];
    let write = if operation.is_write() { " [write]" } else { "" };
    expected.assert_eq(&format!("{}{write}", cells.join(" | ")));
}

fn write() -> Value {
    json!({
        "operation": "modbus", "n": 12, "phase": "request", "transaction": 7, "unit": 1, "function": 6,
        "name": "write single register", "kind": "write", "table": "register", "address": 100, "quantity": 1,
        "values": [1600], "old": [1550], "tags": [{ "name": "speed", "value": 1600, "old": 1550, "unit": "rpm" }],
        "verdict": "deny", "cause": "value", "rule": "setpoints/speed", "exception": 3,
        "text": "write register 100 = 1600 (was 1550), unit 1"
    })
}

/// The write, with some fields otherwise; null takes one away.
fn write_with(changes: Value) -> Value {
    let mut body = write();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

#[test]
fn a_write_shows_the_tag_the_old_value_the_new_one_and_the_rule() {
    check(
        write(),
        expect![
            "1 | request | write single register | speed (register 100) | 1550 -> 1600 rpm; exception 3 | deny: value | setpoints/speed [write]"
        ],
    );
    check(
        write_with(json!({ "tags": null, "exception": null, "verdict": "pass", "cause": null })),
        expect!["1 | request | write single register | register 100 | 1550 -> 1600 | pass | setpoints/speed [write]"],
    );
    check(
        write_with(json!({ "tags": null, "old": null, "unit": null, "verdict": "would-deny", "exception": null })),
        expect![
            " | request | write single register | register 100 | ? -> 1600 | would-deny: value | setpoints/speed [write]"
        ],
    );
}

#[test]
fn a_write_without_one_value_is_shown_in_words() {
    check(
        write_with(
            json!({ "values": null, "old": null, "tags": null, "exception": null, "text": "mask write register 100 and 0xff" }),
        ),
        expect![
            "1 | request | write single register | register 100 | mask write register 100 and 0xff | deny: value | setpoints/speed [write]"
        ],
    );
    check(
        write_with(json!({ "values": [1, 2], "old": [null, 5], "tags": null, "exception": null })),
        expect![
            "1 | request | write single register | register 100 | ?, 5 -> 1, 2 | deny: value | setpoints/speed [write]"
        ],
    );
}

#[test]
fn a_read_shows_what_was_read() {
    let read = json!({
        "operation": "modbus", "phase": "response", "unit": 2, "name": "read holding registers", "kind": "read",
        "table": "register", "address": 100, "quantity": 3, "values": [1, 2, 3], "verdict": "pass"
    });
    check(read, expect!["2 | response | read holding registers | register 100-102 | 1, 2, 3 | pass | "]);
}

#[test]
fn a_tag_does_not_hide_what_else_was_written() {
    let tags = json!([{ "name": "speed", "value": 7, "unit": "rpm" }, { "name": "level", "value": 2.5, "old": 2.25 }]);
    check(
        write_with(json!({ "quantity": 3, "values": [7, 16416, 0], "old": null, "tags": tags, "exception": null })),
        expect![
            "1 | request | write single register | speed, level (register 100-102) | speed ? -> 7 rpm; level 2.25 -> 2.5; values ? -> 7, 16416, 0 | deny: value | setpoints/speed [write]"
        ],
    );
}

#[test]
fn many_values_do_not_flood_the_line() {
    let values: Vec<u32> = (0..123).collect();
    check(
        write_with(json!({ "quantity": 123, "values": values, "old": null, "tags": null, "exception": null })),
        expect![
            "1 | request | write single register | register 100-222 | ? -> 0, 1, 2, 3, 4, 5, 6, 7 … (123 in all) | deny: value | setpoints/speed [write]"
        ],
    );
}

#[test]
fn protocols_without_points_speak_for_themselves() {
    let key = json!({ "operation": "rfb", "kind": "control", "text": "key `a` pressed", "verdict": "deny", "rule": "view-only" });
    check(key, expect![" |  | rfb | key `a` pressed |  | deny | view-only [write]"]);
    let cookie = json!({ "operation": "rdp", "text": "connection request, cookie `alice`", "verdict": "pass" });
    check(cookie, expect![" |  | rdp | connection request, cookie `alice` |  | pass | "]);
}

#[test]
fn files_are_operations_too() {
    let file = json!({ "op": "file", "direction": "upload", "via": "sftp", "path": "/tmp/a", "size": 5 });
    check(file, expect![" |  | upload by sftp | /tmp/a | 5 bytes |  |  [write]"]);
    let file = json!({ "op": "file", "direction": "download", "via": "scp", "path": "/tmp/a", "size": 5 });
    check(file, expect![" |  | download by scp | /tmp/a | 5 bytes |  | "]);
    let refused = json!({ "op": "file-refused", "via": "sftp", "path": "/b", "what": "open-write" });
    check(refused, expect![" |  | open-write by sftp | /b |  | deny |  [write]"]);
    let renamed = json!({ "op": "rename", "via": "sftp", "path": "/b", "to": "/c", "status": 0 });
    check(renamed, expect![" |  | rename by sftp | /b -> /c |  |  |  [write]"]);
}

#[test]
fn what_does_not_fit_is_shown_and_breaks_nothing() {
    check(json!({}), expect![" |  |  |  |  |  | "]);
    check(json!([1, 2]), expect![" |  |  | an operation that cannot be read |  |  | "]);
    let wrong = json!({
        "operation": 5, "kind": [], "unit": -1, "address": 18_446_744_073_709_551_615_u64, "quantity": 9, "values": "x",
        "tags": [5, {}, { "name": 1, "value": null }], "verdict": "perhaps", "phase": {}, "exception": "x"
    });
    check(wrong, expect![" |  |  | address 18446744073709551615-18446744073709551615 | ? | perhaps | "]);
}

fn lines(bodies: &[Value]) -> String {
    let mut out = Vec::new();
    operation_lines(&header("s1"), DESK.reader(&recording(bodies)), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_hold_who_when_and_every_decoded_field() {
    let text = lines(&[write(), json!({ "operation": "rfb", "text": "x", "new-field": { "a": [1] } })]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let mut expected = write();
    for (name, value) in [
        ("at", json!(1_795_420_800_001_000_i64)),
        ("offset_micros", json!(1000)),
        ("session", json!("s1")),
        ("identity", json!("alice")),
        ("asset", json!("ews-1")),
        ("track", json!(1)),
    ] {
        expected[name] = value;
    }
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["new-field"], json!({ "a": [1] }));
}

#[test]
fn an_operation_cannot_say_who_did_it() {
    let text = lines(&[json!({ "operation": "modbus", "identity": "mallory", "at": 0, "track": 9 })]);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["identity"], &line["track"]), (&json!("alice"), &json!(1)));
    assert_eq!(text.matches("identity").count(), 1);
}

#[test]
fn lines_hold_nothing_that_acts_on_a_terminal() {
    let hostile = "a\u{1b}[2Jb\u{9b}31mc\u{7f}d\u{202e}e\u{feff}\r\n\u{0}å界";
    let text = lines(&[json!({ "operation": "modbus", "text": hostile, hostile: 1 })]);
    let (line, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "");
    assert!(line.chars().all(|char| !char.is_control() && char != '\u{202e}' && char != '\u{feff}'), "{line:?}");
    assert!(line.contains("å界"));
    let parsed: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&parsed["text"], &parsed[hostile]), (&json!(hostile), &json!(1)));
}

#[test]
fn verdicts_can_be_told_apart() {
    let bodies = ["pass", "would-deny", "deny", "else"].map(|verdict| json!({ "operation": "x", "verdict": verdict }));
    let header = header("s1");
    let found: Vec<_> =
        operations(&header, DESK.reader(&recording(&bodies))).map(|each| each.unwrap().verdict()).collect();
    assert_eq!(found, [Some(Verdict::Pass), Some(Verdict::WouldDeny), Some(Verdict::Deny), None]);
}
