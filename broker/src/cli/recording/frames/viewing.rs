//! A VNC connection of a recording, played back entry by entry.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sallyport_protocol_filter::rfb::{Noted, PixelFormat, Playback, PlaybackError, Screen, Security, Version};
use sallyport_session_recorder::{Direction, Entry, Kind, Moment, ReadError, Reader, TrackId};
use serde_json::Value;

use crate::cli::{CliError, printable};

/// Which track has the connection, and whether the recording is whole.
pub(super) struct Connection {
    track: TrackId,
    started: Moment,
    fault: Option<ReadError>,
}

impl Connection {
    /// Reads the recording to its end: the connection asked for, or the only one that has a screen.
    pub(super) fn find(entries: Reader<impl std::io::Read>, asked: Option<u32>) -> Result<Self, CliError> {
        let started = entries.header().started;
        let (mut held, mut screens, mut fault) = (BTreeMap::new(), Vec::new(), None);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    fault = Some(error);
                    break;
                }
            };
            let wanted = asked == Some(entry.track.0) || held.len() < MOST_TRACKS;
            if entry.kind != Kind::Opened || !wanted || held.contains_key(&entry.track.0) {
                continue;
            }
            let protocol = entry.json().map_or_else(|| "unknown".to_owned(), |opened| protocol(&opened));
            if protocol == "vnc" {
                screens.push(entry.track);
            }
            held.insert(entry.track.0, protocol);
        }
        let track = match asked {
            Some(number) => screens.into_iter().find(|track| track.0 == number),
            None => match screens.as_slice() {
                [] => None,
                [only] => Some(*only),
                several => return Err(CliError::Failed(choice(several))),
            },
        };
        match (track, fault) {
            (Some(track), fault) => Ok(Self { track, started, fault }),
            (None, Some(fault)) => Err(CliError::Failed(fault.to_string())),
            (None, None) => Err(CliError::Failed(nothing(asked, &held))),
        }
    }
}

/// More tracks than this are not told one by one.
const MOST_TRACKS: usize = 1000;
const MOST_NAMED: usize = 8;

/// The protocol of a stream; what else a channel is.
fn protocol(opened: &Value) -> String {
    let name = if opened["channel"] == "stream" { "protocol" } else { "channel" };
    let word = opened[name].as_str().unwrap_or("unknown");
    printable(&word.chars().take(40).collect::<String>())
}

fn choice(several: &[TrackId]) -> String {
    let told: Vec<String> = several.iter().take(MOST_NAMED).map(ToString::to_string).collect();
    let more = if several.len() > MOST_NAMED { " …" } else { "" };
    format!("the recording has {} VNC connections; choose one with `--track`: {}{more}", several.len(), told.join(", "))
}

fn nothing(asked: Option<u32>, held: &BTreeMap<u32, String>) -> String {
    match asked.map(|number| (number, held.get(&number))) {
        Some((number, Some(protocol))) => return format!("track {number} is no VNC connection, but: {protocol}"),
        Some((number, None)) => return format!("the recording has no track {number}"),
        None => {}
    }
    if held.is_empty() {
        return "the recording has no VNC connection; it holds no channel at all".to_owned();
    }
    let told: Vec<String> =
        held.iter().take(MOST_NAMED).map(|(track, protocol)| format!("track {track}: {protocol}")).collect();
    let more = if held.len() > MOST_NAMED { " …" } else { "" };
    format!("the recording has no VNC connection; it holds {}{more}", told.join(", "))
}

/// The screen of a connection as it was.
pub(super) struct Viewing {
    connection: Connection,
    playback: Playback,
    /// A filter has decoded the connection.
    decoded: bool,
    /// When the last entry was recorded.
    last: Moment,
    /// When and why the screen can be drawn no further.
    stopped: Option<(Moment, String)>,
}

impl Viewing {
    pub(super) fn new(connection: Connection) -> Self {
        let last = connection.started;
        Self { connection, playback: Playback::new(), decoded: false, last, stopped: None }
    }

    pub(super) fn started(&self) -> Moment {
        self.connection.started
    }

    /// The entry if it is the connection's. What stands in front of a fault is sound.
    pub(super) fn own(&mut self, entry: Result<Entry, ReadError>) -> Option<Entry> {
        match entry {
            Ok(entry) => Some(entry).filter(|entry| entry.track == self.connection.track),
            Err(error) => {
                self.connection.fault.get_or_insert(error);
                None
            }
        }
    }

    /// Plays an entry; tells whether it may have drawn.
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        self.playback.elapsed(entry.at.micros_since(self.last));
        self.last = entry.at;
        let played = match entry.kind {
            Kind::Operation => self.hear(entry).map(|()| false),
            kind if kind.direction() != Some(Direction::Output) => Ok(false),
            Kind::Output => self.playback.receive(&entry.body).map(|()| true).map_err(|error| self.explain(error)),
            _ => Err(match entry.unstored() {
                Some(length) => format!(
                    "the recording holds only length and SHA-256 of {length} bytes here, so that the screen cannot be drawn any further"
                ),
                None => "an entry that cannot be read".to_owned(),
            }),
        };
        match played {
            Ok(drew) => drew,
            Err(reason) => {
                self.stopped = Some((entry.at, reason));
                true
            }
        }
    }

    fn hear(&mut self, entry: &Entry) -> Result<(), String> {
        self.decoded = true;
        let body = entry.json().ok_or("an operation that cannot be read")?;
        match noted(&body)? {
            Some(noted) => self.playback.note(noted).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    fn explain(&self, error: PlaybackError) -> String {
        match error {
            PlaybackError::NotNoted(_) if !self.decoded => {
                "no filter decoded this connection, so that its bytes cannot be told apart; \
                 `--format pcapng` has them as they are"
                    .to_owned()
            }
            _ => error.to_string(),
        }
    }

    /// The screen cannot be drawn any further.
    pub(super) fn is_over(&self) -> bool {
        self.stopped.is_some()
    }

    pub(super) fn screen(&self) -> Option<&Screen> {
        self.playback.screen()
    }

    /// When something was last recorded of it.
    pub(super) fn last(&self) -> String {
        self.time(self.last)
    }

    /// `2026-11-23T08:01:30.000Z (+90.000s)`.
    pub(super) fn time(&self, moment: Moment) -> String {
        let at = Timestamp::from_microsecond(moment.unix_micros).unwrap_or_default();
        let offset = moment.micros_since(self.started());
        format!("{at:.3} (+{}.{:03}s)", offset / 1_000_000, offset / 1000 % 1000)
    }

    /// Why there is no screen.
    pub(super) fn nothing_to_see(&self) -> CliError {
        let why = match &self.stopped {
            _ if self.playback.is_refused() => "the viewer was not let in".to_owned(),
            Some((at, reason)) => format!("{}: {reason}", self.time(*at)),
            None => format!("the record of the connection ends at {}, before there was one", self.last()),
        };
        self.failed(&format!("no screen was opened: {why}"))
    }

    /// What kept the pictures from being all that there were, if anything did.
    pub(super) fn end(&self) -> Result<(), CliError> {
        match (&self.stopped, &self.connection.fault) {
            (None, None) => Ok(()),
            (Some((at, reason)), _) => {
                Err(self.failed(&format!("what is drawn was before {}: {reason}", self.time(*at))))
            }
            (None, Some(_)) => Err(self.failed("what is drawn was before a fault of the recording")),
        }
    }

    fn failed(&self, sentence: &str) -> CliError {
        CliError::Failed(match &self.connection.fault {
            Some(fault) => format!("{sentence}; {fault}"),
            None => sentence.to_owned(),
        })
    }
}

/// What an operation of the record tells a playback.
fn noted(body: &Value) -> Result<Option<Noted>, String> {
    let name = body["name"].as_str().unwrap_or_default();
    let noted = match name {
        "version" if body["side"] == "client" => body["used"].as_str().and_then(Version::named).map(Noted::Version),
        "security-choice" => number(body, "security").and_then(Security::from_number).map(Noted::SecurityChoice),
        "server-init" => server_init(body),
        "set-pixel-format" => pixel_format(body).map(Noted::SetPixelFormat),
        _ => return Ok(None),
    };
    match noted {
        Some(noted) => Ok(Some(noted)),
        None => Err(format!("an operation `{name}` that cannot be read")),
    }
}

fn server_init(body: &Value) -> Option<Noted> {
    let side = |name| number(body, name).and_then(|number: u32| u16::try_from(number).ok());
    Some(Noted::ServerInit { width: side("width")?, height: side("height")?, format: pixel_format(body)? })
}

fn number(body: &Value, name: &str) -> Option<u32> {
    body[name].as_u64().and_then(|number| u32::try_from(number).ok())
}

fn pixel_format(body: &Value) -> Option<PixelFormat> {
    let bytes = data_encoding::HEXLOWER.decode(body["format"].as_str()?.as_bytes()).ok()?;
    PixelFormat::decode(bytes.as_slice().try_into().ok()?).ok()
}
