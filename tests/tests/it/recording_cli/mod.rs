//! `sallyport recording …` on the evidence of TCP sessions, as an auditor uses it; and what Wireshark makes of the export.

mod frames;
mod terminal;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use sallyport_session_recorder::{
    Budget, Direction, Durability, Header, Keys, Kind, Moment, Recorder, Sink, TrackId, identities,
};
use sallyport_tests::{Finished, finish, finish_within, sallyport};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An auditor's desk: a broker's folder made by `sallyport init`, and recordings as files.
struct Desk {
    folder: TempDir,
    keys: Arc<Keys>,
}

const SIGNER: [u8; 32] = [7; 32];

impl Desk {
    fn new() -> Desk {
        let folder = TempDir::new().unwrap();
        let mut init = Command::new(sallyport());
        init.args(["init", "--name", "b1", "--dir"]).arg(folder.path().join("broker"));
        finish(init, b"").ok();
        let reader = fs::read_to_string(folder.path().join("broker/recordings-reader.key")).unwrap();
        let recipient = identities(&reader).unwrap()[0].to_public().to_string();
        let keys = Arc::new(Keys::new(&[recipient], SigningKey::from_bytes(&SIGNER)).unwrap());
        Desk { folder, keys }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self, name: &str, fill: impl FnOnce(&mut Tape)) -> String {
        let path = self.path(name);
        let header = Header {
            session: name.trim_end_matches(".srec").to_owned(),
            broker: "b1".to_owned(),
            identity: "alice".to_owned(),
            source: "10.0.0.10".to_owned(),
            asset: "plc-1".to_owned(),
            zone: "cell-1".to_owned(),
            service: "modbus".to_owned(),
            account: String::new(),
            form: "forward".to_owned(),
            started: at(0),
            rule: "role engineer, grant 1".to_owned(),
            terms: Value::Null,
            durability: Durability::Process,
        };
        let sink = ToFile(File::create_new(&path).unwrap());
        let mut tape = Tape { recorder: Recorder::start(sink, &header, &self.keys, at(0)).unwrap(), ms: 0 };
        fill(&mut tape);
        let ms = tape.ms;
        tape.recorder.seal(at(ms), "closed", "").unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn recording(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(sallyport());
        command.arg("--config").arg(self.path("broker/broker.toml")).arg("recording").args(arguments);
        let key = SigningKey::from_bytes(&SIGNER).verifying_key();
        command.args(["--public-key", &data_encoding::HEXLOWER.encode(key.as_bytes())]);
        finish(command, b"")
    }

    fn export(&self, recording: &str, format: &str, to: &str) -> PathBuf {
        let path = self.path(to);
        self.recording(&["export", recording, "--format", format, "--output", path.to_str().unwrap()]).ok();
        path
    }
}

struct ToFile(File);

impl Sink for ToFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Puts entries on record, a millisecond apart.
struct Tape {
    recorder: Recorder<ToFile>,
    ms: i64,
}

impl Tape {
    fn say(&mut self, track: u32, kind: Kind, body: &Value) {
        self.bytes(track, kind, body.to_string().as_bytes());
    }

    fn bytes(&mut self, track: u32, kind: Kind, body: &[u8]) {
        self.ms += 1;
        self.recorder.append(at(self.ms), TrackId(track), kind, body).unwrap();
    }

    fn open(&mut self, track: u32) {
        self.open_at(track, ("modbus", 502));
    }

    fn open_at(&mut self, track: u32, (protocol, port): (&str, u16)) {
        self.say(
            track,
            Kind::Opened,
            &json!({
                "channel": "stream", "service": protocol, "protocol": protocol, "originator": format!("127.0.0.1:{}", 40_000 + track),
                "asset": "plc-1", "address": format!("10.10.1.30:{port}")
            }),
        );
    }
}

fn at(ms: i64) -> Moment {
    Moment { unix_micros: 1_795_420_800_000_000 + ms * 1000, monotonic_micros: u64::try_from(ms * 1000).unwrap() }
}

/// A read, a write that is refused, a write that passes, a file's worth of registers; then another connection.
fn tank(tape: &mut Tape) {
    tape.open(1);
    tape.bytes(1, Kind::Input, b"\0\x01\0\0\0\x06\x01\x03\0\x64\0\x02");
    tape.say(
        1,
        Kind::Operation,
        &operation("request", "read", json!({ "name": "read holding registers", "quantity": 2 })),
    );
    tape.bytes(1, Kind::Output, b"\0\x01\0\0\0\x07\x01\x03\x04\x06\x0e\0\x03");
    // The client cuts its requests as it likes; Wireshark passes over a message that begins in less than eight bytes.
    tape.bytes(1, Kind::Input, b"\0\x02\0\0\0\x06\x01");
    tape.bytes(1, Kind::Input, b"\x06\0\x64\x06\x40");
    tape.say(
        1,
        Kind::Operation,
        &operation(
            "request",
            "write",
            json!({
                "name": "write single register", "values": [1600], "old": [1550], "verdict": "deny", "cause": "value",
                "tags": [{ "name": "speed", "value": 1600, "old": 1550, "unit": "rpm" }], "rule": "setpoints/speed",
                "text": "write register 100 = 1600 (was 1550), unit 1"
            }),
        ),
    );
    tape.bytes(1, Kind::Output, b"\0\x02\0\0\0\x03\x01\x86\x03");
    // Two requests in one go, and the write of 123 registers.
    let mut long = b"\0\x04\0\0\0\xfd\x01\x10\0\x65\0\x7b\xf6".to_vec();
    long.extend([0x11; 246]);
    tape.bytes(1, Kind::Input, &[b"\0\x03\0\0\0\x06\x01\x06\0\x64\x05\xdc".as_slice(), &long].concat());
    tape.say(
        1,
        Kind::Operation,
        &operation("request", "write", json!({ "name": "write single register", "values": [1500], "verdict": "pass" })),
    );
    tape.bytes(1, Kind::Output, b"\0\x03\0\0\0\x06\x01\x06\0\x64\x05\xdc");
    tape.bytes(1, Kind::Output, b"\0\x04\0\0\0\x06\x01\x10\0\x65\0\x7b");
    tape.open(2);
    tape.bytes(2, Kind::Input, b"\0\x01\0\0\0\x06\xff\x01\0\0\0\x08");
    tape.say(1, Kind::Closed, &json!({}));
    tape.bytes(2, Kind::Output, b"\0\x01\0\0\0\x04\xff\x01\x01\x55");
    tape.say(2, Kind::Closed, &json!({}));
}

fn operation(phase: &str, kind: &str, more: Value) -> Value {
    let mut body = json!({
        "operation": "modbus", "phase": phase, "unit": 1, "kind": kind, "table": "register", "address": 100, "quantity": 1,
        "verdict": "pass"
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The fields that Wireshark finds in the packets that fit, a line a packet; checksums and sequence numbers checked.
fn tshark(capture: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    tshark_told(&[], capture, filter, fields)
}

fn tshark_told(options: &[&str], capture: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(options);
    command.args([
        "-n",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-T",
        "fields",
        "-E",
        "separator= ",
    ]);
    command.arg("-r").arg(capture).args(["-Y", filter]).env("HOME", capture.parent().unwrap());
    for field in fields {
        command.args(["-e", field]);
    }
    let finished = finish_within(std::time::Duration::from_secs(120), command, b"");
    finished.ok().lines().map(str::to_owned).collect()
}

/// Nothing that Wireshark finds wrong, malformed, lost or repeated.
const WRONG: &str =
    "_ws.malformed || ip.checksum.status == \"Bad\" || tcp.checksum.status == \"Bad\" || tcp.analysis.flags";

#[test]
fn wireshark_dissects_the_export_as_modbus_and_finds_nothing_wrong() {
    let desk = Desk::new();
    let capture = desk.export(&desk.record("tank.srec", tank), "pcapng", "tank.pcapng");
    assert_eq!(tshark(&capture, WRONG, &["frame.number"]), Vec::<String>::new());
    // Checked, and not merely not looked at.
    assert_eq!(tshark(&capture, "tcp.checksum.status != \"Good\"", &["frame.number"]), Vec::<String>::new());
    let fields = ["tcp.stream", "tcp.srcport", "modbus.func_code", "modbus.reference_num", "modbus.exception_code"];
    assert_eq!(
        tshark(&capture, "modbus", &fields),
        [
            "0 40001 3 100 ",
            "0 502 3  ",
            "0 40001 6 100 ",
            "0 502 6  3",
            "0 40001 6,16 100,101 ",
            "0 502 6 100 ",
            "0 502 16 101 ",
            "1 40002 1 0 ",
            "1 502 1  ",
        ]
    );
    let times = tshark(&capture, "tcp.len > 0", &["frame.time_epoch"]);
    assert_eq!(times[0], "1795420800.002000000");
    let comments = tshark(&capture, "frame.comment", &["frame.comment"]);
    assert_eq!(comments[0], "Track 1: 127.0.0.1:40001 to plc-1 at 10.10.1.30:502, modbus.");
}

#[test]
fn wireshark_can_be_told_of_a_protocol_on_another_port() {
    let desk = Desk::new();
    let negotiation: (&[u8], &[u8]) = (
        b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\0\x08\0\x02\0\0\0",
    );
    let registers: (&[u8], &[u8]) = (b"\0\x01\0\0\0\x06\x01\x03\0\x64\0\x01", b"\0\x01\0\0\0\x05\x01\x03\x02\x05\xaa");
    let versions: (&[u8], &[u8]) = (b"RFB 003.008\n", b"RFB 003.008\n");
    for (protocol, port, (asked, answered), option, told) in [
        ("modbus", 1502, registers, Some("-o mbtcp.tcp.port:1502"), ["   Query: Trans:", "Response: Trans:"]),
        ("rdp", 13389, negotiation, Some("-d tcp.port==13389,tpkt"), ["Negotiate Request", "Negotiate Response"]),
        ("vnc", 15900, versions, None, ["Server protocol version", "Client protocol version"]),
    ] {
        let recording = desk.record(&format!("{protocol}.srec"), |tape| {
            tape.open_at(1, (protocol, port));
            tape.bytes(1, Kind::Input, asked);
            tape.bytes(1, Kind::Output, answered);
        });
        let capture = desk.path(&format!("{protocol}.pcapng"));
        let arguments = ["export", &recording, "--format", "pcapng", "--output", capture.to_str().unwrap()];
        let exported = desk.recording(&arguments);
        exported.ok();
        assert_eq!(exported.stderr.rsplit('`').nth(1), option, "{exported}");
        if option.is_some() {
            assert_eq!(tshark(&capture, protocol, &["frame.number"]), Vec::<String>::new(), "the hint is not needed");
        }
        let options: Vec<&str> = option.unwrap_or_default().split_whitespace().collect();
        let dissected = tshark_told(&options, &capture, protocol, &["_ws.col.Info"]);
        assert_eq!(dissected.len(), 2, "{dissected:?}");
        assert!(dissected.iter().zip(told).all(|(info, told)| info.starts_with(told)), "{dissected:?}");
    }

    let usual = desk.path("usual.pcapng");
    let quiet = desk.recording(&[
        "export",
        &desk.record("tank.srec", tank),
        "--format",
        "pcapng",
        "--output",
        usual.to_str().unwrap(),
    ]);
    quiet.ok();
    assert_eq!(quiet.stderr, "");
}

#[test]
fn wireshark_sees_where_only_a_hash_was_kept() {
    let desk = Desk::new();
    let recording = desk.record("hole.srec", |tape| {
        tape.open(1);
        tape.bytes(1, Kind::Output, b"\0\x01\0\0\0\x04\xff\x01\x01\x55");
        tape.recorder.append_bulk(at(10), TrackId(1), Direction::Output, &[0; 5000], &mut Budget::none()).unwrap();
        tape.bytes(1, Kind::Output, b"\0\x02\0\0\0\x04\xff\x01\x01\x55");
    });
    let capture = desk.export(&recording, "pcapng", "hole.pcapng");
    let lost = tshark(&capture, "tcp.analysis.lost_segment", &["tcp.seq"]);
    assert_eq!(lost, ["5011"]);
    let comments = tshark(&capture, "frame.comment", &["frame.comment"]);
    assert!(comments[1].starts_with("5000 bytes from the asset to the client are missing here"), "{comments:?}");
}

#[test]
fn the_timeline_says_who_changed_what_from_what_to_what_and_what_became_of_it() {
    let desk = Desk::new();
    let recording = desk.record("tank.srec", tank);
    let all = desk.recording(&["operations", &recording]).ok();
    assert_eq!(all.lines().count(), 4, "{all}");
    assert!(all.lines().next().unwrap().starts_with("AT "), "{all}");
    let words =
        |line: &str| line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" | ");
    let denied = desk.recording(&["operations", &recording, "--verdict", "deny"]).ok();
    assert_eq!(
        words(denied.lines().nth(1).unwrap()),
        "2026-11-23T08:00:00.007Z | alice | 1 | 1 | request | write single register | speed (register 100) | 1550 -> 1600 rpm | \
         deny: value | setpoints/speed"
    );
    assert_eq!(denied.lines().count(), 2);
    let writes = desk.recording(&["operations", &recording, "--writes"]).ok();
    assert_eq!(writes.lines().count(), 3, "{writes}");
    let both: Value = serde_json::from_str(
        &desk.recording(&["operations", &recording, "--writes", "--verdict", "pass", "--json"]).ok(),
    )
    .unwrap();
    assert_eq!((both.as_array().unwrap().len(), &both[0]["values"]), (1, &json!([1500])));
    let none = desk.recording(&["operations", &recording, "--verdict", "would-deny", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&none.ok()).unwrap(), json!([]));
    assert!(none.stderr.contains("no such operations"), "{none}");

    let lines = fs::read_to_string(desk.export(&recording, "operations", "tank.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[1]["identity"], &lines[1]["verdict"]), (&json!("alice"), &json!("deny")));

    // Each look is on record.
    let mut audit = Command::new(sallyport());
    audit.arg("--config").arg(desk.path("broker/broker.toml")).args(["audit", "list", "--json"]);
    let audit = finish(audit, b"").ok();
    let count = |code| audit.matches(code).count();
    assert_eq!((count("SP-4009"), count("SP-4002")), (5, 1), "{audit}");
}

#[test]
fn nothing_an_operation_holds_acts_on_the_auditors_terminal() {
    let desk = Desk::new();
    let recording = desk.record("hostile.srec", |tape| {
        let hostile = "x\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\u{7f}\r\u{202e}";
        let mut body = json!({ "operation": hostile, "verdict": "deny", "address": 1, "values": [hostile] });
        for name in ["name", "kind", "phase", "table", "cause", "rule", "text"] {
            body[name] = json!(hostile);
        }
        body["tags"] = json!([{ "name": hostile, "value": hostile, "old": hostile, "unit": hostile }]);
        tape.open(1);
        tape.say(1, Kind::Operation, &body);
    });
    for arguments in [
        &["operations", &recording][..],
        &["operations", &recording, "--json"],
        &["export", &recording, "--format", "operations"],
    ] {
        let said = desk.recording(arguments).ok();
        assert!(said.contains("52;c;ZXZpbA=="), "{said}");
        assert!(said.chars().all(|char| char == '\n' || !(char.is_control() || char == '\u{202e}')), "{said:?}");
    }
}

#[test]
fn what_does_not_suit_a_recording_is_said_in_a_sentence() {
    let desk = Desk::new();
    let tcp = desk.record("tank.srec", tank);
    let shell = desk.record("shell.srec", |tape| {
        tape.say(1, Kind::Opened, &json!({ "channel": "session" }));
        tape.bytes(1, Kind::Output, b"$ pump\r\n");
    });
    let output = desk.path("never.pcapng");
    let refused = desk.recording(&["export", &shell, "--format", "pcapng", "--output", output.to_str().unwrap()]);
    assert_eq!(refused.code(), 1);
    assert!(refused.refused().contains("the recording has no TCP connection"), "{refused}");
    assert!(!output.exists(), "an export of nothing left a file");
    for (track, sentence) in [("1", "track 1 is no TCP connection"), ("7", "the recording has no track 7")] {
        let refused = desk.recording(&["export", &shell, "--format", "pcapng", "--track", track]);
        assert!(refused.refused().contains(sentence), "{refused}");
    }
    for arguments in
        [&["replay", &tcp][..], &["replay", &tcp, "--track", "2"], &["export", &tcp, "--format", "asciicast"]]
    {
        let refused = desk.recording(arguments);
        assert_eq!((refused.code(), refused.text().as_str()), (1, ""));
        assert!(
            refused.stderr.contains("is a TCP connection") && refused.stderr.contains("recording operations"),
            "{refused}"
        );
    }
    let empty = desk.recording(&["operations", &shell]);
    assert_eq!(empty.ok().lines().count(), 1);
    assert!(empty.stderr.contains("the recording holds no operations"), "{empty}");

    let found = desk.recording(&["search", "speed", &tcp]).ok();
    assert!(found.contains("write register 100 = 1600 (was 1550), unit 1"), "{found}");

    // What stands in front of a fault is shown, and the fault is told.
    let bytes = fs::read(&tcp).unwrap();
    let damaged = desk.path("damaged.srec");
    let mut changed = bytes.clone();
    // A few bytes in a row: which byte stands there changes with every recording, and single ones here and there change nothing that this
    // command shows.
    changed[bytes.len() * 3 / 4..][..16].iter_mut().for_each(|byte| *byte ^= 1);
    fs::write(&damaged, changed).unwrap();
    let told = desk.recording(&["operations", damaged.to_str().unwrap()]);
    assert_eq!(told.code(), 1);
    assert!(told.text().contains("alice") && told.stderr.contains("block "), "{told}");
}
