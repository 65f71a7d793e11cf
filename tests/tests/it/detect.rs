//! What single events do not say, told by a broker: a scan is one event, a storm another, and what people do all day is neither.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use sallyport_tests::{Plant, Setup, eventually, finish};
use serde_json::Value;

use crate::modbus::{Controller, frame, next_frame, reading, tunnel_of};

/// The person's end of the tunnel to `plc-3`.
const PORT: u16 = 5020;
/// A look each second, and a slow machine.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

fn detections(plant: &Plant) -> Vec<Value> {
    plant.audit().into_iter().filter(|entry| entry["code"].as_str().unwrap().starts_with("SP-90")).collect()
}

#[track_caller]
fn told(plant: &Plant, count: usize) -> Vec<Value> {
    eventually("it is told", TOLD_WITHIN, || Some(detections(plant)).filter(|told| told.len() >= count))
}

#[test]
fn a_scan_and_a_storm_are_two_events_and_guessing_is_a_third() {
    let limits = "[detect]\nscan_window = \"10m\"\nstorm_window = \"10m\"\nscan_refused = 4\nscan_units = 5\nstorm_sessions = 6\nguesses = 3";
    let plant = Setup::with_modbus().setting(limits).start();
    let (alice, alan, mona) = (plant.person("alice"), plant.person("alan"), plant.person("mona"));
    alice.take_lease("ews-1");
    // Three assets that she may not reach, or that are not there: still no scan.
    for target in ["sis-9:502", "10.10.1.77:22", "10.10.1.78:22"] {
        alice.leased_ssh(["-W", target, "broker"]).refused();
    }
    // A day's work.
    for _ in 0..2 {
        alice.leased_ssh(["ews-1", "true"]).ok();
    }
    plant.settle();
    plant.settle();
    assert_eq!(detections(&plant), Vec::<Value>::new());

    alice.leased_ssh(["-W", "10.10.1.79:22", "broker"]).refused();
    let scan = told(&plant, 1);
    assert_eq!(scan.len(), 1, "{scan:?}");
    assert_eq!(
        (&scan[0]["code"], &scan[0]["severity"], &scan[0]["actor"]),
        (&"SP-9001".into(), &"alert".into(), &"gate-1".into())
    );
    let event = &scan[0]["event"];
    assert_eq!(
        (&event["identity"], &event["of"], &event["count"]),
        (&"alice".into(), &"refused targets".into(), &4.into())
    );
    assert!(event["examples"].as_array().unwrap().contains(&"10.10.1.79:22".into()), "{event}");

    for _ in 0..4 {
        alice.leased_ssh(["ews-1", "true"]).ok();
    }
    let storm = told(&plant, 2);
    assert_eq!(storm[1]["code"], "SP-9002", "{storm:?}");
    assert_eq!(storm[1]["event"]["of"], "sessions to ews-1:ssh");

    // Behind a controller, unit by unit, in a session that is over before anybody looks at it.
    let _controller = Controller::start(&plant);
    let tunnel = tunnel_of(&plant, &mona);
    let mut stream = tunnel.connect(PORT);
    for unit in 1..=5 {
        let mut request = frame(u16::from(unit), &reading(0, 1));
        request[6] = unit;
        stream.write_all(&request).unwrap();
        next_frame(&mut stream).unwrap();
    }
    drop(stream);
    let units = told(&plant, 3);
    assert_eq!((&units[2]["code"], &units[2]["event"]["of"]), (&"SP-9001".into(), &"units of plc-3".into()));

    // Somebody who has his key, and tries codes.
    let codes = ["000000", "000001", "000002"].map(str::to_owned);
    let mut guessing = alan.command_answering("ssh", &codes);
    guessing.arg("-F").arg(alan.config()).args(["ews-1.direct", "true"]);
    finish(guessing, b"").refused();
    let guesses = told(&plant, 4);
    assert_eq!(
        (&guesses[3]["code"], &guesses[3]["event"]["factors"]),
        (&"SP-9003".into(), &serde_json::json!(["code"]))
    );

    // Counted, and not repeated.
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    plant.settle();
    for entry in detections(&plant) {
        *counts.entry(entry["code"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("SP-9001".into(), 2), ("SP-9002".into(), 1), ("SP-9003".into(), 1)]));
    plant.sallyport(&["audit", "verify"]).ok();
}
