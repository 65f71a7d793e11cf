//! A capture through a filter.

use expect_test::expect;
use serde_json::json;

use super::{Desk, judged};

#[test]
fn every_operation_is_shown_with_its_verdict_and_the_counts_follow() {
    let desk = Desk::new();
    let capture = desk.capture("a.pcap", |capture| {
        capture.read(100, &[1000]).write(100, 1040).write(100, 1600).write(5, 1).close();
        capture.connect().write(100, 1040)
    });
    let finished = desk.on_files(&["filter", "test", "--profile", "setpoints", "--asset", "plc-3", "--pcap", &capture]);
    assert_eq!(finished.code(), 1, "{finished}");
    expect![[r#"
        AT                        CONNECTION  CLIENT           OPERATION                                                                               VERDICT        RULE
        2026-11-23T10:00:00.002Z  1           10.10.0.9:50001  read registers 100 [speed-setpoint] unit 1                                              pass           setpoints/1
        2026-11-23T10:00:00.003Z  1           10.10.0.9:50001  write register 100 = 1040 (was 1000) [speed-setpoint = 1040 rpm (was 1000 rpm)] unit 1  pass           speed
        2026-11-23T10:00:00.004Z  1           10.10.0.9:50001  write register 100 = 1600 (was 1040) [speed-setpoint = 1600 rpm (was 1040 rpm)] unit 1  deny: value    speed
        2026-11-23T10:00:00.005Z  1           10.10.0.9:50001  write register 5 = 1 unit 1                                                             deny: address  batch
        2026-11-23T10:00:00.008Z  2           10.10.0.9:50002  write register 100 = 1040 [speed-setpoint = 1040 rpm] unit 1                            deny: value    speed

        operations: 5, connections: 2, of these malformed: 0, cut short: 0
        VERDICT  RULE         CAUSE    COUNT
        deny     batch        address  1
        deny     speed        value    2
        pass     setpoints/1           1
        pass     speed                 1
    "#]]
    .assert_eq(&String::from_utf8_lossy(&finished.stdout));
    assert!(finished.stderr.contains("would be denied: 3 of 5 operations"), "{finished}");
}

#[test]
fn built_in_filters_need_no_plant() {
    let desk = Desk::new();
    let capture =
        desk.capture("a.pcap", |capture| capture.read(7, &[1]).write(7, 2).exchange(&[90, 0, 65], &[90, 0, 0xFE]));
    let counts = |profile: &str| {
        let finished = desk.run(&["filter", "test", "--profile", profile, "--pcap", &capture, "--json"]);
        let answer: serde_json::Value =
            serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        let count = |verdict: &str| answer["counts"][verdict].as_u64().unwrap();
        (count("pass"), count("would-deny"), count("deny"), finished.code())
    };
    assert_eq!(counts("read-only"), (1, 0, 2, 1));
    assert_eq!(counts("observe"), (1, 2, 0, 0));
    assert_eq!(counts("full"), (3, 0, 0, 0));
}

#[test]
fn rates_and_windows_count_in_the_time_of_the_capture() {
    let desk = Desk::new();
    desk.add(
        "more.toml",
        r#"
[filter.slow]
modbus = [
  { name = "twice", operations = ["write"], registers = ["7"], per_minute = 2 },
  { name = "hour", operations = ["write"], registers = ["8"], when = { from = "09:00", to = "10:01", timezone = "UTC" } },
]
"#,
    );
    let capture = desk.capture("a.pcap", |capture| {
        capture.write(7, 1).write(7, 1).write(7, 1).write(8, 1).pass(59).write(7, 1).pass(2).write(8, 1).write(7, 1)
    });
    let (answer, code) = desk.json(&["filter", "test", "--profile", "slow", "--pcap", &capture]);
    assert_eq!(code, 1);
    expect![[r#"
        write register 7 = 1 unit 1: pass - twice
        write register 7 = 1 (was 1) unit 1: pass - twice
        write register 7 = 1 (was 1) unit 1: deny rate twice
        write register 8 = 1 unit 1: pass - hour
        write register 7 = 1 (was 1) unit 1: deny rate twice
        write register 8 = 1 unit 1: deny window hour
        write register 7 = 1 (was 1) unit 1: pass - twice"#]]
    .assert_eq(&judged(&answer).join("\n"));
}

#[test]
fn what_is_malformed_or_missing_is_said_and_not_guessed() {
    let desk = Desk::new();
    let capture = desk.capture("a.pcap", |capture| {
        capture.read(1, &[1]).asks(&[0, 9, 0, 1, 0, 2, 1, 7]).answers(&[1, 2, 3]);
        capture.connect().read(2, &[2]).unseen(|capture| capture.read(3, &[3])).read(4, &[4]);
        capture.connect().read(5, &[5])
    });
    let (answer, code) = desk.json(&["filter", "test", "--profile", "full", "--pcap", &capture]);
    assert_eq!(code, 1);
    expect![[r#"
        read registers 1 unit 1: pass - full
        malformed bytes from the client: the protocol identifier is not that of modbus: deny - -
        read registers 2 unit 1: pass - full
        read registers 5 unit 1: pass - full
        bytes of the client are not in the capture: not followed further: - - -"#]]
    .assert_eq(&judged(&answer).join("\n"));
    let counts = &answer["counts"];
    assert_eq!((&counts["malformed"], &counts["cut"], &counts["connections"]), (&json!(1), &json!(1), &json!(3)));
    let said = desk.on_files(&["filter", "test", "--profile", "full", "--pcap", &capture]).to_string();
    for part in
        ["connections that end with malformed bytes: 1", "connections not followed to their end: 1", "malformed"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_capture_that_begins_in_the_middle_says_so() {
    let desk = Desk::new();
    let mut file = std::fs::read(desk.capture("a.pcap", |capture| capture.read(1, &[1]).read(2, &[2]))).unwrap();
    // The handshake: three packets of 40 bytes with 16 around them.
    file.drain(24..24 + 3 * 56);
    std::fs::write(desk.path("middle.pcap"), file).unwrap();
    let finished =
        desk.run(&["filter", "test", "--profile", "full", "--pcap", &super::text(&desk.path("middle.pcap"))]);
    assert_eq!(finished.code(), 0, "{finished}");
    assert!(
        finished.stderr.contains("connections that begin before the capture, so that no value is known at first: 1"),
        "{finished}"
    );
    assert!(finished.text().contains("operations: 2, connections: 1,"), "{finished}");
}

#[test]
fn what_cannot_be_tested_is_refused_with_the_way_out() {
    let desk = Desk::new();
    let capture = desk.capture("a.pcap", |capture| capture.read(1, &[1]));
    let plant = super::text(&desk.path("plant/plant.toml"));
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--profile", "nowhere", "--pcap", &capture], 1, "the plant has no filter `nowhere`"),
        (&["--profile", "view-only", "--pcap", &capture], 1, "says nothing of Modbus, which then has `read-only`"),
        (
            &["--profile", "setpoints", "--pcap", &capture],
            64,
            "names tags: give the asset whose tags they are with `--asset`",
        ),
        (&["--profile", "full", "--pcap", &capture, "--port", "503"], 1, "no connection to port 503"),
        (&["--profile", "full", "--pcap", &plant], 1, "is no capture: neither pcap nor pcapng"),
        (&["--profile", "full", "--pcap", "/nowhere.pcap"], 1, "cannot read `/nowhere.pcap`"),
    ];
    for (arguments, code, said) in cases {
        let finished = desk.on_files(&[&["filter", "test"], arguments].concat());
        assert_eq!(finished.code(), code, "{finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
    let without_plant = desk.run(&["filter", "test", "--profile", "setpoints", "--pcap", &capture]);
    assert_eq!(without_plant.code(), 78, "{without_plant}");
}
