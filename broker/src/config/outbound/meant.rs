//! What `[[siem]]`, `[alarm]` and `[outbound]` mean.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Who is told, and where what waits for them is kept.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The folder of the queues.
    pub dir: PathBuf,
    /// Everybody who is told.
    pub receivers: Vec<Receiver>,
    /// Codes that count as alarms besides all events of severity `alert`.
    pub alarm_codes: BTreeSet<String>,
}

/// Somebody who is told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Its name: of its queue, in metrics and in the log.
    pub name: String,
    /// What it is told.
    pub takes: Takes,
    /// How much may wait for it on disk.
    pub most_waiting: u64,
    /// How it is reached.
    pub way: Way,
}

/// What a receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Every event, and the heads of the chain.
    Everything,
    /// Alarms alone.
    Alarms,
}

/// How a receiver is reached.
#[derive(Debug, Clone)]
pub enum Way {
    /// Lines in a file.
    File {
        /// The file.
        path: PathBuf,
        /// What a line says.
        format: Format,
    },
    /// Syslog.
    Syslog {
        /// Where.
        to: SyslogTo,
        /// What a message says.
        format: Format,
        /// The facility, as a number.
        facility: u8,
    },
    /// An HTTPS request for each alarm.
    Webhook(Webhook),
    /// A local program for each alarm.
    Command(Program),
    /// A mail for each alarm.
    Mail(Mail),
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The entry as the chain has it.
    Json,
    /// ArcSight's Common Event Format.
    Cef,
}

/// Where syslog goes.
#[derive(Debug, Clone)]
pub enum SyslogTo {
    /// TLS (RFC 5425).
    Tls {
        /// Host and port.
        remote: Remote,
        /// Whom to believe.
        trust: Trust,
    },
    /// TCP with counted octets (RFC 6587).
    Tcp(Remote),
    /// UDP (RFC 5426).
    Udp(Remote),
    /// A local socket of datagrams, as `/dev/log`.
    UnixDatagram(PathBuf),
    /// A local socket of a stream; each message ends with a line feed.
    UnixStream(PathBuf),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Whom to believe over TLS, and who this broker is.
#[derive(Debug, Clone)]
pub struct Trust {
    /// PEM file of the authorities.
    pub ca: PathBuf,
    /// PEM files of this broker's certificate and key, for a server that asks.
    pub own: Option<Own>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Own {
    /// PEM file of the chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// `[[alarm.webhook]]`
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Host and port.
    pub remote: Remote,
    /// Path and query.
    pub path: String,
    /// Whom to believe.
    pub trust: Trust,
    /// File of the secret that signs each request.
    pub secret_file: PathBuf,
}

/// `[[alarm.command]]`
#[derive(Debug, Clone)]
pub struct Program {
    /// An absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It is killed after this.
    pub within: Duration,
}

/// `[[alarm.mail]]`
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server.
    pub remote: Remote,
    /// How TLS begins.
    pub tls: MailTls,
    /// Whom to believe.
    pub trust: Trust,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Who logs in, where the server asks for it.
    pub login: Option<MailLogin>,
}

/// How TLS begins on a connection for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// By `STARTTLS`, without which nothing is sent.
    StartTls,
    /// At once.
    Implicit,
}

/// Who logs in at a mail server.
#[derive(Debug, Clone)]
pub struct MailLogin {
    /// The name.
    pub user: String,
    /// File of the password.
    pub password_file: PathBuf,
}

impl std::fmt::Display for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
