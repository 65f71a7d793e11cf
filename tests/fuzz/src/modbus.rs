//! The laws of the filter for Modbus.

use std::sync::Arc;

use sallyport_protocol_filter::modbus::{
    Adu, Device, Filter, Limits, Mode, Operation, Points, Request, Response, Rule, Rules, Table, Tag, Tolerance,
    ValueType, WordOrder, parse_operation,
};
use sallyport_protocol_filter::{Journal, Kind, Phase};

use super::line::{Line, Seen};
use super::script::{Cut, Event, Script};

/// A connection, played whole, byte by byte, and cut anyhow; and its bytes as what a person types.
pub fn hold(bytes: &[u8]) {
    let script = Script::read(bytes);
    let whole = watch(&script, Cut::Whole);
    for cut in [Cut::Single, Cut::Mixed(script.cut.into())] {
        assert_eq!(watch(&script, cut), whole, "it matters how the streams are cut");
    }
    for pdu in bytes.chunks(32) {
        encoded_is_what_was_decoded(pdu);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        what_is_typed_is_a_request_or_an_error(text);
    }
}

/// Everything that can be seen of the connection.
fn watch(script: &Script<'_>, cut: Cut) -> (Seen, Vec<String>) {
    let filter = Filter::new(Arc::new(profile(script.rules)));
    let mut line = Line::new(filter, Notes::new(script.rules), cut);
    for event in &script.events {
        let rules = |number| Arc::new(profile(number));
        line.play(event, rules, |line| line.journal.compare(&line.sent.to_server, &line.sent.to_client));
        if let Event::Rules(number) = event {
            line.journal.rules = *number;
        }
    }
    assert!(line.sent.to_server.len() <= line.taken[0], "more goes to the asset than the client sent");
    let seen = line.seen();
    if line.malformed.is_some() {
        line.is_over();
    }
    (seen, line.journal.lines)
}

/// What was noted, and what has to come of it.
struct Notes {
    rules: u8,
    lines: Vec<String>,
    /// What passed, written by this module.
    passed: Vec<u8>,
    /// How much was compared of what went to the asset, to the client.
    compared: [usize; 2],
    /// Requests that no frame to the client has answered.
    open: Vec<Asked>,
}

struct Asked {
    number: u64,
    transaction: u16,
    unit: u8,
    code: u8,
    passed: bool,
    /// The answer was noted.
    answered: bool,
}

impl Journal<Filter> for Notes {
    fn note(&mut self, operation: &Operation<'_>) {
        let Operation { number, phase, transaction, unit, request, answer, verdict, .. } = *operation;
        self.lines.push(format!("{number} {phase:?} {transaction}: {operation}"));
        let code = request.function().code;
        match (phase, answer) {
            (Phase::Response, Some(answer)) => {
                let asked = self.open.iter_mut().find(|asked| asked.number == number).expect("nobody asked");
                assert!(asked.passed && !asked.answered, "an answer to what was denied or answered already");
                assert_eq!((asked.transaction, asked.unit, asked.code), (transaction, unit, code));
                asked.answered = true;
                no_more_than_was_asked(&request, &answer);
            }
            (Phase::Request, None) => {
                let passed = verdict.passes();
                if passed {
                    let mut pdu = Vec::new();
                    request.encode(&mut pdu);
                    self.passed.extend_from_slice(&frame(transaction, unit, &pdu));
                }
                self.open.push(Asked { number, transaction, unit, code, passed, answered: false });
            }
            (phase, answer) => panic!("{phase:?} with {answer:?}"),
        }
    }
}

impl Notes {
    fn new(rules: u8) -> Self {
        Self { rules, lines: Vec::new(), passed: Vec::new(), compared: [0; 2], open: Vec::new() }
    }

    /// What went out is what was noted, and never what the rules cannot allow.
    fn compare(&mut self, to_server: &[u8], to_client: &[u8]) {
        let new = &to_server[self.compared[0]..];
        assert_eq!(new, &self.passed[self.compared[0]..], "what goes to the asset is not what was passed");
        for (unit, pdu) in frames(new) {
            assert!(may_pass(self.rules, unit, pdu), "profile {}: {pdu:02x?} to unit {unit}", self.rules);
        }
        for frame in cut(&to_client[self.compared[1]..]) {
            let adu = Adu::decode(frame).expect("a frame to the client");
            let answers = |asked: &Asked| {
                let same =
                    (asked.transaction, asked.unit, asked.code) == (adu.transaction, adu.unit, adu.pdu[0] & 0x7f);
                // What was denied is answered by an exception, what was passed by the asset's answer.
                same && if asked.passed { asked.answered } else { adu.pdu[0] & 0x80 != 0 }
            };
            let place = self.open.iter().position(answers).unwrap_or_else(|| panic!("nobody asked for {frame:02x?}"));
            self.open.remove(place);
        }
        self.compared = [to_server.len(), to_client.len()];
    }
}

/// The profiles of the scripts, on devices of every kind.
fn profile(number: u8) -> Rules {
    let kind = number / PROFILES;
    let tolerances =
        Tolerance::ALL.into_iter().zip(0_u8..).filter(|(_, bit)| kind >> bit & 1 == 1).map(|(each, _)| each);
    rules(number).on(Device { tolerances: tolerances.collect(), takes_rtu: kind & 16 != 0 })
}

fn rules(number: u8) -> Rules {
    let reads = || Rules::read_only().rules().to_vec();
    let writes = |name: &str, points, limits| Rule {
        name: name.to_owned(),
        kinds: vec![Kind::Write],
        points: vec![points],
        limits: Some(limits),
        ..Rule::default()
    };
    match number % PROFILES {
        1 => {
            let speed = Limits { min: Some(0.0), max: Some(1500.0), max_step: Some(50.0), ..Limits::default() };
            let units = [1].into_iter().collect();
            let rule = Rule { units, ..writes("speed", Points::range(Table::Registers, 100, 109), speed) };
            Rules::new("setpoints", Mode::Enforce, [reads(), vec![rule]].concat(), Vec::new())
        }
        2 => Rules::observe(),
        3 => Rules::full(),
        4 => {
            let level = Limits { min: Some(0.0), max: Some(80.0), max_step: Some(2.5), ..Limits::default() };
            let level = Rule { per_minute: Some(2), ..writes("level", Points::Tag(tag()), level) };
            let lamps = Limits { bits: Some(0x00ff), ..Limits::default() };
            let lamps =
                Rule { until: Some(1_020_000), ..writes("lamps", Points::range(Table::Registers, 7, 8), lamps) };
            let valve = Rule { from: Some(1_010_000), limits: None, ..writes("valve", coil(), Limits::default()) };
            Rules::new("dated", Mode::Enforce, [reads(), vec![level, lamps, valve]].concat(), vec![tag()])
        }
        5 => Rules::new("nothing", Mode::Enforce, Vec::new(), Vec::new()),
        _ => Rules::read_only(),
    }
}

const PROFILES: u8 = 6;

fn tag() -> Tag {
    Tag {
        name: "level".to_owned(),
        table: Table::Registers,
        address: 120,
        value_type: ValueType::F32,
        order: WordOrder::Little,
        bit: None,
        scale: 1.0,
        offset: 0.0,
        unit: "%".to_owned(),
    }
}

fn coil() -> Points {
    Points::range(Table::Coils, 3, 3)
}

/// Could the profile ever pass it? Read from the bytes, without the filter's help.
fn may_pass(rules: u8, unit: u8, pdu: &[u8]) -> bool {
    let word = |place: usize| pdu.get(place..place + 2).map_or(u16::MAX, |two| u16::from_be_bytes([two[0], two[1]]));
    let reads = matches!(pdu, [1..=4 | 7 | 11 | 12 | 17 | 20 | 24, ..] | [8, 0, 0 | 2 | 11..=18, ..] | [43, 14, ..]);
    // Where it writes, and what.
    let written = match pdu.first() {
        Some(6) => Some((word(1), &pdu[3..5])),
        Some(16) => Some((word(1), &pdu[6..])),
        Some(23) => Some((word(5), &pdu[10..])),
        Some(22) => Some((word(1), &[0, 0][..])),
        _ => None,
    };
    let within = |first: u16, last: u16, most: u16| {
        written.is_some_and(|(address, values)| {
            let end = usize::from(address) + values.len() / 2;
            let low_enough = values.chunks(2).all(|two| u16::from_be_bytes([two[0], two[1]]) <= most);
            address >= first && end <= usize::from(last) + 1 && low_enough
        })
    };
    match rules % PROFILES {
        2 | 3 => true,
        1 => unit != 0 && reads || unit == 1 && within(100, 109, 1500),
        4 => {
            // A tag is written whole or not at all.
            let level = written.is_some_and(|(_, values)| values.len() == 4) && within(120, 121, u16::MAX);
            let valve = pdu.starts_with(&[5, 0, 3]) || pdu.starts_with(&[15, 0, 3, 0, 1]);
            unit != 0 && (reads || level || valve || within(7, 8, u16::MAX))
        }
        5 => false,
        _ => unit != 0 && reads,
    }
}

/// Counted by the bytes that the client gets: a count, and as many bytes.
fn no_more_than_was_asked(request: &Request<'_>, answer: &Response<'_>) {
    let expected = match (*request, *answer) {
        (Request::Read { quantity, .. }, Response::Words { .. })
        | (Request::ReadWrite { read_quantity: quantity, .. }, Response::ReadWrite(_)) => 2 * usize::from(quantity),
        (Request::Read { quantity, .. }, Response::Bits { .. }) => usize::from(quantity).div_ceil(8),
        _ => return,
    };
    let mut pdu = Vec::new();
    answer.encode(&mut pdu);
    assert_eq!((usize::from(pdu[1]), pdu.len() - 2), (expected, expected), "{pdu:02x?} to {request:?}");
}

/// A frame is decoded and encoded to the same bytes, but for padding bits that mean nothing.
fn encoded_is_what_was_decoded(pdu: &[u8]) {
    let mut encoded = Vec::new();
    if let Ok(request) = Request::decode(pdu) {
        request.encode(&mut encoded);
        assert_eq!(Request::decode(&encoded), Ok(request));
        assert!(encoded == pdu || pdu[0] == 15 && encoded.len() == pdu.len(), "{pdu:02x?} {encoded:02x?}");
    }
    encoded.clear();
    if let Ok(response) = Response::decode(pdu) {
        response.encode(&mut encoded);
        assert_eq!(encoded, pdu);
    }
}

fn what_is_typed_is_a_request_or_an_error(text: &str) {
    match parse_operation(text, &[tag()]) {
        Ok(parsed) => {
            let mut pdu = Vec::new();
            parsed.request().encode(&mut pdu);
            assert_eq!(Request::decode(&pdu), Ok(parsed.request()), "{text:?}");
            let rules = profile(0);
            let reads = rules.judge(parsed.unit, &parsed.request(), &|_, _| None, 0);
            assert!(!reads.passes() || may_pass(0, parsed.unit, &pdu), "{text:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn frame(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).expect("a PDU is short");
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[unit], pdu].concat()
}

/// Whole frames, by their length fields.
fn cut(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = 6 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let (frame, rest) = bytes.split_at(length);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// Unit and PDU of each.
fn frames(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    cut(bytes).into_iter().map(|frame| (frame[6], &frame[7..])).collect()
}
