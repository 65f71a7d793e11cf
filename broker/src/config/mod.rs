//! Configuration: [`File`] is what was written, [`Config`] is what it means.

mod check;
mod detect;
mod error;
mod file;
mod outbound;
mod portal;
mod recording;
mod secrets;
mod ssh;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

pub use detect::Detect;
pub use error::{ConfigError, Problem};
pub use file::File;
pub use outbound::{
    Format, Mail, MailLogin, MailTls, Outbound, Own, Program, Receiver, Remote, SyslogTo, Takes, Trust, Way, Webhook,
};
pub use portal::{Management, Portal};
pub use recording::{Durability, RecordingConfig, Retention};
pub(crate) use secrets::SYSTEMD_CREDS;
pub use ssh::{Algorithms, SshConfig};
pub use units::{duration, size};

pub(crate) use self::check::host_name;

use self::check::Check;
use crate::store::DatabaseConfig;
use crate::vault::MasterKeySource;

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
    /// What is worth telling of what is on record.
    pub detect: Detect,
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
            detect: check.detect(file.detect),
        };
        if check.problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(check.problems)) }
    }
}

/// Whether a broker can be called so.
pub(crate) fn is_broker_name(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && name.chars().all(fine)
}

impl Check<'_> {
    fn name(&mut self, name: Option<Spanned<String>>) -> String {
        let Some(name) = name else { return host_name() };
        if !is_broker_name(name.get_ref()) {
            let message = format!("`{}` is not a name for a broker", name.get_ref());
            self.problem(&name, message, "1 to 64 of letters, digits, `-`, `_`, `.`");
        }
        name.into_inner()
    }

    fn log(&mut self, log: file::Log) -> LogConfig {
        let filter = match log.level {
            Some(level) => {
                if let Err(error) = crate::logging::targets(level.get_ref()) {
                    self.problem(&level, error, "use `info`");
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
}

#[cfg(test)]
mod tests;
