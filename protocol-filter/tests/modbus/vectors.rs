//! Every function, both ways, written by hand from the specification (V1.1b3, sections 6.1 to 6.21).

use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{Request, Response, Rules};

use crate::plant::{Line, hex, to_hex};

/// Function, kind, request, response.
pub(crate) const EXCHANGES: &[(&str, Kind, &str, &str)] = &[
    ("1", Kind::Read, "01 0013 0013", "01 03 cd6b05"),
    ("1", Kind::Read, "01 0000 07d0", LONGEST_BITS),
    ("2", Kind::Read, "02 00c4 0016", "02 03 acdb35"),
    ("3", Kind::Read, "03 006b 0003", "03 06 022b 0000 0064"),
    ("3", Kind::Read, "03 ffff 0001", "03 02 0001"),
    ("4", Kind::Read, "04 0008 0001", "04 02 000a"),
    ("5", Kind::Write, "05 00ac ff00", "05 00ac ff00"),
    ("5", Kind::Write, "05 00ac 0000", "05 00ac 0000"),
    ("6", Kind::Write, "06 0001 0003", "06 0001 0003"),
    ("7", Kind::Diagnose, "07", "07 6d"),
    ("8/0", Kind::Diagnose, "08 0000 a537", "08 0000 a537"),
    ("8/0", Kind::Diagnose, "08 0000 a537 1234 5678", "08 0000 a537 1234 5678"),
    ("8/1", Kind::Control, "08 0001 ff00", "08 0001 ff00"),
    ("8/2", Kind::Diagnose, "08 0002 0000", "08 0002 1234"),
    ("8/3", Kind::Diagnose, "08 0003 2300", "08 0003 2300"),
    ("8/4", Kind::Control, "08 0004 0000", "08 0004 0000"),
    ("8/10", Kind::Control, "08 000a 0000", "08 000a 0000"),
    ("8/11", Kind::Diagnose, "08 000b 0000", "08 000b 0108"),
    ("8/18", Kind::Diagnose, "08 0012 0000", "08 0012 0002"),
    ("8/20", Kind::Control, "08 0014 0000", "08 0014 0000"),
    ("8/21", Kind::Diagnose, "08 0015 0003", "08 0015 0003 0002 1111"),
    ("11", Kind::Diagnose, "0b", "0b ffff 0108"),
    ("12", Kind::Diagnose, "0c", "0c 08 0000 0108 0121 20 00"),
    ("15", Kind::Write, "0f 0013 000a 02 cd01", "0f 0013 000a"),
    ("16", Kind::Write, "10 0001 0002 04 000a 0102", "10 0001 0002"),
    ("17", Kind::Diagnose, "11", "11 03 0aff01"),
    ("20", Kind::Read, "14 0e 06 0004 0001 0002 06 0003 0009 0002", "14 0c 05 06 0dfe 0020 05 06 33cd 0040"),
    ("21", Kind::Program, "15 0d 06 0004 0007 0003 06af 04be 100d", "15 0d 06 0004 0007 0003 06af 04be 100d"),
    ("22", Kind::Write, "16 0004 00f2 0025", "16 0004 00f2 0025"),
    ("23", Kind::Write, "17 0003 0006 000e 0003 06 00ff 00ff 00ff", "17 0c 00fe 0acd 0001 0003 000d 00ff"),
    ("24", Kind::Read, "18 04de", "18 0006 0002 01b8 1284"),
    ("24", Kind::Read, "18 04de", "18 0002 0000"),
    ("43/13", Kind::Program, "2b 0d 00 01", "2b 0d 00 01 02"),
    ("43/14", Kind::Diagnose, "2b 0e 01 00", "2b 0e 01 01 00 00 03 00 04 41636d65 01 03 504c43 02 04 56322e31"),
    ("43/14", Kind::Diagnose, "2b 0e 04 02", "2b 0e 04 81 ff 00 01 02 02 5632"),
    ("40", Kind::Program, "28 01", "28 00"),
    ("42", Kind::Program, "2a 01", "2a 00"),
    ("90", Kind::Program, "5a 00 41 ff", "5a 00 fe"),
    ("91", Kind::Program, "5b", "5b"),
    ("100", Kind::Program, "64 01 02", "64"),
    ("126", Kind::Program, "7e 00", "7e 00"),
];

const LONGEST_BITS: &str = concat!(
    "01 fa",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000ff",
);

#[test]
fn every_function_is_decoded_and_encoded_to_the_same_bytes() {
    for (function, kind, request, response) in EXCHANGES {
        let (asked, answered) = (hex(request), hex(response));
        let decoded = Request::decode(&asked).unwrap_or_else(|reason| panic!("{request}: {reason}"));
        assert_eq!(decoded.function().to_string(), *function, "{request}");
        assert_eq!(decoded.function().kind(), *kind, "{request}");
        assert_eq!(decoded.fault(), None, "{request}");
        let mut encoded = Vec::new();
        decoded.encode(&mut encoded);
        assert_eq!(to_hex(&encoded), to_hex(&asked));

        let answer = Response::decode(&answered).unwrap_or_else(|reason| panic!("{response}: {reason}"));
        let answer = answer.answers(&decoded).unwrap_or_else(|reason| panic!("{response}: {reason}"));
        let mut encoded = Vec::new();
        answer.encode(&mut encoded);
        assert_eq!(to_hex(&encoded), to_hex(&answered));
    }
}

#[test]
fn every_function_passes_a_full_filter_and_its_refusal_comes_back() {
    let mut line = Line::new(Rules::full());
    for (_, _, request, response) in EXCHANGES {
        line.exchange(1, request, response);
        line.exchange(0, request, response);
        let refusal = format!("{:02x} 02", hex(request)[0] | 0x80);
        line.exchange(255, request, &refusal);
    }
}

/// No byte more, no byte less, both ways; what is opaque and the data to be returned may be of any length.
#[test]
fn a_pdu_of_another_length_is_none() {
    for (function, _, request, response) in EXCHANGES {
        let (asked, answered) = (hex(request), hex(response));
        let decoded = Request::decode(&asked).unwrap();
        if !decoded.is_opaque() {
            for cut in 1..asked.len() {
                let shorter = Request::decode(&asked[..cut]);
                assert!(shorter.is_err() || (*function == "8/0" && cut >= 5), "{request} cut to {cut}");
            }
            let longer = [asked.as_slice(), &[0]].concat();
            assert!(Request::decode(&longer).is_err(), "{request} and a byte");
            for cut in 1..answered.len() {
                let shorter = Response::decode(&answered[..cut]).and_then(|answer| answer.answers(&decoded));
                assert!(shorter.is_err(), "{response} cut to {cut}");
            }
            let longer = [answered.as_slice(), &[0]].concat();
            let longer = Response::decode(&longer).and_then(|answer| answer.answers(&decoded));
            assert!(longer.is_err(), "{response} and a byte");
        }
    }
}

#[test]
fn an_answer_to_another_question_is_none() {
    for (function, _, request, _) in EXCHANGES {
        let asked = hex(request);
        let decoded = Request::decode(&asked).unwrap();
        for (other, _, _, response) in EXCHANGES {
            if function != other {
                let answered = hex(response);
                let answer = Response::decode(&answered).unwrap().answers(&decoded);
                assert!(answer.is_err(), "{response} taken for an answer to {request}");
            }
        }
    }
}

#[test]
fn limits_of_the_protocol_are_answered_with_the_exception_that_the_specification_gives() {
    let mut line = Line::new(Rules::full());
    for (request, exception) in [
        ("01 0000 0000", 3),
        ("01 0000 07d1", 3),
        ("02 0000 ffff", 3),
        ("03 0000 0000", 3),
        ("03 0000 007e", 3),
        ("04 ffff 007e", 3),
        ("01 ffff 0002", 2),
        ("03 ffff 0002", 2),
        ("04 ff84 007d", 2),
        ("05 0000 0001", 3),
        ("05 0000 ff01", 3),
        ("05 0000 00ff", 3),
        ("08 0001 0001", 3),
        ("08 0004 0001", 3),
        ("08 0003 0023", 3),
        ("08 000b 0001", 3),
        ("0f 0000 0000 00", 3),
        ("0f ffff 0002 01 03", 2),
        ("10 0000 0000 00", 3),
        ("10 ffff 0002 04 0001 0001", 2),
        ("14 00", 3),
        ("14 07 06 0001 0000 0000", 3),
        ("14 07 06 0001 0000 007b", 3),
        ("14 07 05 0001 0000 0001", 2),
        ("14 07 06 0000 0000 0001", 2),
        ("14 07 06 0001 2710 0001", 2),
        ("14 07 06 0001 270f 0002", 2),
        ("15 00", 3),
        ("15 07 06 0001 0000 0000", 3),
        ("15 09 07 0001 0000 0001 abcd", 2),
        ("17 0000 0000 0000 0001 02 0001", 3),
        ("17 0000 007e 0000 0001 02 0001", 3),
        ("17 0000 0001 0000 0000 00", 3),
        ("17 ffff 0002 0000 0001 02 0001", 2),
        ("17 0000 0001 ffff 0002 04 0001 0001", 2),
        ("2b 0e 00 00", 3),
        ("2b 0e 05 00", 3),
    ] {
        assert_eq!(line.denial(1, request), Some(exception), "{request}");
    }
    let most = |code: &str, quantity: u16, bytes: usize| {
        format!("{code} 0000 {quantity:04x} {bytes:02x} {}", "00".repeat(bytes))
    };
    assert_eq!(line.denial(1, &most("0f", 1969, 247)), Some(3));
    assert_eq!(line.denial(1, &most("0f", 1968, 246)), None);
    line.answer(9, 1, "0f 0000 07b0");
    assert_eq!(line.denial(1, &most("10", 123, 246)), None);
    line.answer(9, 1, "10 0000 007b");
    assert_eq!(line.denial(1, &format!("17 0000 007d {}", &most("", 121, 242))), None);
}

#[test]
fn bits_beyond_the_quantity_do_not_pass() {
    let mut line = Line::new(Rules::full());
    let sent = line.ask(1, 1, "0f 0000 0003 01 fd");
    assert_eq!(sent.server, "0001000000080".to_owned() + "10f00000003" + "0105");
    line.answer(1, 1, "0f 0000 0003");
    line.ask(2, 1, "01 0000 0003");
    assert_eq!(line.answer(2, 1, "01 01 fd").client, "00020000000401010105");
}

#[test]
fn umas_is_named_in_evidence() {
    let mut line = Line::new(Rules::read_only());
    line.denial(1, "5a 07 41 ff 00");
    assert_eq!(line.heard.0, ["1 Request: UMAS 0x41 (stop PLC) unit 1, denied: function (read-only)"]);
}
