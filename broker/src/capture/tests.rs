#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::SocketAddr;

use expect_test::{Expect, expect};
use proptest::collection::vec;
use proptest::prelude::*;
use sallyport_protocol_filter::Side;

use super::packet::Segment;
use super::{Event, Streams, What};

const CLIENT: &str = "10.0.0.1:40000";
const SERVER: &str = "10.0.0.2:502";

fn segment(from: &str, to: &str, sequence: u32, acknowledged: Option<u32>, payload: &[u8]) -> Segment {
    Segment {
        micros: 0,
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        sequence,
        acknowledged,
        syn: false,
        fin: false,
        rst: false,
        payload: payload.to_vec(),
        cut: 0,
    }
}

fn to_server(sequence: u32, acknowledged: u32, payload: &[u8]) -> Segment {
    segment(CLIENT, SERVER, sequence, Some(acknowledged), payload)
}

fn to_client(sequence: u32, acknowledged: u32, payload: &[u8]) -> Segment {
    segment(SERVER, CLIENT, sequence, Some(acknowledged), payload)
}

/// The handshake of a connection whose first bytes have these sequence numbers.
fn handshake(client: u32, server: u32) -> [Segment; 3] {
    let syn = Segment { syn: true, ..segment(CLIENT, SERVER, client.wrapping_sub(1), None, &[]) };
    let answer = Segment { syn: true, ..to_client(server.wrapping_sub(1), client, &[]) };
    [syn, answer, to_server(client, server, &[])]
}

fn line(event: &Event<'_>) -> String {
    let number = event.connection.number;
    match event.what {
        What::Bytes(from, bytes) => format!("{number} {from} {}", data_encoding::HEXLOWER.encode(bytes)),
        What::Finished(side) => format!("{number} {side} has ended"),
        What::Ended(ending) => {
            format!("{number} {ending:?}{}", if event.connection.midway { ", from the middle" } else { "" })
        }
    }
}

fn told(segments: impl IntoIterator<Item = Segment>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut streams = Streams::new(502, None);
    for segment in segments {
        streams.take(segment, &mut |event| lines.push(line(&event)));
    }
    streams.end(&mut |event| lines.push(line(&event)));
    lines
}

fn check(segments: impl IntoIterator<Item = Segment>, expected: Expect) {
    expected.assert_eq(&told(segments).join("\n"));
}

#[test]
fn a_connection_is_told_in_order_whatever_the_order_of_its_segments() {
    let [syn, answer, ack] = handshake(u32::MAX - 1, 7);
    // The sequence numbers begin again at 0 within the second segment; the first comes last, and one comes twice.
    let late = to_server(u32::MAX - 1, 7, &[1, 2]);
    let once_more = to_server(u32::MAX, 7, &[2, 3, 4]);
    let response = to_client(7, 3, &[9, 8]);
    let fin = Segment { fin: true, ..to_server(3, 9, &[]) };
    let last = Segment { fin: true, ..to_client(9, 4, &[]) };
    check(
        [syn, answer, ack, to_server(0, 7, &[3, 4, 5]), once_more, response.clone(), late, response, fin, last],
        expect![[r#"
            1 client 0102
            1 client 0304
            1 client 05
            1 server 0908
            1 client has ended
            1 server has ended
            1 Whole"#]],
    );
}

#[test]
fn what_was_not_captured_ends_the_telling() {
    // The request between the two is not there, though its answer is.
    let exchange = [to_server(100, 7, &[1]), to_client(7, 101, &[2]), to_client(8, 102, &[4]), to_server(102, 9, &[5])];
    check(
        handshake(100, 7).into_iter().chain(exchange),
        expect![[r#"
            1 client 01
            1 server 02
            1 Missing(Client)"#]],
    );
    // An answer that only its acknowledgement tells of.
    check(
        handshake(100, 7).into_iter().chain([to_server(100, 7, &[1]), to_server(101, 9, &[3])]),
        expect![[r#"
            1 client 01
            1 Missing(Server)"#]],
    );
    // A packet of which the capture has only the beginning.
    let cut = Segment { cut: 2, ..to_server(100, 7, &[1]) };
    check(
        handshake(100, 7).into_iter().chain([cut]),
        expect![[r#"
            1 client 01
            1 Missing(Client)"#]],
    );
}

#[test]
fn what_waits_for_a_missing_byte_is_bounded() {
    let mut lines = Vec::new();
    let mut streams = Streams::new(502, None);
    let far = (0..200_u32).map(|number| to_server(101 + 1000 * number, 7, &[0; 1000]));
    let mut after = 0;
    for (index, segment) in handshake(100, 7).into_iter().chain(far).enumerate() {
        streams.take(segment, &mut |event| lines.push(line(&event)));
        if lines.is_empty() {
            after = index;
        }
    }
    assert_eq!(lines, ["1 Missing(Client)"]);
    assert!(after < 70, "{after} segments were held");
}

#[test]
fn a_capture_may_begin_in_the_middle() {
    // An answer to something from before, then a whole exchange.
    let segments = [to_client(7, 100, &[1, 2]), to_server(100, 9, &[3]), to_client(9, 101, &[4])];
    check(
        segments,
        expect![[r#"
            1 client 03
            1 server 04
            1 Whole, from the middle"#]],
    );
}

#[test]
fn ports_can_be_used_again_and_connections_be_reset() {
    let reset = Segment { rst: true, ..to_client(9, 101, &[]) };
    let first = handshake(100, 7).into_iter().chain([to_server(100, 7, &[1]), reset, to_server(101, 7, &[9])]);
    // The handshake once more is no other connection; one from elsewhere is.
    let again = handshake(50, 3);
    let second = again.clone().into_iter().chain(again).chain([to_server(50, 3, &[2])]);
    let third = handshake(4_000_000_000, 3).into_iter().chain([to_server(4_000_000_000, 3, &[3])]);
    check(
        first.chain(second).chain(third),
        expect![[r#"
            1 client 01
            1 Whole
            2 client 02
            2 Whole
            3 client 03
            3 Whole"#]],
    );
}

#[test]
fn only_the_connections_that_were_asked_for_are_told() {
    let mut streams = Streams::new(502, Some("10.0.0.9".parse().unwrap()));
    for segment in handshake(100, 7) {
        streams.take(segment, &mut |event| panic!("{}", line(&event)));
    }
    let elsewhere = segment(CLIENT, "10.0.0.9:503", 1, Some(1), &[1]);
    streams.take(elsewhere, &mut |event| panic!("{}", line(&event)));
    let server: SocketAddr = SERVER.parse().unwrap();
    assert_eq!((streams.begun(), streams.others().collect::<Vec<_>>()), (0, vec![&server]));
}

#[test]
fn connections_at_once_are_bounded() {
    let client = |number: usize| format!("10.1.{}.{}:40000", number / 250, number % 250);
    let lines = told((0..1100).map(|number| segment(&client(number), SERVER, 1, Some(1), &[7])));
    let crowded = lines.iter().filter(|line| line.contains("Crowded")).count();
    assert_eq!((crowded, lines.len()), (1100 - 1024, 2 * 1100));
}

/// A conversation: every exchange a request and its answer, cut into segments.
fn conversation() -> impl Strategy<Value = (Vec<Segment>, Vec<u8>, Vec<u8>)> {
    let side = || vec(vec(any::<u8>(), 1..4), 1..4);
    (any::<u32>(), any::<u32>(), vec((side(), side()), 1..8)).prop_map(|(client, server, exchanges)| {
        let (mut asked, mut answered) = (Vec::new(), Vec::new());
        let mut segments = Vec::new();
        let place = |from: u32, bytes: &[u8]| from.wrapping_add(u32::try_from(bytes.len()).unwrap());
        for (request, response) in exchanges {
            for piece in request {
                segments.push(to_server(place(client, &asked), place(server, &answered), &piece));
                asked.extend(piece);
            }
            for piece in response {
                segments.push(to_client(place(server, &answered), place(client, &asked), &piece));
                answered.extend(piece);
            }
        }
        segments.push(to_server(place(client, &asked), place(server, &answered), &[]));
        let segments = handshake(client, server).into_iter().chain(segments).collect();
        (segments, asked, answered)
    })
}

/// What was told of each side.
fn bytes_of(lines: &[String]) -> (Vec<u8>, Vec<u8>) {
    let side = |word: &str| {
        let bytes = lines.iter().filter_map(|line| line.strip_prefix(word));
        bytes.flat_map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()).collect()
    };
    (side("1 client "), side("1 server "))
}

proptest! {
    /// Segments that come late, or twice, change nothing; an answer never comes before what it answers.
    #[test]
    fn disorder_changes_nothing((segments, asked, answered) in conversation(), jitter in vec((0_usize..6, any::<bool>()), 60)) {
        let in_order = told(segments.clone());
        let mut placed: Vec<(usize, Segment)> = Vec::new();
        for (index, segment) in segments.into_iter().enumerate() {
            // The handshake comes first.
            let (late, twice) = if index < 3 { (0, false) } else { jitter[index % jitter.len()] };
            if twice {
                placed.push((index + 2 * late, segment.clone()));
            }
            placed.push((index + late, segment));
        }
        placed.sort_by_key(|(place, _)| *place);
        let lines = told(placed.into_iter().map(|(_, segment)| segment));
        prop_assert_eq!(bytes_of(&lines), (asked, answered));
        prop_assert_eq!(turns(&lines), turns(&in_order));
        prop_assert_eq!(lines.last().map(String::as_str), Some("1 Whole"));
    }

    /// What is told without one segment is the beginning of what is told with all, and it is said that something lacks.
    #[test]
    fn nothing_is_told_behind_a_gap((segments, asked, answered) in conversation(), lost in any::<prop::sample::Index>()) {
        let mut segments = segments;
        let payloads: Vec<usize> = (0..segments.len()).filter(|index| !segments[*index].payload.is_empty()).collect();
        let from = segments.remove(payloads[lost.index(payloads.len())]).from;
        let lines = told(segments);
        let (heard_asked, heard_answered) = bytes_of(&lines);
        prop_assert!(asked.starts_with(&heard_asked) && answered.starts_with(&heard_answered));
        let side = if from == CLIENT.parse().unwrap() { Side::Client } else { Side::Server };
        prop_assert_eq!(lines.last(), Some(&format!("1 Missing({side:?})")));
    }
}

/// Whose bytes came after whose.
fn turns(lines: &[String]) -> Vec<(String, Vec<u8>)> {
    let mut turns: Vec<(String, Vec<u8>)> = Vec::new();
    for line in lines {
        let Some((word, hex)) = line.rsplit_once(' ') else { continue };
        let Ok(bytes) = data_encoding::HEXLOWER.decode(hex.as_bytes()) else { continue };
        match turns.last_mut() {
            Some((last, held)) if last == word => held.extend(bytes),
            _ => turns.push((word.to_owned(), bytes)),
        }
    }
    turns
}
