//! Ways around a filter, each tried.

use sallyport_protocol_filter::modbus::{Device, Limits, MOST_ADU, Mode, Points, Rule, Rules, Table, Units};
use sallyport_protocol_filter::{Kind, ProtocolFilter, Side};

use crate::plant::{Line, Sent, frame, hex, to_hex};

const DENIED_WRITE: &str = "000900000003018601";

pub(crate) fn malformed(line: &mut Line, from: Side, bytes: &[u8]) -> String {
    let malformed = line.send(from, bytes).expect_err("it must be malformed");
    assert_eq!(malformed.side, from);
    assert!(!malformed.bytes.is_empty() && bytes.starts_with(&malformed.bytes[..1]));
    line.send(from, &frame(1, 1, "03 0000 0001")).expect_err("malformed is final");
    line.send(Side::Client, &frame(1, 1, "03 0000 0001")).expect_err("for both sides");
    malformed.reason.to_owned()
}

#[test]
fn a_write_sent_byte_by_byte_is_a_write() {
    let mut line = Line::new(Rules::read_only());
    let bytes = frame(9, 1, "06 0064 0640");
    let mut all = Sent::default();
    for byte in &bytes {
        let sent = line.send(Side::Client, std::slice::from_ref(byte)).unwrap();
        assert!(all.client.is_empty(), "answered before it was whole");
        all = sent;
    }
    assert_eq!(all, Sent { client: DENIED_WRITE.into(), server: String::new() });
}

#[test]
fn a_boundary_between_length_and_function_hides_nothing() {
    for cut in 4..=8 {
        let mut line = Line::new(Rules::read_only());
        let bytes = frame(9, 1, "06 0064 0640");
        assert_eq!(line.send(Side::Client, &bytes[..cut]).unwrap(), Sent::default());
        assert_eq!(line.send(Side::Client, &bytes[cut..]).unwrap().client, DENIED_WRITE);
    }
}

#[test]
fn a_bad_frame_between_good_ones_in_one_segment_is_denied_alone() {
    let mut line = Line::new(Rules::read_only());
    let (first, last) = (frame(1, 1, "03 0000 0001"), frame(3, 1, "03 0000 0002"));
    let sent = line.send(Side::Client, &[first.clone(), frame(9, 1, "06 0064 0640"), last.clone()].concat()).unwrap();
    assert_eq!(hex(&sent.server), [first, last].concat());
    assert_eq!(sent.client, DENIED_WRITE, "nothing asked before it has its transaction identifier");
    let answers = [frame(1, 1, "03 02 0001"), frame(3, 1, "03 04 0001 0002")];
    let answered = line.send(Side::Server, &answers.concat()).unwrap();
    assert_eq!(hex(&answered.client), answers.concat());
}

#[test]
fn a_length_longer_than_the_function_hides_no_second_frame() {
    let mut bytes = frame(1, 1, "03 0000 0001");
    bytes.extend(frame(2, 1, "06 0064 0640"));
    bytes[5] = 18;
    assert_eq!(
        malformed(&mut Line::new(Rules::full()), Side::Client, &bytes),
        "the length is not that of its function"
    );
}

#[test]
fn a_length_shorter_than_the_function_leaves_no_tail() {
    let mut bytes = frame(1, 1, "10 0000 0002 04 0001 0002");
    bytes[5] = 9;
    assert_eq!(malformed(&mut Line::new(Rules::full()), Side::Client, &bytes), "the byte count lies");
}

#[test]
fn a_length_of_nothing_or_beyond_the_limit_is_none() {
    for length in ["0000", "0001", "00ff", "0104", "ffff"] {
        let bytes = hex(&format!("0001 0000 {length} 01 03 0000 0001"));
        for side in [Side::Client, Side::Server] {
            let reason = malformed(&mut Line::new(Rules::full()), side, &bytes);
            assert_eq!(reason, "the length field is not within 2 to 254");
        }
    }
}

#[test]
fn a_length_of_65535_is_refused_at_its_sixth_byte() {
    let mut line = Line::new(Rules::full());
    line.send(Side::Client, &hex("0001 0000 ff")).unwrap();
    line.send(Side::Client, &hex("ff")).expect_err("nothing more is waited for");
}

#[test]
fn another_protocol_identifier_is_no_modbus() {
    for pid in ["0001", "0100", "ffff"] {
        let bytes = hex(&format!("0001 {pid} 0006 01 03 0000 0001"));
        malformed(&mut Line::new(Rules::full()), Side::Client, &bytes);
        malformed(&mut Line::new(Rules::full()), Side::Server, &bytes);
    }
}

#[test]
fn a_stray_byte_ends_the_connection_instead_of_shifting_it() {
    let mut bytes = vec![0];
    bytes.extend(frame(1, 1, "03 0000 0001"));
    malformed(&mut Line::new(Rules::full()), Side::Client, &bytes);
}

#[test]
fn other_protocols_on_the_port_are_refused() {
    let tls = hex("16030100f8010000f40303");
    let s7 = hex("0300001611e00000000100c0010ac1020100c2020102");
    for bytes in [b"GET / HTTP/1.1\r\n".as_slice(), b"SSH-2.0-OpenSSH_9.2\r\n", b"RFB 003.008\n", &tls, &s7] {
        malformed(&mut Line::new(Rules::full()), Side::Client, bytes);
    }
}

#[test]
fn a_function_of_none_or_of_an_exception_is_no_request() {
    for pdu in ["00", "80 01", "83 02", "ff 01"] {
        malformed(&mut Line::new(Rules::full()), Side::Client, &frame(1, 1, pdu));
    }
}

#[test]
fn everybody_and_the_device_itself_are_units_like_others() {
    let rule = Rule {
        name: "w".into(),
        kinds: vec![Kind::Write, Kind::Read],
        units: Units::from_iter([1]),
        ..Rule::default()
    };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![rule], Vec::new()));
    assert_eq!(line.denial(0, "06 0064 0001"), Some(2));
    assert_eq!(line.denial(255, "06 0064 0001"), Some(2));
    assert_eq!(line.denial(0, "03 0064 0001"), Some(2));
    assert_eq!(line.denial(1, "06 0064 0001"), None);
    let mut line = Line::new(Rules::read_only());
    assert_eq!(line.denial(0, "03 0064 0001"), Some(2));
    assert_eq!(line.denial(255, "03 0064 0001"), None);
}

#[test]
fn a_broadcast_holds_nothing_back_and_may_be_answered() {
    let rule = Rule {
        name: "w".into(),
        kinds: vec![Kind::Write, Kind::Read],
        units: Units::from_iter([0, 1]),
        ..Rule::default()
    };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![rule], Vec::new()));
    assert_eq!(line.denial(0, "06 0064 0001"), None);
    let denied = line.ask(2, 1, "07");
    assert_eq!(denied.client, "000200000003018701", "at once");
    assert_eq!(line.answer(9, 0, "06 0064 0001").client, "000900000006000600640001");
    for _ in 0..200 {
        assert_eq!(line.denial(0, "06 0064 0001"), None, "broadcasts never fill what is in flight");
    }
}

#[test]
fn functions_that_hide_writes_are_writes() {
    for request in [
        "17 0000 0001 0064 0001 02 0001",
        "16 0064 0000 ffff",
        "15 09 06 0001 0000 0001 abcd",
        "08 0001 0000",
        "08 0004 0000",
        "08 000a 0000",
        "08 0014 0000",
        "08 0003 2300",
        "5a 00 41 ff",
        "2b 0d 00 01",
        "28 00",
        "2a 00",
        "5b 00",
        "7d 00",
        "7e 00",
        "05 0000 ff00",
        "0f 0000 0001 01 01",
        "10 0000 0001 02 0001",
        "0d",
        "63",
    ] {
        let mut line = Line::new(Rules::read_only());
        assert_eq!(line.denial(1, request), Some(1), "{request}");
        line.exchange(1, "03 0000 0001", "03 02 0001");
    }
    for request in ["2b 0e 01 00", "07", "0b", "0c", "11", "08 0000 1234", "08 0002 0000", "08 0012 0000", "18 0000"] {
        assert_eq!(Line::new(Rules::read_only()).denial(1, request), None, "{request}");
    }
}

#[test]
fn read_and_write_in_one_need_the_right_to_both() {
    let request = "17 0000 0001 0064 0001 02 0001";
    let only = |kind| {
        let rule = Rule { name: "r".into(), kinds: vec![kind], ..Rule::default() };
        Line::new(Rules::new("t", Mode::Enforce, vec![rule], Vec::new()))
    };
    assert_eq!(only(Kind::Read).denial(1, request), Some(1));
    assert_eq!(only(Kind::Write).denial(1, request), Some(1));
}

#[test]
fn an_address_does_not_wrap_around_into_an_allowed_one() {
    let rule = |first, last| Rule {
        name: "r".into(),
        kinds: vec![Kind::Read, Kind::Write],
        points: vec![Points::range(Table::Registers, first, last)],
        ..Rule::default()
    };
    let rules = vec![rule(0, 10), rule(65_530, 65_535)];
    let mut line = Line::new(Rules::new("t", Mode::Enforce, rules, Vec::new()));
    assert_eq!(line.denial(1, "03 fffa 0006"), None);
    line.answer(9, 1, "03 0c 0000 0000 0000 0000 0000 0000");
    assert_eq!(line.denial(1, "03 fffa 0007"), Some(2));
    assert_eq!(line.denial(1, "10 ffff 0002 04 0001 0001"), Some(2));
}

#[test]
fn a_queue_is_read_as_far_as_it_may_reach() {
    let rule = |last| Rule {
        name: "r".into(),
        kinds: vec![Kind::Read],
        points: vec![Points::range(Table::Registers, 100, last)],
        ..Rule::default()
    };
    let line = |last| Line::new(Rules::new("t", Mode::Enforce, vec![rule(last)], Vec::new()));
    assert_eq!(line(130).denial(1, "18 0064"), Some(2));
    assert_eq!(line(131).denial(1, "18 0064"), None);
}

#[test]
fn a_value_in_the_middle_of_many_is_judged() {
    let limits = Some(Limits { max: Some(1500.0), ..Limits::default() });
    let rule = Rule { name: "r".into(), kinds: vec![Kind::Write], limits, ..Rule::default() };
    let mut line = Line::new(Rules::new("t", Mode::Enforce, vec![rule], Vec::new()));
    assert_eq!(line.denial(1, "10 0064 0003 06 0001 ffff 0001"), Some(3));
    assert_eq!(line.denial(1, "17 0000 0001 0064 0003 06 0001 ffff 0001"), Some(1), "it may not read");
}

#[test]
fn a_byte_count_that_lies_ends_the_connection() {
    for pdu in [
        "10 0064 0001 02 0001 0002",
        "14 08 06 0001 0000 0001 00",
        "15 09 06 0001 0000 0002 abcd",
        "15 0b 06 0001 0000 0001 abcd 0000",
        "08 0000",
        "08 0000 12",
        "08 0001 0000 0000",
        "2b",
        "2b 0e 01",
    ] {
        malformed(&mut Line::new(Rules::full()), Side::Client, &frame(1, 1, pdu));
    }
}

/// The frame is whole and hides nothing, so the connection lives; but no device is to guess what was meant.
#[test]
fn a_quantity_that_does_not_fit_its_bytes_is_denied_and_the_connection_lives() {
    for pdu in [
        "10 0064 0002 02 0001",
        "10 0064 0001 04 0001 0002",
        "10 0064 0081 02 0001",
        "0f 0000 0009 01 01",
        "0f 0000 0008 02 0101",
        "17 0000 0001 0064 0002 02 0001",
        "10 0160 007c 06 022b 0001 0064",
    ] {
        let mut line = Line::new(Rules::full());
        assert_eq!(line.denial(1, pdu), Some(3), "{pdu}");
        line.exchange(1, "03 0000 0001", "03 02 0001");
        assert_eq!(Line::new(Rules::read_only()).denial(1, pdu), Some(1), "{pdu}");
        let watched = Rules::new("t", Mode::Observe, Vec::new(), Vec::new());
        assert_eq!(Line::new(watched).denial(1, pdu), Some(3), "{pdu}, watched only");
    }
}

/// A value's fault would tell somebody without the right what the device takes.
#[test]
fn a_function_that_is_not_allowed_is_refused_before_its_values_are_looked_at() {
    for pdu in
        ["05 0000 1234", "05 0000 ff01", "10 0000 0000 00", "0f ffff 0002 01 03", "17 0000 0000 0064 0001 02 0001"]
    {
        assert_eq!(Line::new(Rules::read_only()).denial(1, pdu), Some(1), "{pdu}");
        assert!(Line::new(Rules::full()).denial(1, pdu).is_some_and(|code| code == 3 || code == 2), "{pdu}");
    }
    let only = |kind| {
        Rules::new(
            "t",
            Mode::Enforce,
            vec![Rule { name: "r".into(), kinds: vec![kind], ..Rule::default() }],
            Vec::new(),
        )
    };
    assert_eq!(Line::new(only(Kind::Write)).denial(1, "17 0000 0000 0064 0001 02 0001"), Some(1), "it may not read");
    assert_eq!(Line::new(only(Kind::Read)).denial(1, "17 0000 0000 0064 0001 02 0001"), Some(1), "it may not write");
    assert_eq!(Line::new(only(Kind::Write)).denial(1, "01 0000 0000"), Some(1));
}

#[test]
fn a_stream_that_ends_within_a_frame_is_malformed() {
    let mut line = Line::new(Rules::full());
    line.send(Side::Client, &frame(1, 1, "03 0000 0001")[..9]).unwrap();
    line.filter.finish(Side::Server).unwrap();
    line.filter.finish(Side::Client).expect_err("nine bytes of twelve");
}

#[test]
fn the_longest_frame_passes_and_no_longer_one() {
    let mut line = Line::new(Rules::full());
    let longest = format!("08 0000 {}", "ab".repeat(250));
    assert_eq!(frame(1, 1, &longest).len(), MOST_ADU);
    line.exchange(1, &longest, &longest);
    malformed(&mut line, Side::Client, &frame(1, 1, &format!("{longest} ab")));
}

/// Event counter of unit 8 to us, a write of register 0 of unit 1 to a gateway that takes RTU frames on the same port.
#[test]
fn what_could_be_a_frame_of_rtu_is_refused_where_the_gateway_takes_such() {
    let both = hex("0106 0000 0002 08 0b");
    assert_eq!(Line::new(Rules::read_only()).send(Side::Client, &both).unwrap().server, to_hex(&both));
    let device = Device { takes_rtu: true, ..Device::default() };
    let mut line = Line::new(Rules::read_only().on(device));
    let refused = line.send(Side::Client, &both).unwrap();
    assert_eq!(refused, Sent { client: "010600000003088b06".into(), ..Sent::default() });
    assert!(line.heard.0.last().unwrap().ends_with("denied: rate (rtu)"), "{:?}", line.heard.0);
    // The same under another identifier passes.
    assert_eq!(line.ask(0x0107, 8, "0b").server, to_hex(&frame(0x0107, 8, "0b")));
    // One that begins like a frame of RTU and goes on: reads input registers of unit 9, or writes register 0 of unit 13.
    let longer = hex("0d06 0000 0006 09 04 0000 0001");
    assert_eq!(line.send(Side::Client, &longer).unwrap().client, "0d0600000003098406");
    let mut observing = Line::new(Rules::observe().on(device));
    assert_eq!(observing.send(Side::Client, &longer).unwrap().server, to_hex(&longer));
    assert!(observing.heard.0.last().unwrap().ends_with("would be denied: rate (rtu)"));
}
