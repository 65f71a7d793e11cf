//! Real traffic, read from the folder that `SALLYPORT_CAPTURES` names, against what an independent decoder (tshark) says of it.
#![allow(clippy::disallowed_methods, reason = "captures are not part of this tree, but read when a test runs")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use expect_test::expect;
use sallyport_protocol_filter::modbus::{Adu, Change, Function, Request, Response, Rules};
use sallyport_protocol_filter::{Outbound, ProtocolFilter, Side};

use crate::plant::{Line, hex, to_hex};

/// A capture, and whether it has its connections from their beginning.
const CAPTURES: [(&str, bool); 8] = [
    ("icsnpp__modbus_example", true),
    ("iti__modbus_test_2", false),
    ("iti__modbus_test_data_part1", true),
    ("iti__modicon_test", true),
    ("ndpi__modbus", false),
    ("suriv__modbus__modbus", true),
    ("zeek__modbusSmall", true),
    ("zeek__modbus-eit", false),
];

struct Segment {
    number: u64,
    stream: u64,
    from: Side,
    bytes: Vec<u8>,
}

fn folder(checks: &str) -> Option<PathBuf> {
    let folder = std::env::var("SALLYPORT_CAPTURES").ok().map(|folder| PathBuf::from(folder).join("modbus"));
    if folder.is_none() {
        println!("SALLYPORT_CAPTURES is not set: left out {} captures, {checks}", CAPTURES.len());
    }
    folder
}

fn segments(folder: &std::path::Path, capture: &str) -> Vec<Segment> {
    let text = std::fs::read_to_string(folder.join(format!("payloads/{capture}.pcap.jsonl"))).unwrap();
    let segment = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |key: &str| line[key].as_u64().unwrap();
        let from = if number("dport") == 502 { Side::Client } else { Side::Server };
        Segment { number: number("frame"), stream: number("stream"), from, bytes: hex(line["hex"].as_str().unwrap()) }
    };
    text.lines().map(segment).collect()
}

/// Rows of tshark's list by frame number; fields by name.
fn expected(folder: &std::path::Path, capture: &str) -> BTreeMap<u64, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(folder.join(format!("expected/{capture}.pcap.tshark.tsv"))).unwrap();
    let (head, rows) = text.split_once('\n').unwrap();
    let row = |line: &str| -> (u64, BTreeMap<String, String>) {
        let fields: BTreeMap<_, _> =
            head.split('\t').zip(line.split('\t')).map(|(k, v)| (k.into(), v.into())).collect();
        (line.split('\t').next().unwrap().parse().unwrap(), fields)
    };
    rows.lines().map(row).collect()
}

/// What our decoder says of a frame, under tshark's names.
fn fields(segment: &Segment) -> Result<Vec<(&'static str, u64)>, &'static str> {
    let adu = Adu::decode(&segment.bytes)?;
    let mut fields = vec![("mbtcp.trans_id", adu.transaction.into()), ("mbtcp.unit_id", adu.unit.into())];
    let mut encoded = Vec::new();
    match segment.from {
        Side::Client => {
            let request = Request::decode(adu.pdu)?;
            request.encode(&mut encoded);
            let Function { code, sub } = request.function();
            fields.push(("modbus.func_code", code.into()));
            match (code, sub) {
                (8, Some(sub)) => fields.push(("modbus.diagnostic_code", sub.into())),
                (43, Some(mei)) => fields.push(("modbus.mei", mei.into())),
                _ => {}
            }
            for part in request.parts() {
                let count = if part.span.table.is_bits() { "modbus.bit_cnt" } else { "modbus.word_cnt" };
                fields.push(("modbus.reference_num", part.span.first.into()));
                fields.push((count, u64::from(part.span.last - part.span.first) + 1));
                if let Change::Set(values) = part.change {
                    let bytes = if part.span.table.is_bits() { values.len().div_ceil(8) } else { 2 * values.len() };
                    fields.push(("modbus.byte_cnt", bytes as u64));
                }
            }
        }
        Side::Server => {
            let response = Response::decode(adu.pdu)?;
            response.encode(&mut encoded);
            fields.push(("modbus.func_code", u64::from(response.code() & 0x7F)));
            match response {
                Response::Exception { code, .. } => fields.push(("modbus.exception_code", code.into())),
                Response::Bits { bits, .. } => fields.push(("modbus.byte_cnt", bits.len().div_ceil(8) as u64)),
                Response::Words { words, .. } | Response::ReadWrite(words) => {
                    fields.push(("modbus.byte_cnt", 2 * words.len() as u64));
                }
                Response::Written { address, .. } | Response::MaskWritten { address, .. } => {
                    fields.push(("modbus.reference_num", address.into()));
                }
                Response::Diagnostics { sub, .. } => fields.push(("modbus.diagnostic_code", sub.into())),
                Response::Fifo(words) => fields.push(("modbus.word_cnt", words.len() as u64)),
                _ => {}
            }
        }
    }
    assert_eq!(to_hex(&encoded), to_hex(adu.pdu), "frame {}", segment.number);
    Ok(fields)
}

#[test]
fn frames_say_what_an_independent_decoder_says() {
    let Some(folder) = folder("frame by frame against tshark") else { return };
    let mut summary = Vec::new();
    for (capture, _) in CAPTURES {
        let expected = expected(&folder, capture);
        let (mut frames, mut compared) = (0, 0);
        for segment in segments(&folder, capture) {
            match fields(&segment) {
                Err(reason) => {
                    let known =
                        if expected.contains_key(&segment.number) { "" } else { " (neither does tshark know it)" };
                    summary.push(format!("{capture} {}: {} {reason}{known}", segment.number, segment.from));
                }
                Ok(fields) => {
                    frames += 1;
                    let row = &expected[&segment.number];
                    for (name, value) in fields {
                        // Where it gives two values, or none, there is nothing to compare with.
                        if let Ok(theirs) = row[name].parse::<u64>() {
                            assert_eq!(value, theirs, "{capture} frame {}: {name}", segment.number);
                            compared += 1;
                        }
                    }
                }
            }
        }
        summary.push(format!("{capture}: {frames} frames, {compared} fields"));
    }
    expect![[r#"
        icsnpp__modbus_example: 48 frames, 196 fields
        iti__modbus_test_2: 3975 frames, 18282 fields
        iti__modbus_test_data_part1 32: client the length is not that of its function
        iti__modbus_test_data_part1 34: client the length is not that of its function
        iti__modbus_test_data_part1 76: client the length field is not within 2 to 254 (neither does tshark know it)
        iti__modbus_test_data_part1 78: client the length field is not within 2 to 254 (neither does tshark know it)
        iti__modbus_test_data_part1 80: client the protocol identifier is not that of modbus (neither does tshark know it)
        iti__modbus_test_data_part1 82: client the protocol identifier is not that of modbus (neither does tshark know it)
        iti__modbus_test_data_part1 91: server an exception is not one code
        iti__modbus_test_data_part1 93: server an exception is not one code
        iti__modbus_test_data_part1 95: server an exception is not one code
        iti__modbus_test_data_part1 97: server an exception is not one code
        iti__modbus_test_data_part1 99: server an exception is not one code
        iti__modbus_test_data_part1 101: server an exception is not one code
        iti__modbus_test_data_part1 103: server an exception is not one code
        iti__modbus_test_data_part1 105: server an exception is not one code
        iti__modbus_test_data_part1 107: server an exception is not one code
        iti__modbus_test_data_part1 109: server an exception is not one code
        iti__modbus_test_data_part1 111: server its length field does not fit
        iti__modbus_test_data_part1 113: server its length field does not fit (neither does tshark know it)
        iti__modbus_test_data_part1: 32 frames, 127 fields
        iti__modicon_test 19: client the length field is not within 2 to 254
        iti__modicon_test 20: server the length field is not within 2 to 254
        iti__modicon_test: 178 frames, 534 fields
        ndpi__modbus: 102 frames, 459 fields
        suriv__modbus__modbus 32: client the length is not that of its function
        suriv__modbus__modbus 34: client the length is not that of its function
        suriv__modbus__modbus 76: client the length field is not within 2 to 254 (neither does tshark know it)
        suriv__modbus__modbus 78: client the length field is not within 2 to 254 (neither does tshark know it)
        suriv__modbus__modbus 80: client the protocol identifier is not that of modbus (neither does tshark know it)
        suriv__modbus__modbus 82: client the protocol identifier is not that of modbus (neither does tshark know it)
        suriv__modbus__modbus 91: server an exception is not one code
        suriv__modbus__modbus 93: server an exception is not one code
        suriv__modbus__modbus 95: server an exception is not one code
        suriv__modbus__modbus 97: server an exception is not one code
        suriv__modbus__modbus 99: server an exception is not one code
        suriv__modbus__modbus: 32 frames, 127 fields
        zeek__modbusSmall: 32 frames, 152 fields
        zeek__modbus-eit 2: server the mark that more follows is neither yes nor no
        zeek__modbus-eit: 3 frames, 12 fields"#]].assert_eq(&summary.join("\n"));
}

#[test]
fn whole_connections_pass_unchanged_up_to_what_is_malformed() {
    let Some(folder) = folder("connection by connection through the filter") else { return };
    let mut summary = Vec::new();
    for (capture, _) in CAPTURES.into_iter().filter(|(_, whole)| *whole) {
        let mut lines: BTreeMap<u64, (Line, bool)> = BTreeMap::new();
        let mut passed = 0;
        for segment in segments(&folder, capture) {
            let (line, ended) = lines.entry(segment.stream).or_insert_with(|| (Line::new(Rules::full()), false));
            if *ended {
                continue;
            }
            let mut out = Outbound::default();
            match line.filter.receive(segment.from, &segment.bytes, line.now, &mut out, &mut line.heard) {
                Ok(taken) => {
                    assert_eq!(taken, segment.bytes.len(), "{capture} {}", segment.number);
                    let (there, back) = match segment.from {
                        Side::Client => (&out.to_server, &out.to_client),
                        Side::Server => (&out.to_client, &out.to_server),
                    };
                    // What the protocol itself forbids is answered instead.
                    if back.is_empty() {
                        assert_eq!(to_hex(there), to_hex(&segment.bytes), "{capture} {}", segment.number);
                        passed += 1;
                    } else {
                        summary.push(format!("{capture} {}: denied", segment.number));
                    }
                }
                Err(malformed) => {
                    summary.push(format!("{capture} {}: {} {}", segment.number, malformed.side, malformed.reason));
                    *ended = true;
                }
            }
        }
        summary.push(format!("{capture}: {} connections, {passed} frames passed", lines.len()));
    }
    expect![[r#"
        icsnpp__modbus_example 64: denied
        icsnpp__modbus_example 66: server nothing was asked that this would answer
        icsnpp__modbus_example: 2 connections, 32 frames passed
        iti__modbus_test_data_part1 32: client the length is not that of its function
        iti__modbus_test_data_part1 76: client the length field is not within 2 to 254
        iti__modbus_test_data_part1 91: server an exception is not one code
        iti__modbus_test_data_part1: 5 connections, 32 frames passed
        iti__modicon_test 19: client the length field is not within 2 to 254
        iti__modicon_test: 1 connections, 14 frames passed
        suriv__modbus__modbus 32: client the length is not that of its function
        suriv__modbus__modbus 76: client the length field is not within 2 to 254
        suriv__modbus__modbus 91: server an exception is not one code
        suriv__modbus__modbus: 5 connections, 32 frames passed
        zeek__modbusSmall: 16 connections, 32 frames passed"#]]
    .assert_eq(&summary.join("\n"));
}

#[test]
fn operations_read_like_this() {
    let Some(folder) = folder("as a person reads them") else { return };
    let mut line = Line::new(Rules::full());
    // In between, its device answers requests for no record of no file, which we do not let through.
    let segments = segments(&folder, "icsnpp__modbus_example").into_iter();
    for segment in segments.filter(|segment| !(64..=70).contains(&segment.number)) {
        line.send(segment.from, &segment.bytes).unwrap();
    }
    expect![[r#"
        1 Request: read coils 1 unit 4
        1 Response: read coils 1 = 1 unit 4
        2 Request: read coils 1-8 unit 5
        2 Response: read coils 1-8 = 1, 0, 0, 1, 0, 1, 1, 1 unit 5
        3 Request: read discrete inputs 1 unit 4
        3 Response: read discrete inputs 1 = 0 unit 4
        4 Request: read discrete inputs 1-8 unit 5
        4 Response: read discrete inputs 1-8 = 0, 0, 1, 1, 0, 1, 0, 0 unit 5
        5 Request: read registers 1 unit 4
        5 Response: read registers 1 = 170 unit 4
        6 Request: read registers 1-8 unit 5
        6 Response: read registers 1-8 = 170, 170, 187, 204, 61316, 58347, 40843, 58561 unit 5
        7 Request: read input registers 1 unit 4
        7 Response: read input registers 1 = 36395 unit 4
        8 Request: read input registers 1-8 unit 5
        8 Response: read input registers 1-8 = 36395, 8059, 39755, 33361, 7162, 56207, 619, 44695 unit 5
        9 Request: write coil 1 = 1 unit 6
        9 Response: write coil 1 = 1 unit 6
        10 Request: write register 1 = 43981 unit 7
        10 Response: write register 1 = 43981 unit 7
        11 Request: read exception status unit 2
        11 Response: read exception status unit 2
        12 Request: return diagnostic register unit 2
        12 Response: return diagnostic register unit 2
        13 Request: write coils 1-4 = 1, 0, 0, 1 unit 7
        13 Response: write coils 1-4 = 1, 0, 0, 1 unit 7
        14 Request: write registers 1-4 = 170 (was 43981), 187, 204, 221 unit 7
        14 Response: write registers 1-4 = 170 (was 43981), 187, 204, 221 unit 7
        15 Request: report server id unit 2
        15 Response: report server id unit 2
        16 Request: mask write register 10 and 0xdead or 0x0000 unit 4
        16 Response: mask write register 10 and 0xdead or 0x0000 unit 4
        17 Request: mask write register 10 and 0xffff or 0xdead unit 4
        17 Response: mask write register 10 and 0xffff or 0xdead unit 4
        18 Request: read/write registers 1; write 2 = 255 unit 6
        18 Response: read/write registers 1 = 170; write 2 = 255 unit 6
        19 Request: read/write registers 1-4; write 2-4 = 170 (was 255), 187, 204 unit 6
        19 Response: read/write registers 1-4 = 170, 170, 187, 204; write 2-4 = 170 (was 255), 187, 204 unit 6
        20 Request: read FIFO queue 0-31 unit 10
        20 Response: read FIFO queue 0-31 unit 10
        21 Request: read device identification unit 1
        21 Response: read device identification unit 1
        22 Request: read registers 600-609 unit 0
        22 Response: read registers 600-609 unit 0, exception 2 (illegal data address)"#]]
    .assert_eq(&line.heard.0.join("\n"));
}
