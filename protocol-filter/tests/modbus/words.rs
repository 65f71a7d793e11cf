//! Operations as people write and read them, and the rules that are learned from them.

use expect_test::{Expect, expect};
use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{
    Learned, Limits, Mode, Points, Request, Rule, Rules, Seen, Span, Subject, Table, Tag, ValueType, WordOrder,
    parse_operation, reference,
};

use crate::plant::{Line, hex, to_hex};

fn tags() -> Vec<Tag> {
    let level = Tag {
        name: "tank-level-setpoint".into(),
        table: Table::Registers,
        address: 200,
        value_type: ValueType::F32,
        order: WordOrder::Little,
        bit: None,
        scale: 1.0,
        offset: 0.0,
        unit: "%".into(),
    };
    let pump = Tag {
        name: "pump".into(),
        table: Table::Coils,
        address: 3,
        value_type: ValueType::Bool,
        unit: String::new(),
        ..level.clone()
    };
    let temperature = Tag {
        name: "temperature".into(),
        address: 100,
        value_type: ValueType::I16,
        order: WordOrder::Big,
        scale: 0.1,
        unit: "°C".into(),
        ..level.clone()
    };
    vec![level, pump, temperature]
}

fn check(text: &str, expected: Expect) {
    let read = match parse_operation(text, &tags()) {
        Ok(operation) => {
            let mut pdu = Vec::new();
            operation.request().encode(&mut pdu);
            format!("unit {} {}", operation.unit, to_hex(&pdu))
        }
        Err(error) => error.to_string(),
    };
    expected.assert_eq(&read);
}

#[test]
fn what_a_person_writes_is_a_request() {
    check("write register 100 = 1600", expect![["unit 1 0600640640"]]);
    check("write 40101 = 1600", expect![["unit 1 0600640640"]]);
    check("write 400101=-1", expect![["unit 1 060064ffff"]]);
    check("WRITE registers 100-102 = 1, 0x10 3", expect![["unit 1 100064000306000100100003"]]);
    check("read 40101-40110", expect![["unit 1 030064000a"]]);
    check("read 10001", expect![["unit 1 0200000001"]]);
    check("read input register 7", expect![["unit 1 0400070001"]]);
    check("read discrete_inputs 0-9", expect![["unit 1 020000000a"]]);
    check(
        "read coils 0-65535",
        expect![[
            "`0-65535` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ]],
    );
    check("write coil 3 = on", expect![["unit 1 050003ff00"]]);
    check("write coils 3-12 = 1 0 1 1 0 0 0 0 0 1", expect![["unit 1 0f0003000a020d02"]]);
    check("unit 5 write 40001 = 1", expect![["unit 5 0600000001"]]);
    check("write 40001 = 1 unit 0", expect![["unit 0 0600000001"]]);
    check("mask register 4 and 0xf2 or 0x25", expect![["unit 1 16000400f20025"]]);
    check("function 90", expect![["unit 1 5a"]]);
    check("function 90 00 41", expect![["unit 1 5a0041"]]);
    check("function 8/1", expect![["unit 1 0800010000"]]);
    check("function 43/14", expect![["unit 1 2b0e0100"]]);
    check("function 43/13", expect![["unit 1 2b0d"]]);
    check("function 17", expect![["unit 1 11"]]);
    check("read tank-level-setpoint", expect![["unit 1 0300c80002"]]);
    check("write tank-level-setpoint = 75.5", expect!["unit 1 1000c800020400004297"]);
    check("unit 5 write tag tank-level-setpoint = 75.5", expect!["unit 5 1000c800020400004297"]);
    check("write temperature = -2.5", expect![["unit 1 060064ffe7"]]);
    check("write pump = off", expect![["unit 1 0500030000"]]);
}

#[test]
fn what_is_no_operation_says_why() {
    check(
        "",
        expect!["`` is no operation; write `read …`, `write … = …`, `mask register … and … or …` or `function CODE`"],
    );
    check(
        "delete 40001",
        expect![
            "`delete 40001` is no operation; write `read …`, `write … = …`, `mask register … and … or …` or `function CODE`"
        ],
    );
    check("write register 100", expect!["`=` is missing"]);
    check("write register 100 = 65536", expect!["`65536` is no value of a register: -32768 to 65535"]);
    check("write register 100 = 1 2", expect!["2 values for 1 points"]);
    check(
        "write registers 100-99 = 1",
        expect![
            "`registers 100-99` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
    check("write 30001 = 1", expect!["input_registers cannot be written"]);
    check("write coil 3 = 2", expect!["`2` is no value of a coil: `on` or `off`"]);
    check("write temperature = 99999", expect!["`99999` is no value of the tag"]);
    check("write temperature = warm", expect!["`warm` is no value of the tag"]);
    check(
        "read 50001",
        expect![
            "`50001` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
    check(
        "read 40000",
        expect![
            "`40000` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
    check(
        "read 465537",
        expect![
            "`465537` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
    check(
        "read 40101-30110",
        expect![
            "`40101-30110` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
    check("read 40001 now", expect!["`now` is too much"]);
    check("unit 256 read 40001", expect!["`256` is no value of a unit: 0 to 255"]);
    check("function 128", expect!["`128` is no value of a function: 1 to 127, `8/1`, `43/14`"]);
    check(
        "function 16",
        expect![
            "function `16` needs the rest of its request after it, in hexadecimal: the length is not that of its function"
        ],
    );
    check("function 3/1", expect!["`3/1` is no value of a function: 1 to 127, `8/1`, `43/14`"]);
    check(
        "mask coil 1 and 1 or 1",
        expect![
            "`coils 1-1` is no address: neither a table and a number (`register 100`), nor a reference (`40101`), nor a tag of the asset"
        ],
    );
}

#[test]
fn references_count_from_one() {
    assert_eq!(reference("00001"), Some((Table::Coils, 0)));
    assert_eq!(reference("165536"), Some((Table::DiscreteInputs, 65_535)));
    assert_eq!(reference("165537"), None);
    assert_eq!(reference("49999"), Some((Table::Registers, 9998)));
    for wrong in ["40000", "20001", "4001", "4000001", "4x001", "+0001"] {
        assert_eq!(reference(wrong), None, "{wrong}");
    }
}

#[test]
fn evidence_names_tags_and_what_was_before() {
    let limits = Some(Limits { max: Some(80.0), ..Limits::default() });
    let points = vec![Points::Tag(tags()[0].clone())];
    let write = Rule { name: "level".into(), kinds: vec![Kind::Write], points, limits, ..Rule::default() };
    let rest = Rule {
        name: "rest".into(),
        kinds: vec![Kind::Read, Kind::Write],
        points: vec![Points::range(Table::Registers, 0, 199)],
        ..Rule::default()
    };
    let reads = Rule { name: "reads".into(), kinds: vec![Kind::Read], ..Rule::default() };
    let mut line = Line::new(Rules::new("test", Mode::Enforce, vec![write, rest, reads], tags()));
    line.exchange(1, "03 00c8 0002", "03 04 0000 4296");
    line.exchange(1, "10 00c8 0002 04 0000 4297", "10 00c8 0002");
    line.denial(1, "10 00c8 0002 04 0000 42c8");
    line.exchange(1, "06 0064 fff0", "06 0064 fff0");
    line.exchange(1, "16 0064 00ff 0000", "16 0064 00ff 0000");
    line.exchange(1, "06 0064 0640", "86 02");
    line.exchange(1, "06 0064 0640", "06 0064 0640");
    expect![[r#"
        1 Request: read registers 200-201 [tank-level-setpoint] unit 1
        1 Response: read registers 200-201 = 0, 17046 [tank-level-setpoint = 75 %] unit 1
        2 Request: write registers 200-201 = 0 (was 0), 17047 (was 17046) [tank-level-setpoint = 75.5 % (was 75 %)] unit 1
        2 Response: write registers 200-201 = 0 (was 0), 17047 (was 17046) [tank-level-setpoint = 75.5 % (was 75 %)] unit 1
        3 Request: write registers 200-201 = 0 (was 0), 17096 (was 17047) [tank-level-setpoint = 100 % (was 75.5 %)] unit 1, denied: value (level)
        4 Request: write register 100 = 65520 [temperature = -1.6 °C] unit 1
        4 Response: write register 100 = 65520 [temperature = -1.6 °C] unit 1
        5 Request: mask write register 100 and 0x00ff or 0x0000 [temperature = 24 °C (was -1.6 °C)] unit 1
        5 Response: mask write register 100 and 0x00ff or 0x0000 [temperature = 24 °C (was -1.6 °C)] unit 1
        6 Request: write register 100 = 1600 (was 240) [temperature = 160 °C (was 24 °C)] unit 1
        6 Response: write register 100 = 1600 (was 240) [temperature = 160 °C (was 24 °C)] unit 1, exception 2 (illegal data address)
        7 Request: write register 100 = 1600 (was 240) [temperature = 160 °C (was 24 °C)] unit 1
        7 Response: write register 100 = 1600 (was 240) [temperature = 160 °C (was 24 °C)] unit 1"#]].assert_eq(&line.heard.0.join("\n"));
}

#[test]
fn observing_says_what_it_would_have_denied() {
    let mut line = Line::new(Rules::observe());
    line.exchange(1, "06 0064 0640", "06 0064 0640");
    line.exchange(1, "5a 00 41", "5a 00 fe");
    assert_eq!(line.denial(1, "03 0000 0000"), Some(3), "the protocol's limits are no matter of rules");
    expect![[r#"
        1 Request: write register 100 = 1600 unit 1, would be denied: function (observe)
        1 Response: write register 100 = 1600 unit 1
        2 Request: UMAS 0x41 (stop PLC) unit 1, would be denied: function (observe)
        2 Response: UMAS 0x41 (stop PLC) unit 1
        3 Request: read registers unit 1, denied: value (protocol)"#]]
    .assert_eq(&line.heard.0.join("\n"));
}

/// What was learned, a line each.
fn learned(seen: &Seen) -> String {
    let lines = seen.learned().into_iter().map(|line| {
        let Learned { kind, unit, subject, values, operations, points, times: (first, last), steps } = line;
        let subject = match subject {
            Subject::Function(function) => format!("function {function}"),
            Subject::Span(Span { table, first, last }) => format!("{table} {first}-{last}"),
            Subject::Tags(tags) => tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>().join("+"),
        };
        format!("{kind} unit {unit} {subject}: {operations} requests, {points} points, {first}-{last}, {values:?}, {steps:?}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_profile_is_learned_from_what_was_seen() {
    let mut seen = Seen::new(tags());
    let mut now = 0;
    let mut see = |unit, pdu: &str, times| {
        let pdu = hex(pdu);
        for _ in 0..times {
            now += 1;
            seen.see(unit, &Request::decode(&pdu).unwrap(), &|_, _| None, now);
        }
    };
    see(1, "03 0000 000a", 1000);
    see(1, "03 0008 0004", 10);
    see(1, "03 0014 0001", 1);
    see(1, "06 0032 0005", 2);
    see(1, "06 0032 0007", 2);
    see(1, "10 0033 0002 04 0001 0001", 3);
    see(1, "16 0040 00ff 0000", 1);
    see(2, "10 00c8 0002 04 0000 4297", 4);
    see(2, "10 00c8 0002 04 0000 42a0", 1);
    see(1, "2b 0e 01 00", 2);
    see(1, "03 0000 0000", 1);
    expect![[r#"
        diagnose unit 1 function 43/14: 2 requests, 0 points, 1025-1026, None, Steps { known: 0, largest: 0.0 }
        read unit 1 registers 0-11: 1010 requests, 10040 points, 1-1010, None, Steps { known: 0, largest: 0.0 }
        read unit 1 registers 20-20: 1 requests, 1 points, 1011-1011, None, Steps { known: 0, largest: 0.0 }
        write unit 1 registers 50-50: 4 requests, 4 points, 1012-1015, Some((5.0, 7.0)), Steps { known: 0, largest: 0.0 }
        write unit 1 registers 51-52: 3 requests, 6 points, 1016-1018, Some((1.0, 1.0)), Steps { known: 0, largest: 0.0 }
        write unit 1 registers 64-64: 1 requests, 1 points, 1019-1019, None, Steps { known: 0, largest: 0.0 }
        write unit 2 tank-level-setpoint: 5 requests, 5 points, 1020-1024, Some((75.5, 80.0)), Steps { known: 0, largest: 0.0 }"#]]
    .assert_eq(&learned(&seen));
    assert_eq!((seen.operations(), seen.left_out()), (1026, 0));
}

#[test]
fn what_tags_are_exactly_is_learned_by_their_names() {
    let mut seen = Seen::new(tags());
    let mut see = |pdu: &str, last: &dyn Fn(Table, u16) -> Option<u16>| {
        let pdu = hex(pdu);
        seen.see(1, &Request::decode(&pdu).unwrap(), last, 0);
    };
    let unknown = |_, _| None;
    see("03 0064 0001", &unknown);
    // One register more than the tag, one less, and the tag itself.
    see("03 00c8 0003", &unknown);
    see("01 0003 0001", &unknown);
    // 0.3 °C after 0.1 °C, which no binary fraction is; then what was before is not known.
    see("06 0064 0003", &|_, _| Some(1));
    see("06 0064 0007", &unknown);
    // A part of a tag has no value.
    see("06 00c8 0007", &|_, _| Some(1));
    see("06 012c 0032", &|_, _| Some(70));
    expect![[r#"
        read unit 1 pump: 1 requests, 1 points, 0-0, None, Steps { known: 0, largest: 0.0 }
        read unit 1 temperature: 1 requests, 1 points, 0-0, None, Steps { known: 0, largest: 0.0 }
        read unit 1 registers 200-202: 1 requests, 3 points, 0-0, None, Steps { known: 0, largest: 0.0 }
        write unit 1 registers 300-300: 1 requests, 1 points, 0-0, Some((50.0, 50.0)), Steps { known: 1, largest: 20.0 }
        write unit 1 temperature: 2 requests, 2 points, 0-0, Some((0.3, 0.7)), Steps { known: 1, largest: 0.2 }
        write unit 1 tank-level-setpoint: 1 requests, 1 points, 0-0, None, Steps { known: 0, largest: 0.0 }"#]]
    .assert_eq(&learned(&seen));
    let rules: Vec<Rule> = seen.learned().iter().map(|line| line.rule("learned")).collect();
    let rules = Rules::new("learned", Mode::Enforce, rules, tags());
    let passes = |pdu: &str| rules.judge(1, &Request::decode(&hex(pdu)).unwrap(), &|_, _| None, 0).passes();
    for same in ["03 0064 0001", "03 00c8 0003", "01 0003 0001", "06 0064 0003", "06 0064 0007", "06 012c 0032"] {
        assert!(passes(same), "{same}");
    }
    for neighbour in ["03 0065 0001", "03 00c8 0004", "01 0002 0001", "06 0064 0002", "06 0064 0008", "06 012c 0033"] {
        assert!(!passes(neighbour), "{neighbour}");
    }
}

#[test]
fn what_is_kept_of_what_was_seen_is_bounded_and_says_what_it_left_out() {
    let mut seen = Seen::new(Vec::new());
    for unit in 0..2 {
        for address in 0..=u16::MAX {
            let read = Request::Read { table: Table::Registers, address, quantity: 1 };
            seen.see(unit, &read, &|_, _| None, 0);
        }
    }
    assert_eq!((seen.operations(), seen.left_out()), (131_072, 65_536));
    assert_eq!(seen.learned().len(), 1);
}
