//! What the journal hears of an RFB connection.

use super::encoding::Encoding;
use super::pixel_format::PixelFormat;
use crate::{Kind, Phase, Side, Verdict};

/// One message with its verdict, or how many of a frequent kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Who sent it.
    pub side: Side,
    /// What it does to the asset.
    pub kind: Kind,
    /// Its place in the exchange.
    pub phase: Phase,
    /// What it says.
    pub message: Message<'a>,
    /// What is done with it.
    pub verdict: Verdict<'a>,
}

/// A decoded message. Texts are the sender's bytes: neither UTF-8 nor free of control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// The version that a side named, and the one that goes on in its place.
    Version {
        /// As it was named: major, minor.
        named: (u16, u16),
        /// As it goes on.
        used: Version,
    },
    /// The security types that the asset offers, and what is left of them.
    SecurityTypes {
        /// All that it offers.
        offered: &'a [u8],
        /// Those that can be followed.
        kept: &'a [u8],
    },
    /// The tool chose one.
    SecurityChoice(Security),
    /// The asset let the tool in.
    LetIn,
    /// The asset refused.
    Refused {
        /// Its reason, empty where the version has none.
        reason: &'a [u8],
    },
    /// The connection shall leave those of others alone, or end them.
    ClientInit {
        /// What the tool asked.
        shared: bool,
        /// What goes on: without the right to input, always shared.
        used: bool,
    },
    /// The screen.
    ServerInit {
        /// Its width.
        width: u16,
        /// Its height.
        height: u16,
        /// How pixels are written until the tool says otherwise.
        format: PixelFormat,
        /// The desktop's name.
        name: &'a [u8],
    },
    /// Pixels are written so from now on: in what the asset sends next, or from the end of the update that is under way.
    SetPixelFormat(PixelFormat),
    /// The encodings that the tool asked for.
    SetEncodings {
        /// Those that go on, in the tool's order.
        kept: &'a [Encoding],
        /// How many were left out.
        left_out: u16,
        /// The first of them.
        first_left_out: &'a [i32],
    },
    /// A key.
    Key {
        /// Pressed or let go.
        down: bool,
        /// Which: an X11 keysym.
        keysym: u32,
    },
    /// Pointer buttons were pressed or let go.
    Buttons {
        /// One bit a button, before.
        before: u8,
        /// And after.
        after: u8,
        /// Where.
        x: u16,
        /// Where.
        y: u16,
    },
    /// Text for the other side's clipboard. Its bytes are on the recording's track.
    CutText {
        /// How many bytes.
        length: u32,
    },
    /// The screen has another size.
    DesktopSize {
        /// Its width.
        width: u16,
        /// Its height.
        height: u16,
    },
    /// The desktop has another name.
    DesktopName(&'a [u8]),
    /// The filter let go what was down when the right to input ended.
    Released {
        /// How many keys.
        keys: u8,
        /// Which buttons.
        buttons: u8,
    },
    /// So many of a frequent kind since its last note, this one with them. The first of a run is noted when it comes.
    Counted {
        /// What.
        what: Counted,
        /// How many.
        count: u64,
    },
}

/// A version of the protocol whose handshake can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 3.3: the asset decides the security type.
    V3_3,
    /// 3.7: the tool chooses from a list.
    V3_7,
    /// 3.8: as 3.7, and refusals have reasons.
    V3_8,
}

/// A security type whose handshake can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// None.
    None,
    /// A challenge that is encrypted under the password.
    VncAuthentication,
}

/// What comes often and is counted, not told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The tool asks for the screen.
    UpdateRequests,
    /// The asset shows (a part of) it.
    Updates,
    /// The asset changes its colour map.
    ColourMaps,
    /// The asset rings.
    Bells,
    /// The pointer moves, buttons as they were.
    PointerMoves,
    /// Keys that were dropped.
    DroppedKeys,
    /// Pointer events that were dropped.
    DroppedPointer,
    /// Cut texts that were dropped on their way to the asset.
    DroppedCutTextToAsset,
    /// Cut texts that were dropped on their way from the asset.
    DroppedCutTextFromAsset,
    /// Messages of extensions, which are always dropped.
    DroppedExtensions,
}

impl Counted {
    pub(super) const ALL: [Counted; 10] = [
        Counted::UpdateRequests,
        Counted::Updates,
        Counted::ColourMaps,
        Counted::Bells,
        Counted::PointerMoves,
        Counted::DroppedKeys,
        Counted::DroppedPointer,
        Counted::DroppedCutTextToAsset,
        Counted::DroppedCutTextFromAsset,
        Counted::DroppedExtensions,
    ];

    /// The word for it, in evidence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Counted::UpdateRequests => "update-requests",
            Counted::Updates => "updates",
            Counted::ColourMaps => "colour-maps",
            Counted::Bells => "bells",
            Counted::PointerMoves => "pointer-moves",
            Counted::DroppedKeys => "dropped-keys",
            Counted::DroppedPointer => "dropped-pointer",
            Counted::DroppedCutTextToAsset => "dropped-cut-text-to-asset",
            Counted::DroppedCutTextFromAsset => "dropped-cut-text-from-asset",
            Counted::DroppedExtensions => "dropped-extensions",
        }
    }

    /// At most one note in so many milliseconds: what belongs to looking says little, what a person did says more.
    pub(super) const fn period_ms(self) -> u64 {
        match self {
            Counted::UpdateRequests | Counted::Updates | Counted::ColourMaps | Counted::Bells => 10_000,
            Counted::PointerMoves
            | Counted::DroppedKeys
            | Counted::DroppedPointer
            | Counted::DroppedCutTextToAsset
            | Counted::DroppedCutTextFromAsset
            | Counted::DroppedExtensions => 1_000,
        }
    }
}

impl<'a> Operation<'a> {
    /// A message of the handshake or of the connection itself.
    pub(super) fn session(side: Side, phase: Phase, message: Message<'a>, verdict: Verdict<'a>) -> Self {
        Self { side, kind: Kind::Session, phase, message, verdict }
    }

    pub(super) fn counted(what: Counted, count: u64, verdict: Verdict<'a>) -> Self {
        let (side, kind, phase) = match what {
            Counted::UpdateRequests => (Side::Client, Kind::Read, Phase::Request),
            Counted::Updates => (Side::Server, Kind::Read, Phase::Response),
            Counted::ColourMaps | Counted::Bells | Counted::DroppedCutTextFromAsset => {
                (Side::Server, Kind::Read, Phase::Notice)
            }
            Counted::PointerMoves | Counted::DroppedKeys | Counted::DroppedPointer => {
                (Side::Client, Kind::Control, Phase::Notice)
            }
            Counted::DroppedCutTextToAsset => (Side::Client, Kind::Write, Phase::Notice),
            Counted::DroppedExtensions => (Side::Client, Kind::Control, Phase::Request),
        };
        Self { side, kind, phase, message: Message::Counted { what, count }, verdict }
    }
}

impl Version {
    const ALL: [Version; 3] = [Version::V3_3, Version::V3_7, Version::V3_8];

    /// The version of a word as it stands in evidence: `3.8`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.word() == word)
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Version::V3_3 => "3.3",
            Version::V3_7 => "3.7",
            Version::V3_8 => "3.8",
        }
    }

    /// The newest version that is not newer than what a side named (RFC 6143, section 7.1.1: what lies between counts as 3.3).
    pub(super) fn of(named: (u16, u16)) -> Option<Self> {
        match named {
            (3, 3..=6) => Some(Version::V3_3),
            (3, 7) => Some(Version::V3_7),
            (3, 8..) | (4.., _) => Some(Version::V3_8),
            _ => None,
        }
    }

    /// The line that names it.
    pub(super) const fn line(self) -> &'static [u8; 12] {
        match self {
            Version::V3_3 => b"RFB 003.003\n",
            Version::V3_7 => b"RFB 003.007\n",
            Version::V3_8 => b"RFB 003.008\n",
        }
    }
}

impl Security {
    /// Its number in the protocol.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Security::None => 1,
            Security::VncAuthentication => 2,
        }
    }

    /// The security type of a number, if it can be followed.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [Security::None, Security::VncAuthentication].into_iter().find(|kind| u32::from(kind.number()) == number)
    }
}
