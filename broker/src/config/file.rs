//! The configuration as it is written: names, nesting and types of the TOML, and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::outbound::{AlarmSection, OutboundSection, SiemSection};

/// `broker.toml` as written. Every key is optional here; [`super::Config`] knows what is missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Who this broker is.
    pub broker: BrokerSection,
    /// What is logged, and how.
    pub log: Log,
    /// Where it listens.
    pub listen: Listen,
    /// Where its tables are.
    pub database: Database,
    /// Where the master key is.
    pub secrets: Secrets,
    /// How logins are taken.
    pub ssh: Ssh,
    /// Where and how sessions are recorded.
    pub recording: Recording,
    /// How long a second factor may count.
    pub lease: Lease,
    /// The pages for people; none unless it is there.
    pub portal: Option<PortalSection>,
    /// Where what is told waits.
    pub outbound: OutboundSection,
    /// Who is told of every event.
    pub siem: Vec<SiemSection>,
    /// Who is told of alarms.
    pub alarm: AlarmSection,
    /// What is worth telling.
    pub detect: DetectSection,
}

/// `[broker]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerSection {
    /// Name of this broker, one per installation.
    pub name: Option<Spanned<String>>,
    /// How long live sessions may go on once the broker was asked to stop.
    pub drain: Option<Spanned<String>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, or a filter such as `info,sallyport::ssh=debug`.
    pub level: Option<Spanned<String>>,
    /// `text` or `json`.
    pub format: Option<Spanned<String>>,
}

/// `[listen]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Addresses and ports for ssh.
    pub ssh: Option<Vec<Spanned<String>>>,
    /// Address and port for Prometheus; none by default.
    pub metrics: Option<Spanned<String>>,
    /// Lets `metrics` be an address that other machines can reach.
    pub metrics_beyond_loopback: bool,
}

/// `[database]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite:PATH` or `postgres://USER@HOST/NAME`, without a password.
    pub url: Option<Spanned<String>>,
    /// File that holds the database password.
    pub password_file: Option<PathBuf>,
}

/// `[secrets]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// File that holds the master key.
    pub master_key: Option<Spanned<PathBuf>>,
    /// Name of the systemd credential that holds the master key.
    pub master_key_credential: Option<Spanned<String>>,
    /// Where that credential is kept, sealed to the machine.
    pub master_key_sealed: Option<Spanned<PathBuf>>,
    /// The program that opens it for root.
    pub systemd_creds: Option<Spanned<PathBuf>>,
}

/// `[ssh]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// Names and addresses that the broker's own host certificate is valid for.
    pub names: Option<Vec<Spanned<String>>>,
    /// Shown before login.
    pub login_notice: Option<String>,
    /// Public keys of authorities whose user certificates count as a first factor.
    pub user_ca: Vec<Spanned<String>>,
    /// Keys and certificates that no longer count: `key:SHA256:…`, `serial:42`, `id:alice@laptop`.
    pub revoked: Vec<Spanned<String>>,
    /// From connection to login.
    pub login_deadline: Option<Spanned<String>>,
    /// Connections that have not logged in, in all.
    pub max_unauthenticated: Option<Spanned<u32>>,
    /// Connections that have not logged in, per source address.
    pub max_unauthenticated_per_source: Option<Spanned<u32>>,
    /// Connections in all.
    pub max_connections: Option<Spanned<u32>>,
    /// Connections per source address, logged in or not.
    pub max_connections_per_source: Option<Spanned<u32>>,
    /// New connections a second per source address.
    pub max_rate_per_source: Option<Spanned<u32>>,
    /// Between keepalives.
    pub keepalive: Option<Spanned<String>>,
    /// To reach an asset and log in there.
    pub dial_timeout: Option<Spanned<String>>,
    /// `standard` or `strict`.
    pub algorithms: Option<Spanned<String>>,
    /// A connection through which nothing is open ends after this.
    pub idle: Option<Spanned<String>>,
    /// The same where the login has a lease.
    pub idle_with_lease: Option<Spanned<String>>,
}

/// `[recording]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recording {
    /// Folder of the recordings.
    pub dir: Option<PathBuf>,
    /// Who may read them: age X25519 recipients.
    pub recipients: Option<Spanned<Vec<Spanned<String>>>>,
    /// `process` or `power`.
    pub durability: Option<Spanned<String>>,
    /// The largest recording.
    pub cap: Option<Spanned<String>>,
    /// Free space below which the operator is warned.
    pub warn_below: Option<Spanned<String>>,
    /// Free space below which the warning is urgent.
    pub low_below: Option<Spanned<String>>,
    /// Free space below which no session starts.
    pub critical_below: Option<Spanned<String>>,
    /// Room that only emergencies may spend.
    pub reserve: Option<Spanned<String>>,
    /// Days that recordings are kept where the zone says nothing.
    pub keep_days: Option<Spanned<u32>>,
    /// Bytes of recordings that are kept, per zone, where the zone says nothing.
    pub keep_bytes: Option<Spanned<String>>,
    /// Per zone.
    pub retention: BTreeMap<String, Retention>,
    /// Where audit events wait while the database is away.
    pub audit_spool: Option<PathBuf>,
}

/// `[recording.retention.ZONE]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Days that recordings are kept.
    pub keep_days: Option<Spanned<u32>>,
    /// Bytes of recordings that are kept.
    pub keep_bytes: Option<Spanned<String>>,
}

/// `[lease]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lease {
    /// No lease is longer than this, whatever a grant says; "0s" turns leases off.
    pub longest: Option<Spanned<String>>,
}

/// `[portal]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PortalSection {
    /// Addresses and ports for https.
    pub listen: Option<Vec<Spanned<String>>>,
    /// Addresses and ports where administrators' and auditors' pages are, and nowhere else then.
    pub management: Option<Vec<Spanned<String>>>,
    /// The name that people type, and that passkeys are bound to.
    pub name: Option<Spanned<String>>,
    /// The origin as browsers say it, where it is not `https://NAME` and the first port.
    pub origin: Option<Spanned<String>>,
    /// The same of `management`.
    pub management_origin: Option<Spanned<String>>,
    /// File of the certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// File of its private key, PEM.
    pub key: Option<PathBuf>,
    /// A sign-in ends when nothing was asked for so long.
    pub idle: Option<Spanned<String>>,
    /// A sign-in ends after so long, whatever is asked.
    pub longest: Option<Spanned<String>>,
    /// Whoever adds or removes a factor has given a second one within so long.
    pub fresh: Option<Spanned<String>>,
    /// Whether authenticators count that ask nobody for a PIN or finger.
    pub unverified_keys: bool,
    /// PEM files of who makes authenticators: only theirs are enrolled.
    pub attestation_roots: Vec<PathBuf>,
    /// Of those, only these models, by AAGUID.
    pub attested_models: Vec<Spanned<String>>,
}

/// `[detect]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetectSection {
    /// The window of scans.
    pub scan_window: Option<Spanned<String>>,
    /// Different targets or requests that one person or source is refused.
    pub scan_refused: Option<Spanned<u32>>,
    /// Different assets that one person reaches.
    pub scan_assets: Option<Spanned<u32>>,
    /// Different names that one source claims.
    pub scan_names: Option<Spanned<u32>>,
    /// Different units of one asset.
    pub scan_units: Option<Spanned<u32>>,
    /// Different functions that one asset is asked for.
    pub scan_functions: Option<Spanned<u32>>,
    /// The window of storms.
    pub storm_window: Option<Spanned<String>>,
    /// Sessions to one target.
    pub storm_sessions: Option<Spanned<u32>>,
    /// Requests to one asset.
    pub storm_requests: Option<Spanned<u32>>,
    /// The window of guesses.
    pub guess_window: Option<Spanned<String>>,
    /// Wrong passwords, codes and envelopes.
    pub guesses: Option<Spanned<u32>>,
    /// The window of first factors without a second.
    pub alone_window: Option<Spanned<String>>,
    /// How many of them.
    pub alone: Option<Spanned<u32>>,
    /// Lists of networks, each of which is one place.
    pub together: Vec<Vec<Spanned<String>>>,
}
