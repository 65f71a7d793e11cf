//! A page that is open, and what begins to wait meanwhile.

use std::io::{Read, Write};
use std::time::Duration;

use rustls::version::TLS13;
use sallyport_tests::{Plant, Setup};

use super::{PASSWORD, alice};

/// Reads what a stream of events says, until it is over or long enough was read.
fn stream(plant: &Plant, cookie: &str, long: Duration) -> String {
    let portal = plant.portal();
    let mut tls = portal.tls(&[&TLS13], &[b"http/1.1"]).unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", Plant::PORTAL_HOST);
    tls.write_all(request.as_bytes()).unwrap();
    tls.flush().unwrap();
    tls.sock.set_read_timeout(Some(long)).unwrap();
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = tls.read(&mut part) {
        said.extend_from_slice(&part[..length]);
    }
    String::from_utf8(said).unwrap()
}

#[test]
fn the_stream_is_its_persons_own_and_keeps_no_sign_in_from_being_idle() {
    let plant = Setup::standard().portal().setting("[portal]\nidle = \"5s\"").start();
    let alice = alice(&plant);
    let portal = plant.portal();
    assert_eq!(portal.ask("GET", "/events", &[], "").status, 204);
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    let cookie = visitor.cookie.clone().unwrap();
    let said = stream(&plant, &cookie, Duration::from_secs(3));
    assert!(said.contains("content-type: text/event-stream") && said.contains("event: waiting\ndata: []\n"), "{said}");
    // Four times in more than five seconds it is asked for; nothing else is.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(2));
        stream(&plant, &cookie, Duration::from_secs(2));
    }
    assert_eq!(visitor.get("/").leads_to(), "/sign-in");
}

/// A page that shows a login that waits would take "nothing waits" for its end.
#[test]
fn while_nobody_can_say_whether_a_login_waits_neither_is_said() {
    let plant = super::plant();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    plant.sql("ALTER TABLE confirmations RENAME TO away");
    let heard = visitor.get("/events");
    assert!(heard.body.contains("event: unknown\n") && !heard.body.contains("event: waiting"), "{heard}");
    assert!(!heard.body.contains("id:"), "what was heard before stays so: {heard}");
    assert_eq!(visitor.get("/c/KQ7M-XW2P").status, 503);
    plant.sql("ALTER TABLE away RENAME TO confirmations");
    let heard = visitor.get("/events");
    assert!(heard.body.contains("event: waiting\ndata: []\n"), "{heard}");
    assert_eq!(visitor.get("/c/KQ7M-XW2P").status, 404);
}
