//! A chain of its own, and receivers that are real sockets and files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, AuditConfig, AuditEntry, AuditEvent};
use crate::config::{self, Config};
use crate::outbound::{OutboundError, Receivers};
use crate::store::{DatabaseConfig, Store};

/// A broker's chain, and the folder that everything is in.
pub(super) struct Bed {
    pub(super) folder: TempDir,
    pub(super) store: Store,
    pub(super) audit: Audit,
}

/// Receivers that are told.
pub(super) struct Telling {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Bed {
    pub(super) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
        let audit = audit(&store, "b1").await;
        Self { folder, store, audit }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What these lines of a configuration mean.
    pub(super) fn config(&self, lines: &str) -> config::Outbound {
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        let text = format!("outbound.dir = \"queues\"\nrecording.recipients = [\"{recipient}\"]\n{lines}");
        Config::parse(&self.path("broker.toml"), &text).unwrap().outbound
    }

    pub(super) async fn open(&self, lines: &str) -> Result<Option<Receivers>, OutboundError> {
        Receivers::open(&self.config(lines), "b1", &self.store, &self.audit).await
    }

    /// Begins to tell. The same chain cannot be followed twice: each time it is another handle of it.
    pub(super) async fn tell(&mut self, lines: &str) -> Telling {
        self.audit = audit(&self.store, "b1").await;
        let outbound = self.open(lines).await.unwrap().unwrap();
        let stop = CancellationToken::new();
        Telling { task: tokio::spawn(outbound.run(stop.clone())), stop }
    }

    pub(super) async fn record(&self, numbers: std::ops::Range<usize>) {
        self.audit.record_all(numbers.map(event)).await.unwrap();
    }

    pub(super) async fn chain(&self) -> Vec<AuditEntry> {
        self.store.audit_page(0, 100_000).await.unwrap()
    }

    /// Waits until the chain has an entry of this code.
    pub(super) async fn entry(&self, code: &str) -> Value {
        eventually(&format!("{code} is in the chain"), async || {
            let chain = self.chain().await;
            let found = chain.iter().rev().find(|entry| entry.code == code)?;
            Some(serde_json::from_str(&found.event).unwrap())
        })
        .await
    }
}

impl Telling {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// As a crash does.
    pub(super) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

pub(super) async fn audit(store: &Store, broker: &str) -> Audit {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (broker, actor) = (broker.to_owned(), broker.to_owned());
    Audit::start(AuditConfig { store: store.clone(), key, broker, actor, spool: None }).await.unwrap()
}

/// An event of no great importance.
pub(super) fn event(number: usize) -> AuditEvent {
    AuditEvent::IdentityLocked { identity: format!("alice-{number}"), reason: "a \"test\" ]\n".to_owned() }
}

/// An alarm.
pub(super) fn alarm(number: usize) -> AuditEvent {
    AuditEvent::RowRefused { table: "people".to_owned(), row: number.to_string(), reason: "test".to_owned() }
}

/// The numbers of [`event`]s and [`alarm`]s in what was told, in its order.
pub(super) fn numbers(bodies: &[Value]) -> Vec<usize> {
    let number = |body: &Value| {
        let identity = body["event"]["identity"].as_str().and_then(|name| name.strip_prefix("alice-"));
        identity.or(body["event"]["row"].as_str())?.parse().ok()
    };
    bodies.iter().filter_map(number).collect()
}

pub(super) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The lines of a file that is told, as JSON.
pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A receiver of syslog that has been told these messages so far, from its own thread.
pub(super) struct Syslog {
    pub(super) port: u16,
    told: Receiver<String>,
    pub(super) messages: Vec<String>,
}

impl Syslog {
    /// Takes what comes on a port; after so many messages of a connection it drops the connection, and takes the next.
    pub(super) fn tcp(listener: TcpListener, dropping_after: Option<usize>) -> Self {
        Self::serve(listener, move |socket| (Box::new(socket), dropping_after))
    }

    pub(super) fn tls(listener: TcpListener, config: Arc<ServerConfig>) -> Self {
        Self::serve(listener, move |socket| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            (Box::new(StreamOwned::new(connection, socket)), None)
        })
    }

    fn serve(
        listener: TcpListener,
        open: impl Fn(TcpStream) -> (Box<dyn Read + Send>, Option<usize>) + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = channel();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut stream, most) = open(socket.unwrap());
                let mut count = 0;
                while most.is_none_or(|most| count < most) {
                    let Some(message) = counted(&mut stream) else { break };
                    count += 1;
                    if tell.send(message).is_err() {
                        return;
                    }
                }
            }
        });
        Self { port, told, messages: Vec::new() }
    }

    /// Everything that was told, once this holds of it.
    pub(super) async fn until(&mut self, what: &str, mut done: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        eventually(what, async || {
            self.messages.extend(self.told.try_iter());
            let bodies = self.bodies();
            done(&bodies).then_some(bodies)
        })
        .await
    }

    pub(super) fn bodies(&self) -> Vec<Value> {
        self.messages.iter().map(|message| body(message)).collect()
    }
}

/// The body of a message of syslog.
pub(super) fn body(message: &str) -> Value {
    serde_json::from_str(&message[message.find("] {").unwrap() + 2..]).unwrap()
}

/// One message with counted octets.
fn counted(stream: &mut impl Read) -> Option<String> {
    let mut length = 0;
    let mut byte = [0];
    loop {
        // Byte by byte: what is not read stays in the socket, and closing it then resets the connection.
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

pub(super) fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// An authority with a certificate for `localhost` and one for a client, as files in this folder, named by `name`.
pub(super) fn authority(folder: &Path, name: &str) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join(format!("{name}.ca")), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (of, host) in [("server", "localhost"), ("client", "b1")] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join(format!("{name}.{of}.crt")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.{of}.key")), key.serialize_pem()).unwrap();
    }
    let read = |file: &str| CertificateDer::from_pem_file(folder.join(format!("{name}.{file}"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.server.key"))).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(read("ca")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![read("server.crt")], key)
        .unwrap();
    Arc::new(config)
}

/// A server of HTTPS that answers each request with the next of these statuses, and with the last from then on.
pub(super) fn https(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    statuses: &'static [u16],
) -> Receiver<(String, String)> {
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut next = 0;
        for socket in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(connection, socket.unwrap()));
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = number.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            if head.is_empty() {
                continue;
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let status = statuses[next.min(statuses.len() - 1)];
            next += 1;
            tell.send((head, String::from_utf8(body).unwrap())).ok();
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
            stream.get_mut().write_all(answer.as_bytes()).ok();
        }
    });
    told
}
