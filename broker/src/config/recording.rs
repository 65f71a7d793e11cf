//! `[recording]`: where and how sessions are recorded, who can read that, and for how long it is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Spanned;

use super::check::Check;
use super::file;

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

impl Check<'_> {
    pub(super) fn recording(&mut self, recording: file::Recording) -> RecordingConfig {
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
}

/// Eight hours of four sessions that all do both: ten polls of a controller a second, of 723 bytes each in a recording, and 2 KiB
/// a second of a terminal, which is a page every second. That is 4 × 28800 × (7230 + 2048) bytes, just below 1 GiB.
const DEFAULT_RESERVE: u64 = 1 << 30;
