//! A small WebDriver client: JSON over HTTP/1.1, to a chromedriver on the loopback of a namespace.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Running, eventually};
use crate::stream::within;
use crate::{Network, Place};

/// How long one command may take.
const TO_ANSWER: Duration = Duration::from_secs(90);

/// What the driver or the browser did not do.
#[derive(Debug)]
pub struct Refused {
    /// The error's code, as WebDriver has it: `no such element`.
    pub error: String,
    /// More of it.
    pub message: String,
}

impl Refused {
    /// Whether what was meant was there, and is no more, or not yet: the page was drawn anew in between. Beside WebDriver's own words
    /// for that, chromedriver passes on what the browser says of a node that it has just thrown away.
    pub(super) fn is_of_another_page(&self) -> bool {
        const OWN: [&str; 3] = ["stale element reference", "no such element", "element not interactive"];
        const PASSED_ON: [&str; 3] = ["node with given id", "node id", "cannot find context with specified id"];
        let message = self.message.to_ascii_lowercase();
        OWN.contains(&self.error.as_str()) || PASSED_ON.iter().any(|words| message.contains(words))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.error, self.message)
    }
}

impl std::error::Error for Refused {}

/// A chromedriver with one browser.
pub(super) struct Driver {
    network: Arc<Network>,
    place: Place,
    port: u16,
    session: String,
    /// Ends after the browser, which it started.
    process: Running,
}

impl Driver {
    /// Starts both, with everything they write below `folder`.
    pub(super) fn start(network: &Arc<Network>, place: Place, folder: &Path, arguments: &[String]) -> Driver {
        let mut command = network.command(place, "chromedriver");
        command.arg("--port=0").env("TMPDIR", folder).env("HOME", folder);
        let process = Running::start("chromedriver", command, &folder.join("chromedriver.log"));
        let port = eventually("chromedriver listens", Duration::from_secs(20), || port(&process.log()));
        let mut driver = Driver { network: Arc::clone(network), place, port, session: String::new(), process };
        let answer = driver.ask("POST", "/session", Some(&wanted(folder, arguments)));
        let answer = answer.unwrap_or_else(|refused| panic!("no browser: {refused}\n{}", driver.process.log()));
        answer["sessionId"].as_str().expect("a session").clone_into(&mut driver.session);
        driver
    }

    pub(super) fn get(&self, command: &str) -> Result<Value, Refused> {
        self.ask("GET", &self.path(command), None)
    }

    pub(super) fn post(&self, command: &str, body: &Value) -> Result<Value, Refused> {
        self.ask("POST", &self.path(command), Some(body))
    }

    pub(super) fn delete(&self, command: &str) -> Result<Value, Refused> {
        self.ask("DELETE", &self.path(command), None)
    }

    /// A command of the browser's own protocol.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Result<Value, Refused> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    fn path(&self, command: &str) -> String {
        format!("/session/{}/{command}", self.session)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let port = self.port;
        let stream = within(&self.network, self.place, move || TcpStream::connect(("127.0.0.1", port)));
        let stream = stream.expect("chromedriver takes a connection");
        let mut answer = exchange(stream, port, method, path, body).expect("chromedriver answers");
        let value = answer["value"].take();
        match value["error"].as_str() {
            Some(error) if value.get("stacktrace").is_some() => {
                let message = value["message"].as_str().unwrap_or_default().to_owned();
                Err(Refused { error: error.to_owned(), message })
            }
            _ => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.session.is_empty() && self.process.ended().is_none() {
            let path = format!("/session/{}", self.session);
            let gone = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.ask("DELETE", &path, None)));
            // What is left of it dies with its namespace.
            if gone.is_err() {
                eprintln!("the browser did not end by itself");
            }
        }
    }
}

/// What the browser is to be.
fn wanted(folder: &Path, arguments: &[String]) -> Value {
    let mut all: Vec<String> = [
        "--headless=new",
        // Root needs it; the pages are our own.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--lang=en",
        "--window-size=1280,900",
    ]
    .map(str::to_owned)
    .into();
    all.push(format!("--user-data-dir={}", folder.join("profile").display()));
    all.extend_from_slice(arguments);
    json!({ "capabilities": { "alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": all },
        "goog:loggingPrefs": { "browser": "ALL" },
        "timeouts": { "script": 30_000, "pageLoad": 60_000 },
        "unhandledPromptBehavior": "dismiss",
    } } })
}

/// It says where it listens: `ChromeDriver was started successfully on port 40123.`
fn port(log: &str) -> Option<u16> {
    log.split_once("successfully on port ")?.1.split('.').next()?.parse().ok()
}

fn exchange(
    mut stream: TcpStream,
    port: u16,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> std::io::Result<Value> {
    stream.set_read_timeout(Some(TO_ANSWER))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(std::io::Error::other)
}
