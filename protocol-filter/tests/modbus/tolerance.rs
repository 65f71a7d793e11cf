//! Devices and gateways that do not keep to the specification: refused, unless their plant tolerates just that; then put right, and never
//! believed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sallyport_protocol_filter::modbus::{
    ANSWER_PATIENCE, Adu, Device, Limits, Mode, Points, Request, Rule, Rules, Table, Tolerance, Tolerances,
};
use sallyport_protocol_filter::{Kind, Outbound, ProtocolFilter, Side};

use crate::evasions::malformed;
use crate::laws::{request, response, rules};
use crate::plant::{Line, Sent, frame, hex, to_hex};

fn device(tolerated: &[Tolerance]) -> Device {
    Device { tolerances: tolerated.iter().copied().collect(), takes_rtu: false }
}

fn line(tolerated: &[Tolerance]) -> Line {
    Line::new(Rules::full().on(device(tolerated)))
}

/// A frame whose length field says something else.
fn lying(transaction: u16, unit: u8, pdu: &str, length: u16) -> Vec<u8> {
    let mut frame = frame(transaction, unit, pdu);
    frame[4..6].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Two registers are read by transaction 1 from unit 255; each answer departs from the specification in one way, and holds 5 and 6.
fn quirks() -> [(Tolerance, Vec<u8>); 8] {
    [
        (Tolerance::Unit, frame(1, 0, "03 04 0005 0006")),
        (Tolerance::Unit, frame(1, 1, "03 04 0005 0006")),
        (Tolerance::Transaction, frame(2, 255, "03 04 0005 0006")),
        (Tolerance::Length, lying(1, 255, "03 04 0005 0006", 0)),
        (Tolerance::Length, lying(1, 255, "03 04 0005 0006", 6)),
        (Tolerance::Length, lying(1, 255, "03 04 0005 0006", 254)),
        (Tolerance::Surplus, frame(1, 255, "03 06 0005 0006 0007")),
        (Tolerance::Surplus, frame(1, 255, "03 04 0005 0006 a1b2")),
    ]
}

#[test]
fn each_departure_passes_with_its_own_tolerance_and_no_other() {
    for (quirk, bytes) in quirks() {
        for tolerated in std::iter::once(&[][..]).chain(Tolerance::ALL.chunks(1)) {
            let mut line = line(tolerated);
            line.ask(1, 255, "03 0000 0002");
            if tolerated != [quirk] {
                // What comes behind it shows what is wrong with it at the latest.
                let mut out = Outbound::default();
                let rest = [bytes.as_slice(), &frame(1, 255, "03 04 0005 0006").repeat(30)[..]].concat();
                let heard = line.filter.receive(Side::Server, &rest, line.now, &mut out, &mut line.heard);
                assert!(heard.is_err(), "{quirk:?} with {tolerated:?}");
                continue;
            }
            for (index, byte) in bytes.iter().enumerate() {
                let sent = line.send(Side::Server, &[*byte]).unwrap();
                let whole =
                    if index + 1 < bytes.len() { String::new() } else { to_hex(&frame(1, 255, "03 04 0005 0006")) };
                assert_eq!(sent, Sent { client: whole, ..Sent::default() }, "{quirk:?} at {index}");
            }
            let told = line.heard.0.last().unwrap();
            assert!(told.contains(&format!(", tolerated: {}", quirk.word())), "{told}");
            // What keeps to the specification passes as ever, and nothing is said of it.
            line.exchange(1, "06 0001 0002", "06 0001 0002");
            assert!(!line.heard.0.last().unwrap().contains("tolerated"));
        }
    }
}

#[test]
fn what_was_asked_is_what_is_answered_and_the_record_has_what_the_device_said() {
    let mut line = line(&[Tolerance::Unit, Tolerance::Transaction]);
    line.ask(7, 255, "03 0000 0001");
    assert_eq!(line.answer(9, 1, "83 02").client, to_hex(&frame(7, 255, "83 02")));
    assert_eq!(
        line.heard.0.last().unwrap(),
        "1 Response: read registers 0 unit 255, exception 2 (illegal data address), tolerated: unit and transaction \
         (answered as transaction 9 of unit 1)"
    );
}

#[test]
fn an_answer_that_could_be_to_two_requests_is_to_none() {
    let mut line = line(&[Tolerance::Unit]);
    line.ask(1, 1, "03 0000 0001");
    line.ask(1, 2, "03 0000 0001");
    malformed(&mut line, Side::Server, &frame(1, 3, "03 02 0005"));
    let mut other = self::line(&[Tolerance::Unit]);
    other.ask(1, 1, "03 0000 0001");
    malformed(&mut other, Side::Server, &frame(1, 3, "04 02 0005"));
}

#[test]
fn under_foreign_identifiers_one_request_is_under_way_at_a_time() {
    let mut line = line(&[Tolerance::Transaction]);
    let both = [frame(1, 1, "03 0000 0001"), frame(2, 1, "03 0005 0001")].concat();
    let mut out = Outbound::default();
    let taken = line.filter.receive(Side::Client, &both, line.now, &mut out, &mut line.heard).unwrap();
    assert_eq!((taken, to_hex(&out.to_server)), (12, to_hex(&both[..12])));
    assert_eq!(line.answer(40, 1, "03 02 0005").client, to_hex(&frame(1, 1, "03 02 0005")));
    line.ask(2, 1, "03 0005 0001");
    assert_eq!(line.answer(41, 1, "03 02 0006").client, to_hex(&frame(2, 1, "03 02 0006")));
    // A request that was given up may still be answered: from then on an answer has to say which it is to.
    line.ask(3, 1, "03 0000 0001");
    line.pass(ANSWER_PATIENCE);
    line.ask(4, 1, "03 0000 0001");
    assert_eq!(line.answer(4, 1, "03 02 0007").client, to_hex(&frame(4, 1, "03 02 0007")));
    line.ask(5, 1, "03 0000 0001");
    malformed(&mut line, Side::Server, &frame(42, 1, "03 02 0005"));
}

#[test]
fn what_is_too_much_is_dropped_and_what_is_too_little_is_refused() {
    let mut line = line(&[Tolerance::Surplus]);
    line.ask(1, 1, "06 0001 0002");
    assert_eq!(line.answer(1, 1, "06 0001 0002 a1b2").client, to_hex(&frame(1, 1, "06 0001 0002")));
    line.ask(1, 1, "01 0000 0009");
    assert_eq!(line.answer(1, 1, "01 03 ff ff ff").client, to_hex(&frame(1, 1, "01 02 ff 01")));
    line.ask(1, 1, "17 0000 0001 0010 0001 02 0001");
    assert_eq!(line.answer(1, 1, "17 04 0005 0006").client, to_hex(&frame(1, 1, "17 02 0005")));
    line.ask(1, 1, "03 0000 0002");
    malformed(&mut line, Side::Server, &frame(1, 1, "03 02 0005"));
    let mut other = self::line(&[Tolerance::Surplus]);
    other.ask(1, 1, "06 0001 0002");
    malformed(&mut other, Side::Server, &frame(1, 1, "06 0001 0003 a1b2"));
}

#[test]
fn a_frame_longer_than_any_may_be_is_none_whatever_is_tolerated() {
    let mut line = line(&[Tolerance::Length]);
    line.ask(1, 1, "03 0000 0001");
    malformed(&mut line, Side::Server, &lying(1, 1, "03 ff", 5));
    let mut other = self::line(&[Tolerance::Length]);
    other.ask(1, 1, "03 0000 0001");
    malformed(&mut other, Side::Server, &hex("0001 0001 0005 01 03 02 0005"));
}

/// What judges by the last value believes no answer that had to be put right.
#[test]
fn no_last_value_is_known_from_what_was_put_right() {
    let limits = Limits { max_step: Some(5.0), bits: Some(0xFF), ..Limits::default() };
    let points = vec![Points::range(Table::Registers, 0, 1)];
    let write = Rule { name: "w".into(), kinds: vec![Kind::Write], points, limits: Some(limits), ..Rule::default() };
    let read = Rule { name: "r".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let rules = Rules::new("test", Mode::Enforce, vec![read, write], Vec::new());
    for (quirk, bytes) in quirks() {
        let mut line = Line::new(rules.clone().on(device(&[quirk])));
        line.exchange(255, "03 0000 0002", "03 04 0005 0006");
        assert_eq!(line.denial(255, "06 0000 0006"), None, "{quirk:?}: what is known is judged");
        line.answer(9, 255, "06 0000 0006");
        line.ask(1, 255, "03 0000 0002");
        line.send(Side::Server, &bytes).unwrap();
        assert_eq!(line.denial(255, "06 0000 0006"), Some(3), "{quirk:?}");
        line.exchange(255, "03 0000 0002", "03 04 0005 0006");
        assert_eq!(line.denial(255, "06 0000 0006"), None, "{quirk:?}: and known again");
    }
}

/// What a quirky device says to a request that it got.
fn quirky(request: &[u8], quirk: Option<Tolerance>, number: u16) -> Vec<u8> {
    let adu = Adu::decode(request).unwrap();
    let pdu = response(&to_hex(adu.pdu));
    let code = hex(&pdu)[0];
    match quirk {
        Some(Tolerance::Unit) => frame(adu.transaction, adu.unit.wrapping_add(1), &pdu),
        Some(Tolerance::Transaction) => frame(adu.transaction.wrapping_add(number).wrapping_add(1000), adu.unit, &pdu),
        Some(Tolerance::Length) if matches!(code, 1..=6 | 15 | 16 | 22 | 23) => {
            lying(adu.transaction, adu.unit, &pdu, number % 300)
        }
        // A frame that is as long as it may be has no room for more.
        Some(Tolerance::Surplus) if matches!(code, 1..=6 | 15 | 16 | 22 | 23) && hex(&pdu).len() <= 250 => {
            frame(adu.transaction, adu.unit, &format!("{pdu}{}", "5a".repeat(usize::from(number % 3 + 1))))
        }
        Some(_) | None => frame(adu.transaction, adu.unit, &pdu),
    }
}

fn tolerance() -> impl Strategy<Value = Tolerance> {
    select(&Tolerance::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever a device may do otherwise, its client gets the answer to what it asked, as itself would have it.
    #[test]
    fn a_client_gets_the_answers_to_its_own_requests(
        asks in vec((1_u8..4, request(), any::<bool>(), any::<u16>()), 1..30),
        tolerated in tolerance(),
    ) {
        let mut line = line(&[tolerated]);
        for (index, (unit, request, departs, number)) in asks.iter().enumerate() {
            let transaction = index as u16;
            let asked = frame(transaction, *unit, request);
            let sent = line.send(Side::Client, &asked).unwrap();
            if sent.server.is_empty() {
                continue;
            }
            let answer = quirky(&hex(&sent.server), departs.then_some(tolerated), *number);
            let told = line.send(Side::Server, &answer);
            let told = told.map_err(|malformed| TestCaseError::fail(format!("{tolerated:?} {request}: {malformed}")))?;
            let expected = Adu::decode(&hex(&told.client)).map(|adu| (adu.transaction, adu.unit)).unwrap();
            prop_assert_eq!(expected, (transaction, *unit));
            // Bits behind the last are cleared.
            if !matches!(hex(request)[0], 1 | 2) {
                prop_assert_eq!(told.client, to_hex(&frame(transaction, *unit, &response(request))));
            }
        }
    }

    /// No rule that asks for no last value says anything else because of what is tolerated, whatever the device says.
    #[test]
    fn no_request_passes_because_of_a_tolerance(
        rules in rules(),
        asks in vec((0_u8..3, request(), any::<Option<u8>>(), any::<u16>()), 1..30),
        tolerated in vec(tolerance(), 0..3),
    ) {
        let stateless = |rule: Rule| {
            let limits = rule.limits.map(|limits| Limits { max_step: None, bits: None, ..limits });
            Rule { limits, per_minute: None, ..rule }
        };
        let rules: Vec<Rule> = rules.into_iter().map(stateless).collect();
        let profile = Rules::new("profile", Mode::Enforce, rules, Vec::new());
        let tolerances: Tolerances = tolerated.iter().copied().collect();
        let mut line = Line::new(profile.clone().on(Device { tolerances, takes_rtu: false }));
        for (index, (unit, request, quirk, number)) in asks.iter().enumerate() {
            let pdu = hex(request);
            let decoded = Request::decode(&pdu).unwrap();
            if pdu[0] == 22 {
                // Judged by the last value in any case.
                continue;
            }
            let Ok(sent) = line.send(Side::Client, &frame(index as u16, *unit, request)) else { break };
            let alone = profile.judge(*unit, &decoded, &|_, _| None, line.now.unix_ms);
            prop_assert_eq!(!sent.server.is_empty(), alone.passes(), "{}", request);
            if sent.server.is_empty() {
                continue;
            }
            let quirk = quirk.map(|quirk| Tolerance::ALL[usize::from(quirk % 4)]);
            let answer = quirky(&hex(&sent.server), quirk, *number);
            let Ok(answered) = line.send(Side::Server, &answer) else { break };
            // More is waited for.
            if answered.client.is_empty() {
                break;
            }
        }
    }
}
