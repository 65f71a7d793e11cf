//! What lies below the requests: TLS, its certificate, and HTTP/2.

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use sallyport_tests::{Portal, eventually, finish};

use super::plant;

const FRAME: usize = 9;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
/// `:status: 200`, as the standard's table has it.
const STATUS_200: u8 = 0x88;

#[test]
fn only_tls_1_3_is_spoken_and_no_other_protocol_within_it() {
    let plant = plant();
    let portal = plant.portal();
    assert!(portal.tls(&[&TLS13], &[b"http/1.1"]).is_ok());
    assert!(portal.tls(&[&TLS12], &[b"http/1.1"]).is_err());
    assert!(portal.tls(&[&TLS13], &[b"spdy/3"]).is_err());
    let mut plain = portal.socket().unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: gate.plant.example:8443\r\n\r\n").unwrap();
    let mut said = Vec::new();
    drop(plain.read_to_end(&mut said));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let mut plant = plant();
    let folder = plant.config().parent().unwrap().to_owned();
    let (certificate, key) = (folder.join("portal.crt"), folder.join("portal.key"));
    let old = [&certificate, &key].map(|path| fs::read(path).unwrap());
    fs::write(&certificate, "no certificate").unwrap();
    eventually("the bad one is told of", Duration::from_secs(20), || {
        plant.broker().log().contains("The portal's new certificate cannot be used").then_some(())
    });
    fs::write(&certificate, &old[0]).unwrap();
    assert!(plant.portal().tls(&[&TLS13], &[b"h2"]).is_ok());
    // Another broker's.
    let other = tempfile::tempdir().unwrap();
    let made =
        plant.command(&["init", "--portal", "gate.plant.example", "--dir", other.path().join("b").to_str().unwrap()]);
    finish(made, b"").ok();
    for (name, path) in [("portal.key", &key), ("portal.crt", &certificate)] {
        fs::copy(other.path().join("b").join(name), path).unwrap();
    }
    // The client believes what lies there now, and nothing else.
    eventually("the new one is shown", Duration::from_secs(20), || plant.portal().tls(&[&TLS13], &[b"h2"]).ok());
    assert_eq!(
        plant.json(&["portal", "check"]).as_array().unwrap().iter().filter(|row| row["state"] == "fail").count(),
        0
    );
}

/// A header as HTTP/2 writes it, with nothing compressed.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What comes of a request of these headers over HTTP/2: whether it was answered 200, or refused.
fn two(portal: &Portal<'_>, headers: &[(&str, &str)]) -> bool {
    let mut tls = portal.tls(&[&TLS13], &[b"h2"]).unwrap();
    assert_eq!(tls.conn.alpn_protocol(), Some(b"h2".as_slice()));
    let block: Vec<u8> = headers.iter().flat_map(|(name, value)| literal(name, value)).collect();
    let begin =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[]), frame(HEADERS, 5, 1, &block)]
            .concat();
    tls.write_all(&begin).unwrap();
    tls.flush().unwrap();
    loop {
        let mut head = [0; FRAME];
        if tls.read_exact(&mut head).is_err() {
            return false;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        tls.read_exact(&mut payload).unwrap();
        match head[3] {
            HEADERS => return payload.contains(&STATUS_200) && payload[0] == STATUS_200,
            RESET | GO_AWAY => return false,
            _ => {}
        }
    }
}

#[test]
fn over_http_2_the_same_is_asked_and_refused() {
    let plant = plant();
    let portal = plant.portal();
    let (method, scheme, path) = ((":method", "GET"), (":scheme", "https"), (":path", "/sign-in"));
    let ours = (":authority", "gate.plant.example:8443");
    assert!(two(&portal, &[method, scheme, path, ours]));
    for headers in [
        vec![method, scheme, path],
        vec![method, scheme, path, (":authority", "elsewhere.example")],
        vec![method, scheme, path, ours, ("host", "elsewhere.example")],
        vec![method, scheme, path, ours, ours],
        vec![method, scheme, path, (":path", "/"), ours],
        vec![method, (":scheme", "http"), path, ours],
        vec![method, scheme, (":path", "//sign-in"), ours],
        vec![method, scheme, (":path", "sign-in"), ours],
        vec![method, scheme, ours],
        vec![method, scheme, path, ours, (":status", "200")],
        vec![method, scheme, path, ours, ("x", "a\r\nb: c")],
        vec![method, scheme, path, ours, ("X", "a")],
        vec![method, scheme, path, ours, ("connection", "close")],
        vec![method, scheme, path, ours, ("transfer-encoding", "chunked")],
        vec![method, scheme, path, ("x", "a"), ours],
        vec![(":method", "CONNECT"), ours],
        vec![(":method", "TRACE"), scheme, path, ours],
    ] {
        assert!(!two(&portal, &headers), "{headers:?}");
    }
}
