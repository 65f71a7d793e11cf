//! Hosts, ports, addresses of mail and facilities, as they are written.

use super::Remote;

/// The ways of syslog, for an error.
pub(super) const SYSLOG_FORMS: &str = "use `tls://HOST:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:/dev/log`, \
                                       `unix-stream:PATH` or `file:PATH`";

/// The facilities of syslog (RFC 5424, table 1).
pub(super) const FACILITIES: &[(&str, u8)] = &[
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// Reads `HOST:PORT`, or `HOST` where a port is known. No user, no path.
pub(super) fn remote(written: &str, port: Option<u16>) -> Option<Remote> {
    let (host, port) = match written.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match after.strip_prefix(':') {
                Some(port) => (host, port.parse().ok()?),
                None if after.is_empty() => (host, port?),
                None => return None,
            }
        }
        None => match written.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (written, port?),
        },
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    let named = !host.is_empty() && host.len() <= 253 && host.chars().all(fine) && port > 0;
    named.then(|| Remote { host: host.to_owned(), port })
}

/// Enough to catch a slip; the server knows the rest. Nothing that could end a line of SMTP.
pub(super) fn is_mail_address(text: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_graphic() && !"<>,;:\"@\\".contains(c));
    text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host))
}
