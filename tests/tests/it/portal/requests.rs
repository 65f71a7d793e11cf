//! Requests that no browser of ours makes: each is refused, and none is read in two ways.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use sallyport_tests::{Answer, Plant};

use super::plant;

const HOST: &str = "Host: gate.plant.example:8443";

#[test]
fn a_path_that_could_be_read_in_two_ways_leads_nowhere() {
    let plant = plant();
    let portal = plant.portal();
    let nothing = portal.ask("GET", "/nothing", &[], "").body;
    for path in [
        "/sign-in;/sessions",
        "/%73ign-in",
        "/x/%2e%2e/sign-in",
        "/x/../sign-in",
        "/./sign-in",
        "//sign-in",
        "/sign-in/",
        "/sign-in//",
        "/sign-in%00",
        "/sign-in%2f..%2fsessions",
        "/SIGN-IN",
        "/sign-in?next=%2Fsessions",
    ] {
        let answer = portal.ask("GET", path, &[], "");
        assert_eq!((answer.status, &answer.body), (404, &nothing), "{path}");
    }
    assert_eq!(portal.ask("GET", "/sign-in?next=/sessions", &[], "").status, 200);
}

#[test]
fn the_host_is_ours_and_said_once() {
    let plant = plant();
    let portal = plant.portal();
    let status = |line: &str, hosts: &str| {
        portal.raw(format!("{line}\r\n{hosts}\r\n").as_bytes()).map_or(0, |answer| answer.status)
    };
    let get = "GET /sign-in HTTP/1.1";
    assert_eq!(status(get, &format!("{HOST}\r\n")), 200);
    for (line, hosts) in [
        (get, ""),
        (get, "Host: elsewhere.example\r\n"),
        (get, "Host: gate.plant.example\r\n"),
        (get, "Host: gate.plant.example:8443.evil.example\r\n"),
        (get, "Host: 10.0.0.2:8443\r\n"),
        (get, &format!("{HOST}\r\n{HOST}\r\n")),
        (get, &format!("{HOST}\r\nHost: elsewhere.example\r\n")),
        ("GET https://elsewhere.example/sign-in HTTP/1.1", &format!("{HOST}\r\n")),
        ("GET http://gate.plant.example:8443/sign-in HTTP/1.1", &format!("{HOST}\r\n")),
        ("GET /sign-in HTTP/1.0", &format!("{HOST}\r\n")),
        ("CONNECT gate.plant.example:8443 HTTP/1.1", &format!("{HOST}\r\n")),
        ("OPTIONS * HTTP/1.1", &format!("{HOST}\r\n")),
    ] {
        let status = status(line, hosts);
        assert!(status == 0 || status >= 400, "{line} with {hosts:?} was answered {status}");
    }
}

/// One connection carries one request, whatever stands behind it; and what could be taken for two is taken for none.
#[test]
fn nothing_is_smuggled_behind_a_request() {
    let plant = plant();
    let portal = plant.portal();
    let behind = format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\n\r\n");
    let post = format!("POST /sign-in HTTP/1.1\r\n{HOST}\r\nOrigin: https://gate.plant.example:8443\r\n");
    for request in [
        // Two lengths.
        format!("{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{behind}"),
        format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{behind}"),
        format!("{post}Content-Length: 0\r\nContent-Length: 5\r\n\r\n{behind}"),
        format!("{post}Content-Length: 0, 5\r\n\r\n{behind}"),
        format!("{post}Content-Length: +0\r\n\r\n{behind}"),
        format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{behind}"),
        format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{behind}"),
        // A line that goes on, lines that end otherwise.
        format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nX: a\r\n b\r\n\r\n{behind}"),
        format!("GET /sign-in HTTP/1.1\n{HOST}\n\n{behind}"),
        format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n{behind}"),
        format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nX: a\rb\r\n\r\n{behind}"),
        format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nX: a\0b\r\n\r\n{behind}"),
        // A body where none is.
        format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nContent-Length: 5\r\n\r\nhello{behind}"),
    ] {
        let answer = portal.raw(request.as_bytes());
        let refused = answer.as_ref().is_none_or(|answer| answer.status >= 400 && !answer.body.contains("HTTP/1.1"));
        assert!(refused, "{request:?} was answered {}", answer.unwrap());
    }
    // Even where the first is right, a second is never looked at.
    let answer = portal.raw(format!("GET /nothing HTTP/1.1\r\n{HOST}\r\n\r\n{behind}").as_bytes()).unwrap();
    assert_eq!(answer.status, 404);
    assert!(!answer.body.contains("HTTP/1.1"), "{answer}");
}

/// The same form, with its cookie and token, in the two ways to say how long it is: browsers use one of them.
#[test]
fn a_body_in_chunks_is_not_read() {
    let plant = plant();
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.get("/sign-in");
    let fields = sallyport_tests::form(&[("csrf", visitor.csrf.as_str()), ("name", "alice"), ("password", "wrong")]);
    let head = format!(
        "POST /sign-in HTTP/1.1\r\n{HOST}\r\n{}\r\nOrigin: https://gate.plant.example:8443\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n",
        visitor.cookie_line().remove(0)
    );
    let whole = portal.raw(format!("{head}Content-Length: {}\r\n\r\n{fields}", fields.len()).as_bytes()).unwrap();
    assert!(whole.status == 403 && whole.body.contains("That did not work."), "{whole}");
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{fields}\r\n0\r\n\r\n", fields.len());
    assert_eq!(portal.raw(chunked.as_bytes()).map(|answer| answer.status), Some(400));
}

#[test]
fn a_head_or_a_body_larger_than_any_of_ours_is_refused() {
    let plant = plant();
    let portal = plant.portal();
    let refused = |request: String| portal.raw(request.as_bytes()).is_none_or(|answer| answer.status >= 400);
    assert!(refused(format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\nX: {}\r\n\r\n", "a".repeat(40_000))));
    assert!(refused(format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\n{}\r\n", "X: a\r\n".repeat(100))));
    assert!(refused(format!("GET /{} HTTP/1.1\r\n{HOST}\r\n\r\n", "a".repeat(3000))));
    let mut visitor = portal.visitor();
    visitor.get("/sign-in");
    // It is refused by what it says of itself, before it is there.
    let cookie = visitor.cookie_line().remove(0);
    let large = format!(
        "POST /sign-in HTTP/1.1\r\n{HOST}\r\n{cookie}\r\nOrigin: https://gate.plant.example:8443\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 70000\r\n\r\n"
    );
    assert_eq!(portal.raw(large.as_bytes()).map(|answer| answer.status), Some(413));
    assert_eq!(visitor.post("/sign-in", &[("name", "alice"), ("password", "wrong")]).status, 403);
}

/// Whoever sends slowly is cut, and counts against their source until then.
#[test]
fn slow_heads_and_bodies_are_cut() {
    let plant = plant();
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.get("/sign-in");
    let cookie = visitor.cookie_line().remove(0);
    let head = format!("GET /sign-in HTTP/1.1\r\n{HOST}\r\n");
    let body = format!(
        "POST /sign-in HTTP/1.1\r\n{HOST}\r\n{cookie}\r\nOrigin: https://gate.plant.example:8443\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
    );
    let cut = |plant: &Plant, begin: &str| {
        let portal = plant.portal();
        let mut tls = portal.tls(&[&rustls::version::TLS13], &[b"http/1.1"]).unwrap();
        tls.write_all(begin.as_bytes()).unwrap();
        tls.flush().unwrap();
        let begun = Instant::now();
        tls.sock.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut answered = Vec::new();
        while begun.elapsed() < Duration::from_secs(40) {
            drop(tls.write_all(b"a").and_then(|()| tls.flush()));
            let mut part = [0; 4096];
            match tls.read(&mut part) {
                Ok(0) => break,
                Ok(length) => answered.extend_from_slice(&part[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        (begun.elapsed(), Answer::read(&mut answered.as_slice()))
    };
    let (head, body) = std::thread::scope(|scope| {
        let head = scope.spawn(|| cut(&plant, &head));
        let body = scope.spawn(|| cut(&plant, &body));
        (head.join().unwrap(), body.join().unwrap())
    });
    for (took, _) in [&head, &body] {
        assert!((Duration::from_secs(8)..Duration::from_secs(20)).contains(took), "cut after {took:?}");
    }
    assert_eq!(body.1.map(|answer| answer.status), Some(408));
}
