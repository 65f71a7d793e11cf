//! TCP connections as pcapng: checked by a reader of our own, bit by bit. Whether Wireshark agrees is tested with it.
use crate::capture::{Packet, Piece, Side, Stream, packets, streams};
use crate::desk::{DESK, Memory, at, header};
use proptest::prelude::*;
use sallyport_session_recorder::export::{ExportError, pcapng, tracks};
use sallyport_session_recorder::{Budget, Direction, Header, Kind, Recorder, TrackId};
use serde_json::{Value, json};

const READ: &[u8] = b"\0\x01\0\0\0\x06\x01\x03\0\x64\0\x02";
const ANSWER: &[u8] = b"\0\x01\0\0\0\x07\x01\x03\x04\x06\x40\0\x03";

fn modbus() -> Value {
    json!({
        "channel": "stream", "service": "modbus", "protocol": "modbus", "originator": "127.0.0.1:40312",
        "asset": "plc-1", "address": "10.10.1.30:502"
    })
}

fn say(recorder: &mut Recorder<Memory>, ms: i64, track: u32, kind: Kind, body: &Value) {
    recorder.append(at(ms), TrackId(track), kind, body.to_string().as_bytes()).unwrap();
}

fn bytes(recorder: &mut Recorder<Memory>, ms: i64, track: u32, kind: Kind, body: &[u8]) {
    recorder.append(at(ms), TrackId(track), kind, body).unwrap();
}

fn export(header: &Header, recording: &[u8], only: Option<TrackId>) -> (String, Vec<Packet>) {
    let mut out = Vec::new();
    pcapng(header, only, DESK.reader(recording), &mut out).unwrap();
    packets(&out)
}

/// The export of one connection that was opened so.
fn opened(opened: &Value, source: &str) -> (Packet, String) {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    say(&mut recorder, 1, 1, Kind::Opened, opened);
    let header = Header { source: source.to_owned(), ..header("s1") };
    let mut packets = export(&header, &memory.bytes(), None).1;
    assert_eq!(packets.len(), 3);
    let comment = packets[0].comment.clone().unwrap();
    (packets.remove(0), comment)
}

fn ends(body: &Value, source: &str) -> String {
    let (packet, _) = opened(body, source);
    format!("{} {}", packet.from, packet.to)
}

#[test]
fn a_connection_begins_carries_what_passed_when_it_passed_and_ends() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    say(&mut recorder, 10, 1, Kind::Opened, &modbus());
    bytes(&mut recorder, 20, 1, Kind::Input, READ);
    say(&mut recorder, 20, 1, Kind::Operation, &json!({ "operation": "modbus", "phase": "request" }));
    bytes(&mut recorder, 30, 1, Kind::Output, ANSWER);
    say(&mut recorder, 40, 1, Kind::Closed, &json!({}));
    let (about, packets) = export(&header("s1"), &memory.bytes(), None);
    assert!(about.contains("Session s1 of alice from 192.0.2.7"), "{about}");
    let summary: Vec<_> = packets.iter().map(|packet| (packet.micros, packet.flags, packet.payload.len())).collect();
    let time = |ms: u64| 1_795_420_800_000_000 + ms * 1000;
    assert_eq!(
        summary,
        [
            (time(10), 0x02, 0),
            (time(10), 0x12, 0),
            (time(10), 0x10, 0),
            (time(20), 0x18, READ.len()),
            (time(20), 0x10, 0),
            (time(30), 0x18, ANSWER.len()),
            (time(30), 0x10, 0),
            (time(40), 0x11, 0),
            (time(40), 0x11, 0),
            (time(40), 0x10, 0),
        ]
    );
    let expected = Stream {
        client: "127.0.0.1:40312".parse().unwrap(),
        server: "10.10.1.30:502".parse().unwrap(),
        pieces: vec![(Side::Client, Piece::Bytes(READ.to_vec())), (Side::Server, Piece::Bytes(ANSWER.to_vec()))],
        closed: true,
    };
    assert_eq!(streams(&packets), [expected]);
}

/// The client's segments, for a Modbus connection that was recorded in these pieces.
fn segments(pieces: &[&[u8]]) -> Vec<(i64, Vec<u8>)> {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    say(&mut recorder, 1, 1, Kind::Opened, &modbus());
    for (ms, piece) in (2..).zip(pieces) {
        bytes(&mut recorder, ms, 1, Kind::Input, piece);
    }
    let (_, packets) = export(&header("s1"), &memory.bytes(), None);
    streams(&packets);
    let ms = |packet: &Packet| (i64::try_from(packet.micros).unwrap() - at(0).unix_micros) / 1000;
    packets
        .into_iter()
        .filter(|packet| !packet.payload.is_empty())
        .map(|packet| (ms(&packet), packet.payload))
        .collect()
}

#[test]
fn a_modbus_message_is_one_segment_however_the_client_cut_it() {
    let bytewise: Vec<&[u8]> = READ.chunks(1).collect();
    assert_eq!(segments(&bytewise), [(1 + READ.len() as i64, READ.to_vec())]);
    let twice = [READ, READ].concat();
    let (one, two) = twice.split_at(READ.len() + 3);
    assert_eq!(segments(&[one, two]), [(2, READ.to_vec()), (3, READ.to_vec())]);
    // What never becomes a message, or is none, is there all the same.
    assert_eq!(segments(&[READ, &READ[..5]]), [(2, READ.to_vec()), (3, READ[..5].to_vec())]);
    for none in [&b"GET / HTTP/1.1\r\n"[..], b"\0\x01\0\0\xff\xff\x01", b"\0\x01\0\0\0\x01\x01"] {
        assert_eq!(
            segments(&[READ, &none[..3], &none[3..], b"x", b"y"]),
            [(2, READ.to_vec()), (4, none.to_vec()), (5, b"x".to_vec()), (6, b"y".to_vec())]
        );
    }
}

#[test]
fn connections_that_run_side_by_side_stay_apart_even_from_one_port() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    for track in 1..=3 {
        say(&mut recorder, 1, track, Kind::Opened, &modbus());
    }
    for track in [3, 1, 2, 1] {
        bytes(&mut recorder, 2, track, Kind::Input, &[u8::try_from(track).unwrap(); 4]);
    }
    for track in [2, 3, 1] {
        say(&mut recorder, 3, track, Kind::Closed, &json!({}));
    }
    // The port is free again.
    say(&mut recorder, 4, 4, Kind::Opened, &modbus());
    let (_, packets) = export(&header("s1"), &memory.bytes(), None);
    let starts: Vec<_> = packets.iter().filter(|packet| packet.flags == 2).collect();
    let ports: Vec<_> = starts.iter().map(|packet| packet.from.port()).collect();
    assert_eq!(ports, [40312, 40313, 40314, 40312]);
    assert_ne!(starts[0].sequence, starts[3].sequence);
    assert!(starts[1].comment.as_ref().unwrap().contains("stand-in"));
    let found = streams(&packets);
    let sent = |port| {
        let stream = found.iter().find(|stream| stream.client.port() == port && stream.closed).unwrap();
        &stream.pieces[0].1
    };
    assert_eq!(sent(40312), &Piece::Bytes(vec![1; 8]));
    assert_eq!(sent(40313), &Piece::Bytes(vec![2; 4]));
    assert_eq!(sent(40314), &Piece::Bytes(vec![3; 4]));

    let (_, one) = export(&header("s1"), &memory.bytes(), Some(TrackId(2)));
    assert_eq!(streams(&one).len(), 1);
    assert_eq!(streams(&one)[0].pieces, [(Side::Client, Piece::Bytes(vec![2; 4]))]);
}

#[test]
fn what_is_held_as_a_hash_is_a_hole_that_says_so() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    say(&mut recorder, 1, 1, Kind::Opened, &modbus());
    bytes(&mut recorder, 2, 1, Kind::Output, b"before");
    recorder.append_bulk(at(3), TrackId(1), Direction::Output, &[7; 100_000], &mut Budget::none()).unwrap();
    recorder.append_bulk(at(4), TrackId(1), Direction::Input, &[8; 50], &mut Budget::none()).unwrap();
    bytes(&mut recorder, 5, 1, Kind::Output, b"after");
    let (_, packets) = export(&header("s1"), &memory.bytes(), None);
    let comments: Vec<_> = packets.iter().skip(3).filter_map(|packet| packet.comment.as_deref()).collect();
    assert_eq!(comments.len(), 2);
    assert!(comments[0].starts_with("100000 bytes from the asset to the client are missing here"), "{}", comments[0]);
    assert!(comments[1].starts_with("50 bytes from the client to the asset are missing here"), "{}", comments[1]);
    let expected = [
        (Side::Server, Piece::Bytes(b"before".to_vec())),
        (Side::Server, Piece::Hole(100_000)),
        (Side::Client, Piece::Hole(50)),
        (Side::Server, Piece::Bytes(b"after".to_vec())),
    ];
    let found = streams(&packets);
    assert_eq!(found[0].pieces, expected);
    // The recording does not say that it ended.
    assert!(!found[0].closed);
}

#[test]
fn ends_are_those_of_the_recording_and_stand_ins_only_where_it_has_none() {
    assert_eq!(ends(&modbus(), "192.0.2.7"), "127.0.0.1:40312 10.10.1.30:502");
    let mut v6 = modbus();
    v6["originator"] = json!("[::1]:7");
    v6["address"] = json!("[fd00::30]:502");
    assert_eq!(ends(&v6, ""), "[::1]:7 [fd00::30]:502");
    v6["address"] = json!("10.10.1.30:502");
    assert_eq!(ends(&v6, ""), "[::1]:7 [::ffff:10.10.1.30]:502");
    v6["originator"] = json!("[::ffff:10.0.0.10]:7");
    assert_eq!(ends(&v6, ""), "10.0.0.10:7 10.10.1.30:502");

    let (_, whole) = opened(&modbus(), "192.0.2.7");
    assert_eq!(whole, "Track 1: 127.0.0.1:40312 to plc-1 at 10.10.1.30:502, modbus.");
    let bare = json!({ "channel": "stream" });
    assert_eq!(ends(&bare, "10.0.0.10:50123"), "10.0.0.10:49153 198.51.100.1:9");
    assert_eq!(ends(&bare, "somewhere"), "192.0.2.1:49153 198.51.100.1:9");
    assert_eq!(ends(&bare, "fd00::7"), "[fd00::7]:49153 [2001:db8::2]:9");
    let (_, comment) = opened(&bare, "");
    for what in ["the client's address", "the client's port", "the asset's address", "the asset's port"] {
        assert!(comment.contains(what), "{comment}");
    }
    let named =
        json!({ "channel": "stream", "protocol": "modbus", "originator": "localhost:0", "address": "plc.example" });
    assert_eq!(ends(&named, ""), "192.0.2.1:49153 198.51.100.1:502");
    let wrong = json!({ "channel": "stream", "originator": 5, "address": ["x"], "protocol": null, "asset": {} });
    assert_eq!(ends(&wrong, ""), "192.0.2.1:49153 198.51.100.1:9");
    // An ssh session's forward, and one that would be its own peer.
    let forward = json!({ "channel": "forward", "host": "localhost", "port": 8080 });
    assert_eq!(ends(&forward, "10.0.0.10"), "10.0.0.10:49153 198.51.100.1:8080");
    let itself = json!({ "channel": "stream", "originator": "127.0.0.1:502", "address": "127.0.0.1:502" });
    assert_eq!(ends(&itself, ""), "127.0.0.1:503 127.0.0.1:502");
}

#[test]
fn comments_hold_nothing_that_acts_on_a_terminal() {
    let mut hostile = modbus();
    hostile["asset"] = json!("plc\u{1b}]52;c;ZXZpbA==\u{7}\u{9b}2J\u{202e}");
    hostile["protocol"] = json!("x".repeat(100_000));
    let (_, comment) = opened(&hostile, "");
    assert!(comment.contains("plc\u{fffd}]52"), "{comment}");
    assert!(comment.chars().all(|char| !char.is_control() && char != '\u{202e}'));
    assert_eq!(comment.chars().count(), 2000);
}

#[test]
fn what_is_no_connection_is_not_in_it() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    say(&mut recorder, 1, 1, Kind::Opened, &json!({ "channel": "session" }));
    bytes(&mut recorder, 2, 1, Kind::Output, b"$ ");
    say(&mut recorder, 2, 2, Kind::Opened, &modbus());
    // Opened twice, and closed what was never open.
    say(&mut recorder, 3, 2, Kind::Opened, &modbus());
    say(&mut recorder, 3, 3, Kind::Closed, &json!({}));
    let recording = memory.bytes();
    assert_eq!(export(&header("s1"), &recording, None).1.len(), 3);
    let tcp: Vec<_> =
        tracks(&header("s1"), DESK.reader(&recording)).unwrap().iter().map(|each| each.is_tcp()).collect();
    assert_eq!(tcp, [false, true, false]);
}

#[test]
fn more_connections_at_a_time_than_any_session_has_are_refused() {
    let memory = Memory::default();
    let mut recorder = DESK.start(&memory);
    let mut opened = modbus();
    for track in 1..=4097 {
        opened["originator"] = json!(format!("127.0.0.1:{}", 40_000 + track));
        say(&mut recorder, 1, track, Kind::Opened, &opened);
    }
    let refused = pcapng(&header("s1"), None, DESK.reader(&memory.bytes()), std::io::sink());
    assert!(matches!(refused, Err(ExportError::Connections(4096))), "{refused:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever passes, both receivers understand what the recording holds: nothing lost, added or moved.
    #[test]
    fn both_directions_come_back_as_they_were_recorded(
        v6 in any::<bool>(),
        plain in any::<bool>(),
        runs in prop::collection::vec((any::<bool>(), any::<bool>(), prop_oneof![1..2000_usize, 60_000..200_000_usize], any::<u8>()), 0..8),
    ) {
        let memory = Memory::default();
        let mut recorder = DESK.start(&memory);
        let mut opened = modbus();
        if plain {
            opened["protocol"] = json!("tcp");
        }
        if v6 {
            opened["address"] = json!("[fd00::30]:502");
        }
        say(&mut recorder, 1, 1, Kind::Opened, &opened);
        let mut expected: Vec<(Side, Piece)> = Vec::new();
        for (ms, (up, whole, length, first)) in (2..).zip(runs) {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ first).collect();
            let (direction, side) = if up { (Direction::Input, Side::Client) } else { (Direction::Output, Side::Server) };
            let mut budget = if whole { Budget::unlimited() } else { Budget::none() };
            recorder.append_bulk(at(ms), TrackId(1), direction, &body, &mut budget).unwrap();
            match (whole, expected.last_mut()) {
                (true, Some((last, Piece::Bytes(bytes)))) if *last == side => bytes.extend(&body),
                (true, _) => expected.push((side, Piece::Bytes(body))),
                (false, _) => expected.push((side, Piece::Hole(u32::try_from(length).unwrap()))),
            }
        }
        say(&mut recorder, 1000, 1, Kind::Closed, &json!({}));
        let (_, packets) = export(&header("s1"), &memory.bytes(), None);
        let largest = packets.iter().map(|packet| packet.payload.len()).max().unwrap_or(0);
        let fits = if v6 { 1440 } else { 1460 };
        prop_assert!(largest <= fits);
        let found = streams(&packets);
        prop_assert_eq!(found.len(), 1);
        prop_assert!(found[0].closed);
        prop_assert_eq!(&found[0].pieces, &expected);
    }
}
