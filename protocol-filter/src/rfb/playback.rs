//! What a tool saw: the screen, found behind the handshake in the bytes that went to it.

use super::feed::{Carry, Feed};
use super::handshake::{Handshake, Init, version};
use super::operation::{Security, Version};
use super::pixel_format::PixelFormat;
use super::screen::{Screen, ScreenError};
use super::sink::Reason;

/// A recorded connection, played back.
///
/// It is fed with the bytes that went to the tool, from the very first, and told at its place between them of what the journal
/// noted: how the bytes read hangs on what the tool had chosen. What a caller feeds may be cut anywhere.
///
/// Memory is bounded by that of one [`Screen`].
#[derive(Debug)]
pub struct Playback {
    stage: Stage,
    carry: Carry,
    version: Option<Version>,
    security: Option<Security>,
    init: Option<(u16, u16, PixelFormat)>,
    failed: Option<PlaybackError>,
}

/// What the journal heard that the bytes to the tool do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// The tool's [`Version`](super::Message::Version), as it went on.
    Version(Version),
    /// The tool's [`SecurityChoice`](super::Message::SecurityChoice).
    SecurityChoice(Security),
    /// The [`ServerInit`](super::Message::ServerInit) that is about to come. The bytes say it too, and must say the same.
    ServerInit {
        /// The screen's width.
        width: u16,
        /// Its height.
        height: u16,
        /// How pixels are written at first.
        format: PixelFormat,
    },
    /// The tool's [`SetPixelFormat`](super::Message::SetPixelFormat).
    SetPixelFormat(PixelFormat),
}

/// Why a connection cannot be played back any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaybackError {
    /// Bytes that no server sends before its screen is open.
    #[error("the handshake cannot be read: {0}")]
    Handshake(&'static str),
    /// Something that was not noted.
    #[error("it is not noted {0}, so that what follows cannot be read")]
    NotNoted(&'static str),
    /// Notes and bytes are of two connections.
    #[error("the notes do not fit the bytes: {0}")]
    Contradiction(&'static str),
    /// The screen.
    #[error(transparent)]
    Screen(#[from] ScreenError),
}

/// What is expected next.
#[derive(Debug)]
enum Stage {
    Version,
    /// What comes hangs on the version that the tool chose.
    Security {
        offered: Version,
    },
    /// 3.3: the security type.
    Type,
    Count {
        version: Version,
    },
    Types {
        version: Version,
        count: u8,
    },
    /// What comes hangs on the security type that the tool chose.
    Choice {
        version: Version,
        offered: Vec<u8>,
    },
    Challenge {
        version: Version,
    },
    Result {
        version: Version,
    },
    ReasonLength,
    Reason {
        length: usize,
    },
    Init,
    Name(Init),
    Open(Box<Screen>),
    Refused,
}

impl Playback {
    /// A connection that has just begun.
    #[must_use]
    pub fn new() -> Self {
        Self { stage: Stage::Version, carry: Carry::default(), version: None, security: None, init: None, failed: None }
    }

    /// The screen, once it is open; what was drawn on it stays when the connection cannot be played back any further.
    #[must_use]
    pub fn screen(&self) -> Option<&Screen> {
        match &self.stage {
            Stage::Open(screen) => Some(screen),
            _ => None,
        }
    }

    /// The handshake ended without a screen: the asset or the filter let nobody in.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.stage, Stage::Refused)
    }

    /// So much of the session's time has gone by, in microseconds: more may be [painted](Screen::elapsed).
    pub fn elapsed(&mut self, micros: u64) {
        if let Stage::Open(screen) = &mut self.stage {
            screen.elapsed(micros);
        }
    }

    /// Hears what was noted between the bytes before and those to come.
    ///
    /// # Errors
    /// If it is not the place for it, or nothing can be played back any more.
    pub fn note(&mut self, noted: Noted) -> Result<(), PlaybackError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        match (noted, &mut self.stage) {
            (Noted::SetPixelFormat(format), Stage::Open(screen)) => screen.set_pixel_format(format),
            (Noted::SetPixelFormat(_), _) => {
                return self.fail(PlaybackError::Contradiction("a pixel format before the screen was open"));
            }
            (_, Stage::Open(_)) => {
                return self.fail(PlaybackError::Contradiction("a handshake after the screen was open"));
            }
            (Noted::Version(version), _) => self.version = Some(version),
            (Noted::SecurityChoice(security), _) => self.security = Some(security),
            (Noted::ServerInit { width, height, format }, _) => self.init = Some((width, height, format)),
        }
        Ok(())
    }

    /// Reads what went to the tool.
    ///
    /// # Errors
    /// If it cannot be read. What was drawn until then stays; nothing more will be.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), PlaybackError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        match self.read(bytes) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: PlaybackError) -> Result<(), PlaybackError> {
        self.failed = Some(error);
        Err(error)
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), PlaybackError> {
        let mut rest = bytes;
        loop {
            if let Stage::Open(screen) = &mut self.stage {
                return Ok(screen.receive(rest)?);
            }
            let mut carry = std::mem::take(&mut self.carry);
            let mut feed = Feed::new(&mut carry, rest);
            let step = self.step(&mut feed);
            rest = &rest[rest.len() - feed.left()..];
            self.carry = carry;
            match step? {
                Some(next) => self.stage = next,
                None => return Ok(()),
            }
        }
    }

    /// The next stage, or nothing if bytes are missing for it.
    fn step(&self, feed: &mut Feed<'_, '_>) -> Result<Option<Stage>, PlaybackError> {
        Ok(match &self.stage {
            Stage::Version => match feed.field() {
                Some(line) => Some(Stage::Security { offered: offered(line).map_err(PlaybackError::Handshake)? }),
                None => None,
            },
            // What hangs on a note is decided once, when its first byte is there: until then the note may still come.
            Stage::Security { .. } | Stage::Choice { .. } if feed.is_empty() => None,
            Stage::Security { offered } => Some(self.after_version(*offered)?),
            Stage::Choice { version, offered } => Some(self.after_choice(*version, offered)?),
            Stage::Type => match feed.field().map(u32::from_be_bytes) {
                Some(number) => Some(after_type(number)?),
                None => None,
            },
            Stage::Count { version } => feed.field().map(|[count]| match count {
                0 => Stage::ReasonLength,
                count => Stage::Types { version: *version, count },
            }),
            Stage::Types { version, count } => {
                let mut offered = vec![0; usize::from(*count)];
                feed.fill(&mut offered).then_some(Stage::Choice { version: *version, offered })
            }
            Stage::Challenge { version } => feed.field::<16>().map(|_| Stage::Result { version: *version }),
            Stage::Result { version } => match feed.field().map(u32::from_be_bytes) {
                Some(result) => Some(after_result(result, *version)?),
                None => None,
            },
            Stage::ReasonLength => match feed.field().map(u32::from_be_bytes) {
                Some(length) => Some(Stage::Reason { length: reason_length(length)? }),
                None => None,
            },
            Stage::Reason { length } => feed.fill(&mut vec![0; *length]).then_some(Stage::Refused),
            Stage::Init => match feed.field::<{ Init::LENGTH }>() {
                Some(head) => Some(Stage::Name(self.init(&head)?)),
                None => None,
            },
            Stage::Name(init) => match feed.fill(&mut vec![0; init.name]) {
                true => Some(Stage::Open(Box::new(Screen::new(init.width, init.height, init.format)?))),
                false => None,
            },
            Stage::Refused if !feed.is_empty() => {
                return Err(PlaybackError::Handshake("bytes behind a refusal"));
            }
            Stage::Refused | Stage::Open(_) => None,
        })
    }

    fn after_version(&self, offered: Version) -> Result<Stage, PlaybackError> {
        let version = self.version.ok_or(PlaybackError::NotNoted("which version the tool chose"))?;
        match version {
            chosen if chosen > offered => Err(PlaybackError::Contradiction("a version that was not offered")),
            Version::V3_3 => Ok(Stage::Type),
            Version::V3_7 | Version::V3_8 => Ok(Stage::Count { version }),
        }
    }

    fn after_choice(&self, version: Version, offered: &[u8]) -> Result<Stage, PlaybackError> {
        let security = self.security.ok_or(PlaybackError::NotNoted("which security type the tool chose"))?;
        if !offered.contains(&security.number()) {
            return Err(PlaybackError::Contradiction("a security type that was not offered"));
        }
        Ok(match (security, version) {
            (Security::VncAuthentication, _) => Stage::Challenge { version },
            (Security::None, Version::V3_8) => Stage::Result { version },
            (Security::None, Version::V3_3 | Version::V3_7) => Stage::Init,
        })
    }

    fn init(&self, head: &[u8; Init::LENGTH]) -> Result<Init, PlaybackError> {
        let init = Init::decode(head).map_err(PlaybackError::Handshake)?;
        match self.init {
            Some(noted) if noted != (init.width, init.height, init.format) => {
                Err(PlaybackError::Contradiction("a screen of another size or pixel format"))
            }
            Some(_) | None => Ok(init),
        }
    }
}

impl Default for Playback {
    fn default() -> Self {
        Self::new()
    }
}

/// The version that was offered to the tool.
fn offered(line: [u8; 12]) -> Result<Version, Reason> {
    let named = version(line).ok_or("no RFB version")?;
    Version::of(named).ok_or("an RFB version before 3.3")
}

fn after_type(number: u32) -> Result<Stage, PlaybackError> {
    if number == 0 {
        return Ok(Stage::ReasonLength);
    }
    match Security::from_number(number) {
        Some(Security::None) => Ok(Stage::Init),
        Some(Security::VncAuthentication) => Ok(Stage::Challenge { version: Version::V3_3 }),
        None => Err(PlaybackError::Handshake("a security type that cannot be followed")),
    }
}

fn after_result(result: u32, version: Version) -> Result<Stage, PlaybackError> {
    match (result, version) {
        (0, _) => Ok(Stage::Init),
        (1 | 2, Version::V3_8) => Ok(Stage::ReasonLength),
        (1 | 2, Version::V3_3 | Version::V3_7) => Ok(Stage::Refused),
        _ => Err(PlaybackError::Handshake("an unknown security result")),
    }
}

fn reason_length(length: u32) -> Result<usize, PlaybackError> {
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= Handshake::MOST_REASON)
        .ok_or(PlaybackError::Handshake("a reason that is longer than 4096 bytes"))
}
