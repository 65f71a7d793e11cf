//! `[[siem]]`, `[alarm]` and `[outbound]` as they are written.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

/// `[outbound]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutboundSection {
    /// Folder of what waits for its receiver.
    pub dir: Option<PathBuf>,
}

/// `[[siem]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SiemSection {
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// `tls://HOST:PORT`, `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:PATH`, `unix-stream:PATH`, `file:PATH`.
    pub to: Option<Spanned<String>>,
    /// PEM file of the authorities that may vouch for it.
    pub ca: Option<PathBuf>,
    /// PEM file of this broker's certificate, for a server that asks.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// `json` or `cef`.
    pub format: Option<Spanned<String>>,
    /// The facility of syslog.
    pub facility: Option<Spanned<String>>,
    /// How much may wait for it on disk.
    pub queue: Option<Spanned<String>>,
}

/// `[alarm]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmSection {
    /// Codes of events that are alarms besides those of severity `alert`.
    pub codes: Vec<Spanned<String>>,
    /// HTTPS requests.
    pub webhook: Vec<WebhookSection>,
    /// Local programs.
    pub command: Vec<CommandSection>,
    /// Mails.
    pub mail: Vec<MailSection>,
}

/// `[[alarm.webhook]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookSection {
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// `https://HOST/PATH`
    pub url: Option<Spanned<String>>,
    /// File of the secret that signs each request.
    pub secret_file: Option<PathBuf>,
    /// PEM file of the authorities that may vouch for it.
    pub ca: Option<PathBuf>,
    /// PEM file of this broker's certificate, for a server that asks.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// How much may wait for it on disk.
    pub queue: Option<Spanned<String>>,
}

/// `[[alarm.command]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CommandSection {
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// The program's absolute path.
    pub program: Option<Spanned<PathBuf>>,
    /// Its arguments, word by word.
    pub arguments: Vec<String>,
    /// It is killed after this.
    pub within: Option<Spanned<String>>,
    /// How much may wait for it on disk.
    pub queue: Option<Spanned<String>>,
}

/// `[[alarm.mail]]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSection {
    /// Its name.
    pub name: Option<Spanned<String>>,
    /// `HOST:PORT`
    pub server: Option<Spanned<String>>,
    /// `starttls` or `tls`.
    pub tls: Option<Spanned<String>>,
    /// PEM file of the authorities that may vouch for it.
    pub ca: Option<PathBuf>,
    /// From whom.
    pub from: Option<Spanned<String>>,
    /// To whom.
    pub to: Vec<Spanned<String>>,
    /// Who logs in, where the server asks for it.
    pub user: Option<Spanned<String>>,
    /// File of that password.
    pub password_file: Option<PathBuf>,
    /// How much may wait for it on disk.
    pub queue: Option<Spanned<String>>,
}

/// What is written for every receiver.
pub(super) struct Named {
    /// In which section.
    pub(super) section: &'static str,
    pub(super) name: Option<Spanned<String>>,
    pub(super) queue: Option<Spanned<String>>,
}

/// Files of certificates.
#[derive(Default)]
pub(super) struct Certificates {
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

impl Certificates {
    pub(super) fn any(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.key.is_some()
    }
}

impl SiemSection {
    pub(super) fn named(&self) -> Named {
        Named { section: "[[siem]]", name: self.name.clone(), queue: self.queue.clone() }
    }
}

impl WebhookSection {
    pub(super) fn named(&self) -> Named {
        Named { section: "[[alarm.webhook]]", name: self.name.clone(), queue: self.queue.clone() }
    }
}

impl CommandSection {
    pub(super) fn named(&self) -> Named {
        Named { section: "[[alarm.command]]", name: self.name.clone(), queue: self.queue.clone() }
    }
}

impl MailSection {
    pub(super) fn named(&self) -> Named {
        Named { section: "[[alarm.mail]]", name: self.name.clone(), queue: self.queue.clone() }
    }
}
