//! What the assets received, what the recordings hold, and what the people saw, held against each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sallyport_session_recorder::Kind as Track;
use sallyport_tests::{Evidence, recordings};

use crate::load::Ended;
use crate::report::Figure;
use crate::session::{Kind, line, written};
use crate::site::Site;

/// What all recordings hold together, by session.
#[derive(Default)]
pub(crate) struct Recorded {
    /// What was typed at each terminal.
    typed: BTreeMap<String, Vec<u8>>,
    /// What was written to each register.
    writes: BTreeMap<u16, Vec<u16>>,
    /// Files that hold no whole header: of sessions that did not begin.
    not_begun: usize,
}

impl Recorded {
    /// Reads every recording of every broker.
    pub(crate) fn read(site: &Site) -> Recorded {
        let mut recorded = Recorded::default();
        for folder in site.folders() {
            recorded.add(&folder.join("recordings"), &folder.join("recordings-reader.key"));
        }
        recorded
    }

    /// Reads every recording below a folder.
    pub(crate) fn add(&mut self, folder: &Path, key: &Path) {
        for path in recordings(folder) {
            self.add_one(&path, key, Evidence::read);
        }
    }

    /// The same of a disk that has lost what was not written to it yet.
    pub(crate) fn add_what_is_left(&mut self, folder: &Path, key: &Path) {
        for path in recordings(folder) {
            self.add_one(&path, key, Evidence::read_what_is_left);
        }
    }

    /// How many lines a terminal's asset received that are not on record.
    pub(crate) fn lines_lost(&self, site: &Site, name: &str) -> usize {
        let home = site.plant.sshd().home("operator");
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let received = count(&fs::read(received(&home, name)).unwrap_or_default());
        received.saturating_sub(self.typed.get(name).map_or(0, |typed| count(typed)))
    }

    /// How many files hold not even a header.
    pub(crate) fn not_begun(&self) -> usize {
        self.not_begun
    }

    fn add_one(&mut self, path: &Path, key: &Path, read: fn(&Path, &Path) -> Evidence) {
        if !Evidence::is_begun(path, key) {
            self.not_begun += 1;
            return;
        }
        let evidence = read(path, key);
        let input = evidence.content(Track::Input);
        let name = input.split(|byte| *byte == b':').next().and_then(|name| std::str::from_utf8(name).ok());
        if let Some(name) = name.filter(|name| name.starts_with('t') && name.len() < 8) {
            self.typed.insert(name.to_owned(), input.clone());
        }
        let number = |value: &serde_json::Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
        for operation in evidence.operations() {
            let write =
                operation["kind"] == "write" && operation["phase"] == "request" && operation["verdict"] == "pass";
            if let Some((register, value)) = number(&operation["address"]).zip(number(&operation["values"][0]))
                && write
            {
                self.writes.entry(register).or_default().push(value);
            }
        }
    }
}

/// How the sessions come out.
#[derive(Default)]
pub(crate) struct Judged {
    sessions: usize,
    /// Those of which the asset received something that is not on record, or more than once, or in another order.
    unrecorded: Vec<String>,
    /// Those of which the asset did not receive what the person saw come back.
    lost: Vec<String>,
    bytes: usize,
}

impl Judged {
    /// Holds them against each other.
    pub(crate) fn of(site: &Site, ended: &[Ended], recorded: &Recorded) -> Judged {
        let mut judged = Judged::default();
        let home = site.plant.sshd().home("operator");
        for Ended { name, kind, seen, .. } in ended {
            judged.sessions += 1;
            match kind {
                Kind::Terminal => {
                    let received = fs::read(received(&home, name)).unwrap_or_default();
                    let sent: Vec<u8> = (1..=seen.sent).flat_map(|number| line(name, number).into_bytes()).collect();
                    let back = (1..=seen.back).map(|number| line(name, number).len()).sum::<usize>();
                    let on_record = recorded.typed.get(name).is_some_and(|typed| typed.starts_with(&received));
                    judged.judge(
                        name,
                        on_record || received.is_empty(),
                        sent.starts_with(&received),
                        received.len() >= back,
                    );
                    judged.bytes += received.len();
                }
                Kind::Poll { register } => {
                    let received = site.controller.written(*register);
                    let sent: Vec<u16> = (1..=seen.sent).filter_map(written).collect();
                    let back = (1..=seen.back).filter_map(written).count();
                    let on_record = recorded.writes.get(register).is_some_and(|writes| writes.starts_with(&received));
                    judged.judge(
                        name,
                        on_record || received.is_empty(),
                        sent.starts_with(&received),
                        received.len() >= back,
                    );
                    judged.bytes += 2 * received.len();
                }
                Kind::Screen => {}
            }
        }
        judged
    }

    fn judge(&mut self, name: &str, on_record: bool, as_sent: bool, whole: bool) {
        if !on_record || !as_sent {
            self.unrecorded.push(name.to_owned());
        }
        if !whole {
            self.lost.push(name.to_owned());
        }
    }

    /// The figures of it.
    pub(crate) fn figures(&self) -> [Figure; 2] {
        let told = |of: &[String]| match of {
            [] => format!("none of {} ({} bytes and values compared)", self.sessions, self.bytes),
            names => format!("{} of {}: {}", names.len(), self.sessions, names.join(", ")),
        };
        [
            Figure::holds(
                "sessions of which an asset received what is not on record, or not as it was sent",
                self.unrecorded.is_empty(),
                told(&self.unrecorded),
            ),
            Figure::holds(
                "sessions of which an asset lacks what came back to the person",
                self.lost.is_empty(),
                told(&self.lost),
            ),
        ]
    }
}

/// `recording verify --all` and `audit verify` at every broker.
pub(crate) fn verified(site: &Site) -> [Figure; 2] {
    ["recording verify --all", "audit verify"].map(|command| {
        let arguments: Vec<_> = command.split(' ').collect();
        let wrong = site.everywhere(&arguments);
        let seen =
            if wrong.is_empty() { "whole".to_owned() } else { wrong.lines().take(3).collect::<Vec<_>>().join(" ") };
        Figure::holds(&format!("`sallyport {command}`"), wrong.is_empty(), seen)
    })
}

fn received(home: &Path, name: &str) -> PathBuf {
    home.join(format!("received-{name}"))
}

/// Resident MiB, and open descriptors.
pub(crate) fn size_of(pid: u32) -> (f64, usize) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok());
    let open = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    (kib.unwrap_or_default() / 1024.0, open)
}
