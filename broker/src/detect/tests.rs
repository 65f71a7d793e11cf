#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use super::*;
use crate::config::{Config, Detect};
use crate::live::Asked;

const SECOND: i64 = 1_000_000;

fn limits(section: &str) -> Detect {
    let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    let text = format!("[recording]\nrecipients = [\"{key}\"]\n[detect]\n{section}");
    Config::parse(std::path::Path::new("broker.toml"), &text).unwrap().detect
}

struct Chain {
    detector: Detector,
    told: Vec<AuditEvent>,
}

impl Chain {
    fn watched(section: &str) -> Self {
        Self { detector: Detector::new(limits(section)), told: Vec::new() }
    }

    /// An event as it stands in the chain, so many seconds after the beginning.
    fn has(&mut self, event: &AuditEvent, second: i64) {
        let entry = entry(event, second * SECOND);
        let fact = Fact::of(&entry).unwrap_or_else(|| panic!("{} is not watched for", entry.code));
        self.told.extend(self.detector.hear(&fact, written(&entry)));
    }

    #[track_caller]
    fn told(&mut self, expected: &[(&str, u64)]) {
        let told: Vec<(&str, u64)> = self.told.iter().map(|event| (event.kind().name, count(event))).collect();
        assert_eq!(told, expected, "{:?}", self.told);
        self.told.clear();
    }
}

fn count(event: &AuditEvent) -> u64 {
    serde_json::to_value(event).unwrap()["count"].as_u64().unwrap_or(0)
}

fn entry(event: &AuditEvent, at: i64) -> AuditEntry {
    AuditEntry {
        seq: 1,
        id: String::new(),
        at,
        code: event.kind().code.to_owned(),
        broker: "gate-1".to_owned(),
        actor: String::new(),
        identity: None,
        session: None,
        event: serde_json::to_string(event).unwrap(),
        previous: String::new(),
        hash: String::new(),
        signature: None,
    }
}

fn refused(identity: &str, source: &str, factor: &str) -> AuditEvent {
    let (identity, source, factor) = (identity.to_owned(), source.to_owned(), factor.to_owned());
    AuditEvent::FactorRefused { identity, source, factor, reason: "wrong".to_owned() }
}

fn denied(identity: &str, source: &str, asset: &str) -> AuditEvent {
    AuditEvent::DecisionDenied {
        identity: identity.to_owned(),
        source: source.to_owned(),
        asset: asset.to_owned(),
        service: "22".to_owned(),
        account: String::new(),
        session: None,
        reason: "no grant".to_owned(),
    }
}

fn began(identity: &str, asset: &str) -> AuditEvent {
    AuditEvent::SessionStarted {
        session: format!("{identity}-{asset}"),
        identity: identity.to_owned(),
        source: "10.0.0.7".to_owned(),
        asset: asset.to_owned(),
        zone: "cell-1".to_owned(),
        service: "ssh".to_owned(),
        account: "operator".to_owned(),
        form: "jump".to_owned(),
        rule: "role.engineer.grant[0]".to_owned(),
    }
}

#[test]
fn a_scan_is_many_things_and_a_storm_is_one_thing_very_fast() {
    let mut chain = Chain::watched("");
    for n in 0..7 {
        chain.has(&denied("alice", "10.0.0.7", &format!("plc-{n}")), n);
    }
    chain.told(&[]);
    chain.has(&denied("alice", "10.0.0.7", "plc-7"), 7);
    let AuditEvent::ScanDetected { identity, source, of, examples, .. } = &chain.told[0] else { panic!() };
    assert_eq!(
        (identity.as_deref(), source.as_deref(), of.as_str()),
        (Some("alice"), Some("10.0.0.7"), "refused targets")
    );
    assert_eq!((examples.len(), examples[0].as_str()), (8, "plc-0:22"));
    chain.told(&[("detection.scan", 8)]);

    // One asset, again and again: no scan.
    let mut chain = Chain::watched("storm_sessions = 20");
    for n in 0..19 {
        chain.has(&began("alice", "ews-1"), n);
    }
    chain.told(&[]);
    chain.has(&denied("alice", "10.0.0.7", "ews-1"), 19);
    chain.told(&[]);
    chain.has(&began("alice", "ews-1"), 19);
    chain.told(&[("detection.storm", 20)]);
    // The same number in a longer time is work.
    let mut chain = Chain::watched("storm_sessions = 20");
    for n in 0..200 {
        chain.has(&began("alice", "ews-1"), n * 4);
    }
    chain.told(&[]);
}

#[test]
fn a_scan_by_many_names_from_one_source_and_one_by_one_name_from_many_sources_are_seen() {
    let mut chain = Chain::watched("");
    for n in 0..8 {
        chain.has(&denied(&format!("person-{n}"), "10.0.0.7", &format!("plc-{n}")), n);
    }
    let AuditEvent::ScanDetected { identity: None, source: Some(_), .. } = &chain.told[0] else { panic!() };
    chain.told(&[("detection.scan", 8)]);
    for n in 0..8 {
        chain.has(&denied("bob", &format!("192.0.2.{n}"), &format!("plc-{n}")), n);
    }
    let AuditEvent::ScanDetected { identity: Some(_), source: None, .. } = &chain.told[0] else { panic!() };
    chain.told(&[("detection.scan", 8)]);
    // Assets that one may reach: only far more of them are a scan.
    for n in 0..40 {
        chain.has(&began("carla", &format!("ews-{n}")), n);
    }
    chain.told(&[("detection.scan", 40)]);
    // Names, by keys that count for nothing.
    for n in 0..8 {
        chain.has(&refused(&format!("name-{n}"), "192.0.2.77", "key"), n);
    }
    chain.told(&[("detection.scan", 8)]);
    for n in 0..8 {
        let (session, identity) = (Some("s".to_owned()), "dora".to_owned());
        let (request, reason) = (format!("direct-tcpip to 10.10.1.1:{n}"), "beyond loopback".to_owned());
        chain.has(&AuditEvent::RequestRefused { session, identity, request, reason }, n);
    }
    chain.told(&[("detection.scan", 8)]);
}

#[test]
fn units_functions_and_requests_of_a_decoded_protocol_are_told_by_person_and_asset() {
    let mut detector = Detector::new(limits("storm_requests = 1000"));
    let who = Who { identity: "alice".to_owned(), source: "10.0.0.7".to_owned() };
    let mut ask = |requests, units: std::ops::Range<u8>, functions: std::ops::Range<u8>, second: i64| {
        let asked = Asked { requests, units: units.collect(), functions: functions.collect() };
        let told = detector.asked(&who, "plc-3", &asked, second * SECOND);
        told.iter().map(|event| (event.kind().name, count(event))).collect::<Vec<_>>()
    };
    assert!(ask(999, 0..15, 1..8, 0).is_empty());
    assert_eq!(ask(1, 0..1, 1..2, 1), [("detection.storm", 1000)]);
    assert_eq!(ask(1, 15..16, 1..2, 2), [("detection.scan", 16)]);
    assert_eq!(ask(1, 15..16, 100..101, 3), [("detection.scan", 8)]);
    // Ten polls a second, for ever, of a few units: nothing.
    assert!((400..4000).all(|second| ask(10, 0..4, 3..5, second).is_empty()));
}

#[test]
fn guesses_count_by_source_and_by_name_and_offered_keys_are_no_guesses() {
    let mut chain = Chain::watched("");
    for n in 0..9 {
        chain.has(&refused("alice", "10.0.0.7", "totp"), n);
        chain.has(&refused("alice", "10.0.0.8", "key"), n);
    }
    chain.told(&[]);
    let (identity, source) = ("glass".to_owned(), "10.0.0.7".to_owned());
    chain.has(&AuditEvent::GlassRefused { identity, source, envelope: None, reason: "unknown".to_owned() }, 10);
    let AuditEvent::GuessingDetected { identity: None, source: Some(_), factors, .. } = &chain.told[0] else {
        panic!()
    };
    assert_eq!(*factors, ["totp", "envelope"]);
    chain.told(&[("detection.guessing", 10)]);
    // Each from somewhere else.
    chain.has(&refused("alice", "198.51.100.1", "password"), 11);
    let AuditEvent::GuessingDetected { identity: Some(_), source: None, .. } = &chain.told[0] else { panic!() };
    chain.told(&[("detection.guessing", 10)]);
    // One wrong code each two minutes is a person who errs.
    for n in 0..100 {
        chain.has(&refused("bob", "10.0.0.9", "totp"), 2000 + n * 120);
    }
    chain.told(&[]);
}

#[test]
fn a_first_factor_alone_is_told_at_the_third_time_within_the_hour() {
    let alone = |source: &str| AuditEvent::LoginAbandoned {
        identity: "alice".to_owned(),
        source: source.to_owned(),
        factor: "key".to_owned(),
        credential: String::new(),
        reason: String::new(),
    };
    let mut chain = Chain::watched("");
    chain.has(&alone("10.0.0.7"), 0);
    chain.has(&alone("10.0.0.8"), 10);
    // Beyond the hour: the first has left it.
    chain.has(&alone("10.0.0.8"), 3900);
    chain.told(&[]);
    chain.has(&alone("10.0.0.9"), 3905);
    let (identity, source) = ("alice".to_owned(), "10.0.0.9".to_owned());
    chain.has(&AuditEvent::ConfirmationRefused { identity, source, reason: String::new(), turned_away: 0 }, 3910);
    let AuditEvent::FactorAloneDetected { identity, sources, .. } = &chain.told[0] else { panic!() };
    assert_eq!((identity.as_str(), sources.last().map(String::as_str)), ("alice", Some("10.0.0.9")));
    chain.told(&[("detection.factor-alone", 3)]);
}

#[test]
fn one_person_in_two_places_is_told_and_a_place_that_was_left_is_not() {
    let begun = |session: &str, source: &str| {
        let AuditEvent::SessionStarted { identity, asset, zone, service, account, form, rule, .. } =
            began("alice", "ews-1")
        else {
            panic!()
        };
        let (session, source) = (session.to_owned(), source.to_owned());
        AuditEvent::SessionStarted { session, identity, source, asset, zone, service, account, form, rule }
    };
    let ended = |session: &str| AuditEvent::SessionEnded {
        session: session.to_owned(),
        identity: "alice".to_owned(),
        asset: "ews-1".to_owned(),
        end: "left".to_owned(),
        detail: String::new(),
        recording_head: None,
        recording_bytes: None,
        writes: None,
        tolerated: Vec::new(),
    };
    let mut chain = Chain::watched("together = [[\"10.0.0.0/16\", \"10.1.0.0/16\"]]");
    chain.has(&begun("a", "10.0.0.7"), 0);
    chain.has(&begun("b", "10.1.0.7"), 1);
    chain.told(&[]);
    chain.has(&ended("a"), 2);
    chain.has(&begun("c", "192.0.2.1"), 3);
    let AuditEvent::TwoPlacesDetected { session, other_session, other_broker, .. } = &chain.told[0] else { panic!() };
    assert_eq!((session.as_str(), other_session.as_str(), other_broker.as_str()), ("c", "b", "gate-1"));
    chain.told(&[("detection.two-places", 0)]);
    chain.has(&ended("b"), 4);
    chain.has(&ended("c"), 4);
    chain.has(&begun("d", "198.51.100.1"), 5);
    chain.told(&[]);
}

#[test]
fn a_clock_that_jumps_takes_what_was_counted_with_it() {
    let mut chain = Chain::watched("guesses = 3");
    chain.has(&refused("alice", "10.0.0.7", "totp"), 86_400);
    chain.has(&refused("alice", "10.0.0.7", "totp"), 86_401);
    chain.has(&AuditEvent::ClockJumped { micros: -86_400_000_000 }, 1);
    // It is yesterday now: what comes counts from here on, and is not passed over as too late.
    for n in 0..3 {
        chain.told(&[]);
        chain.has(&refused("alice", "10.0.0.7", "totp"), 2 + n);
    }
    chain.told(&[("detection.guessing", 3)]);
}

#[test]
fn sessions_are_work_if_something_was_or_could_be_written() {
    let ended = |writes| AuditEvent::SessionEnded {
        session: ulid::Ulid::from_parts(1_764_000_000_000, 7).to_string().to_ascii_lowercase(),
        identity: "alice".to_owned(),
        asset: "plc-3".to_owned(),
        end: "left".to_owned(),
        detail: String::new(),
        recording_head: None,
        recording_bytes: None,
        writes,
        tolerated: Vec::new(),
    };
    let at = 1_764_000_600_000_000;
    assert_eq!(worked(&entry(&ended(Some(0)), at)), None, "it has read only");
    for writes in [None, Some(3)] {
        let session = worked(&entry(&ended(writes), at)).unwrap();
        assert_eq!(session.until.duration_since(session.from).as_secs(), 600);
    }
}
