//! The sheet of one envelope: what somebody needs who has a code in one hand and an alarm in the other. As text and as PDF.
//!
//! What stands on it is said once, here, in blocks; `text.rs` and `pdf.rs` only set them.

mod metrics;
mod pdf;
mod text;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::code::EnvelopeCode;
use crate::vault::Secret;

pub(crate) use pdf::Pdf;

/// What is printed for one envelope.
pub(crate) struct Sheet<'a> {
    /// Its number, which is not secret.
    pub(crate) number: i64,
    pub(crate) code: &'a EnvelopeCode,
    pub(crate) sealed_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) scope: &'a Scope,
    pub(crate) doors: &'a Doors,
}

/// What an envelope of this rule opens, and what the plant says about it.
pub(crate) struct Scope {
    pub(crate) rule: String,
    /// How many envelopes it takes.
    pub(crate) envelopes: u32,
    /// What can be reached, asset by asset: `ews-1 (ssh as operator, vnc)`.
    pub(crate) opens: Vec<String>,
    pub(crate) lasts: SignedDuration,
    pub(crate) review_within: SignedDuration,
    pub(crate) who: Option<String>,
    pub(crate) call: Option<String>,
    /// An ssh service of it, as `operator@ews-1`.
    pub(crate) jump: Option<String>,
    /// Another service of it, as behind `ssh -L`.
    pub(crate) forward: Option<String>,
}

/// Where the code is typed.
pub(crate) struct Doors {
    /// Names or addresses of the brokers; the first is tried first.
    pub(crate) hosts: Vec<String>,
    pub(crate) port: u16,
    /// Of the brokers' host key.
    pub(crate) fingerprint: String,
}

impl Sheet<'_> {
    /// For a terminal or a printer that knows nothing else.
    pub(crate) fn text(&self) -> Secret<String> {
        text::set(&self.head(), &self.blocks())
    }

    /// For paper, A4.
    pub(crate) fn pdf(&self) -> Pdf {
        pdf::set(&self.head(), &self.blocks())
    }

    fn head(&self) -> Head {
        let until = self.expires_at.map_or_else(|| "it is used or revoked".to_owned(), day);
        Head {
            envelope: format!("Envelope {}", self.number),
            facts: format!("Rule {}. Sealed {}. Valid until {until}.", self.scope.rule, day(self.sealed_at)),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = self.what_it_opens();
        blocks.extend(self.how_it_is_opened());
        blocks.extend(self.what_happens());
        blocks
    }

    fn what_it_opens(&self) -> Vec<Block> {
        let Scope { opens, lasts, who, envelopes, .. } = self.scope;
        let shown = opens.iter().take(MOST_ASSETS).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match opens.len().saturating_sub(MOST_ASSETS) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let mut blocks = vec![
            Block::Heading("It opens".to_owned()),
            Block::Words(format!("{shown}{more}: for {}.", words_for(*lasts))),
        ];
        if *envelopes > 1 {
            blocks.push(Block::Strong(format!("It takes {envelopes} envelopes of this rule, of different holders.")));
        }
        if let Some(who) = who {
            blocks.push(Block::Heading("Who may open it".to_owned()));
            blocks.push(Block::Words(who.clone()));
        }
        blocks
    }

    fn how_it_is_opened(&self) -> Vec<Block> {
        let Doors { hosts, port, fingerprint } = self.doors;
        let mut blocks = vec![Block::Heading("1. Type this on a computer that reaches the broker".to_owned())];
        for (at, host) in hosts.iter().take(MOST_HOSTS).enumerate() {
            if at > 0 {
                blocks.push(Block::Words("No answer? Then the other broker:".to_owned()));
            }
            blocks.push(Block::Command(format!("ssh -p {port} glass@{host}")));
        }
        let host = hosts.first().map_or("BROKER", String::as_str);
        if let Some(jump) = &self.scope.jump {
            blocks.push(Block::Words("Or straight to an asset:".to_owned()));
            blocks.push(Block::Command(format!("ssh -J glass@{}:{port} {jump}", bracketed(host))));
        }
        if let Some(forward) = &self.scope.forward {
            blocks.push(Block::Words("Or for a program on this computer that speaks to an asset:".to_owned()));
            blocks.push(Block::Command(format!("ssh -N -p {port} -L {forward} glass@{host}")));
        }
        blocks
            .push(Block::Words("ssh may ask whether to trust the host. Say yes only if it shows this key:".to_owned()));
        blocks.push(Block::Command(fingerprint.clone()));
        blocks.extend([
            Block::Heading("2. Type the code".to_owned()),
            Block::Code(self.code.groups()),
            Block::Words(
                "Small letters and spaces do not matter. If a letter is wrong, it says in which group.".to_owned(),
            ),
            Block::Heading("3. Say who you are and what has happened".to_owned()),
            Block::Words(
                "It asks for a reason. A few words are enough. From the same computer, the code opens it again until it ends."
                    .to_owned(),
            ),
        ]);
        blocks
    }

    fn what_happens(&self) -> Vec<Block> {
        let Scope { lasts, review_within, call, .. } = self.scope;
        let mut blocks = vec![
            Block::Heading("What happens next".to_owned()),
            Block::Words(format!(
                "An alarm is raised at once, and everything is recorded. It ends after {}; another envelope gives \
                 more time. Somebody else looks at what was done within {}.",
                words_for(*lasts),
                words_for(*review_within)
            )),
            Block::Heading("Whom to call".to_owned()),
        ];
        blocks.push(call.as_ref().map_or(Block::Lines, |call| Block::Words(call.clone())));
        blocks.push(Block::Heading("Afterwards".to_owned()));
        blocks.push(Block::Words("This code is used up. Keep the sheet, and have a new envelope sealed:".to_owned()));
        blocks.push(Block::Command(format!("sallyport break-glass reseal {} --out FOLDER", self.number)));
        blocks
    }
}

/// What stands at the top of every page.
struct Head {
    envelope: String,
    facts: String,
}

/// A piece of a sheet.
enum Block {
    Heading(String),
    Words(String),
    Strong(String),
    /// What is typed, letter by letter.
    Command(String),
    Code(Secret<[String; 5]>),
    /// Room to write on.
    Lines,
}

/// The day, where it does not matter which hour it is at whose place.
fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// A duration in words; what is less than a minute does not matter.
fn words_for(duration: SignedDuration) -> String {
    let (hours, minutes) = (duration.as_hours(), duration.as_mins() % 60);
    let counted = |count: i64, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {one}s")),
    };
    match (counted(hours, "hour"), counted(minutes, "minute")) {
        (Some(hours), Some(minutes)) => format!("{hours} and {minutes}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "less than a minute".to_owned(),
    }
}

/// An address of version 6 before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

const TITLE: &str = "EMERGENCY ACCESS";
/// More are for a table on a screen.
const MOST_ASSETS: usize = 12;
const MOST_HOSTS: usize = 2;
/// Lines to write on.
const LINES: usize = 2;

#[cfg(test)]
mod tests;
