//! Real traffic, read from the folder that `SALLYPORT_CAPTURES` names: what is learned from a capture passes that capture.

use std::path::PathBuf;

use expect_test::expect;
use serde_json::Value;

use super::{Desk, text};

const CAPTURES: [&str; 8] = [
    "icsnpp__modbus_example",
    "iti__modbus_test_2",
    "iti__modbus_test_data_part1",
    "iti__modicon_test",
    "ndpi__modbus",
    "suriv__modbus__modbus",
    "zeek__modbusSmall",
    "zeek__modbus-eit",
];

#[test]
fn what_is_learned_from_real_captures_passes_them() {
    let Some(folder) = std::env::var_os("SALLYPORT_CAPTURES") else {
        println!("SALLYPORT_CAPTURES is not set: left out {} captures, learned and replayed", CAPTURES.len());
        return;
    };
    let desk = Desk::new();
    let mut summary = Vec::new();
    for name in CAPTURES {
        let capture = text(&PathBuf::from(&folder).join(format!("modbus/{name}.pcap")));
        let learn = ["filter", "learn", "--asset", "plc-1", "--server", "any", "--pcap", &capture, "--name", "real"];
        let finished = desk.on_files(&[&learn[..], &["--json"]].concat());
        let learned: Value =
            serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        desk.add("learned.toml", learned["toml"].as_str().unwrap());
        let test = ["filter", "test", "--profile", "real", "--asset", "plc-1", "--server", "any", "--pcap", &capture];
        let (tested, _) = desk.json(&test);
        for rule in tested["rules"].as_array().unwrap() {
            let (verdict, by) = (rule["verdict"].as_str().unwrap(), rule["rule"].as_str().unwrap());
            assert!(verdict == "pass" || by == "protocol", "{name}: {rule}");
        }
        let (counts, left_out) = (&tested["counts"], &learned["left_out"]);
        assert_eq!(counts["pass"], learned["requests"], "{name}");
        assert_eq!(counts["deny"], left_out["denied"], "{name}");
        summary.push(format!(
            "{name}: {} requests on {} connections, {} rules; {} denied, {} malformed, {} cut",
            counts["pass"],
            counts["connections"],
            learned["rules"].as_array().unwrap().len(),
            counts["deny"],
            counts["malformed"],
            counts["cut"],
        ));
    }
    expect![[r#"
        icsnpp__modbus_example: 22 requests on 2 connections, 27 rules; 2 denied, 0 malformed, 0 cut
        iti__modbus_test_2: 2382 requests on 122 connections, 5 rules; 0 denied, 0 malformed, 0 cut
        iti__modbus_test_data_part1: 16 requests on 5 connections, 9 rules; 0 denied, 3 malformed, 0 cut
        iti__modicon_test: 7 requests on 1 connections, 1 rules; 0 denied, 1 malformed, 0 cut
        ndpi__modbus: 51 requests on 1 connections, 1 rules; 0 denied, 0 malformed, 0 cut
        suriv__modbus__modbus: 16 requests on 5 connections, 9 rules; 0 denied, 3 malformed, 0 cut
        zeek__modbusSmall: 16 requests on 16 connections, 2 rules; 0 denied, 0 malformed, 0 cut
        zeek__modbus-eit: 2 requests on 2 connections, 2 rules; 0 denied, 1 malformed, 0 cut"#]]
    .assert_eq(&summary.join("\n"));
}
