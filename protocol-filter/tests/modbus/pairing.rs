//! Answers and their requests: none unasked, none larger than asked, and a bound on what is in flight.

use sallyport_protocol_filter::modbus::{Limits, Mode, Rule, Rules, Units};
use sallyport_protocol_filter::{Kind, Outbound, ProtocolFilter, Side};

use crate::evasions::malformed;
use crate::plant::{Line, Sent, frame, hex};

#[test]
fn an_answer_that_nobody_asked_for_ends_the_connection() {
    malformed(&mut Line::new(Rules::full()), Side::Server, &frame(1, 1, "03 02 0001"));
    malformed(&mut Line::new(Rules::full()), Side::Server, &frame(1, 1, "83 02"));
    let mut twice = Line::new(Rules::full());
    twice.exchange(1, "03 0000 0001", "03 02 0001");
    malformed(&mut twice, Side::Server, &frame(7, 1, "03 02 0001"));
    let mut denied = Line::new(Rules::read_only());
    denied.denial(1, "06 0000 0001");
    malformed(&mut denied, Side::Server, &frame(9, 1, "06 0000 0001"));
    let mut waiting = Line::new(Rules::read_only());
    waiting.ask(1, 1, "03 0000 0001");
    waiting.ask(2, 1, "06 0000 0001");
    malformed(&mut waiting, Side::Server, &frame(2, 1, "06 0000 0001"));
}

#[test]
fn nothing_is_sent_after_malformed_bytes_not_even_a_denial_that_waits() {
    let mut line = Line::new(Rules::read_only());
    line.ask(1, 1, "03 0000 0001");
    assert_eq!(line.ask(1, 1, "06 0000 0001"), Sent::default(), "it waits");
    malformed(&mut line, Side::Client, &hex("0003 0007 0006"));
    assert_eq!(line.filter.deadline(), None);
    assert_eq!(line.pass(60_000), Sent::default());
}

/// A device drops one answer. Its client gave up on it and asked anew: what is denied now is denied now.
#[test]
fn a_lost_answer_holds_up_no_later_denial() {
    let mut line = Line::new(Rules::read_only());
    line.ask(1, 1, "03 0000 0001");
    line.pass(600);
    for transaction in 2..40 {
        let denial = line.ask(transaction, 1, "06 03e8 0001").client;
        assert_eq!(denial, format!("{transaction:04x}00000003018601"), "at once");
        line.pass(500);
    }
}

/// Under one identifier a client would take the denial for what it asked before; so that waits, counted from when that was asked.
#[test]
fn a_denial_under_an_identifier_in_use_waits_its_turn() {
    let mut line = Line::new(Rules::read_only());
    line.ask(1, 1, "03 0000 0001");
    line.pass(400);
    line.ask(0, 1, "03 0000 0001");
    line.pass(400);
    assert_eq!(line.ask(0, 1, "06 03e8 0001"), Sent::default());
    assert_eq!(line.ask(0, 1, "06 03e8 0002"), Sent::default());
    assert_eq!(line.filter.deadline(), Some(line.now.monotonic_ms + 600));
    assert_eq!(line.pass(599), Sent::default());
    assert_eq!(line.pass(1).client, "000000000003018601000000000003018601", "both, in turn");
    assert_eq!(
        line.ask(0, 1, "06 03e8 0003").client,
        "000000000003018601",
        "that one is lost: nothing waits for it any more"
    );
    line.answer(0, 1, "03 02 0001");
    line.answer(1, 1, "03 02 0001");

    line.ask(0, 1, "03 0000 0001");
    assert_eq!(line.ask(0, 1, "06 03e8 0001"), Sent::default());
    assert_eq!(line.answer(0, 1, "03 02 0001").client, "00000000000501030200010000000000030186 01".replace(' ', ""));
}

#[test]
fn an_answer_carries_exactly_what_was_asked() {
    for (request, transaction, unit, answer) in [
        ("03 0000 0002", 2, 1, "03 04 0001 0002"),
        ("03 0000 0002", 1, 2, "03 04 0001 0002"),
        ("03 0000 0002", 1, 1, "04 04 0001 0002"),
        ("03 0000 0002", 1, 1, "03 02 0001"),
        ("03 0000 0002", 1, 1, "03 06 0001 0002 0003"),
        ("03 0000 0002", 1, 1, "84 02"),
        ("03 0000 0002", 1, 1, "83 00"),
        ("03 0000 0002", 1, 1, "83"),
        ("03 0000 0002", 1, 1, "83 02 00"),
        ("01 0000 0009", 1, 1, "01 01 ff"),
        ("01 0000 0008", 1, 1, "01 02 ffff"),
        ("05 0000 ff00", 1, 1, "05 0000 0000"),
        ("06 0000 0001", 1, 1, "06 0000 0002"),
        ("06 0000 0001", 1, 1, "06 0001 0001"),
        ("0f 0000 0003 01 05", 1, 1, "0f 0000 0004"),
        ("10 0000 0001 02 0001", 1, 1, "10 0000 0002"),
        ("16 0000 ff00 0001", 1, 1, "16 0000 ff00 0003"),
        ("17 0000 0001 0064 0001 02 0001", 1, 1, "17 04 0001 0002"),
        ("08 0000 1234", 1, 1, "08 0000 1235"),
        ("08 000b 0000", 1, 1, "08 000c 0000"),
        ("14 07 06 0001 0000 0001", 1, 1, "14 06 05 06 0001 0002"),
        ("14 07 06 0001 0000 0001", 1, 1, "14 04 03 05 0001"),
        ("15 09 06 0001 0000 0001 abcd", 1, 1, "15 09 06 0001 0000 0001 abce"),
        ("18 0000", 1, 1, &format!("18 0042 0020 {}", "00".repeat(64))),
        ("2b 0e 04 01", 1, 1, "2b 0e 04 81 00 00 01 02 01 41"),
        ("2b 0e 04 01", 1, 1, "2b 0e 04 81 00 00 02 01 01 41 02 01 41"),
        ("2b 0e 01 00", 1, 1, "2b 0e 02 81 00 00 01 00 01 41"),
        ("2b 0e 01 00", 1, 1, "2b 0e 01 81 00 00 02 00 01 41"),
        ("2b 0e 01 00", 1, 1, "2b 0e 01 81 4d b7 00"),
        ("2b 0e 01 00", 1, 1, "2b 0d 00"),
        ("5a 00 02", 1, 1, "5b 00 fe"),
    ] {
        let mut line = Line::new(Rules::full());
        line.ask(1, 1, request);
        malformed(&mut line, Side::Server, &frame(transaction, unit, answer));
    }
}

#[test]
fn equal_transaction_identifiers_are_answered_in_turn() {
    let mut line = Line::new(Rules::full());
    for request in ["03 0000 0001", "03 0010 0001", "06 0000 0001", "03 0020 0002"] {
        line.ask(0, 1, request);
    }
    for answer in ["03 02 0001", "03 02 0002", "06 0000 0001", "03 04 0001 0002"] {
        line.answer(0, 1, answer);
    }
    let answers: Vec<&String> = line.heard.0.iter().filter(|line| line.contains("Response")).collect();
    assert_eq!(
        answers,
        [
            "1 Response: read registers 0 = 1 unit 1",
            "2 Response: read registers 16 = 2 unit 1",
            "3 Response: write register 0 = 1 unit 1",
            "4 Response: read registers 32-33 = 1, 2 unit 1"
        ]
    );
}

#[test]
fn a_lost_answer_does_not_shift_those_that_follow() {
    let mut line = Line::new(Rules::full());
    line.ask(0, 1, "03 0000 0001");
    line.ask(0, 1, "03 0010 0002");
    line.answer(0, 1, "03 04 0001 0002");
    line.ask(0, 1, "03 0020 0003");
    line.answer(0, 1, "03 06 0001 0002 0003");
}

/// With equal identifiers nobody can tell which of two registers an answer is about: it must not serve as the last value.
#[test]
fn an_ambiguous_answer_is_no_last_value() {
    let limits = Some(Limits { max_step: Some(5.0), ..Limits::default() });
    let rule = Rule { name: "w".into(), kinds: vec![Kind::Write], limits, ..Rule::default() };
    let reads = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![rule, reads], Vec::new()));
    line.ask(0, 1, "03 0000 0001");
    line.ask(0, 1, "03 0010 0001");
    line.answer(0, 1, "03 02 0001");
    line.answer(0, 1, "03 02 03e8");
    assert_eq!(line.denial(1, "06 0000 0002"), Some(3));
}

#[test]
fn what_is_in_flight_is_bounded_and_nothing_is_lost() {
    let mut line = Line::new(Rules::full());
    let requests: Vec<u8> = (0..100).flat_map(|transaction| frame(transaction, 1, "03 0000 0001")).collect();
    let mut out = Outbound::default();
    let taken = line.filter.receive(Side::Client, &requests, line.now, &mut out, &mut line.heard).unwrap();
    assert_eq!((taken, out.to_server.len()), (64 * 12, 64 * 12));
    let again = line.filter.receive(Side::Client, &requests[taken..], line.now, &mut out, &mut line.heard).unwrap();
    assert_eq!(again, 0);
    line.answer(0, 1, "03 02 0001");
    let more = line.filter.receive(Side::Client, &requests[taken..], line.now, &mut out, &mut line.heard).unwrap();
    assert_eq!(more, 12);
    assert_eq!(out.to_server, requests[..65 * 12]);
}

#[test]
fn an_asset_that_never_answers_does_not_stop_the_connection_for_good() {
    let mut line = Line::new(Rules::full());
    for transaction in 0..64 {
        line.ask(transaction, 1, "03 0000 0001");
    }
    let mut out = Outbound::default();
    let bytes = frame(64, 1, "03 0000 0001");
    assert_eq!(line.filter.receive(Side::Client, &bytes, line.now, &mut out, &mut line.heard).unwrap(), 0);
    assert_eq!(line.filter.deadline(), Some(line.now.monotonic_ms + 30_000));
    line.pass(30_000);
    line.send(Side::Client, &bytes).unwrap();
    malformed(&mut line, Side::Server, &frame(0, 1, "03 02 0001"));
}

/// A broadcast changes every unit's value, and nobody confirms it.
#[test]
fn a_broadcast_leaves_no_unit_with_a_last_value() {
    let limits = Some(Limits { max_step: Some(50.0), ..Limits::default() });
    let step =
        Rule { name: "w".into(), kinds: vec![Kind::Write], units: Units::from_iter([1]), limits, ..Rule::default() };
    let all = Rule {
        name: "b".into(),
        kinds: vec![Kind::Read, Kind::Write],
        units: Units::from_iter([0]),
        ..Rule::default()
    };
    let reads = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![step, all, reads], Vec::new()));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    assert_eq!(line.denial(0, "06 0064 03e8"), None);
    assert_eq!(line.denial(1, "06 0064 0064"), Some(3));
    line.pass(30_000);
    assert_eq!(line.denial(1, "06 0064 0064"), Some(3));
    line.exchange(1, "03 0064 0001", "03 02 03e8");
    assert_eq!(line.denial(1, "06 0064 03e8"), None);
}

/// A read that was asked before a broadcast tells of the time before it, even after the broadcast was given up.
#[test]
fn a_read_from_before_a_broadcast_that_made_room_is_no_last_value() {
    let limits = Some(Limits { max_step: Some(50.0), ..Limits::default() });
    let step =
        Rule { name: "w".into(), kinds: vec![Kind::Write], units: Units::from_iter([1]), limits, ..Rule::default() };
    let all = Rule { name: "b".into(), kinds: vec![Kind::Write], units: Units::from_iter([0]), ..Rule::default() };
    let reads = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![step, all, reads], Vec::new()));
    line.ask(1, 1, "03 0064 0001");
    line.ask(2, 0, "06 0064 03e8");
    for _ in 0..63 {
        line.ask(3, 0, "06 0000 0001");
    }
    line.answer(1, 1, "03 02 0064");
    assert_eq!(line.denial(1, "06 0064 0064"), Some(3));
}

/// With equal identifiers a refusal may be of either write; the other may have taken effect.
#[test]
fn an_ambiguous_refusal_leaves_the_value_unknown() {
    let limits = Some(Limits { max_step: Some(50.0), ..Limits::default() });
    let step = Rule { name: "w".into(), kinds: vec![Kind::Write], limits, ..Rule::default() };
    let reads = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![step, reads], Vec::new()));
    line.exchange(1, "03 0064 0001", "03 02 0064");
    assert!(!line.ask(0, 1, "06 0064 0096").server.is_empty(), "100 to 150");
    assert!(!line.ask(0, 1, "06 0064 0078").server.is_empty(), "100 or 150 to 120");
    line.answer(0, 1, "86 03");
    assert_eq!(line.denial(1, "06 0064 0050"), Some(3), "80 is too far from 150");
}
