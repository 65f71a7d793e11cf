//! `sallyport recording`: find, replay, verify and export recordings.

mod beginning;
mod bundle;
mod catalogue;
mod destination;
mod folder;
mod frames;
mod holds;
mod inventory;
mod operations;
mod proof;
mod reading;
mod replaying;
mod retention;
mod searching;
mod share;
pub(super) mod source;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::{CliError, Context};

/// `sallyport recording …`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List recordings, the newest first
    List(List),
    /// Play a recording in this terminal
    Replay(Replay),
    /// Prove that recordings are whole, with nothing but the public key; exit code 1 if one is not
    Verify(Verify),
    /// Write a recording in a format that other tools read
    Export(Export),
    /// Give one session to somebody outside, who can then read and prove it, and no other
    Share(Share),
    /// List the files that went either way; from the index, or with an identity from the recording itself
    Files {
        /// Session id (or how it begins), or a recording's file, written with a `/`
        recording: String,
        /// What opens it
        #[command(flatten)]
        keys: ReadKeys,
    },
    /// List what was done, operation by operation: when, who, what, old -> new, verdict and rule
    Operations(Operations),
    /// Find text as it stood on the screen, in output, commands and file names
    Search(Search),
    /// Keep a recording whatever retention says
    Hold {
        /// Session id, or how it begins
        session: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List the recordings that are held: since when, by whom, and why
    Holds,
    /// Show which recordings of this broker retention would remove, and by which rule. Nothing is removed: that does the broker, by itself
    Retention {
        /// At this time, if nothing else happens until then (as in `2027-01-01T00:00:00Z`) [default: now]
        #[arg(long, value_name = "TIME")]
        at: Option<Timestamp>,
        /// Nothing else is done anyway
        #[arg(long, hide = true)]
        dry_run: bool,
    },
    /// Let retention have a recording again
    Release {
        /// Session id, or how it begins
        session: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// Which recordings.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Only of this identity
    #[arg(long, alias = "by", value_name = "NAME")]
    identity: Option<String>,
    /// Only of this asset
    #[arg(long)]
    asset: Option<String>,
    /// Only of assets in this zone
    #[arg(long)]
    zone: Option<String>,
    /// Only begun at or after (as in `2026-11-23T06:00:00Z`)
    #[arg(long)]
    since: Option<Timestamp>,
    /// Only begun before
    #[arg(long)]
    until: Option<Timestamp>,
}

/// `sallyport recording list`
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    filter: Selection,
    /// Also those whose file is gone
    #[arg(long)]
    removed: bool,
    /// At most so many
    #[arg(long, default_value_t = 1000)]
    limit: u32,
}

/// What opens recordings.
#[derive(Debug, clap::Args)]
pub struct ReadKeys {
    /// age identity file that can read [default: `recordings-reader.key` beside the configuration, where it exists]
    #[arg(long, alias = "identity", value_name = "FILE", env = "SALLYPORT_RECORDING_IDENTITY")]
    key_file: Option<PathBuf>,
    /// Evidence key that must have signed: an OpenSSH line, hex, base64, or a file with such lines [default: this
    /// installation's]
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
    /// Read without checking who signed: what is read may then be anybody's making
    #[arg(long, conflicts_with = "public_key")]
    unverified: bool,
}

/// What opens recordings, where `--identity` is a person.
#[derive(Debug, clap::Args)]
pub struct SearchKeys {
    /// age identity file that can read [default: `recordings-reader.key` beside the configuration, where it exists]
    #[arg(long, value_name = "FILE", env = "SALLYPORT_RECORDING_IDENTITY")]
    key_file: Option<PathBuf>,
    /// Evidence key that must have signed: an OpenSSH line, hex, base64, or a file with such lines [default: this
    /// installation's]
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
    /// Read without checking who signed: what is read may then be anybody's making
    #[arg(long, conflicts_with = "public_key")]
    unverified: bool,
}

impl From<SearchKeys> for ReadKeys {
    fn from(SearchKeys { key_file, public_key, unverified }: SearchKeys) -> Self {
        Self { key_file, public_key, unverified }
    }
}

/// `sallyport recording replay`
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Session id (or how it begins), or a recording's file, written with a `/`
    recording: String,
    #[command(flatten)]
    keys: ReadKeys,
    /// Which channel [default: the first with a terminal, or else with output]
    #[arg(long)]
    track: Option<u32>,
    /// How much faster
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// Cut pauses to so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    idle: Option<f64>,
    /// Begin so many seconds into the recording
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative)]
    seek: f64,
    /// Show of a larger terminal the part around the cursor, as this one has room for
    #[arg(long)]
    fit: bool,
}

/// `sallyport recording verify`
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// Session ids (or how they begin), or recordings' files or folders that `recording share` made, written with a `/`; with
    /// `--audit`, files and folders of recordings
    #[arg(required_unless_present = "all")]
    recordings: Vec<String>,
    /// The audit chain, and every recording that it or the catalogue knows: missing, cut, exchanged, removed before its
    /// time or under a hold, each is a fault. What lies with another broker is named and not proven
    #[arg(long, conflicts_with = "recordings")]
    all: bool,
    /// Away from the broker: hold what lies in the folders against this export of its audit chain (`audit export`). What is
    /// missing, exchanged, cut, or not of this chain, each is a fault, and so is a chain that is not whole
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    audit: Option<PathBuf>,
    /// A head of the chain noted earlier, which must still be there
    #[arg(long, value_name = "NUMBER:HASH", requires = "audit", value_parser = crate::cli::audit::head)]
    expect_head: Option<(i64, String)>,
    /// The export may begin later than with entry 1
    #[arg(long, requires = "audit")]
    partial: bool,
    /// Only the recordings of this broker must be there
    #[arg(long, value_name = "NAME", requires = "audit")]
    broker: Option<String>,
    /// Evidence key that must have signed: an OpenSSH line, hex, base64, or a file with such lines [default: this
    /// installation's]
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
    /// A recording without a seal is no fault, if it verifies up to its last checkpoint
    #[arg(long)]
    allow_unsealed: bool,
}

/// `sallyport recording export`
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Session id (or how it begins), or a recording's file, written with a `/`
    recording: String,
    /// asciicast: what a terminal showed, for asciinema, cleaned as in a replay; jsonl: requests, operations, files, notices; pcapng: TCP
    /// connections, for Wireshark; operations: only the operations, one JSON object a line; png: the screen of a VNC
    /// session at a time; frames: a folder of PNG files, one for each change of that screen
    #[arg(long, value_enum)]
    format: Format,
    #[command(flatten)]
    keys: ReadKeys,
    /// Which channel [default: all connections of a pcapng; the first with a terminal, or else with output, of an
    /// asciicast; the only VNC connection of png and frames]
    #[arg(long)]
    track: Option<u32>,
    /// All that passed, also what acts on the terminal of whoever plays it: clipboard, titles, reports (asciicast)
    #[arg(long)]
    raw: bool,
    /// With all bytes (jsonl)
    #[arg(long)]
    content: bool,
    /// When (png): as `2026-11-23T08:01:30Z`, or from the session's start, in seconds or as `1m30s` [default: the end]
    #[arg(long, value_name = "TIME", value_parser = frames::at)]
    at: Option<frames::At>,
    /// At most one frame in so much of the session's time (frames), in seconds or as `1m30s` [default: 1]
    #[arg(long, value_name = "TIME", value_parser = frames::period)]
    every: Option<Duration>,
    /// Write to this file, which must not exist, instead of standard output; to this folder, which must be empty or not
    /// exist (frames)
    #[arg(long, short)]
    output: Option<PathBuf>,
}

/// What an export looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// asciicast v2.
    Asciicast,
    /// JSON lines.
    Jsonl,
    /// pcapng.
    Pcapng,
    /// Operations as JSON lines.
    Operations,
    /// A picture.
    Png,
    /// Pictures.
    Frames,
}

/// `sallyport recording share`
#[derive(Debug, clap::Args)]
pub struct Share {
    /// Session id, or how it begins
    recording: String,
    /// Who may read it: an age public key, as `age-keygen` makes one with its secret half; may be given several times
    #[arg(long, value_name = "AGE1…", required = true)]
    recipient: Vec<String>,
    /// Folder to make, which must not exist
    #[arg(long, short, visible_alias = "out", value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    keys: ReadKeys,
}

/// `sallyport recording operations`
#[derive(Debug, clap::Args)]
pub struct Operations {
    /// Session id (or how it begins), or a recording's file, written with a `/`
    recording: String,
    #[command(flatten)]
    keys: ReadKeys,
    /// Only those with this verdict
    #[arg(long, value_enum)]
    verdict: Option<Judged>,
    /// Only what changes something: writes, control and program operations, files that go up; refused ones too
    #[arg(long)]
    writes: bool,
}

/// What a filter made of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Judged {
    /// It went on.
    Pass,
    /// It went on, and would not have if the filter enforced.
    WouldDeny,
    /// It did not go on.
    Deny,
}

/// `sallyport recording search`
#[derive(Debug, clap::Args)]
pub struct Search {
    /// What to look for
    text: String,
    /// Session ids (or how they begin), or recordings' files, written with a `/` [default: every recording that fits the filter]
    recordings: Vec<String>,
    /// Capital letters do not matter
    #[arg(long, short)]
    ignore_case: bool,
    /// Print at most so many lines; the rest is counted
    #[arg(long, default_value_t = 10_000)]
    limit: u64,
    /// Print at most so many lines of one recording; the rest is counted
    #[arg(long, default_value_t = 1000)]
    per_recording: u64,
    #[command(flatten)]
    keys: SearchKeys,
    #[command(flatten)]
    filter: Selection,
}

/// Runs one of them.
pub async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::List(filter) => catalogue::list(filter, context).await,
        Command::Hold { session, reason } => catalogue::hold(&session, &reason, context).await,
        Command::Holds => holds::list(context).await,
        Command::Retention { at, dry_run: _ } => retention::show(at, context).await,
        Command::Release { session, reason } => catalogue::release(&session, &reason, context).await,
        Command::Verify(arguments) => verify::verify(arguments, context).await,
        Command::Replay(arguments) => replaying::replay(arguments, context).await,
        Command::Export(arguments) => reading::export(arguments, context).await,
        Command::Share(arguments) => share::share(arguments, context).await,
        Command::Files { recording, keys } => reading::files(&recording, &keys, context).await,
        Command::Operations(arguments) => operations::operations(arguments, context).await,
        Command::Search(arguments) => searching::search(arguments, context).await,
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("must be more than 0".to_owned()) }
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..1e9).contains(&number) { Ok(number) } else { Err("must be 0 or more".to_owned()) }
}
