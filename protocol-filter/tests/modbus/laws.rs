//! What holds for every stream and every set of rules.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sallyport_protocol_filter::modbus::{
    Adu, Function, Limits, Mode, PROTOCOL, Points, Request, Response, Rule, Rules, Seen, Table, Units,
};
use sallyport_protocol_filter::{Cause, Kind, Outbound, ProtocolFilter, Side, Verdict};

use crate::plant::{Line, frame, hex, to_hex};
use crate::vectors::EXCHANGES;

/// A small world, so that rules and requests meet often.
pub(crate) fn request() -> impl Strategy<Value = String> {
    let address = 0_u16..12;
    prop_oneof![
        4 => select(EXCHANGES).prop_map(|exchange| exchange.2.to_owned()),
        4 => (1_u8..=4, address.clone(), 1_u16..6).prop_map(|(code, at, count)| format!("{code:02x}{at:04x}{count:04x}")),
        4 => (address.clone(), 0_u16..20).prop_map(|(at, value)| format!("06{at:04x}{value:04x}")),
        2 => (address.clone(), any::<bool>()).prop_map(|(at, on)| format!("05{at:04x}{}", if on { "ff00" } else { "0000" })),
        4 => (address.clone(), vec(0_u16..20, 1..5)).prop_map(|(at, values)| {
            format!("10{at:04x}{:04x}{:02x}{}", values.len(), 2 * values.len(), words(&values))
        }),
        2 => (address.clone(), 1_u16..4, address.clone(), vec(0_u16..20, 1..4)).prop_map(|(from, count, at, values)| {
            format!("17{from:04x}{count:04x}{at:04x}{:04x}{:02x}{}", values.len(), 2 * values.len(), words(&values))
        }),
        2 => (address, any::<u16>(), any::<u16>()).prop_map(|(at, and, or)| format!("16{at:04x}{and:04x}{or:04x}")),
        1 => Just("03000000ff".to_owned()),
        1 => Just("03ffff0002".to_owned()),
    ]
}

fn words(values: &[u16]) -> String {
    values.iter().map(|value| format!("{value:04x}")).collect()
}

/// What a device would say. Reads give the address as value.
pub(crate) fn response(request: &str) -> String {
    let pdu = hex(request);
    let word = |at: usize| u16::from_be_bytes([pdu[at], pdu[at + 1]]);
    if let Some(exchange) = EXCHANGES.iter().find(|exchange| hex(exchange.2) == pdu) {
        return exchange.3.replace(' ', "");
    }
    match pdu[0] {
        1 | 2 => format!("{:02x}{:02x}{}", pdu[0], word(3).div_ceil(8), "a5".repeat(word(3).div_ceil(8).into())),
        3 | 4 | 23 => {
            let values: Vec<u16> = (0..word(3)).map(|index| word(1).wrapping_add(index) % 20).collect();
            format!("{:02x}{:02x}{}", pdu[0], 2 * values.len(), words(&values))
        }
        5 | 6 | 22 => request.replace(' ', ""),
        15 | 16 => to_hex(&pdu[..5]),
        code => panic!("no answer to function {code}"),
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let some = |range: std::ops::Range<u16>| proptest::option::weighted(0.4, range.prop_map(f64::from));
    let allowed = prop_oneof![3 => Just(Vec::new()), 1 => vec((0_u16..20).prop_map(f64::from), 1..4)];
    let bits = proptest::option::weighted(0.2, any::<u16>().prop_map(u64::from));
    (some(0..5), some(10..20), allowed, some(0..10), bits).prop_map(|(min, max, allowed, max_step, bits)| Limits {
        min,
        max,
        allowed,
        max_step,
        bits,
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let kinds = prop_oneof![1 => Just(Vec::new()), 6 => vec(select(&Kind::RULED[..]), 1..3)];
    let codes = prop_oneof![3 => Just(Vec::new()), 1 => vec(select(&[3_u8, 6, 16, 22, 23, 90, 8, 43][..]), 1..4)];
    let units = prop_oneof![2 => Just(Units::default()), 1 => vec(0_u8..3, 1..3).prop_map(Units::from_iter)];
    let span = (select(&Table::ALL[..]), 0_u16..12, 0_u16..6).prop_map(|(t, at, more)| Points::range(t, at, at + more));
    let points = prop_oneof![1 => Just(Vec::new()), 2 => vec(span, 1..4)];
    let limits = proptest::option::weighted(0.5, limits());
    let time = || proptest::option::weighted(0.2, 999_990_i64..1_000_010);
    let rate = proptest::option::weighted(0.2, 0_u32..4);
    (0..1000, kinds, codes, units, points, limits, rate, time(), time()).prop_map(
        |(name, kinds, codes, units, points, limits, per_minute, from, until)| Rule {
            name: format!("rule {name}"),
            kinds,
            functions: codes.into_iter().map(Function::new).collect(),
            units,
            points,
            limits,
            per_minute,
            from,
            until,
        },
    )
}

pub(crate) fn rules() -> impl Strategy<Value = Vec<Rule>> {
    vec(rule(), 0..6).prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("{} {index}", rule.name);
        }
        rules
    })
}

fn profile(rules: Vec<Rule>) -> Rules {
    Rules::new("profile", Mode::Enforce, rules, Vec::new())
}

/// What happens on a connection, one thing after the other.
#[derive(Debug, Clone)]
enum Event {
    Ask { unit: u8, transaction: u16, request: String },
    Answer { which: Index, refuse: bool },
    Later(u64),
    Bytes(Side, Vec<u8>),
}

fn event() -> impl Strategy<Value = Event> {
    let ask = (0_u8..3, 0_u16..4, request());
    prop_oneof![
        10 => ask.prop_map(|(unit, transaction, request)| Event::Ask { unit, transaction, request }),
        8 => (any::<Index>(), proptest::bool::weighted(0.2)).prop_map(|(which, refuse)| Event::Answer { which, refuse }),
        2 => (0_u64..30_000).prop_map(Event::Later),
    ]
}

fn garbage() -> impl Strategy<Value = Event> {
    let side = select(&[Side::Client, Side::Server][..]);
    (side, vec(any::<u8>(), 1..40)).prop_map(|(side, bytes)| Event::Bytes(side, bytes))
}

/// A stretch of one side's bytes, or time.
#[derive(Debug, Clone)]
enum Run {
    Bytes(Side, Vec<u8>),
    Later(u64),
}

/// Plays events on a line as a device would: it answers what it gets, now or later, in any order. Gives what was sent.
fn play(line: &mut Line, events: &[Event]) -> Vec<Run> {
    let (mut runs, mut asked): (Vec<Run>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for event in events {
        let (side, bytes) = match event {
            Event::Ask { unit, transaction, request } => (Side::Client, frame(*transaction, *unit, request)),
            Event::Answer { .. } if asked.is_empty() => continue,
            Event::Answer { which, refuse } => {
                let request = asked.remove(which.index(asked.len()));
                let adu = Adu::decode(&request).unwrap();
                let pdu = if *refuse { format!("{:02x}0b", adu.pdu[0] | 0x80) } else { response(&to_hex(adu.pdu)) };
                (Side::Server, frame(adu.transaction, adu.unit, &pdu))
            }
            Event::Later(milliseconds) => {
                line.pass(*milliseconds);
                runs.push(Run::Later(*milliseconds));
                continue;
            }
            Event::Bytes(side, bytes) => (*side, bytes.clone()),
        };
        runs.push(Run::Bytes(side, bytes.clone()));
        let mut out = Outbound::default();
        let taken = line.filter.receive(side, &bytes, line.now, &mut out, &mut line.heard);
        let mut sent = out.to_server.as_slice();
        while !sent.is_empty() {
            let length = 6 + usize::from(sent[5]);
            asked.push(sent[..length].to_vec());
            sent = &sent[length..];
        }
        if taken.is_err() || taken.is_ok_and(|taken| taken < bytes.len()) {
            break;
        }
    }
    runs
}

/// Everything that can be seen from outside of a connection on which these runs came, cut in pieces.
fn watch(rules: &Rules, runs: &[Run], cuts: &[usize]) -> String {
    let mut line = Line::new(rules.clone());
    let mut cuts = cuts.iter().cycle();
    let mut seen = Vec::new();
    for run in runs {
        let (side, mut bytes) = match run {
            Run::Bytes(side, bytes) => (*side, bytes.as_slice()),
            Run::Later(milliseconds) => {
                seen.push(format!("{:?}", line.pass(*milliseconds)));
                continue;
            }
        };
        let mut out = Outbound::default();
        while !bytes.is_empty() {
            let cut = (*cuts.next().unwrap()).clamp(1, bytes.len());
            match line.filter.receive(side, &bytes[..cut], line.now, &mut out, &mut line.heard) {
                Ok(0) => break,
                Ok(taken) => bytes = &bytes[taken..],
                Err(malformed) => {
                    seen.push(format!("{} {}", malformed.side, malformed.reason));
                    bytes = &[];
                }
            }
        }
        seen.push(format!("{} {} {}", to_hex(&out.to_client), to_hex(&out.to_server), bytes.len()));
    }
    format!("{}\n{}", seen.join("\n"), line.heard.0.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Verdicts and output do not depend on how the stream is cut.
    #[test]
    fn every_chunking_gives_the_same(
        rules in rules(), mode in select(&[Mode::Enforce, Mode::Observe][..]),
        mut events in vec(event(), 1..60), wild in proptest::option::weighted(0.3, garbage()), cuts in vec(1_usize..30, 1..20),
    ) {
        events.extend(wild);
        let rules = Rules::new("profile", mode, rules, Vec::new());
        let runs = play(&mut Line::new(rules.clone()), &events);
        let whole = watch(&rules, &runs, &[usize::MAX]);
        prop_assert_eq!(watch(&rules, &runs, &cuts), whole.clone());
        prop_assert_eq!(watch(&rules, &runs, &[1]), whole);
    }

    /// A frame that is legal comes out as it came in; what is not byte-identical differs only in bits that mean nothing.
    #[test]
    fn what_is_decoded_is_encoded_to_the_same(
        exchange in select(EXCHANGES), changes in vec((any::<Index>(), any::<u8>()), 0..4), noise in vec(any::<u8>(), 1..253),
    ) {
        for bytes in [hex(exchange.2), hex(exchange.3), noise] {
            let mut pdu = bytes;
            for (at, value) in &changes {
                *at.get_mut(&mut pdu) = *value;
            }
            let mut encoded = Vec::new();
            if let Ok(request) = Request::decode(&pdu) {
                request.encode(&mut encoded);
                prop_assert_eq!(Request::decode(&encoded), Ok(request));
                prop_assert!(encoded == pdu || (pdu[0] == 15 && encoded.len() == pdu.len()));
            }
            encoded.clear();
            if let Ok(response) = Response::decode(&pdu) {
                response.encode(&mut encoded);
                prop_assert_eq!(to_hex(&encoded), to_hex(&pdu));
            }
        }
    }

    /// Whatever comes, the filter stands, and sends no more than it heard and the denials of that.
    #[test]
    fn any_bytes_are_survived(
        rules in rules(), pieces in vec((select(&[Side::Client, Side::Server][..]), vec(any::<u8>(), 0..300), any::<bool>()), 1..20),
    ) {
        let mut line = Line::new(profile(rules));
        for (side, mut bytes, framed) in pieces {
            if framed {
                let length = (bytes.len() as u16).clamp(1, 253) + 1;
                bytes.splice(0..0, [&[0, 0, 0, 0][..], &length.to_be_bytes(), &[1]].concat());
            }
            let mut out = Outbound::default();
            match line.filter.receive(side, &bytes, line.now, &mut out, &mut line.heard) {
                Ok(taken) => prop_assert!(taken <= bytes.len()),
                Err(malformed) => prop_assert!(malformed.bytes.len() <= 64),
            }
            prop_assert!(out.to_server.len() <= bytes.len() + 260 && out.to_client.len() <= bytes.len() + 64 * 9 + 260);
        }
    }

    /// The order of rules is irrelevant: to verdicts, to what goes out, and to the rule that is named.
    #[test]
    fn order_of_rules_is_irrelevant(
        (rules, shuffled) in rules().prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        events in vec(event(), 1..60),
    ) {
        let (rules, shuffled) = (profile(rules), profile(shuffled));
        let runs = play(&mut Line::new(rules.clone()), &events);
        prop_assert_eq!(watch(&shuffled, &runs, &[usize::MAX]), watch(&rules, &runs, &[usize::MAX]));
    }

    /// After the same history, fewer rules never pass more.
    #[test]
    fn removing_a_rule_never_permits_more(
        rules in rules(), without in any::<Index>(), events in vec(event(), 0..40), unit in 0_u8..3, request in request(),
    ) {
        prop_assume!(!rules.is_empty());
        let mut fewer = rules.clone();
        fewer.remove(without.index(fewer.len()));
        let passes = |then: &[Rule]| {
            let mut line = Line::new(profile(rules.clone()));
            play(&mut line, &events);
            line.filter.replace_rules(Arc::new(profile(then.to_vec())));
            let mut out = Outbound::default();
            let taken = line.filter.receive(Side::Client, &frame(9, unit, &request), line.now, &mut out, &mut line.heard);
            taken.is_ok() && !out.to_server.is_empty()
        };
        prop_assert!(passes(&rules) || !passes(&fewer));
    }

    /// Observing passes what enforcing denies, and says so; but not what the protocol itself forbids.
    #[test]
    fn observing_says_what_enforcing_does(
        rules in rules(), unit in 0_u8..3, request in request(), last in proptest::option::of(0_u16..20),
    ) {
        let pdu = hex(&request);
        let request = Request::decode(&pdu).unwrap();
        let judge = |mode| {
            let rules = Rules::new("profile", mode, rules.clone(), Vec::new());
            match rules.judge(unit, &request, &|_, _| last, 1_000_000) {
                Verdict::Pass { rule } => ("pass", rule.to_owned(), None),
                Verdict::WouldDeny { rule, cause } => ("would-deny", rule.to_owned(), Some(cause)),
                Verdict::Deny { rule, cause } => ("deny", rule.to_owned(), Some(cause)),
            }
        };
        let (enforced, observed) = (judge(Mode::Enforce), judge(Mode::Observe));
        let expected = match enforced.0 {
            "deny" if request.fault().is_none() => ("would-deny", enforced.1, enforced.2),
            // Who may not use the function at all is told no more than that.
            "deny" if enforced.2 == Some(Cause::Function) => {
                prop_assert_eq!((observed.0, &*observed.1), ("deny", PROTOCOL));
                observed.clone()
            }
            _ => enforced,
        };
        prop_assert_eq!(observed, expected);
    }

    /// A request passes exactly if each of its points would by itself.
    #[test]
    fn many_points_pass_if_each_does(
        rules in rules(), unit in 0_u8..3, at in 0_u16..12, values in vec(0_u16..20, 1..9), last in proptest::option::of(0_u16..20),
    ) {
        let mut rules = rules;
        for rule in rules.iter_mut().filter(|rule| !rule.functions.is_empty()) {
            rule.functions = [3, 6, 16].map(Function::new).into_iter().collect();
        }
        let rules = profile(rules);
        let passes = |pdu: &str| {
            let pdu = hex(pdu);
            rules.judge(unit, &Request::decode(&pdu).unwrap(), &|_, _| last, 1_000_000).passes()
        };
        let many = format!("10{at:04x}{:04x}{:02x}{}", values.len(), 2 * values.len(), words(&values));
        let each = (at..).zip(&values).all(|(at, value)| passes(&format!("06{at:04x}{value:04x}")));
        prop_assert_eq!(passes(&many), each);
        let each = (at..).zip(&values).all(|(at, _)| passes(&format!("03{at:04x}0001")));
        prop_assert_eq!(passes(&format!("03{at:04x}{:04x}", values.len())), each);
    }

    /// What was learned passes everything that was seen.
    #[test]
    fn what_was_learned_passes_what_was_seen(requests in vec((0_u8..3, request()), 1..40)) {
        let mut seen = Seen::new(Vec::new());
        let pdus: Vec<(u8, Vec<u8>)> = requests.iter().map(|(unit, request)| (*unit, hex(request))).collect();
        for (unit, pdu) in &pdus {
            seen.see(*unit, &Request::decode(pdu).unwrap(), &|_, _| None, 0);
        }
        prop_assert_eq!((seen.operations() <= pdus.len() as u64, seen.left_out()), (true, 0));
        let learned = profile(seen.learned().iter().map(|line| line.rule("learned")).collect());
        for (unit, pdu) in &pdus {
            let request = Request::decode(pdu).unwrap();
            prop_assert!(request.fault().is_some() || learned.judge(*unit, &request, &|_, _| None, 0).passes());
        }
    }
}
