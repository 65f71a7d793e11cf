//! `[ssh]`: what the broker is called, whose certificates count, and the limits of logins.

use std::time::Duration;

use ssh_key::PublicKey;
use toml::Spanned;

use super::check::{Check, host_name};
use super::file;
use crate::identity::Revoked;

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
    /// What people's clients are offered.
    pub algorithms: Algorithms,
    /// A connection through which nothing is open ends after this.
    pub idle: Duration,
    /// The same where the login has a lease.
    pub idle_with_lease: Duration,
}

/// Which SSH ciphers are offered to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithms {
    /// AES-GCM, and behind it AES-CTR with HMAC-SHA-2.
    Standard,
    /// AES-GCM alone.
    Strict,
}

impl Check<'_> {
    pub(super) fn ssh(&mut self, ssh: file::Ssh) -> SshConfig {
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
            algorithms: self
                .one_of(ssh.algorithms, &[("standard", Algorithms::Standard), ("strict", Algorithms::Strict)]),
            idle: self.positive(ssh.idle, Duration::from_hours(2)),
            idle_with_lease: self.positive(ssh.idle_with_lease, Duration::from_hours(12)),
        }
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
}

const DEFAULT_NOTICE: &str = "\
This system is for authorised use only. Sessions are recorded and may be reviewed.\n";
