//! The screen of a VNC session, drawn again from its recording: as one picture, and as many.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use sallyport_session_recorder::{Budget, Direction, Kind, TrackId};
use sallyport_tests::{Finished, Terminal, finish, sallyport};
use serde_json::{Value, json};

use super::{Desk, Tape, at, tank};

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const WHITE: [u8; 3] = [255; 3];
const GREY: [u8; 3] = [170; 3];

const RGB32: &str = "2018000100ff00ff00ff100800000000";
const RGB8: &str = "08080001000300030003040200000000";

/// What a screen shows: rows from the top.
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    width: u16,
    height: u16,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn black(width: u16, height: u16) -> Picture {
        Picture { width, height, pixels: vec![[0; 3]; usize::from(width) * usize::from(height)] }
    }

    fn of_png(bytes: &[u8]) -> Picture {
        let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        let pixels = pixels.chunks(3).map(|pixel| pixel.try_into().unwrap()).collect();
        Picture { width: info.width.try_into().unwrap(), height: info.height.try_into().unwrap(), pixels }
    }
}

/// 16 by 8, in [`RGB32`].
fn server_init(name: &[u8]) -> Vec<u8> {
    let format = data_encoding::HEXLOWER.decode(RGB32.as_bytes()).unwrap();
    [&[0, 16, 0, 8][..], &format, &[0, 0, 0, name.len() as u8], name].concat()
}

/// An asset with a screen, and the record of what passes. Everything is painted twice: for the viewer and here.
struct Panel<'a> {
    tape: &'a mut Tape,
    track: u32,
    picture: Picture,
    small_pixels: bool,
}

impl<'a> Panel<'a> {
    /// The record up to an open screen of 16 by 8: version 3.8, with a password.
    fn open(tape: &'a mut Tape, track: u32) -> Panel<'a> {
        let opened = json!({ "channel": "stream", "service": "vnc", "protocol": "vnc", "asset": "hmi-1" });
        tape.say(track, Kind::Opened, &opened);
        let mut panel = Panel { tape, track, picture: Picture::black(16, 8), small_pixels: false };
        panel.note("server", "version", json!({ "named": "3.8", "used": "3.8" }));
        panel.output(b"RFB 003.008\n");
        panel.input(b"RFB 003.008\n");
        panel.note("client", "version", json!({ "named": "3.8", "used": "3.8" }));
        panel.note("server", "security-types", json!({}));
        panel.output(&[2, 1, 2]);
        panel.input(&[2]);
        panel.note("client", "security-choice", json!({ "security": 2 }));
        panel.output(b"challenge-16-byt");
        panel.input(b"response-16-byte");
        panel.note("server", "let-in", json!({}));
        panel.output(&[0; 4]);
        panel.input(&[1]);
        panel.note("client", "client-init", json!({}));
        let init = json!({ "width": 16, "height": 8, "format": RGB32, "desktop": "tank" });
        panel.note("server", "server-init", init);
        panel.output(&server_init(b"tank"));
        panel
    }

    fn note(&mut self, side: &str, name: &str, more: Value) {
        let mut body = json!({
            "operation": "vnc", "phase": "notice", "side": side, "name": name, "kind": "session", "verdict": "pass", "rule": "view"
        });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.tape.say(self.track, Kind::Operation, &body);
    }

    fn input(&mut self, bytes: &[u8]) {
        self.tape.bytes(self.track, Kind::Input, bytes);
    }

    fn output(&mut self, bytes: &[u8]) {
        self.tape.bytes(self.track, Kind::Output, bytes);
    }

    /// What comes next, comes then.
    fn wait_until(&mut self, ms: i64) -> &mut Self {
        assert!(ms > self.tape.ms);
        self.tape.ms = ms - 1;
        self
    }

    /// The viewer wants other pixels.
    fn take_small_pixels(&mut self) -> &mut Self {
        self.input(&[0, 0, 0, 0]);
        self.note("client", "set-pixel-format", json!({ "format": RGB8 }));
        self.small_pixels = true;
        self
    }

    /// An update of one rectangle, cut into entries of at most so many bytes.
    fn paint(&mut self, [x, y, width, height]: [u16; 4], colour: [u8; 3], cut: usize) -> &mut Self {
        let mut update = vec![0, 0, 0, 1];
        update.extend([x, y, width, height, 0, 0].iter().flat_map(|number| number.to_be_bytes()));
        let [red, green, blue] = colour;
        let small = vec![(red >> 6) << 4 | (green >> 6) << 2 | blue >> 6];
        let pixel = if self.small_pixels { small } else { vec![blue, green, red, 0] };
        update.extend(pixel.repeat(usize::from(width) * usize::from(height)));
        for row in y..y + height {
            for column in x..x + width {
                self.picture.pixels[usize::from(row) * usize::from(self.picture.width) + usize::from(column)] = colour;
            }
        }
        update.chunks(cut).for_each(|piece| self.output(piece));
        self
    }

    /// Another size; what lies in both stays.
    fn resize(&mut self, width: u16, height: u16) -> &mut Self {
        let area = [0, 0, width, height].map(u16::to_be_bytes).concat();
        self.output(&[&[0, 0, 0, 1][..], &area, &(-223_i32).to_be_bytes()].concat());
        let old = std::mem::replace(&mut self.picture, Picture::black(width, height));
        let rows = self.picture.pixels.chunks_mut(width.into()).zip(old.pixels.chunks(old.width.into()));
        rows.for_each(|(new, old)| new.iter_mut().zip(old).for_each(|(new, old)| *new = *old));
        self
    }
}

impl Desk {
    fn picture(&self, recording: &str, more: &[&str]) -> Picture {
        let finished = self.recording(&[&["export", recording, "--format", "png"], more].concat());
        finished.ok();
        Picture::of_png(&finished.stdout)
    }

    fn frames(&self, recording: &str, to: &str, more: &[&str]) -> Finished {
        let to = self.path(to);
        let arguments = ["export", recording, "--format", "frames", "--output", to.to_str().unwrap()];
        self.recording(&[&arguments[..], more].concat())
    }
}

/// The lines of an album's index with the pictures that they name; nothing else is in the folder.
fn album(folder: &Path) -> Vec<(Value, Picture)> {
    let index = fs::read_to_string(folder.join("index.jsonl")).unwrap();
    let lines: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(fs::read_dir(folder).unwrap().count(), lines.len() + 1);
    let picture = |line: Value| {
        let bytes = fs::read(folder.join(line["file"].as_str().unwrap())).unwrap();
        assert_eq!(line["bytes"], json!(bytes.len()));
        let picture = Picture::of_png(&bytes);
        assert_eq!((&line["width"], &line["height"]), (&json!(picture.width), &json!(picture.height)));
        (line, picture)
    };
    lines.into_iter().map(picture).collect()
}

/// A shift before a panel, with a picture after each change: red at 1 s, a white dot at 1.2 s, other pixels and a blue field at
/// 3 s, the same field again at 4 s, half the width at 90 s, and it ends at 100 s.
fn shift(tape: &mut Tape) -> [Picture; 4] {
    let mut panel = Panel::open(tape, 1);
    panel.wait_until(1000).paint([0, 0, 16, 8], RED, 100);
    let red = panel.picture.clone();
    panel.wait_until(1200).paint([3, 2, 1, 1], WHITE, 1000);
    let dot = panel.picture.clone();
    panel.wait_until(3000).take_small_pixels().paint([8, 4, 8, 4], BLUE, 7);
    let field = panel.picture.clone();
    panel.wait_until(4000).paint([8, 4, 8, 4], BLUE, 1000);
    panel.wait_until(90_000).resize(8, 8).paint([0, 0, 2, 2], GREY, 1000);
    let small = panel.picture.clone();
    panel.wait_until(100_000).tape.say(1, Kind::Closed, &json!({ "end": "left" }));
    [red, dot, field, small]
}

#[test]
fn a_picture_shows_the_screen_as_it_was_at_that_time() {
    let desk = Desk::new();
    let mut pictures = None;
    let recording = desk.record("shift.srec", |tape| pictures = Some(shift(tape)));
    let [red, dot, field, small] = pictures.unwrap();
    for (time, expected) in [
        ("1.1", &red),
        ("2026-11-23T08:00:01.1Z", &red),
        ("2s", &dot),
        ("+2.9", &dot),
        ("3.5", &field),
        ("2026-11-23T09:00:30+01:00", &field),
        ("1m29s", &field),
        ("1m31s", &small),
        ("100", &small),
    ] {
        assert!(desk.picture(&recording, &["--at", time]) == *expected, "at {time}");
    }
    assert!(desk.picture(&recording, &["--track", "1"]) == small);
    // Nothing was drawn yet, or half of it.
    assert!(desk.picture(&recording, &["--at", "0.5"]) == Picture::black(16, 8));
    let half = desk.picture(&recording, &["--at", "1.001"]);
    assert_eq!(half.pixels.iter().filter(|pixel| **pixel == RED).count(), (200 - 16) / 4);

    let late = desk.recording(&["export", &recording, "--format", "png", "--at", "2h"]);
    assert!(Picture::of_png(&late.stdout) == small && late.code() == 0);
    assert!(late.stderr.contains("on record until 2026-11-23T08:01:40.000Z (+100.000s)"), "{late}");

    let file = desk.export(&recording, "png", "end.png");
    assert!(Picture::of_png(&fs::read(&file).unwrap()) == small);
    let again = desk.recording(&["export", &recording, "--format", "png", "--output", file.to_str().unwrap()]);
    assert!(again.refused().contains("cannot make"), "{again}");
}

#[test]
fn frames_show_each_change_and_when_it_was() {
    let desk = Desk::new();
    let mut pictures = None;
    let recording = desk.record("shift.srec", |tape| pictures = Some(shift(tape)));
    let [_, dot, field, small] = pictures.unwrap();
    let said = desk.frames(&recording, "frames", &[]).ok();
    let (lines, shown): (Vec<Value>, Vec<Picture>) = album(&desk.path("frames")).into_iter().unzip();
    // Of the second that the red came in, its last picture; what was painted the same again is no change.
    assert!(shown == [Picture::black(16, 8), dot.clone(), field.clone(), small.clone()]);
    let told = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(
        told("at"),
        ["2026-11-23T08:00:00.017Z", "2026-11-23T08:00:01.2Z", "2026-11-23T08:00:03.008Z", "2026-11-23T08:01:30.001Z"]
    );
    assert_eq!(told("offset_micros"), [17_000, 1_200_000, 3_008_000, 90_001_000]);
    let part = |[x, y, width, height]: [u16; 4]| json!({ "x": x, "y": y, "width": width, "height": height });
    assert_eq!(told("changed"), [[0, 0, 16, 8], [0, 0, 16, 8], [8, 4, 8, 4], [0, 0, 8, 8]].map(part));
    assert_eq!(lines[1]["file"], "000002-20261123T080001.200Z.png");
    let bytes: u64 = lines.iter().filter_map(|line| line["bytes"].as_u64()).sum();
    assert_eq!(said, format!("4 frames, {bytes} bytes in `{}`\n", desk.path("frames").display()));

    let rare = desk.frames(&recording, "rare", &["--every", "1m", "--json"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&rare).unwrap()["frames"], 2);
    let shown: Vec<Picture> = album(&desk.path("rare")).into_iter().map(|(_, picture)| picture).collect();
    assert!(shown == [field, small]);

    // No frame is put among others.
    let again = desk.frames(&recording, "frames", &[]);
    assert!(again.refused().contains("is not empty") && again.code() == 1, "{again}");
    let mut audit = Command::new(sallyport());
    audit.arg("--config").arg(desk.path("broker/broker.toml")).args(["audit", "list", "--json"]);
    let audit = finish(audit, b"").ok();
    assert_eq!(audit.matches("SP-4002").count(), 3, "{audit}");
}

#[test]
fn what_stands_before_a_fault_or_a_hole_is_drawn_and_the_end_is_told() {
    let desk = Desk::new();
    let (mut mark, mut before) = (0, None);
    let whole = desk.record("whole.srec", |tape| {
        let mut panel = Panel::open(tape, 1);
        panel.wait_until(1000).paint([0, 0, 16, 8], RED, 1000);
        before = Some(panel.picture.clone());
        mark = usize::try_from(fs::metadata(desk.path("whole.srec")).unwrap().len()).unwrap();
        panel.wait_until(1500).paint([0, 0, 8, 8], BLUE, 1000);
        panel.wait_until(1600).paint([0, 0, 8, 8], WHITE, 1000);
    });
    let before = before.unwrap();
    let bytes = fs::read(&whole).unwrap();
    let changed = [&bytes[..mark + 30], &[bytes[mark + 30] ^ 1], &bytes[mark + 31..]].concat();
    fs::write(desk.path("changed.srec"), changed).unwrap();
    fs::write(desk.path("cut.srec"), &bytes[..mark + 30]).unwrap();
    let stopped = |name: &str, reasons: &[&str]| {
        let recording = desk.path(name);
        let recording = recording.to_str().unwrap();
        let picture = desk.recording(&["export", recording, "--format", "png"]);
        let frames = desk.frames(recording, &format!("{name}.frames"), &[]);
        for finished in [&picture, &frames] {
            assert_eq!(finished.code(), i32::from(!reasons.is_empty()), "{finished}");
            assert!(reasons.iter().all(|reason| finished.stderr.contains(reason)), "{finished}");
        }
        assert!(Picture::of_png(&picture.stdout) == before);
        assert!(album(&desk.path(&format!("{name}.frames"))).pop().unwrap().1 == before);
    };
    stopped("changed.srec", &["what is drawn was before a fault of the recording", "block "]);
    // A recording that ends is no fault: it may still be going on.
    stopped("cut.srec", &[]);

    desk.record("hole.srec", |tape| {
        Panel::open(tape, 1).wait_until(1000).paint([0, 0, 16, 8], RED, 1000);
        tape.recorder.append_bulk(at(2000), TrackId(1), Direction::Output, &[0; 5000], &mut Budget::none()).unwrap();
        tape.bytes(1, Kind::Output, &[2]);
    });
    stopped("hole.srec", &["2026-11-23T08:00:02.000Z (+2.000s)", "only length and SHA-256 of 5000 bytes"]);

    desk.record("broken.srec", |tape| {
        let mut panel = Panel::open(tape, 1);
        panel.wait_until(1000).paint([0, 0, 16, 8], RED, 1000);
        panel.wait_until(2000).output(&[77]);
        panel.paint([0, 0, 16, 8], BLUE, 1000);
    });
    stopped("broken.srec", &["(+2.000s): the screen cannot be drawn from here on: a message that no server may send"]);

    desk.record("unreadable.srec", |tape| {
        let mut panel = Panel::open(tape, 1);
        panel.wait_until(1000).paint([0, 0, 16, 8], RED, 1000);
        panel.note("client", "set-pixel-format", json!({ "format": "00" }));
    });
    stopped("unreadable.srec", &["an operation `set-pixel-format` that cannot be read"]);
}

#[test]
fn where_there_is_no_screen_to_see_a_sentence_says_why() {
    let desk = Desk::new();
    let refused = |recording: &str, more: &[&str], sentence: &str| {
        let png = desk.recording(&[&["export", recording, "--format", "png"], more].concat());
        assert!(png.refused().contains(sentence), "{png}");
        assert_eq!((png.code(), png.stdout.len()), (1, 0));
    };
    let screen = desk.record("screen.srec", |tape| {
        Panel::open(tape, 1).wait_until(1000).paint([0, 0, 16, 8], RED, 1000);
    });
    refused(&screen, &["--at", "0.001"], "it opened at 2026-11-23T08:00:00.017Z (+0.017s)");
    refused(&screen, &["--at", "2026-11-22T08:00:00Z"], "there was no screen yet");
    refused(&screen, &["--track", "2"], "the recording has no track 2");
    let replayed = desk.recording(&["replay", &screen]);
    assert!(
        replayed.refused().contains("is a VNC connection") && replayed.stderr.contains("`--format png`"),
        "{replayed}"
    );

    let other = desk.record("tank.srec", tank);
    refused(&other, &[], "the recording has no VNC connection; it holds track 1: modbus, track 2: modbus");
    refused(&other, &["--track", "2"], "track 2 is no VNC connection, but: modbus");
    let empty = desk.record("empty.srec", |_| {});
    refused(&empty, &[], "it holds no channel at all");

    let two = desk.record("two.srec", |tape| {
        Panel::open(tape, 1);
        tape.open(2);
        Panel::open(tape, 3).paint([0, 0, 16, 8], BLUE, 1000);
    });
    refused(&two, &[], "2 VNC connections; choose one with `--track`: 1, 3");
    assert_eq!(desk.picture(&two, &["--track", "3"]).pixels[0], BLUE);
    assert_eq!(desk.picture(&two, &["--track", "1"]).pixels[0], [0; 3]);

    let opened = json!({ "channel": "stream", "protocol": "vnc" });
    let undecoded = desk.record("undecoded.srec", |tape| {
        tape.say(1, Kind::Opened, &opened);
        tape.bytes(1, Kind::Output, b"RFB 003.008\n");
        tape.bytes(1, Kind::Input, b"RFB 003.008\n");
        tape.bytes(1, Kind::Output, &[1, 1]);
    });
    refused(&undecoded, &[], "no filter decoded this connection");
    let short = desk.record("short.srec", |tape| {
        tape.say(1, Kind::Opened, &opened);
        tape.bytes(1, Kind::Output, b"RFB 003.008\n");
    });
    refused(&short, &[], "ends at 2026-11-23T08:00:00.002Z (+0.002s), before there was one");
    let disagreeing = desk.record("disagreeing.srec", |tape| {
        let mut panel = Panel { tape, track: 1, picture: Picture::black(1, 1), small_pixels: false };
        panel.tape.say(1, Kind::Opened, &opened);
        panel.note("client", "version", json!({ "used": "3.3" }));
        panel.note("server", "server-init", json!({ "width": 9, "height": 8, "format": RGB32 }));
        panel.output(b"RFB 003.003\n\0\0\0\x01");
        panel.output(&server_init(b""));
    });
    refused(&disagreeing, &[], "a screen of another size or pixel format");
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error() {
    let desk = Desk::new();
    let recording = desk.record("tank.srec", tank);
    for (arguments, sentence) in [
        (&["--format", "frames"][..], "give the folder for them with `--output DIR`"),
        (&["--format", "frames", "--at", "1", "--output", "never"], "`--at` is for `--format png`"),
        (&["--format", "jsonl", "--at", "1"], "`--at` is for `--format png`"),
        (&["--format", "png", "--every", "1"], "`--every` is for `--format frames`"),
        (&["--format", "png", "--at", "noon"], "`1m30s`"),
        (&["--format", "frames", "--every", "0"], "a millisecond or more"),
    ] {
        let refused = desk.recording(&[&["export", &recording], arguments].concat());
        assert!(refused.refused().contains(sentence), "{refused}");
        assert_eq!(refused.code(), 64);
    }
    let mut command = Command::new(sallyport());
    command.arg("--config").arg(desk.path("broker/broker.toml"));
    command.args(["recording", "export", &recording, "--format", "png"]);
    let mut terminal = Terminal::start(&command, 100, 30);
    terminal.expect("a terminal cannot show png; give a file with `--output FILE`");
    assert_eq!(terminal.ended().code(), Some(64));
}
