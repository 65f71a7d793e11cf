//! A small site on the loopback of the office: the portal's pages, scripts and stylesheet, under the policy that they must obey, and
//! answers of the test's own to what the scripts ask.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use sallyport_tests::{Network, Place, repository};
use serde_json::Value;

/// As strict as the portal's own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What a script asked for.
pub(super) struct Asked {
    pub(super) path: String,
    /// The header `x-csrf`.
    pub(super) csrf: String,
    pub(super) body: Value,
}

/// The site, until the test ends.
pub(super) struct Site {
    pub(super) origin: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Receiver<Asked>,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Site {
    pub(super) fn start(network: &Arc<Network>) -> Site {
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let (sender, asked) = mpsc::channel();
        let (bound, port) = mpsc::channel();
        let (network, serves) = (Arc::clone(network), Arc::clone(&answers));
        thread::spawn(move || {
            network.enter(Place::Office);
            let listener = TcpListener::bind("127.0.0.1:0").expect("a site listens");
            bound.send(listener.local_addr().expect("an address").port()).expect("the test waits");
            while let Ok((stream, _)) = listener.accept() {
                let (serves, sender) = (Arc::clone(&serves), sender.clone());
                thread::spawn(move || serve(stream, &serves, &sender));
            }
        });
        let origin = format!("http://localhost:{}", port.recv().expect("a port"));
        let site = Site { origin, answers, asked };
        for (name, kind) in
            [("style.css", "text/css"), ("page.js", "text/javascript"), ("webauthn.js", "text/javascript")]
        {
            let path = repository().join("broker/assets/portal").join(name);
            site.lay(&format!("/static/{name}"), 200, kind, &std::fs::read_to_string(path).expect("an asset"));
        }
        site
    }

    /// A page at a path.
    pub(super) fn page(&self, path: &str, html: &str) {
        self.lay(path, 200, "text/html; charset=utf-8", html);
    }

    /// A script of the test's own at a path.
    pub(super) fn script(&self, path: &str, source: &str) {
        self.lay(path, 200, "text/javascript", source);
    }

    /// A stylesheet of the test's own at a path.
    pub(super) fn style(&self, path: &str, source: &str) {
        self.lay(path, 200, "text/css", source);
    }

    /// An answer to a script.
    pub(super) fn answer(&self, path: &str, status: u16, json: &Value) {
        self.lay(path, status, "application/json", &json.to_string());
    }

    /// A stream of events that says this and then goes on.
    pub(super) fn events(&self, path: &str, text: &str) {
        self.lay(path, 200, "text/event-stream", text);
    }

    /// What a script posted next.
    #[track_caller]
    pub(super) fn asked(&self) -> Asked {
        self.asked.recv_timeout(std::time::Duration::from_secs(20)).expect("the script asks")
    }

    fn lay(&self, path: &str, status: u16, kind: &'static str, body: &str) {
        let answer = Answer { status, kind, body: body.to_owned() };
        self.answers.lock().expect("a lock").insert(path.to_owned(), answer);
    }
}

/// One request; a browser that breaks off is its own affair.
fn serve(stream: TcpStream, answers: &Mutex<BTreeMap<String, Answer>>, sender: &Sender<Asked>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let found =
            head.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
    if head[0].starts_with("POST") {
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        sender.send(Asked { path: path.clone(), csrf: header("x-csrf"), body }).ok();
    }
    let nothing = Answer { status: 404, kind: "text/plain", body: "nothing here".to_owned() };
    let Answer { status, kind, body } = answers.lock().expect("a lock").get(&path).cloned().unwrap_or(nothing);
    let length = match kind {
        "text/event-stream" => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\n{length}Content-Security-Policy: {POLICY}\r\n\
         X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes()).ok();
    if kind == "text/event-stream" {
        // Until the browser goes.
        while matches!(stream.read(&mut [0]), Ok(1..)) {}
    }
}
