//! Configuration: [`File`] is what was written, [`Config`] is what it means.

mod error;
mod file;
mod outbound;
mod portal;
mod units;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ssh_key::PublicKey;
use toml::Spanned;

pub use error::{ConfigError, Problem};
pub use file::File;
pub use outbound::{
    Format, Mail, MailLogin, MailTls, Outbound, Own, Program, Receiver, Remote, SyslogTo, Takes, Trust, Way, Webhook,
};
pub use portal::Portal;
pub use units::{duration, size};

use crate::identity::Revoked;
use crate::store::DatabaseConfig;
use crate::vault::{MasterKeySource, SealedCredential};

/// Where the configuration is when nobody says otherwise.
pub const SYSTEM_PATH: &str = "/etc/sallyport/broker.toml";

/// The environment variable that names the configuration.
pub const PATH_VARIABLE: &str = "SALLYPORT_CONFIG";

/// What `broker.toml` means, defaults filled in and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// Name of this broker: in recordings, audit events and the table of brokers.
    pub name: String,
    /// How long live sessions may go on once the broker was asked to stop. Zero: they end at once.
    pub drain: Duration,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Where it listens.
    pub listen: ListenConfig,
    /// Where its tables are.
    pub database: DatabaseConfig,
    /// Where the master key is.
    pub master_key: MasterKeySource,
    /// How logins are taken.
    pub ssh: SshConfig,
    /// Where and how sessions are recorded.
    pub recording: RecordingConfig,
    /// INVARIANT: no lease is longer, whatever a grant says. Zero: no leases.
    pub longest_lease: Duration,
    /// Where audit events of live sessions wait while the database is away.
    pub audit_spool: PathBuf,
    /// The pages for people, if there are any.
    pub portal: Option<Portal>,
    /// Who is told of what is on record.
    pub outbound: Outbound,
}

/// `[log]`
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A `tracing` filter.
    pub filter: String,
    /// One line of text or one JSON object per event.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// `[listen]`
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// For ssh; at least one.
    pub ssh: Vec<SocketAddr>,
    /// For Prometheus; loopback unless the file says twice that it may be otherwise.
    pub metrics: Option<SocketAddr>,
}

/// `[ssh]`
#[derive(Debug, Clone)]
pub struct SshConfig {
    /// What the broker's own host certificate is valid for.
    pub names: Vec<String>,
    /// Shown before login (SR 1.12).
    pub login_notice: String,
    /// Authorities whose user certificates count as a first factor.
    pub user_ca: Vec<PublicKey>,
    /// Keys and certificates that no longer count.
    pub revoked: Vec<Revoked>,
    /// From connection to login.
    pub login_deadline: Duration,
    /// Connections that have not logged in, in all.
    pub max_unauthenticated: usize,
    /// Connections that have not logged in, per source address.
    pub max_unauthenticated_per_source: usize,
    /// Connections in all; a share is kept for sources from which people have logged in.
    pub max_connections: usize,
    /// Connections per source address, logged in or not.
    pub max_connections_per_source: usize,
    /// New connections a second per source address; eight times as many where people have logged in.
    pub max_rate_per_source: usize,
    /// Between keepalives.
    pub keepalive: Duration,
    /// To reach an asset and log in there.
    pub dial_timeout: Duration,
}

/// `[recording]`
#[derive(Debug, Clone)]
pub struct RecordingConfig {
    /// Folder of the recordings.
    pub dir: PathBuf,
    /// age X25519 recipients, checked; at least one.
    pub recipients: Vec<String>,
    /// When a byte counts as recorded.
    pub durability: Durability,
    /// The largest recording; reaching it counts as recorder trouble.
    pub cap: u64,
    /// Free space below which the operator is warned.
    pub warn_below: u64,
    /// Free space below which the warning is urgent.
    pub low_below: u64,
    /// Free space below which no session starts.
    pub critical_below: u64,
    /// Room that only emergencies may spend; zero: none.
    pub reserve: u64,
    /// For zones without a retention of their own.
    pub keep: Retention,
    /// Per zone.
    pub retention: BTreeMap<String, Retention>,
}

/// When a recorded byte may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `write` returned: survives the end of the broker; `fdatasync` follows within 250 ms.
    Process,
    /// `fdatasync` returned: survives the loss of power.
    Power,
}

/// How long recordings are kept; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// By age.
    pub days: Option<u32>,
    /// By size, the oldest first.
    pub bytes: Option<u64>,
}

impl RecordingConfig {
    /// The retention that holds for a zone.
    #[must_use]
    pub fn retention(&self, zone: &str) -> Retention {
        self.retention.get(zone).copied().unwrap_or(self.keep)
    }

    /// Whether any recording is ever removed.
    #[must_use]
    pub fn removes(&self) -> bool {
        std::iter::once(&self.keep).chain(self.retention.values()).any(|keep| *keep != Retention::default())
    }
}

impl Config {
    /// Where the configuration is: the argument, then `SALLYPORT_CONFIG`, then the system path.
    #[must_use]
    pub fn locate(argument: Option<&Path>) -> PathBuf {
        match argument {
            Some(path) => path.to_path_buf(),
            None => std::env::var_os(PATH_VARIABLE).map_or_else(|| SYSTEM_PATH.into(), PathBuf::from),
        }
    }

    /// Reads and checks the configuration.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
        Self::parse(path, &text)
    }

    /// Checks a configuration that was read from `path`; relative paths in it start at its folder.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| error::syntax(path, text, &error))?;
        Self::try_from(Written { path, text, file })
    }
}

/// A file with what is needed to say where in it something is wrong.
#[derive(Debug)]
pub struct Written<'a> {
    /// Where it was read from.
    pub path: &'a Path,
    /// Its text.
    pub text: &'a str,
    /// What the text says.
    pub file: File,
}

impl TryFrom<Written<'_>> for Config {
    type Error = ConfigError;

    fn try_from(Written { path, text, file }: Written<'_>) -> Result<Self, ConfigError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut check = Check { path, text, folder, problems: Vec::new() };
        let audit_spool = check.path_or(file.recording.audit_spool.clone(), "/var/lib/sallyport/audit.spool");
        let config = Self {
            path: path.to_path_buf(),
            name: check.name(file.broker.name),
            drain: check.duration(file.broker.drain, Duration::ZERO),
            log: check.log(file.log),
            listen: check.listen(file.listen),
            database: check.database(file.database),
            master_key: check.master_key(file.secrets),
            ssh: check.ssh(file.ssh),
            outbound: check.outbound(file.outbound, file.siem, file.alarm, &audit_spool),
            audit_spool,
            recording: check.recording(file.recording),
            longest_lease: check.duration(file.lease.longest, Duration::from_hours(12)),
            portal: file.portal.and_then(|portal| check.portal(portal)),
        };
        if check.problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(check.problems)) }
    }
}

/// Collects every problem, so that one run shows them all.
struct Check<'a> {
    path: &'a Path,
    text: &'a str,
    folder: &'a Path,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn name(&mut self, name: Option<Spanned<String>>) -> String {
        let Some(name) = name else { return host_name() };
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.get_ref().is_empty() || name.get_ref().len() > 64 || !name.get_ref().chars().all(fine) {
            let message = format!("`{}` is not a name for a broker", name.get_ref());
            self.problem(&name, message, "1 to 64 of letters, digits, `-`, `_`, `.`");
        }
        name.into_inner()
    }

    fn log(&mut self, log: file::Log) -> LogConfig {
        let filter = match log.level {
            Some(level) => {
                if let Err(error) = level.get_ref().parse::<tracing_subscriber::filter::Targets>() {
                    self.problem(&level, format!("`{}` is not a log level: {error}", level.get_ref()), "use `info`");
                }
                level.into_inner()
            }
            None => "info".to_owned(),
        };
        let format = self.one_of(log.format, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
        LogConfig { filter, format }
    }

    fn listen(&mut self, listen: file::Listen) -> ListenConfig {
        let ssh = match listen.ssh {
            Some(list) => list.into_iter().filter_map(|address| self.socket(&address)).collect(),
            None => vec![SocketAddr::from(([0, 0, 0, 0], 2222))],
        };
        let metrics = listen.metrics.and_then(|written| {
            let address = self.socket(&written)?;
            if !address.ip().is_loopback() && !listen.metrics_beyond_loopback {
                let message = format!("metrics would be open to other machines on `{address}`");
                self.problem(&written, message, "use 127.0.0.1, or set `metrics_beyond_loopback = true`");
            }
            Some(address)
        });
        ListenConfig { ssh, metrics }
    }

    fn database(&mut self, database: file::Database) -> DatabaseConfig {
        let password_file = database.password_file.map(|path| self.folder.join(path));
        let Some(url) = database.url else {
            return DatabaseConfig { url: "sqlite:/var/lib/sallyport/sallyport.db".to_owned(), password_file };
        };
        let written = url.get_ref().as_str();
        let meant = if let Some(path) = written.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            format!("sqlite:{}", self.folder.join(path).display())
        } else if let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|p| written.strip_prefix(p)) {
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
            if user.contains(':') || rest.contains("password=") {
                self.problem(&url, "the database password is in the url".to_owned(), "put it into `password_file`");
            }
            written.to_owned()
        } else {
            let message = "the database is neither sqlite nor postgres".to_owned();
            self.problem(&url, message, "use `sqlite:PATH` or `postgres://USER@HOST/NAME`");
            written.to_owned()
        };
        DatabaseConfig { url: meant, password_file }
    }

    fn master_key(&mut self, secrets: file::Secrets) -> MasterKeySource {
        let credential = match (secrets.master_key, secrets.master_key_credential) {
            (file, None) => {
                for only in [&secrets.master_key_sealed, &secrets.systemd_creds].into_iter().flatten() {
                    let message = "this is of a sealed credential, and none is named".to_owned();
                    self.problem(only, message, "name it with `master_key_credential`, or leave this out");
                }
                return MasterKeySource::File(match file {
                    Some(path) => self.folder.join(path.into_inner()),
                    None => "/etc/sallyport/master.key".into(),
                });
            }
            (None, Some(name)) => name,
            (Some(_), Some(name)) => {
                let message = "`master_key` and `master_key_credential` contradict each other".to_owned();
                self.problem(&name, message, "keep one of them");
                name
            }
        };
        let name = credential.get_ref();
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            let message = format!("`{name}` is not the name of a credential");
            self.problem(&credential, message, "use the name that stands in `LoadCredentialEncrypted=`");
        }
        let program = secrets.systemd_creds.map_or_else(
            || SYSTEMD_CREDS.into(),
            |written| {
                if !written.get_ref().is_absolute() {
                    let message = format!("`{}` is not an absolute path", written.get_ref().display());
                    self.problem(&written, message, "root runs it: no search path is believed");
                }
                written.into_inner()
            },
        );
        let sealed = secrets.master_key_sealed.map_or_else(|| format!("{name}.cred").into(), Spanned::into_inner);
        let sealed = self.folder.join(sealed);
        MasterKeySource::Credential(Box::new(SealedCredential { sealed, program, name: credential.into_inner() }))
    }

    fn ssh(&mut self, ssh: file::Ssh) -> SshConfig {
        let names = match ssh.names {
            Some(names) => {
                for name in &names {
                    if name.get_ref().is_empty() || name.get_ref().contains(|c: char| c.is_whitespace() || c == ',') {
                        let message = format!("`{}` is not a host name", name.get_ref());
                        self.problem(name, message, "write one name or address per entry");
                    }
                }
                names.into_iter().map(Spanned::into_inner).collect()
            }
            None => vec![host_name(), "localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()],
        };
        SshConfig {
            names,
            login_notice: ssh.login_notice.unwrap_or_else(|| DEFAULT_NOTICE.to_owned()),
            user_ca: ssh.user_ca.iter().filter_map(|key| self.public_key(key)).collect(),
            revoked: ssh.revoked.iter().filter_map(|written| self.revoked(written)).collect(),
            login_deadline: self.positive(ssh.login_deadline, Duration::from_secs(120)),
            max_unauthenticated: self.count(ssh.max_unauthenticated, 512),
            max_unauthenticated_per_source: self.count(ssh.max_unauthenticated_per_source, 64),
            max_connections: self.count(ssh.max_connections, 4096),
            max_connections_per_source: self.count(ssh.max_connections_per_source, 1024),
            max_rate_per_source: self.count(ssh.max_rate_per_source, 10),
            keepalive: self.positive(ssh.keepalive, Duration::from_secs(30)),
            dial_timeout: self.positive(ssh.dial_timeout, Duration::from_secs(10)),
        }
    }

    fn recording(&mut self, recording: file::Recording) -> RecordingConfig {
        let warn_below = self.size(recording.warn_below.as_ref(), 20 << 30);
        let low_below = self.size(recording.low_below.as_ref(), 5 << 30);
        let critical_below = self.size(recording.critical_below.as_ref(), 1 << 30);
        if let Some(mark) = recording.low_below.as_ref().or(recording.warn_below.as_ref())
            && !(critical_below <= low_below && low_below <= warn_below)
        {
            let message = "the disk marks are out of order".to_owned();
            self.problem(mark, message, "`warn_below` is the largest, `critical_below` the smallest");
        }
        RecordingConfig {
            dir: self.path_or(recording.dir, "/var/lib/sallyport/recordings"),
            recipients: self.recipients(recording.recipients),
            durability: self
                .one_of(recording.durability, &[("process", Durability::Process), ("power", Durability::Power)]),
            cap: self.size(recording.cap.as_ref(), 4 << 30),
            warn_below,
            low_below,
            critical_below,
            reserve: self.size(recording.reserve.as_ref(), DEFAULT_RESERVE),
            keep: self.retention(recording.keep_days, recording.keep_bytes),
            retention: recording
                .retention
                .into_iter()
                .map(|(zone, kept)| (zone, self.retention(kept.keep_days, kept.keep_bytes)))
                .collect(),
        }
    }

    fn recipients(&mut self, written: Option<Spanned<Vec<Spanned<String>>>>) -> Vec<String> {
        let span = written.as_ref().map(Spanned::span);
        let list = written.map(Spanned::into_inner).unwrap_or_default();
        if list.is_empty() {
            let message = "nobody could read the recordings: `recipients` in `[recording]` is empty".to_owned();
            self.problem_at(span, message, "`sallyport init` makes a pair of keys; `age-keygen` does too");
        }
        for recipient in &list {
            if let Err(error) = recipient.get_ref().parse::<age::x25519::Recipient>() {
                let message = format!("`{}` is not an age recipient: {error}", recipient.get_ref());
                self.problem(recipient, message, "it starts with `age1`");
            }
        }
        list.into_iter().map(Spanned::into_inner).collect()
    }

    fn retention(&mut self, days: Option<Spanned<u32>>, bytes: Option<Spanned<String>>) -> Retention {
        if let Some(days) = &days
            && *days.get_ref() == 0
        {
            self.problem(days, "`keep_days = 0` would keep nothing".to_owned(), "leave it out to keep all");
        }
        Retention { days: days.map(Spanned::into_inner), bytes: bytes.as_ref().map(|text| self.size(Some(text), 0)) }
    }

    fn socket(&mut self, written: &Spanned<String>) -> Option<SocketAddr> {
        let parsed = written.get_ref().parse::<SocketAddr>();
        if parsed.is_err() {
            let message = format!("`{}` is not an address with a port", written.get_ref());
            let mend = match written.get_ref().parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => format!("did you mean `{address}:2222`?"),
                Ok(IpAddr::V6(address)) => format!("did you mean `[{address}]:2222`?"),
                Err(_) => "write it as `0.0.0.0:2222`".to_owned(),
            };
            self.problem(written, message, &mend);
        }
        parsed.ok()
    }

    fn revoked(&mut self, written: &Spanned<String>) -> Option<Revoked> {
        match written.get_ref().parse() {
            Ok(revoked) => Some(revoked),
            Err(error) => {
                let message = format!("{error}");
                self.problem(written, message, "`ssh-keygen -lf FILE` shows fingerprints, `-Lf` serials and key ids");
                None
            }
        }
    }

    fn public_key(&mut self, written: &Spanned<String>) -> Option<PublicKey> {
        match PublicKey::from_openssh(written.get_ref()) {
            Ok(key) => Some(key),
            Err(error) => {
                let message = format!("`user_ca` has a line that is not a public key: {error}");
                self.problem(written, message, "copy the line of the authority's `.pub` file");
                None
            }
        }
    }

    fn one_of<T: Copy>(&mut self, written: Option<Spanned<String>>, choices: &[(&str, T); 2]) -> T {
        let Some(written) = written else { return choices[0].1 };
        if let Some((_, value)) = choices.iter().find(|(word, _)| word == written.get_ref()) {
            return *value;
        }
        let message = format!("`{}` is not one of the choices", written.get_ref());
        self.problem(&written, message, &format!("use `{}` or `{}`", choices[0].0, choices[1].0));
        choices[0].1
    }

    fn count(&mut self, written: Option<Spanned<u32>>, default: usize) -> usize {
        let Some(written) = written else { return default };
        if *written.get_ref() == 0 {
            self.problem(&written, "0 would let nobody in".to_owned(), &format!("the default is {default}"));
        }
        usize::try_from(*written.get_ref()).unwrap_or(default)
    }

    fn duration(&mut self, written: Option<Spanned<String>>, default: Duration) -> Duration {
        let Some(written) = written else { return default };
        duration(written.get_ref()).unwrap_or_else(|message| {
            self.problem(&written, message, "write it as `90s`, `15m` or `8h`");
            default
        })
    }

    fn positive(&mut self, written: Option<Spanned<String>>, default: Duration) -> Duration {
        let zero = written.as_ref().filter(|text| duration(text.get_ref()) == Ok(Duration::ZERO)).cloned();
        if let Some(text) = zero {
            self.problem(&text, "no time at all would let nobody in".to_owned(), "write it as `90s`");
        }
        self.duration(written, default)
    }

    fn size(&mut self, written: Option<&Spanned<String>>, default: u64) -> u64 {
        let Some(written) = written else { return default };
        size(written.get_ref()).unwrap_or_else(|message| {
            self.problem(written, message, "write it as `500MiB` or `20GiB`");
            default
        })
    }

    fn path_or(&self, written: Option<PathBuf>, default: &str) -> PathBuf {
        written.map_or_else(|| default.into(), |path| self.folder.join(path))
    }

    fn problem<T>(&mut self, at: &Spanned<T>, message: String, suggestion: &str) {
        self.problem_at(Some(at.span()), message, suggestion);
    }

    fn problem_at(&mut self, span: Option<std::ops::Range<usize>>, message: String, suggestion: &str) {
        let (line, column) = error::place(self.text, span.map_or(0, |span| span.start));
        let suggestion = Some(suggestion.to_owned());
        self.problems.push(Problem { file: self.path.to_path_buf(), line, column, message, suggestion });
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Where systemd puts it.
pub(crate) const SYSTEMD_CREDS: &str = "/usr/bin/systemd-creds";

/// Eight hours of four sessions that all do both: ten polls of a controller a second, of 723 bytes each in a recording, and 2 KiB
/// a second of a terminal, which is a page every second. That is 4 × 28800 × (7230 + 2048) bytes, just below 1 GiB.
const DEFAULT_RESERVE: u64 = 1 << 30;

const DEFAULT_NOTICE: &str = "\
This system is for authorised use only. Sessions are recorded and may be reviewed.\n";

#[cfg(test)]
mod tests;
