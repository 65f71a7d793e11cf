//! A browser's side of the portal, byte by byte: no library stands between a test and what it sends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::{Person, Place, Plant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(75);

/// The portal of a plant, as the office reaches it.
pub struct Portal<'a> {
    plant: &'a Plant,
    source: IpAddr,
    port: u16,
}

/// A connection to the portal, spoken TLS on.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Name, in small letters, and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Plant {
    /// Where the portal of [`crate::Setup::portal`] listens.
    pub const PORTAL: (&str, u16) = ("10.0.0.2", 8443);
    /// The name under which people know it.
    pub const PORTAL_NAME: &str = "gate.plant.example";
    /// What a browser says of it.
    pub const PORTAL_HOST: &str = "gate.plant.example:8443";

    /// The portal, as somebody in the office reaches it.
    pub fn portal(&self) -> Portal<'_> {
        self.portal_from("10.0.0.10")
    }

    /// The portal, as it is reached from another address of the office.
    pub fn portal_from(&self, source: &str) -> Portal<'_> {
        Portal { plant: self, source: source.parse().expect("an address"), port: Plant::PORTAL.1 }
    }
}

impl Portal<'_> {
    /// The same at another port, where it has one.
    #[must_use]
    pub fn at_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What a browser says of it.
    pub fn authority(&self) -> String {
        format!("{}:{}", Plant::PORTAL_NAME, self.port)
    }

    /// A socket, with nothing said on it.
    pub fn socket(&self) -> io::Result<TcpStream> {
        let to: SocketAddr = format!("{}:{}", Plant::PORTAL.0, self.port).parse().expect("an address");
        let connect = || {
            self.plant.network().enter(Place::Office);
            let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)?;
            rustix::net::bind(&socket, &SocketAddr::new(self.source, 0))?;
            rustix::net::connect(&socket, &to)?;
            Ok(TcpStream::from(socket))
        };
        let socket: io::Result<TcpStream> =
            thread::scope(|scope| scope.spawn(connect).join().expect("a thread that connects"));
        let socket = socket?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }

    /// A connection on which TLS of these versions is spoken, and one of these protocols within it.
    pub fn tls(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&[u8]]) -> io::Result<Tls> {
        let mut socket = self.socket()?;
        let name = ServerName::try_from(Plant::PORTAL_NAME).expect("a name");
        let mut connection = ClientConnection::new(self.config(versions, protocols), name).map_err(io::Error::other)?;
        connection.complete_io(&mut socket)?;
        Ok(StreamOwned::new(connection, socket))
    }

    fn config(&self, versions: &[&'static SupportedProtocolVersion], protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let path = self.plant.config().with_file_name("portal.crt");
        roots.add(CertificateDer::from_pem_file(path).expect("the portal's certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let mut config = builder.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Sends bytes on a connection of their own and reads until it is closed: the answer, if there is one.
    pub fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut tls = self.tls(&[&rustls::version::TLS13], &[b"http/1.1"]).ok()?;
        // Who is refused while they still send may find the connection closed.
        drop(tls.write_all(bytes).and_then(|()| tls.flush()));
        Answer::read(&mut tls)
    }

    /// A request as a browser makes one, with these lines besides.
    pub fn ask(&self, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.authority());
        for line in lines {
            request.push_str(&format!("{line}\r\n"));
        }
        if method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str(&format!("\r\n{body}"));
        self.raw(request.as_bytes()).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// A browser that has not been here.
    pub fn visitor(&self) -> Visitor<'_> {
        Visitor { portal: self, cookie: None, csrf: String::new() }
    }
}

/// A browser: it keeps the cookie, and the token of the last page.
pub struct Visitor<'a> {
    portal: &'a Portal<'a>,
    /// What it sends as its cookie.
    pub cookie: Option<String>,
    /// What it sends in its forms.
    pub csrf: String,
}

impl Visitor<'_> {
    /// Asks for a page.
    pub fn get(&mut self, path: &str) -> Answer {
        let lines = self.cookie_line();
        let answer = self.portal.ask("GET", path, &lines.iter().map(String::as_str).collect::<Vec<_>>(), "");
        self.remember(&answer);
        answer
    }

    /// Sends a form of the last page.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut lines = self.cookie_line();
        lines.push(format!("Origin: https://{}", self.portal.authority()));
        lines.push("Sec-Fetch-Site: same-origin".to_owned());
        lines.push("Content-Type: application/x-www-form-urlencoded".to_owned());
        let body = form(&[fields, &[("csrf", self.csrf.as_str())]].concat());
        let answer = self.portal.ask("POST", path, &lines.iter().map(String::as_str).collect::<Vec<_>>(), &body);
        self.remember(&answer);
        answer
    }

    /// Name and password; what comes next is for the caller.
    pub fn first(&mut self, name: &str, password: &str) -> Answer {
        self.get("/sign-in");
        self.post("/sign-in", &[("name", name), ("password", password), ("next", "/")])
    }

    /// Signs in whole.
    #[track_caller]
    pub fn sign_in(&mut self, person: &Person, password: &str) {
        assert_eq!(self.first(&person.name, password).leads_to(), "/sign-in/second");
        self.get("/sign-in/second");
        assert_eq!(self.post("/sign-in/second", &[("code", &person.fresh_code())]).leads_to(), "/");
        assert_eq!(self.get("/").status, 200);
    }

    /// What it sends as its cookie, as lines of a request.
    pub fn cookie_line(&self) -> Vec<String> {
        self.cookie.iter().map(|cookie| format!("Cookie: {cookie}")).collect()
    }

    fn remember(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.header("set-cookie") {
            let pair = cookie.split(';').next().expect("a pair").to_owned();
            self.cookie = Some(pair).filter(|pair| !pair.ends_with('='));
        }
        if let Some(token) = answer.token() {
            self.csrf = token;
        }
    }
}

/// Fields as a form sends them.
pub fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    pairs.join("&")
}

impl Answer {
    /// Reads one, and until the connection is closed.
    pub fn read(from: &mut impl Read) -> Option<Answer> {
        let mut bytes = Vec::new();
        // Where the other side closes is where an answer ends; how it closes is another matter.
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut part) {
            bytes.extend_from_slice(&part[..length]);
        }
        let text = String::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where it leads.
    #[track_caller]
    pub fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{self}");
        self.header("location").expect("a redirection leads somewhere")
    }

    /// The token of the first form on the page.
    pub fn token(&self) -> Option<String> {
        let (_, rest) = self.body.split_once("name=\"csrf\" value=\"")?;
        Some(rest.split('"').next()?.to_owned())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {value}")?;
        }
        writeln!(formatter, "\n{}", self.body)
    }
}
