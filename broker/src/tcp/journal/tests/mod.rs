//! What is written down is what was always written down, and nothing is allocated for it.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod before;

use std::sync::Arc;

use proptest::prelude::*;
use sallyport_protocol_filter::modbus::{
    Filter, Limits, Operation, Rule, Rules, Table, TouchedTag, ValueType, WordOrder,
};
use sallyport_protocol_filter::rfb::{Counted, Encoding, Message, PixelFormat, Security, Version};
use sallyport_protocol_filter::{Cause, Kind, Mode, Now, Outbound, ProtocolFilter, Side, modbus, rdp, rfb};

use super::*;

/// Holds each entry against what it would have been before.
#[derive(Default)]
struct Compared {
    entries: Vec<String>,
    /// What a journal writes into.
    notes: Notes,
}

impl Compared {
    fn hold<F: ProtocolFilter>(&mut self, operation: &F::Operation<'_>, before: &impl Serialize)
    where
        Notes: Journal<F>,
    {
        self.notes.clear();
        Journal::<F>::note(&mut self.notes, operation);
        let written = self.notes.entries().next().unwrap();
        let written = std::str::from_utf8(written).unwrap();
        assert_eq!(written, serde_json::to_string(before).unwrap());
        self.entries.push(written.to_owned());
    }
}

impl Journal<Filter> for Compared {
    fn note(&mut self, operation: &Operation<'_>) {
        self.hold::<Filter>(operation, &before::ModbusEntry(operation));
    }
}

impl Journal<rdp::Filter> for Compared {
    fn note(&mut self, operation: &rdp::Operation<'_>) {
        self.hold::<rdp::Filter>(operation, &before::rdp(operation));
    }
}

impl Compared {
    fn rfb(&mut self, operation: &rfb::Operation<'_>) {
        self.hold::<rfb::Filter>(operation, &before::rfb(operation));
    }
}

fn tag(name: &str, address: u16, value_type: ValueType, scale: f64, unit: &str) -> modbus::Tag {
    let table = if value_type == ValueType::Bool { Table::Coils } else { Table::Registers };
    let (name, unit, order) = (name.to_owned(), unit.to_owned(), WordOrder::Big);
    modbus::Tag { name, table, address, value_type, order, bit: None, scale, offset: 0.0, unit }
}

/// Some writes pass, some are denied, for every cause that needs no clock.
fn rules(mode: Mode) -> Rules {
    let limits = Limits { min: Some(0.0), max: Some(30_000.0), ..Limits::default() };
    let everything = [Kind::Read, Kind::Diagnose, Kind::Program].to_vec();
    let rules = vec![
        Rule { name: "all \"reads\"".to_owned(), kinds: everything, ..Rule::default() },
        Rule {
            name: "writes".to_owned(),
            kinds: vec![Kind::Write],
            points: vec![
                modbus::Points::range(Table::Registers, 100, 120),
                modbus::Points::range(Table::Coils, 0, 200),
            ],
            limits: Some(limits),
            ..Rule::default()
        },
    ];
    let tags = vec![
        tag("valve", 3, ValueType::Bool, 1.0, ""),
        tag("level", 100, ValueType::U16, 0.1, "%"),
        tag("flow", 102, ValueType::F32, 1.0, "m³/h"),
        tag("tiny", 110, ValueType::I32, 0.000_012_34, ""),
        tag("wide", 112, ValueType::F64, 1.0, "\u{b0}C"),
    ];
    Rules::new("mixed", mode, rules, tags)
}

/// A request of most functions, well formed or nearly.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let words = |most| prop::collection::vec(any::<u16>(), 1..most);
    let bytes = |values: &[u16]| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>();
    let count = |values: &[u16]| u8::try_from(values.len()).unwrap();
    let pdu = move |function: u8, fields: &[u16]| [vec![function], bytes(fields)].concat();
    prop_oneof![
        3 => (1..=4_u8, 95..125_u16, 1..20_u16).prop_map(move |(function, at, many)| pdu(function, &[at, many])),
        1 => (0..6_u16, any::<bool>()).prop_map(move |(at, on)| pdu(5, &[at, if on { 0xff00 } else { 0 }])),
        2 => (98..123_u16, any::<u16>()).prop_map(move |(at, value)| pdu(6, &[at, value])),
        1 => (0..9_u16, any::<u8>()).prop_map(move |(at, bits)| [pdu(15, &[at, 8]), vec![1, bits]].concat()),
        2 => (98..123_u16, words(8)).prop_map(move |(at, values)| {
            [pdu(16, &[at, count(&values).into()]), vec![2 * count(&values)], bytes(&values)].concat()
        }),
        1 => (98..123_u16, any::<u16>(), any::<u16>()).prop_map(move |(at, and, or)| pdu(22, &[at, and, or])),
        2 => (98..123_u16, 1..9_u16, 98..123_u16, words(8)).prop_map(move |(read, many, at, values)| {
            let head = pdu(23, &[read, many, at, count(&values).into()]);
            [head, vec![2 * count(&values)], bytes(&values)].concat()
        }),
        1 => any::<u16>().prop_map(move |at| pdu(24, &[at])),
        1 => (0..22_u16, any::<u16>()).prop_map(move |(sub, data)| pdu(8, &[sub, data])),
        1 => (any::<u16>(), 0..9_u16).prop_map(|(record, many)| {
            let [[r1, r0], [m1, m0]] = [record.to_be_bytes(), many.to_be_bytes()];
            vec![20, 7, 6, 0, 4, r1, r0, m1, m0]
        }),
        1 => (40..=127_u8, prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(function, data)| [vec![function], data].concat()),
        1 => prop::sample::select(vec![vec![7], vec![11], vec![12], vec![17], vec![43, 14, 1, 0]]),
    ]
}

/// What a device answers: what fits, or an exception.
fn answer(asked: &[u8], noise: &[u8; 256], exception: bool) -> Vec<u8> {
    let function = asked[0];
    let word = |at: usize| usize::from(u16::from_be_bytes([asked[at], asked[at + 1]]));
    let read = |length: usize| [vec![function, u8::try_from(length).unwrap()], noise[..length].to_vec()].concat();
    match function {
        _ if exception => vec![function | 0x80, 2],
        1 | 2 => read(word(3).div_ceil(8)),
        3 | 4 | 23 => read(2 * word(3)),
        15 | 16 => asked[..5].to_vec(),
        5 | 6 | 8 | 22 => asked.to_vec(),
        _ => vec![function | 0x80, 1],
    }
}

fn adu(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap();
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[1], pdu].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_operation_of_modbus_is_written_as_before(
        observe in any::<bool>(),
        exchanges in prop::collection::vec((request(), any::<[u8; 256]>(), prop::bool::weighted(0.1)), 1..20),
    ) {
        let mode = if observe { Mode::Observe } else { Mode::Enforce };
        let (mut filter, mut out) = (Filter::new(Arc::new(rules(mode))), Outbound::default());
        let mut compared = Compared::default();
        for (number, (asked, noise, exception)) in exchanges.iter().enumerate() {
            let now = Now { unix_ms: 0, monotonic_ms: number as u64 };
            let asking = adu(u16::try_from(number).unwrap(), asked);
            // What is malformed ends the connection; until then everything was noted.
            if filter.receive(Side::Client, &asking, now, &mut out, &mut compared).is_err() {
                break;
            }
            if !out.to_server.is_empty() {
                let answering = adu(u16::try_from(number).unwrap(), &answer(asked, noise, *exception));
                if filter.receive(Side::Server, &answering, now, &mut out, &mut compared).is_err() {
                    break;
                }
            }
            out.to_server.clear();
        }
    }

    #[test]
    fn a_message_of_vnc_is_written_as_before(
        text in prop::collection::vec(any::<u8>(), 0..40),
        (a, b, c) in any::<(u16, u16, u32)>(),
        long in any::<u64>(),
        flag in any::<bool>(),
        word in "\\PC{0,20}",
    ) {
        let format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
        let format = PixelFormat::decode(&format).unwrap();
        let [low, high] = a.to_be_bytes();
        let messages = [
            Message::Version { named: (a, b), used: Version::V3_7 },
            Message::SecurityTypes { offered: &text, kept: &text[..text.len() / 2] },
            Message::SecurityChoice(Security::VncAuthentication),
            Message::LetIn,
            Message::Refused { reason: &text },
            Message::ClientInit { shared: flag, used: !flag },
            Message::ServerInit { width: a, height: b, format, name: &text },
            Message::SetPixelFormat(format),
            Message::SetEncodings { kept: &Encoding::ALL, left_out: a, first_left_out: &[] },
            Message::Key { down: flag, keysym: c },
            Message::Buttons { before: low, after: high, x: a, y: b },
            Message::CutText { length: c },
            Message::DesktopSize { width: a, height: b },
            Message::DesktopName(&text),
            Message::Released { keys: low, buttons: high },
            Message::Counted { what: Counted::PointerMoves, count: long },
        ];
        let verdicts = [
            Verdict::Pass { rule: &word },
            Verdict::WouldDeny { rule: &word, cause: Cause::Window },
            Verdict::Deny { rule: &word, cause: Cause::Function },
        ];
        let mut compared = Compared::default();
        for message in messages {
            for verdict in verdicts {
                let (side, kind, phase) = (Side::Server, Kind::Control, Phase::Notice);
                compared.rfb(&rfb::Operation { side, kind, phase, message, verdict });
            }
        }
    }

    #[test]
    fn a_negotiation_of_rdp_is_written_as_before(
        user in prop::collection::vec(0x20..0x7f_u8, 0..30),
        asks in 0..32_u32,
        correlated in any::<bool>(),
        answer in prop::sample::select(vec![[2, 0, 1], [2, 1, 2], [3, 0, 5], [3, 0, 9]]),
    ) {
        let cookie = [&b"Cookie: mstshash="[..], &user, b"\r\n"].concat();
        let negotiation = [&[1, if correlated { 8 } else { 0 }, 8, 0][..], &asks.to_le_bytes()].concat();
        let correlation = [vec![6, 0, 36, 0], vec![0x5a; 16], vec![0; 16]].concat();
        let data = [cookie, negotiation, if correlated { correlation } else { Vec::new() }].concat();
        let (mut compared, mut out) = (Compared::default(), Outbound::default());
        let rules = rdp::Rules { require: rdp::Require::Any, mode: Mode::Enforce };
        let (mut filter, now) = (rdp::Filter::new(rules), Now { unix_ms: 0, monotonic_ms: 0 });
        if filter.receive(Side::Client, &tpkt(0xe0, [0; 2], &data), now, &mut out, &mut compared).is_ok() {
            let [kind, flags, says] = answer;
            let confirm = tpkt(0xd0, [0; 2], &[kind, flags, 8, 0, says, 0, 0, 0]);
            drop(filter.receive(Side::Server, &confirm, now, &mut out, &mut compared));
        }
    }
}

fn tpkt(code: u8, to: [u8; 2], data: &[u8]) -> Vec<u8> {
    let x224 = [&[u8::try_from(6 + data.len()).unwrap(), code][..], &to, &[0, 0, 0], data].concat();
    let length = u16::try_from(4 + x224.len()).unwrap();
    [&[3, 0][..], &length.to_be_bytes(), &x224].concat()
}

/// 639 tenths are 63.9, not 63.900000000000006; and a value that needs its digits keeps them.
#[test]
fn the_value_of_a_tag_is_recorded_as_people_write_it() {
    let tenths = tag("level", 0, ValueType::U16, 0.1, "%");
    let fine = modbus::Tag { scale: 0.000_012_34, ..tenths.clone() };
    let single = modbus::Tag { value_type: ValueType::F32, scale: 1.0, ..tenths.clone() };
    let recorded = |tag: &modbus::Tag, registers: [u16; 4]| {
        let value = tag.value(registers);
        let touched = TouchedTag { tag, kind: Kind::Write, value, old: value };
        let entry = serde_json::to_value(super::modbus::Tag::of(&touched)).unwrap();
        ["value", "old"].map(|field| entry[field].to_string())
    };
    assert_eq!(recorded(&tenths, [639, 0, 0, 0]), ["63.9"; 2]);
    assert_eq!(recorded(&fine, [1, 0, 0, 0]), ["0.00001234"; 2]);
    let [high, low] =
        [(63.9_f32.to_bits() >> 16), 63.9_f32.to_bits() & 0xffff].map(|word| u16::try_from(word).unwrap());
    assert_eq!(recorded(&single, [high, low, 0, 0]), ["63.9"; 2]);
}

/// Reads and writes with tags, over and over: the buffer that the entries go to is all that is needed.
#[test]
fn an_entry_allocates_nothing() {
    let mut filter = Filter::new(Arc::new(rules(Mode::Enforce)));
    let (mut out, mut notes, mut clock) = (Outbound::default(), Notes::default(), 0);
    let exchanges = [
        (adu(1, &[3, 0, 100, 0, 4]), adu(1, &[3, 8, 2, 127, 0, 0, 66, 127, 153, 154])),
        (adu(2, &[6, 0, 100, 1, 1]), adu(2, &[6, 0, 100, 1, 1])),
    ];
    let mut exchange = || {
        for (asked, answered) in &exchanges {
            for (side, bytes) in [(Side::Client, asked), (Side::Server, answered)] {
                clock += 1;
                let now = Now { unix_ms: 0, monotonic_ms: clock };
                filter.receive(side, bytes, now, &mut out, &mut notes).unwrap();
                assert_eq!(notes.entries().filter(|entry| entry.ends_with(b"}")).count(), 1);
                notes.clear();
                out.to_client.clear();
                out.to_server.clear();
            }
        }
    };
    (0..1_000).for_each(|_| exchange());
    let info = allocation_counter::measure(|| (0..100).for_each(|_| exchange()));
    assert_eq!((info.count_total, info.bytes_max), (0, 0));
}
