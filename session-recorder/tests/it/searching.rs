//! Search in what stood on the screen.
use crate::desk::{DESK, Memory, at, header};
use sallyport_session_recorder::search::{Hits, Query};
use sallyport_session_recorder::{Kind, TrackId};
use serde_json::json;

/// Records the pieces, one a second, and says where the text was seen: `second place line`.
fn check(terminal: Option<(u16, u16)>, pieces: &[&str], text: &str, expected: &[&str]) {
    let bodies: Vec<_> = pieces.iter().map(|piece| (Kind::Output, piece.as_bytes().to_vec())).collect();
    check_entries(terminal, bodies, text, expected);
}

fn check_entries(terminal: Option<(u16, u16)>, bodies: Vec<(Kind, Vec<u8>)>, text: &str, expected: &[&str]) {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    if let Some((cols, rows)) = terminal {
        let pty = json!({ "request": "pty", "cols": cols, "rows": rows, "answer": "success" }).to_string();
        recorder.append(at(1), TrackId(1), Kind::Request, pty.as_bytes()).unwrap();
    }
    for (second, (kind, body)) in (1..).zip(bodies) {
        recorder.append(at(second * 1000), TrackId(1), kind, &body).unwrap();
    }
    let query = Query::new(text, text.starts_with(char::is_uppercase)).unwrap();
    let hits: Vec<String> = Hits::new(&header("s1"), DESK.reader(&memory.bytes()), query)
        .map(|hit| hit.unwrap())
        .map(|hit| format!("{} {} {}", hit.offset_micros / 1_000_000, hit.place, hit.line))
        .collect();
    assert_eq!(hits, expected);
}

const WIDE: Option<(u16, u16)> = Some((80, 24));

#[test]
fn text_drawn_across_escape_sequences_is_found() {
    check(WIDE, &["\x1b[1mval\x1b[0;31mve \x1b[4", "mopen\x1b[0m\r\n"], "valve open", &["2 screen valve open"]);
}

#[test]
fn text_typed_and_echoed_letter_by_letter_is_found_once() {
    check(WIDE, &["$ ", "r", "e", "b", "o", "o", "t", "\r\n", "$ "], "reboot", &["7 screen $ reboot"]);
}

#[test]
fn text_placed_by_cursor_movement_is_found() {
    check(
        WIDE,
        &["\x1b[5;10Hpump", "\x1b[10;1Hxx", "\x1b[5;15Hrunning"],
        "pump running",
        &["3 screen          pump running"],
    );
}

#[test]
fn text_wrapped_by_the_terminal_is_found() {
    check(Some((10, 5)), &["level: emergency stop\r\n"], "emergency stop", &["1 screen level: emergency stop"]);
}

#[test]
fn text_that_scrolls_away_is_found_and_scrolling_finds_it_no_second_time() {
    let pieces: Vec<String> = (0..50).map(|line| format!("line {line}\r\n")).collect();
    check(
        Some((20, 5)),
        &[&pieces.concat(), "again line 7\r\n"],
        "line 7",
        &["1 screen line 7", "2 screen again line 7"],
    );
}

#[test]
fn text_shown_only_for_a_moment_is_found() {
    check(WIDE, &["PIN 4711\rxxxxxxxxxxxx\x1b[2J\x1b[H"], "4711", &["1 screen PIN 4711"]);
}

#[test]
fn text_on_the_alternate_screen_is_found() {
    check(WIDE, &["\x1b[?1049h\x1b[HEDITOR", "\x1b[?1049l"], "EDITOR", &["1 screen EDITOR"]);
}

#[test]
fn wide_characters_and_any_case() {
    check(WIDE, &["温度 High"], "温度 high", &[]);
    check(WIDE, &["温度 High"], "温度 High", &["1 screen 温度 High"]);
    check(WIDE, &["ALARM"], "Alarm", &["1 screen ALARM"]);
}

#[test]
fn plain_output_of_a_command_is_found_whatever_its_line_ends() {
    check(None, &["alpha\nbeta gam", "ma\nlong \x1b[32mgreen\x1b[0m text\n"], "beta gamma", &["2 output beta gamma"]);
    check(None, &["long \x1b[32mgreen\x1b[0m text\n"], "long green text", &["1 output long green text"]);
    let long = format!("{}needle{}", "x".repeat(197), "y".repeat(300));
    check(None, &[&long], "needle", &[&format!("1 output {long}")]);
}

#[test]
fn a_window_change_moves_what_stands_there_and_finds_nothing_new() {
    let window = json!({ "request": "window", "cols": 40, "rows": 10 }).to_string().into_bytes();
    let bodies = vec![(Kind::Output, b"setpoint".to_vec()), (Kind::Request, window), (Kind::Output, b" 12".to_vec())];
    check_entries(WIDE, bodies, "setpoint", &["1 screen setpoint"]);
}

#[test]
fn commands_files_and_scripts_are_found_too() {
    let operation = json!({ "op": "file", "path": "/etc/needle.conf" }).to_string().into_bytes();
    let command = json!({ "request": "exec", "command": "cat needle" }).to_string().into_bytes();
    let bodies = vec![(Kind::Request, command), (Kind::Input, b"echo needle\n".to_vec()), (Kind::Operation, operation)];
    let expected = ["1 request cat needle", "2 input echo needle", "3 operation /etc/needle.conf"];
    check_entries(None, bodies, "needle", &expected);
}

#[test]
fn a_terminal_of_an_absurd_size_is_drawn_in_bounds() {
    let pty = json!({ "request": "pty", "cols": 4_000_000_000_u32, "rows": 4_000_000_000_u32 }).to_string();
    let bodies = vec![(Kind::Request, pty.into_bytes()), (Kind::Output, b"here".to_vec())];
    check_entries(None, bodies, "here", &["2 screen here"]);
}

#[test]
fn a_decoded_connection_is_searched_by_its_operations_and_a_plain_one_by_its_text() {
    let opened =
        |protocol| json!({ "channel": "stream", "protocol": protocol, "asset": "plc-1" }).to_string().into_bytes();
    let operation = json!({
        "operation": "modbus", "text": "write register 100 = 1600, unit 1", "rule": "setpoints/speed",
        "tags": [{ "name": "speed", "value": 1600 }]
    });
    let noise = b"\0\x01\0\0\x1b[2Jspeed\xff\x9b".to_vec();
    let bodies = vec![
        (Kind::Opened, opened("modbus")),
        (Kind::Input, noise.clone()),
        (Kind::Output, noise.clone()),
        (Kind::Operation, operation.to_string().into_bytes()),
    ];
    // Found in two fields, told once, in the operation's own words.
    check_entries(None, bodies, "speed", &["4 operation write register 100 = 1600, unit 1"]);
    let bodies = vec![(Kind::Opened, opened("tcp")), (Kind::Input, b"GET /speed HTTP/1.1\r\n".to_vec())];
    check_entries(None, bodies, "speed", &["2 input GET /speed HTTP/1.1"]);
}

#[test]
fn a_line_that_fills_the_screen_is_told_in_part_and_costs_no_more_than_it_shows() {
    // One letter over all of the largest terminal, and then the text again and again at its end.
    let fill = "b\x1b[999b".repeat(500);
    let again = "\x1b[500;996Halarm\x1b[500;996H     ".repeat(1000);
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let pty = json!({ "request": "pty", "cols": 65_535, "rows": 65_535, "answer": "success" }).to_string();
    recorder.append(at(1), TrackId(1), Kind::Request, pty.as_bytes()).unwrap();
    recorder.append(at(2), TrackId(1), Kind::Output, format!("{fill}{again}").as_bytes()).unwrap();
    let query = Query::new("alarm", false).unwrap();
    let hits: Vec<_> = Hits::new(&header("s1"), DESK.reader(&memory.bytes()), query).map(Result::unwrap).collect();
    assert_eq!(hits.len(), 1000);
    assert!(hits.iter().all(|hit| hit.line.ends_with("bbalarm") && hit.line.len() == 1000));
}

#[test]
fn terminals_beyond_what_is_drawn_at_a_time_are_searched_as_plain_output() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let pty = json!({ "request": "pty", "cols": 1000, "rows": 500, "answer": "success" }).to_string();
    for track in (1..=64).map(TrackId) {
        recorder.append(at(1), track, Kind::Request, pty.as_bytes()).unwrap();
        recorder.append(at(2), track, Kind::Output, b"valve open\r\n").unwrap();
    }
    let query = Query::new("valve", false).unwrap();
    let hits: Vec<_> = Hits::new(&header("s1"), DESK.reader(&memory.bytes()), query).map(Result::unwrap).collect();
    assert_eq!(hits.len(), 64);
    assert!(hits.iter().all(|hit| hit.line == "valve open" && hit.place == "screen"));
}

#[test]
fn what_a_control_string_holds_is_found_though_no_screen_shows_it() {
    let title = "\x1b]0;vim: secret plan\x07$ ";
    check(WIDE, &[title], "secret", &["1 title 0;vim: secret plan"]);
    // A terminal that knows no such title shows it.
    check(WIDE, &["\x1bksecret\x1b\\"], "secret", &["1 title secret", "1 screen secret"]);
    // `printf '\\033]'; cat FILE`: it never ends.
    let pieces = ["$ \x1b]", "one\r\nthe sec", "ret is 4711\r\n", "more\r\n"];
    check(WIDE, &pieces, "secret", &["3 control-string one\r\nthe secret is 4711"]);
    check(None, &pieces, "4711", &["3 control-string one\r\nthe secret is 4711"]);
    // In UTF-8 these are no controls here, and so hide nothing.
    check(WIDE, &["\u{9d}0;secret\u{9c}"], "secret", &["1 screen \u{fffd}0;secret\u{fffd}"]);
}

#[test]
fn letters_are_found_however_they_were_sent() {
    check(WIDE, &["sec\u{200b}ret"], "secret", &["1 screen sec\u{200b}ret"]);
    check(WIDE, &["fu\u{308}r Elise"], "für", &["1 screen fu\u{308}r Elise"]);
    check(WIDE, &["für Elise"], "fu\u{308}r", &["1 screen für Elise"]);
    check_entries(WIDE, vec![(Kind::Output, b"f\xfcr Elise".to_vec())], "für", &["1 screen für Elise"]);
    let operation = json!({ "op": "file", "path": "/u\u{308}ber.txt" }).to_string().into_bytes();
    check_entries(None, vec![(Kind::Operation, operation)], "über", &["1 operation /u\u{308}ber.txt"]);
}

#[test]
fn a_long_field_is_told_in_part() {
    let command = json!({ "request": "exec", "command": format!("{}needle{}", "x".repeat(5000), "y".repeat(5000)) });
    let expected = format!("1 request {}needle{}", "x".repeat(497), "y".repeat(497));
    check_entries(None, vec![(Kind::Request, command.to_string().into_bytes())], "needle", &[&expected]);
}
