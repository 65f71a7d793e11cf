//! What the ledger makes of a chain's events.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use serde_json::{Value, json};

use super::*;

const DAY: i64 = 24 * 3600 * 1_000_000;

fn ledger(events: &[(i64, &str, Value)]) -> Ledger {
    let mut ledger = Ledger::default();
    for (seq, (at, code, event)) in (1..).zip(events) {
        ledger.entry(&AuditEntry {
            seq,
            id: String::new(),
            at: *at,
            code: (*code).to_owned(),
            broker: "gate-1".to_owned(),
            actor: String::new(),
            identity: None,
            session: (*code != BROKER_STARTED).then(|| "s".to_owned()),
            event: event.to_string(),
            previous: String::new(),
            hash: String::new(),
            signature: None,
        });
    }
    ledger
}

fn check(events: &[(i64, &str, Value)], faults: &[&str]) {
    let ledger = ledger(events);
    let found = &ledger.get("s").unwrap().faults;
    assert_eq!(found.len(), faults.len(), "{found:?}");
    for (found, words) in found.iter().zip(faults) {
        assert!(found.contains(words), "{found}");
    }
}

fn start() -> (i64, &'static str, Value) {
    (0, SESSION_STARTED, json!({ "zone": "cell-1" }))
}

fn end(code: &'static str, digit: &str) -> (i64, &'static str, Value) {
    (DAY, code, json!({ "recording_head": digit.repeat(64), "recording_bytes": 100 }))
}

fn removal(at: i64, more: Value) -> (i64, &'static str, Value) {
    (at, REMOVED, more)
}

#[test]
fn a_recording_has_one_head() {
    check(&[start(), end(SESSION_ENDED, "a")], &[]);
    check(&[start(), (DAY, SESSION_ENDED, json!({ "recording_head": null })), end(INTERRUPTED, "a")], &[]);
    check(&[start(), end(SESSION_ENDED, "a"), end(INTERRUPTED, "a")], &[]);
    check(&[start(), end(SESSION_ENDED, "a"), end(INTERRUPTED, "b")], &["two heads"]);
    check(&[start(), end(INTERRUPTED, "a"), end(INTERRUPTED, "b")], &["two heads"]);
    check(&[start(), end(SESSION_ENDED, "x")], &["no head that could be one"]);
    check(&[start(), start()], &["begins twice"]);
}

#[test]
fn a_removal_is_held_against_age_size_and_hold() {
    let by_age = || json!({ "reason": "zone cell-1 keeps recordings for 30 days", "keep_days": 30 });
    let (start, end) = (start(), end(SESSION_ENDED, "a"));
    let with = |more: &[(i64, &'static str, Value)]| [&[start.clone(), end.clone()], more].concat();
    check(&with(&[removal(32 * DAY, by_age())]), &[]);
    check(&with(&[removal(30 * DAY, by_age())]), &["not after 30 days"]);
    // Before there was a field for it, the reason alone said so.
    let old = |days: u32| json!({ "reason": format!("zone cell-1 keeps recordings for {days} days") });
    check(&with(&[removal(32 * DAY, old(30))]), &[]);
    check(&with(&[removal(2 * DAY, old(3650))]), &["not after 3650 days"]);
    let by_size = |bytes: u64| json!({ "reason": "zone cell-1 keeps some", "keep_bytes": bytes });
    check(&with(&[removal(DAY, by_size(99))]), &[]);
    check(&with(&[removal(DAY, by_size(100))]), &["to keep 100 bytes, when there were 100"]);
    let (held, released) = ((DAY, HELD, json!({ "reason": "" })), (DAY, RELEASED, json!({ "reason": "" })));
    check(&with(&[held.clone(), removal(32 * DAY, by_age())]), &["while it was held (entry 3)"]);
    check(&with(&[held, released, removal(32 * DAY, by_age())]), &[]);
    check(&[removal(DAY, by_age())], &["never saw it made"]);
}

#[test]
fn what_was_open_when_its_broker_served_again_has_been_closed() {
    let run = || (DAY, BROKER_STARTED, json!({}));
    let began = |events: &[(i64, &str, Value)]| {
        let ledger = ledger(events);
        let start = Start { seq: 2, at: 0, broker: Arc::from("gate-1"), zone: Arc::from("cell-1") };
        ledger.closed_out(&start)
    };
    assert!(!began(&[run(), start()]));
    assert!(!began(&[run(), start(), run()]));
    assert!(began(&[run(), start(), run(), start()]));
}
