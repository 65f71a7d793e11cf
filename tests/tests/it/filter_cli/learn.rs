//! What is proposed from captures and recordings, and that it passes exactly that.

use expect_test::expect;
use sallyport_tests::{ModbusCapture, Setup};
use serde_json::{Value, json};

use super::{Desk, judged};
use crate::modbus::{Client, Controller, tunnel_of};

/// A day's work: reads, a tag by its name, steps of a setpoint, a coil, a mask, an identification, and a write that the device refuses.
fn work(capture: &mut ModbusCapture) -> &mut ModbusCapture {
    capture.read(0, &[1, 2, 3, 4]).read(4, &[5]).read(0, &[1, 2, 3, 4]);
    capture.pass(60).read(120, &[400]).write(120, 405).write(120, 415).write(120, 400);
    capture.write(300, 7).write(300, 9);
    capture.exchange(&[5, 0, 3, 0xFF, 0], &[5, 0, 3, 0xFF, 0]);
    capture.exchange(&[22, 0, 64, 0, 0xFF, 0, 0], &[22, 0, 64, 0, 0xFF, 0, 0]);
    capture.exchange(&[43, 14, 1, 0], &[43, 14, 1, 1, 0, 0, 1, 0, 1, b'x']);
    capture.exchange(&[16, 0x9C, 0xA5, 0, 2, 4, 0, 1, 0, 1], &[0x90, 2]);
    // The protocol itself does not allow to read nothing.
    capture.exchange(&[3, 0, 0, 0, 0], &[0x83, 3]).close()
}

#[test]
fn a_profile_is_proposed_with_the_counts_that_justify_it() {
    let desk = Desk::new();
    let capture = desk.capture("work.pcap", work);
    let said = desk.on_files(&["filter", "learn", "--asset", "plc-3", "--pcap", &capture, "--name", "day"]).ok();
    expect![[r#"
        # What passed on modbus of plc-3: 13 requests, 2026-11-23T10:00:00Z to 2026-11-23T10:01:00Z.
        # From capture work.pcap.
        # Not all was learned: left out were denied requests: 1.
        # The asset itself refused: 1 of these requests.
        [filter.day]
        modbus = [
          # read device identification (diagnose): 1 request, at 2026-11-23T10:01:00Z
          { functions = ["43/14"], unit = [1] },
          # read: 3 requests, 9 points, at 2026-11-23T10:00:00Z
          { operations = ["read"], unit = [1], registers = ["0-4"] },
          # read: 1 request, at 2026-11-23T10:01:00Z
          { operations = ["read"], unit = [1], tags = ["tank-level-setpoint"] },
          # write: 1 request, at 2026-11-23T10:01:00Z, values that cannot be told (masks, parts of a tag), so that every value passes, steps not known
          { operations = ["write"], unit = [1], registers = ["64"] },
          # write: 2 requests, at 2026-11-23T10:01:00Z, values 7 to 9, largest step 2 (known of 1 of 2)
          { operations = ["write"], unit = [1], registers = ["300"], values = { min = 7, max = 9 } },
          # write: 1 request, 2 points, at 2026-11-23T10:01:00Z, always 1, steps not known
          { operations = ["write"], unit = [1], references = ["440102-440103"], values = { min = 1, max = 1 } },
          # write: 1 request, at 2026-11-23T10:01:00Z, always 1, steps not known
          { operations = ["write"], unit = [1], tags = ["inlet-valve"], values = { min = 1, max = 1 } },
          # write: 3 requests, at 2026-11-23T10:01:00Z, values 40 to 41.5, largest step 1.5
          { operations = ["write"], unit = [1], tags = ["tank-level-setpoint"], values = { min = 40, max = 41.5 } },
        ]
    "#]]
    .assert_eq(&said.replace(&capture, "work.pcap"));
}

#[test]
fn what_was_learned_passes_what_was_seen_and_denies_its_neighbours() {
    let desk = Desk::new();
    let capture = desk.capture("work.pcap", work);
    let (learned, _) = desk.json(&["filter", "learn", "--asset", "plc-3", "--pcap", &capture, "--name", "day"]);
    assert_eq!((&learned["requests"], &learned["left_out"]["denied"]), (&json!(13), &json!(1)), "{learned:#}");
    desk.add("learned.toml", learned["toml"].as_str().unwrap());
    let plan = desk.on_files(&["policy", "explain", "rita", "plc-3", "--service", "modbus"]);
    assert!(!plan.ok().contains("warning"), "{plan}");

    let (same, _) = desk.json(&["filter", "test", "--profile", "day", "--asset", "plc-3", "--pcap", &capture]);
    let denied: Vec<String> = judged(&same).into_iter().filter(|line| !line.contains(": pass ")).collect();
    assert_eq!(denied, ["read registers unit 1: deny value protocol"], "{same:#}");

    let neighbours = desk.capture("neighbours.pcap", |capture| {
        capture.read(0, &[0; 6]).read(121, &[1]).write(120, 416).write(120, 399).write(121, 400);
        capture.write(300, 10).write(301, 7).exchange(&[5, 0, 3, 0, 0], &[5, 0, 3, 0, 0]);
        capture.exchange(&[43, 14, 2, 0], &[43, 14, 2, 1, 0, 0, 1, 0, 1, b'x']);
        capture.exchange(&[17], &[17, 1, 9]);
        capture.asks(&[0, 9, 0, 0, 0, 6, 2, 3, 0, 0, 0, 1])
    });
    let (other, code) = desk.json(&["filter", "test", "--profile", "day", "--asset", "plc-3", "--pcap", &neighbours]);
    assert_eq!(code, 1);
    expect![[r#"
        read registers 0-5 unit 1: deny address day/2
        read registers 121 unit 1: deny address day/2
        write register 120 = 416 [tank-level-setpoint = 41.6 %] unit 1: deny value day/8
        write register 120 = 399 (was 416) [tank-level-setpoint = 39.9 % (was 41.6 %)] unit 1: deny value day/8
        write register 121 = 400 (was 1) unit 1: deny address day/4
        write register 300 = 10 unit 1: deny value day/5
        write register 301 = 7 unit 1: deny address day/4
        write coil 3 = 0 [inlet-valve = 0] unit 1: deny value day/7
        read device identification unit 1: pass - day/1
        report server id unit 1: deny function day
        read registers 0 unit 2: deny address day/2"#]]
    .assert_eq(&judged(&other).join("\n"));
}

#[test]
fn only_the_assets_own_connections_are_learned() {
    let desk = Desk::new();
    let mut elsewhere = ModbusCapture::begin("10.10.1.41", 0);
    elsewhere.read(7, &[1]).close().save(&desk.path("elsewhere.pcap"));
    let elsewhere = super::text(&desk.path("elsewhere.pcap"));
    let learn = ["filter", "learn", "--asset", "plc-3", "--pcap", &elsewhere];
    let refused = desk.on_files(&learn);
    assert_eq!(refused.code(), 1);
    let said = refused.refused();
    assert!(
        said.contains("no connection to 10.10.1.40, port 502, but to 10.10.1.41:502: name one with `--server`"),
        "{said}"
    );
    for server in ["any", "10.10.1.41"] {
        let (learned, code) = desk.json(&[&learn[..], &["--server", server]].concat());
        assert_eq!((learned["rules"][0]["first_address"].as_u64(), code), (Some(7), 0), "{server}");
    }
}

#[test]
fn arguments_that_cannot_be_meant_are_refused() {
    let desk = Desk::new();
    let empty = desk.capture("empty.pcap", |capture| capture.close());
    let denied = desk.capture("denied.pcap", |capture| capture.exchange(&[3, 0, 0, 0, 0], &[0x83, 3]));
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--asset", "plc-3"], 64, "--from"),
        (&["--asset", "plc-9", "--pcap", &empty], 1, "no asset `plc-9`"),
        (&["--asset", "ews-1", "--pcap", &empty], 1, "`ews-1` has no Modbus service"),
        (&["--asset", "plc-1", "--service", "echo", "--pcap", &empty], 1, "`echo` is no Modbus service"),
        (&["--asset", "plc-3", "--pcap", &empty, "--name", "read-only"], 64, "built in"),
        (&["--asset", "plc-3", "--pcap", &empty, "--name", "a b"], 64, "a b"),
        (&["--asset", "plc-3", "--pcap", &empty], 1, "nothing to learn: no operation passed (nothing was left out)"),
        (&["--asset", "plc-3", "--pcap", &denied], 1, "(left out were denied requests: 1)"),
    ];
    for (arguments, code, said) in cases {
        let finished = desk.on_files(&[&["filter", "learn"], arguments].concat());
        assert_eq!(finished.code(), code, "{finished}");
        assert!(finished.stderr.contains(said), "{finished}");
    }
}

/// What people did through the broker is learned from its recordings, passes when it is exported and replayed, and that it was read is
/// on record.
#[test]
fn a_profile_is_learned_from_recorded_sessions() {
    let plant = Setup::with_modbus().start();
    let _controller = Controller::start(&plant);
    let standard = plant.plant_file();
    // What is only observed is what is to be learned.
    plant.apply(&standard.replace("[filter.setpoints]\n", "[filter.setpoints]\nmode = \"observe\"\n"));
    let tunnel = tunnel_of(&plant, &plant.person("mona"));
    let mut client = Client::connect(&tunnel);
    client.read(100, 4).unwrap();
    client.write(100, 1600).unwrap();
    client.write(100, 1550).unwrap();
    client.set_coil(3, true).unwrap();
    assert_eq!(client.read(4000, 1), Err(2), "the controller has no such register");
    assert_eq!(client.ask(&[3, 0, 0, 0, 0]), Err(3), "the protocol's limits hold while observing too");
    drop(client);
    plant.quiet();
    let session = plant.recordings()[0]["session"].as_str().unwrap().to_owned();

    let learned = plant.json(&["filter", "learn", "--asset", "plc-3", "--from", &session[..12]]);
    let rules: Vec<&str> =
        learned["rules"].as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap()).collect();
    assert_eq!(
        rules,
        [
            r#"{ operations = ["read"], unit = [1], registers = ["100-103"] }"#,
            r#"{ operations = ["read"], unit = [1], registers = ["4000"] }"#,
            r#"{ operations = ["write"], unit = [1], tags = ["inlet-valve"], values = { min = 1, max = 1 } }"#,
            r#"{ operations = ["write"], unit = [1], tags = ["speed-setpoint"], values = { min = 1550, max = 1600 } }"#,
        ]
    );
    assert_eq!((&learned["left_out"]["denied"], &learned["refused_by_asset"]), (&json!(1), &json!(1)), "{learned:#}");
    assert_eq!(learned["rules"][3]["steps"], json!({ "known": 2, "largest": 1600.0 }));
    let read: Vec<Value> =
        plant.audit().into_iter().filter(|event| event["event"]["event"] == "recording.read").collect();
    assert_eq!((read.len(), &read[0]["event"]["session"]), (1, &json!(session)), "{read:#?}");

    let text = format!("{standard}\n{}", learned["toml"].as_str().unwrap());
    plant.apply(&text.replacen("filter = \"setpoints\"", "filter = \"learned\"", 1));
    let export = plant.folder().join("session.pcapng");
    let export = export.to_str().unwrap();
    plant.sallyport(&["recording", "export", &session, "--format", "pcapng", "-o", export]).ok();
    let replay = ["filter", "test", "--profile", "learned", "--asset", "plc-3", "--pcap", export];
    let tested = plant.sallyport(&[&replay[..], &["--json"]].concat());
    let answer: Value = serde_json::from_slice(&tested.stdout).unwrap_or_else(|error| panic!("{error}: {tested}"));
    assert_eq!((&answer["counts"]["pass"], &answer["counts"]["deny"]), (&json!(5), &json!(1)), "{answer:#}");

    // In force, it lets the same work be done, and nothing beside it.
    plant.settle();
    let mut client = Client::connect(&tunnel);
    client.write(100, 1600).expect("as before");
    assert_eq!((client.write(100, 1601), client.write(101, 1600), client.read(99, 1)), (Err(3), Err(2), Err(2)));
    drop(client);

    let wrong = plant.sallyport(&["filter", "learn", "--asset", "plc-1", "--from", &session]);
    assert_eq!(wrong.code(), 1);
    assert!(wrong.stderr.contains("is a recording of modbus of asset `plc-3`, not of modbus of `plc-1`"), "{wrong}");
}
