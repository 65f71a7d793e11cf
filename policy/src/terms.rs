//! What a permit allows, and for how long.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::filter::BuiltIn;

/// The conditions that a permit carries. The default is what a grant without `terms` gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// When no input may pass any more: the end of the grant's window or of the grant. What the session does then, `on_end` says.
    ///
    /// INVARIANT: never later than the window and the validity of the grant that permitted it.
    pub not_after: Option<Timestamp>,
    /// The longest a session may last.
    pub max_duration: Option<SignedDuration>,
    /// How long a session may stand idle.
    pub idle: Option<SignedDuration>,
    /// How many sessions an identity may have at once by this grant.
    pub concurrent: Option<u32>,
    /// How many connections to the broker an identity may have open at once, whatever they lead to. Of several grants the
    /// most generous holds: [`crate::Policy::connections`].
    #[serde(default = "usual_connections")]
    pub connections: u32,
    /// How many sessions an identity may have at once on one broker, whatever they lead to; how fast new ones may begin goes
    /// by it, too. Of several grants the most generous holds: [`crate::Policy::sessions`].
    #[serde(default = "usual_sessions")]
    pub sessions: u32,
    /// What may be opened within the session.
    pub channels: BTreeSet<ChannelKind>,
    /// Which way files may go.
    pub file_transfer: FileTransfer,
    /// The environment variables that are passed on: names, or patterns with `*`.
    pub env: Vec<String>,
    /// What happens if the recorder fails in mid-session.
    pub recorder_trouble: RecorderTrouble,
    /// What happens when its time is over: the window, the grant or the longest duration.
    #[serde(default)]
    pub on_end: OnEnd,
    /// For how long output goes on then, where that is [`OnEnd::ViewOnly`].
    #[serde(default = "usual_grace")]
    pub grace: SignedDuration,
    /// The filter. In the terms of a permit it is the one that holds for the service's protocol, and none if that is not
    /// decoded; in the terms of a grant it is the one written. [`crate::Policy::filter_for`] has its rules.
    pub filter: Option<String>,
}

impl Terms {
    /// May this channel be opened?
    pub fn allows(&self, channel: ChannelKind) -> bool {
        self.channels.contains(&channel)
    }

    /// May this environment variable be passed on?
    pub fn allows_env(&self, name: &str) -> bool {
        self.env.iter().any(|pattern| crate::selector::glob_matches(pattern, name))
    }

    /// For how long output goes on when the time is over; nothing where the session ends at once.
    pub fn view_only_for(&self) -> Option<SignedDuration> {
        match self.on_end {
            OnEnd::ViewOnly => Some(self.grace),
            OnEnd::End => None,
        }
    }

    /// The total order by which one of several permits is chosen: the greater gives the person more.
    ///
    /// Rights come before time, so that nobody loses an upload because a longer, poorer grant permits as well. Of rights the
    /// filter comes first: where there is one, files and channels have no meaning.
    pub(crate) fn generosity(&self, other: &Self) -> Ordering {
        filter_rank(self.filter.as_deref())
            .cmp(&filter_rank(other.filter.as_deref()))
            .then_with(|| self.file_transfer.cmp(&other.file_transfer))
            .then_with(|| self.channels.len().cmp(&other.channels.len()))
            .then_with(|| self.channels.cmp(&other.channels))
            .then_with(|| unlimited_is_most(&self.not_after, &other.not_after))
            .then_with(|| unlimited_is_most(&self.max_duration, &other.max_duration))
            .then_with(|| unlimited_is_most(&self.idle, &other.idle))
            .then_with(|| unlimited_is_most(&self.concurrent, &other.concurrent))
            .then_with(|| self.connections.cmp(&other.connections))
            .then_with(|| self.sessions.cmp(&other.sessions))
            .then_with(|| self.recorder_trouble.cmp(&other.recorder_trouble))
            .then_with(|| self.view_only_for().cmp(&other.view_only_for()))
            .then_with(|| self.env.len().cmp(&other.env.len()))
            .then_with(|| self.env.cmp(&other.env))
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            not_after: None,
            max_duration: Some(SignedDuration::from_hours(8)),
            idle: Some(SignedDuration::from_mins(30)),
            concurrent: None,
            connections: USUAL_CONNECTIONS,
            sessions: USUAL_SESSIONS,
            channels: ChannelKind::USUAL.into_iter().collect(),
            file_transfer: FileTransfer::None,
            env: USUAL_ENV.map(str::to_owned).to_vec(),
            recorder_trouble: RecorderTrouble::ViewOnly,
            on_end: OnEnd::ViewOnly,
            grace: USUAL_GRACE,
            filter: None,
        }
    }
}

/// More than anybody works with at once, and far fewer than a broker has.
pub(crate) const USUAL_CONNECTIONS: u32 = 32;

/// A tool that goes to fifty hosts at once has room, and so have as many forwarded streams as one connection carries.
pub(crate) const USUAL_SESSIONS: u32 = 64;

/// Terms that were written down before there was this limit had none of it; this is what holds where none is written.
fn usual_connections() -> u32 {
    USUAL_CONNECTIONS
}

fn usual_sessions() -> u32 {
    USUAL_SESSIONS
}

/// As long as output goes on after the recorder has failed: enough to read what is on the screen, and too short to work by.
const USUAL_GRACE: SignedDuration = SignedDuration::from_secs(10);

fn usual_grace() -> SignedDuration {
    USUAL_GRACE
}

/// Language and terminal only: nothing that changes which program or library runs.
const USUAL_ENV: [&str; 5] = ["COLORTERM", "LANG", "LC_*", "NO_COLOR", "TERM"];

/// How much a filter gives, as far as its name tells: the narrow defaults, then the sections by name, then those that are wide.
fn filter_rank(filter: Option<&str>) -> (u8, &str) {
    let Some(name) = filter else { return (0, "") };
    let rank = match BuiltIn::named(name) {
        Some(BuiltIn::ReadOnly | BuiltIn::ViewOnly) => 1,
        None => 2,
        Some(BuiltIn::Interactive) => 3,
        Some(BuiltIn::Observe) => 4,
        Some(BuiltIn::Full) => 5,
    };
    (rank, name)
}

fn unlimited_is_most<T: Ord>(one: &Option<T>, other: &Option<T>) -> Ordering {
    match (one, other) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(other)) => one.cmp(other),
    }
}

/// Something that can be opened within a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelKind {
    /// A terminal with the account's shell.
    Shell,
    /// A command.
    Exec,
    /// The sftp subsystem.
    Sftp,
    /// A connection to the asset's own loopback, through the inner session (VS Code works this way).
    Forward,
    /// The person's ssh agent, lent to the asset.
    Agent,
    /// X11.
    X11,
    /// A port on the asset that leads back to the person.
    RemoteForward,
}

impl ChannelKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Shell, Self::Exec, Self::Sftp, Self::Forward, Self::Agent, Self::X11, Self::RemoteForward];

    /// What a grant allows that names no channels.
    pub const USUAL: [Self; 3] = [Self::Shell, Self::Exec, Self::Sftp];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Forward => "forward",
            Self::Agent => "agent",
            Self::X11 => "x11",
            Self::RemoteForward => "remote-forward",
        }
    }
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which way files may go, by sftp or scp. Ordered by how much it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileTransfer {
    /// No files.
    #[default]
    None,
    /// From the asset only.
    Download,
    /// To the asset only.
    Upload,
    /// Both ways.
    Both,
}

impl FileTransfer {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::None, Self::Download, Self::Upload, Self::Both];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Download => "download",
            Self::Upload => "upload",
            Self::Both => "both",
        }
    }

    /// May files go to the asset?
    pub fn may_upload(self) -> bool {
        matches!(self, Self::Upload | Self::Both)
    }

    /// May files come from the asset?
    pub fn may_download(self) -> bool {
        matches!(self, Self::Download | Self::Both)
    }
}

impl fmt::Display for FileTransfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens if the recorder fails in mid-session; never unrecorded input. Ordered by how much it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecorderTrouble {
    /// The session ends at once.
    End,
    /// Input is refused, output goes on for a grace, then the session ends.
    #[default]
    ViewOnly,
}

impl RecorderTrouble {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::End, Self::ViewOnly];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::ViewOnly => "view-only",
        }
    }
}

impl fmt::Display for RecorderTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens when the time of a session is over. Ordered by how much it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnEnd {
    /// The session ends at once.
    End,
    /// Input is refused, output goes on for a grace, then the session ends; it goes on if its time is extended meanwhile.
    #[default]
    ViewOnly,
}

impl OnEnd {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::End, Self::ViewOnly];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::ViewOnly => "view-only",
        }
    }
}

impl fmt::Display for OnEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
