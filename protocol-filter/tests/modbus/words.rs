//! Operations as people write and read them, and the rules that are learned from them.

use expect_test::{Expect, expect};
use sallyport_protocol_filter::Kind;
use sallyport_protocol_filter::modbus::{
    Limits, Mode, Points, Request, Rule, Rules, Seen, Table, Tag, ValueType, WordOrder, parse_operation, reference,
};

use crate::plant::{Line, hex, to_hex};

fn tags() -> Vec<Tag> {
    let level = Tag {
        name: "tank-level-setpoint".into(),
        table: Table::Registers,
        address: 200,
        value_type: ValueType::F32,
        order: WordOrder::Little,
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

#[test]
fn a_profile_is_learned_from_what_was_seen() {
    let mut seen = Seen::new(tags());
    let mut see = |unit, pdu: &str, times| {
        let pdu = hex(pdu);
        (0..times).for_each(|_| seen.see(unit, &Request::decode(&pdu).unwrap()));
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
    let lines = seen.learned().into_iter().map(|line| format!("{line:?}")).collect::<Vec<_>>();
    expect![[r#"
        Learned { kind: Diagnose, unit: 1, subject: Function(Function { code: 43, sub: Some(14) }), values: None, operations: 2, points: 0 }
        Learned { kind: Read, unit: 1, subject: Span(Span { table: Registers, first: 0, last: 11 }), values: None, operations: 1010, points: 10040 }
        Learned { kind: Read, unit: 1, subject: Span(Span { table: Registers, first: 20, last: 20 }), values: None, operations: 1, points: 1 }
        Learned { kind: Write, unit: 1, subject: Span(Span { table: Registers, first: 50, last: 50 }), values: Some((5.0, 7.0)), operations: 4, points: 4 }
        Learned { kind: Write, unit: 1, subject: Span(Span { table: Registers, first: 51, last: 52 }), values: Some((1.0, 1.0)), operations: 3, points: 6 }
        Learned { kind: Write, unit: 1, subject: Span(Span { table: Registers, first: 64, last: 64 }), values: None, operations: 1, points: 1 }
        Learned { kind: Write, unit: 2, subject: Tag(Tag { name: "tank-level-setpoint", table: Registers, address: 200, value_type: F32, order: Little, scale: 1.0, offset: 0.0, unit: "%" }), values: Some((75.5, 80.0)), operations: 5, points: 5 }"#]].assert_eq(&lines.join("\n"));
    assert_eq!((seen.operations(), seen.left_out()), (1026, 0));
}

#[test]
fn what_is_kept_of_what_was_seen_is_bounded_and_says_what_it_left_out() {
    let mut seen = Seen::new(Vec::new());
    for unit in 0..2 {
        for address in 0..=u16::MAX {
            seen.see(unit, &Request::Read { table: Table::Registers, address, quantity: 1 });
        }
    }
    assert_eq!((seen.operations(), seen.left_out()), (131_072, 65_536));
    assert_eq!(seen.learned().len(), 1);
}
