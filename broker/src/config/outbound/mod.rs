//! `[[siem]]`, `[alarm]` and `[outbound]`: who is told of what is on record, by which way.

mod meant;
mod remote;
mod written;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;

pub use meant::{
    Format, Mail, MailLogin, MailTls, Outbound, Own, Program, Receiver, Remote, SyslogTo, Takes, Trust, Way, Webhook,
};
pub(super) use written::{AlarmSection, OutboundSection, SiemSection};
use written::{Certificates, CommandSection, MailSection, Named, WebhookSection};

use super::check::Check;
use crate::audit::AuditEvent;

impl Check<'_> {
    pub(super) fn outbound(
        &mut self,
        section: OutboundSection,
        siem: Vec<SiemSection>,
        alarm: AlarmSection,
        audit_spool: &Path,
    ) -> Outbound {
        let beside = audit_spool.with_file_name("outbound");
        let dir = section.dir.map_or(beside, |dir| self.folder.join(dir));
        let mut names = BTreeSet::new();
        let mut receivers = Vec::new();
        let mut add = |check: &mut Self, named: Named, takes: Takes, way: Option<Way>| {
            let (name, most_waiting) = (check.receiver_name(&named, &mut names), check.most_waiting(&named));
            if let (Some(name), Some(way)) = (name, way) {
                receivers.push(Receiver { name, takes, most_waiting, way });
            }
        };
        for siem in siem {
            let (named, way) = (siem.named(), self.siem(siem));
            add(self, named, Takes::Everything, way);
        }
        for webhook in alarm.webhook {
            let (named, way) = (webhook.named(), self.webhook(webhook));
            add(self, named, Takes::Alarms, way);
        }
        for command in alarm.command {
            let (named, way) = (command.named(), self.command(command));
            add(self, named, Takes::Alarms, way);
        }
        for mail in alarm.mail {
            let (named, way) = (mail.named(), self.mail(mail));
            add(self, named, Takes::Alarms, way);
        }
        Outbound { dir, receivers, alarm_codes: self.alarm_codes(alarm.codes) }
    }

    fn receiver_name(&mut self, written: &Named, names: &mut BTreeSet<String>) -> Option<String> {
        let Some(name) = &written.name else {
            let message = format!("a receiver in `{}` has no `name`", written.section);
            self.problem_at(None, message, "write a `name` for it, as in `name = \"siem\"`");
            return None;
        };
        let text = name.get_ref();
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > 32 || !text.chars().all(fine) {
            let message = format!("`{text}` is not a name for a receiver");
            self.problem(name, message, "1 to 32 of small letters, digits, `-`");
            return None;
        }
        if !names.insert(text.clone()) {
            let message = format!("two receivers are called `{text}`");
            self.problem(name, message, "each needs a name of its own: its queue has it");
            return None;
        }
        Some(text.clone())
    }

    fn most_waiting(&mut self, written: &Named) -> u64 {
        let size = self.size(written.queue.as_ref(), DEFAULT_QUEUE);
        if let Some(queue) = written.queue.as_ref().filter(|_| size < LEAST_QUEUE) {
            let message = format!("`{}` is no room for a queue", queue.get_ref());
            self.problem(queue, message, "use `1MiB` or more; the default is `64MiB`");
        }
        size
    }

    fn siem(&mut self, siem: SiemSection) -> Option<Way> {
        let format = self.one_of(siem.format, &[("json", Format::Json), ("cef", Format::Cef)]);
        let facility = self.facility(siem.facility.as_ref());
        let Some(to) = siem.to else {
            let message = "a `[[siem]]` says no `to`".to_owned();
            self.problem_at(siem.name.as_ref().map(Spanned::span), message, remote::SYSLOG_FORMS);
            return None;
        };
        let written = to.get_ref().as_str();
        let (scheme, rest) = written.split_once(':').unwrap_or((written, ""));
        let certificates = Certificates { ca: siem.ca, certificate: siem.certificate, key: siem.key };
        if certificates.any() && scheme != "tls" {
            let message = format!("`{written}` is not over TLS, and certificates are named for it");
            self.problem(&to, message, "use `tls://HOST:PORT`, or leave out `ca`, `certificate` and `key`");
        }
        let path = |rest: &str| self.folder.join(rest.strip_prefix("//").unwrap_or(rest));
        let to = match scheme {
            "file" if !rest.is_empty() => return Some(Way::File { path: path(rest), format }),
            "unix" if !rest.is_empty() => SyslogTo::UnixDatagram(path(rest)),
            "unix-stream" if !rest.is_empty() => SyslogTo::UnixStream(path(rest)),
            "tcp" => SyslogTo::Tcp(self.remote(&to, rest, None)?),
            "udp" => SyslogTo::Udp(self.remote(&to, rest, Some(514))?),
            "tls" => {
                let remote = self.remote(&to, rest, Some(6514));
                let trust = self.trust(&to, certificates);
                SyslogTo::Tls { remote: remote?, trust: trust? }
            }
            _ => {
                self.problem(&to, format!("`{written}` is no way to a receiver"), remote::SYSLOG_FORMS);
                return None;
            }
        };
        Some(Way::Syslog { to, format, facility })
    }

    fn webhook(&mut self, webhook: WebhookSection) -> Option<Way> {
        let Some(url) = webhook.url else {
            let message = "an `[[alarm.webhook]]` says no `url`".to_owned();
            self.problem_at(webhook.name.as_ref().map(Spanned::span), message, "write `url = \"https://HOST/PATH\"`");
            return None;
        };
        let rest = url.get_ref().strip_prefix("https://");
        let Some(rest) = rest.filter(|rest| rest.chars().all(|c| c.is_ascii_graphic() && c != '#')) else {
            // What stands in such an address is often a secret.
            self.problem(
                &url,
                "this is no address of a webhook".to_owned(),
                "use `https://HOST/PATH`: nothing but TLS",
            );
            return None;
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let path = if rest[at..].starts_with('/') { rest[at..].to_owned() } else { format!("/{}", &rest[at..]) };
        let remote = self.remote(&url, &rest[..at], Some(443));
        let (ca, certificate, key) = (webhook.ca, webhook.certificate, webhook.key);
        let trust = self.trust(&url, Certificates { ca, certificate, key });
        let Some(secret_file) = webhook.secret_file else {
            let message = "requests of this webhook would not be signed".to_owned();
            self.problem(&url, message, "write `secret_file = \"FILE\"`; `openssl rand -hex 32` makes what it holds");
            return None;
        };
        let secret_file = self.folder.join(secret_file);
        Some(Way::Webhook(Webhook { remote: remote?, path, trust: trust?, secret_file }))
    }

    fn command(&mut self, command: CommandSection) -> Option<Way> {
        let Some(program) = command.program else {
            let message = "an `[[alarm.command]]` says no `program`".to_owned();
            self.problem_at(command.name.as_ref().map(Spanned::span), message, "write the program's absolute path");
            return None;
        };
        if !program.get_ref().is_absolute() {
            let message = format!("`{}` is not an absolute path", program.get_ref().display());
            self.problem(&program, message, "no shell and no search path: write it from `/` on");
        }
        let within = self.positive(command.within, Duration::from_secs(10));
        Some(Way::Command(Program { program: program.into_inner(), arguments: command.arguments, within }))
    }

    fn mail(&mut self, mail: MailSection) -> Option<Way> {
        let span = mail.name.as_ref().map(Spanned::span);
        let tls = self.one_of(mail.tls, &[("starttls", MailTls::StartTls), ("tls", MailTls::Implicit)]);
        let (Some(server), Some(from)) = (mail.server, mail.from) else {
            let message = "an `[[alarm.mail]]` says no `server` or no `from`".to_owned();
            self.problem_at(span, message, "write `server = \"mail.example:587\"` and `from = \"gate@example\"`");
            return None;
        };
        if mail.to.is_empty() {
            self.problem(&server, "nobody would get this mail".to_owned(), "write `to = [\"oncall@example\"]`");
        }
        for address in std::iter::once(&from).chain(&mail.to) {
            if !remote::is_mail_address(address.get_ref()) {
                let message = format!("`{}` is no address of mail", address.get_ref());
                self.problem(address, message, "write it as `name@host`");
            }
        }
        let default = if tls == MailTls::Implicit { 465 } else { 587 };
        let remote = self.remote(&server, server.get_ref(), Some(default));
        let trust = self.trust(&server, Certificates { ca: mail.ca, ..Certificates::default() });
        let login = match (mail.user, mail.password_file) {
            (Some(user), Some(file)) => {
                Some(MailLogin { user: user.into_inner(), password_file: self.folder.join(file) })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                let message = "`user` and `password_file` go together".to_owned();
                self.problem(&server, message, "write both, or neither for a server that asks for no login");
                None
            }
        };
        let (from, to) = (from.into_inner(), mail.to.into_iter().map(Spanned::into_inner).collect());
        Some(Way::Mail(Mail { remote: remote?, tls, trust: trust?, from, to, login }))
    }

    fn trust(&mut self, at: &Spanned<String>, written: Certificates) -> Option<Trust> {
        let Certificates { ca, certificate, key } = written;
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                Some(Own { certificate: self.folder.join(certificate), key: self.folder.join(key) })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                self.problem(at, "`certificate` and `key` go together".to_owned(), "write both, or neither");
                None
            }
        };
        let Some(ca) = ca else {
            let message = "nothing says whose certificate this receiver may show".to_owned();
            let mend = "write `ca = \"FILE\"` in PEM; the system's own authorities are in \
                        `/etc/ssl/certs/ca-certificates.crt`";
            self.problem(at, message, mend);
            return None;
        };
        Some(Trust { ca: self.folder.join(ca), own })
    }

    fn remote(&mut self, at: &Spanned<String>, written: &str, port: Option<u16>) -> Option<Remote> {
        let remote = remote::remote(written.strip_prefix("//").unwrap_or(written), port);
        if remote.is_none() {
            let message = "this names no host and port".to_owned();
            self.problem(at, message, "write `HOST:PORT`, and an IPv6 address as `[fd00::1]:6514`");
        }
        remote
    }

    fn facility(&mut self, written: Option<&Spanned<String>>) -> u8 {
        let Some(written) = written else { return AUTHPRIV };
        let found = remote::FACILITIES.iter().find(|(name, _)| name == written.get_ref());
        if let Some((_, number)) = found {
            return *number;
        }
        let names: Vec<&str> = remote::FACILITIES.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` is not a facility of syslog", written.get_ref());
        self.problem(written, message, &format!("use one of {}", names.join(", ")));
        AUTHPRIV
    }

    fn alarm_codes(&mut self, written: Vec<Spanned<String>>) -> BTreeSet<String> {
        for code in &written {
            if !AuditEvent::KINDS.iter().any(|kind| kind.code == code.get_ref()) {
                let message = format!("no event has the code `{}`", code.get_ref());
                self.problem(code, message, "docs/audit-events.md has them all");
            }
        }
        written.into_iter().map(Spanned::into_inner).collect()
    }
}

/// How much may wait where nobody says otherwise.
const DEFAULT_QUEUE: u64 = 64 << 20;
/// Less has no room for an event of the largest size.
const LEAST_QUEUE: u64 = 1 << 20;
/// Security messages that are not for everybody.
const AUTHPRIV: u8 = 10;

#[cfg(test)]
mod tests;
