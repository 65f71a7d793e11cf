//! The tool's messages after the handshake: decoded, judged, encoded anew or dropped. What is dropped is read to its end.

use super::Filter;
use super::encoding::{Area, Encoding};
use super::feed::{Carry, Feed};
use super::follow::Follow;
use super::held::Held;
use super::operation::{Counted, Message, Operation};
use super::pixel_format::PixelFormat;
use super::rules::{NO_EXTENSION, Rules, VIEW};
use super::sink::Reason;
use super::tally::Tallies;
use crate::{Journal, Kind, Phase, Side, Verdict};

/// Where the tool's stream stands.
#[derive(Debug)]
pub(super) struct Client {
    expect: Expect,
    /// Of the SetEncodings that is being read.
    asked: Asked,
}

/// What has been asked for, without repetitions.
#[derive(Debug, Default)]
struct Asked {
    kept: Vec<Encoding>,
    left_out: u16,
    first_left_out: Vec<i32>,
}

#[derive(Debug, Clone, Copy)]
enum Expect {
    Message,
    SetPixelFormat,
    SetEncodings,
    Encodings {
        left: u16,
    },
    UpdateRequest,
    Key,
    Pointer,
    CutText,
    CutTextBytes {
        left: u64,
        passes: bool,
    },
    /// The rest of an extension's message, of a length that its type says.
    Fixed {
        left: u64,
    },
    Fence,
    SetDesktopSize,
    Gii,
    Qemu,
    QemuAudio,
    TextChat,
    /// The rest of a message that is dropped.
    Skip {
        left: u64,
    },
}

/// What a step may use.
pub(super) struct Tools<'a> {
    pub(super) to_server: &'a mut Vec<u8>,
    pub(super) journal: &'a mut dyn Journal<Filter>,
    pub(super) tallies: &'a mut Tallies,
    pub(super) held: &'a mut Held,
    pub(super) follow: &'a mut Follow,
    /// Update requests that went out and were not answered: at most so many.
    pub(super) owed: &'a mut u64,
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
}

impl Client {
    pub(super) fn new() -> Self {
        Self { expect: Expect::Message, asked: Asked::default() }
    }

    /// Nothing of a message has been read.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.expect, Expect::Message)
    }

    /// A part of a message has gone out: nothing may come between.
    pub(super) fn is_sending(&self) -> bool {
        matches!(self.expect, Expect::CutTextBytes { passes: true, .. })
    }

    /// Reads what there is, and gives what is left: with `pausing`, what follows the message that is being sent.
    pub(super) fn read<'b>(
        &mut self,
        carry: &mut Carry,
        bytes: &'b [u8],
        pausing: bool,
        desk: &mut Tools<'_>,
    ) -> Result<&'b [u8], Reason> {
        let mut feed = Feed::new(carry, bytes);
        while let Some(next) = self.step(&mut feed, desk)? {
            self.expect = next;
            if pausing && !self.is_sending() {
                return Ok(&bytes[bytes.len() - feed.left()..]);
            }
        }
        Ok(&[])
    }

    /// What comes next, or nothing if bytes are missing.
    fn step(&mut self, feed: &mut Feed<'_, '_>, desk: &mut Tools<'_>) -> Result<Option<Expect>, Reason> {
        Ok(match &mut self.expect {
            Expect::Message => {
                feed.begin_message();
                match feed.field() {
                    Some([kind]) => Some(message(kind)?),
                    None => None,
                }
            }
            Expect::SetPixelFormat => match feed.field::<19>() {
                Some([_, _, _, format @ ..]) => Some(desk.set_pixel_format(&format)?),
                None => None,
            },
            Expect::SetEncodings => feed.field().map(|[_, n1, n0]| {
                self.asked = Asked::default();
                Expect::Encodings { left: u16::from_be_bytes([n1, n0]) }
            }),
            Expect::Encodings { left: 0 } => Some(desk.set_encodings(&self.asked)),
            Expect::Encodings { left } => {
                let left = *left - 1;
                feed.field().map(|number| {
                    self.asked.add(i32::from_be_bytes(number));
                    Expect::Encodings { left }
                })
            }
            Expect::UpdateRequest => feed
                .field::<9>()
                .map(|[incremental, area @ ..]| desk.update_request(incremental != 0, Area::decode(area))),
            Expect::Key => {
                feed.field::<7>().map(|[down, _, _, keysym @ ..]| desk.key(down != 0, u32::from_be_bytes(keysym)))
            }
            Expect::Pointer => feed.field().map(|[buttons, x1, x0, y1, y0]| {
                desk.pointer(buttons, u16::from_be_bytes([x1, x0]), u16::from_be_bytes([y1, y0]))
            }),
            Expect::CutText => match feed.field::<7>() {
                Some([_, _, _, length @ ..]) => Some(desk.cut_text(u32::from_be_bytes(length))?),
                None => None,
            },
            Expect::CutTextBytes { left: 0, .. } | Expect::Skip { left: 0 } => Some(Expect::Message),
            Expect::CutTextBytes { left, passes: true } => {
                desk.to_server.extend_from_slice(feed.run(left));
                (*left == 0).then_some(Expect::Message)
            }
            Expect::CutTextBytes { left, passes: false } | Expect::Skip { left } => {
                feed.run(left);
                (*left == 0).then_some(Expect::Message)
            }
            Expect::Fixed { left } => Some(desk.drop_extension(*left)),
            Expect::Qemu => match feed.field() {
                Some([0]) => Some(desk.drop_extension(10)),
                Some([1]) => Some(Expect::QemuAudio),
                Some(_) => return Err("a QEMU message of unknown type, and so of unknown length"),
                None => None,
            },
            Expect::Fence | Expect::SetDesktopSize | Expect::Gii | Expect::QemuAudio | Expect::TextChat => {
                extension_left(self.expect, feed)?.map(|left| desk.drop_extension(left))
            }
        })
    }
}

/// What follows the first byte.
fn message(kind: u8) -> Result<Expect, Reason> {
    Ok(match kind {
        0 => Expect::SetPixelFormat,
        2 => Expect::SetEncodings,
        3 => Expect::UpdateRequest,
        4 => Expect::Key,
        5 => Expect::Pointer,
        6 => Expect::CutText,
        // SetScale, TextChat, EnableContinuousUpdates, Fence, xvp, SetDesktopSize, gii, QEMU.
        8 | 250 => Expect::Fixed { left: 3 },
        11 => Expect::TextChat,
        150 => Expect::Fixed { left: 9 },
        248 => Expect::Fence,
        251 => Expect::SetDesktopSize,
        253 => Expect::Gii,
        255 => Expect::Qemu,
        _ => return Err("a message of unknown type, and so of unknown length"),
    })
}

/// How much is left of an extension's message behind the fields that say its length.
fn extension_left(expect: Expect, feed: &mut Feed<'_, '_>) -> Result<Option<u64>, Reason> {
    Ok(match expect {
        Expect::Fence => match feed.field::<8>() {
            Some([.., length]) if length > 64 => return Err("a fence of more than 64 bytes"),
            Some([.., length]) => Some(u64::from(length)),
            None => None,
        },
        Expect::SetDesktopSize => feed.field().map(|[_, _, _, _, _, screens, _]| 16 * u64::from(screens)),
        Expect::Gii => feed.field().map(|[endian, a, b]| {
            let length = if endian & 0x80 != 0 { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) };
            u64::from(length)
        }),
        Expect::QemuAudio => match feed.field().map(u16::from_be_bytes) {
            Some(0 | 1) => Some(0),
            Some(2) => Some(6),
            Some(_) => return Err("a QEMU audio message of unknown type, and so of unknown length"),
            None => None,
        },
        Expect::TextChat => match feed.field::<7>() {
            Some([_, _, _, length @ ..]) => Some(text_chat_left(i32::from_be_bytes(length))?),
            None => None,
        },
        _ => None,
    })
}

/// -1 to -3 open and close the chat and have no text.
fn text_chat_left(length: i32) -> Result<u64, Reason> {
    match length {
        -3..=-1 => Ok(0),
        0..=4096 => Ok(u64::from(length.unsigned_abs())),
        _ => Err("a chat text that is longer than 4096 bytes, or of negative length"),
    }
}

impl Asked {
    const MOST_FIRST: usize = 16;

    fn add(&mut self, number: i32) {
        match Encoding::from_number(number) {
            Some(encoding) if self.kept.contains(&encoding) => {}
            Some(encoding) => self.kept.push(encoding),
            None => {
                self.left_out += 1;
                if self.first_left_out.len() < Self::MOST_FIRST {
                    self.first_left_out.push(number);
                }
            }
        }
    }
}

impl Tools<'_> {
    fn note(&mut self, kind: Kind, phase: Phase, message: Message<'_>, verdict: Verdict<'_>) {
        self.journal.note(&Operation { side: Side::Client, kind, phase, message, verdict });
    }

    /// INVARIANT: no update is under way to the tool whose format it, the filter and the asset could read differently. A request
    /// is answered by at most one update, so that nothing is owed once as many updates have begun as were asked for; the one
    /// that has begun is in the old format. A tool that changes the format while more is owed cannot itself know in
    /// which format that will come: it is not held (it would then read the old format as the new one) but refused. The same format
    /// again changes nothing (libvncclient sends it before each change of encodings).
    fn set_pixel_format(&mut self, format: &[u8; PixelFormat::LENGTH]) -> Result<Expect, Reason> {
        let format = PixelFormat::decode(format)?;
        if *self.owed > 0 && !self.follow.comes_in(format) {
            return Err("the pixel format was changed while an update was owed");
        }
        self.note(Kind::Session, Phase::Request, Message::SetPixelFormat(format), VIEW);
        self.follow.set_format(format);
        self.to_server.extend_from_slice(&[0, 0, 0, 0]);
        self.to_server.extend_from_slice(&format.encode());
        Ok(Expect::Message)
    }

    fn set_encodings(&mut self, asked: &Asked) -> Expect {
        let message = Message::SetEncodings {
            kept: &asked.kept,
            left_out: asked.left_out,
            first_left_out: &asked.first_left_out,
        };
        self.note(Kind::Session, Phase::Request, message, VIEW);
        let [.., n1, n0] = asked.kept.len().to_be_bytes();
        self.to_server.extend_from_slice(&[2, 0, n1, n0]);
        for encoding in &asked.kept {
            self.follow.allow(*encoding);
            self.to_server.extend_from_slice(&encoding.number().to_be_bytes());
        }
        Expect::Message
    }

    fn update_request(&mut self, incremental: bool, area: Area) -> Expect {
        self.tallies.add(Counted::UpdateRequests, VIEW, self.now_ms, self.journal);
        *self.owed += 1;
        self.to_server.extend_from_slice(&[3, u8::from(incremental)]);
        self.to_server.extend_from_slice(&area.encode());
        Expect::Message
    }

    fn key(&mut self, down: bool, keysym: u32) -> Expect {
        let verdict = self.rules.on_input();
        if verdict.passes() {
            self.note(Kind::Control, Phase::Notice, Message::Key { down, keysym }, verdict);
            self.held.key(down, keysym);
            put_key(down, keysym, self.to_server);
        } else {
            self.tallies.add(Counted::DroppedKeys, verdict, self.now_ms, self.journal);
        }
        Expect::Message
    }

    fn pointer(&mut self, buttons: u8, x: u16, y: u16) -> Expect {
        let verdict = self.rules.on_input();
        if !verdict.passes() {
            self.tallies.add(Counted::DroppedPointer, verdict, self.now_ms, self.journal);
            return Expect::Message;
        }
        let before = self.held.pointer(buttons, x, y);
        if before == buttons {
            self.tallies.add(Counted::PointerMoves, verdict, self.now_ms, self.journal);
        } else {
            let message = Message::Buttons { before, after: buttons, x, y };
            self.note(Kind::Control, Phase::Notice, message, verdict);
        }
        put_pointer(buttons, x, y, self.to_server);
        Expect::Message
    }

    fn cut_text(&mut self, length: u32) -> Result<Expect, Reason> {
        // A negative length says: extended clipboard. It is never legal, since its pseudo-encoding is left out.
        if length > Follow::MOST_CUT_TEXT {
            return Err("a cut text that is longer than 1 MiB, or of negative length");
        }
        let verdict = self.rules.on_cut_text_to_asset();
        if verdict.passes() {
            self.note(Kind::Write, Phase::Notice, Message::CutText { length }, verdict);
            self.to_server.extend_from_slice(&[6, 0, 0, 0]);
            self.to_server.extend_from_slice(&length.to_be_bytes());
        } else {
            self.tallies.add(Counted::DroppedCutTextToAsset, verdict, self.now_ms, self.journal);
        }
        Ok(Expect::CutTextBytes { left: u64::from(length), passes: verdict.passes() })
    }

    fn drop_extension(&mut self, left: u64) -> Expect {
        self.tallies.add(Counted::DroppedExtensions, NO_EXTENSION, self.now_ms, self.journal);
        Expect::Skip { left }
    }
}

pub(super) fn put_key(down: bool, keysym: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[4, u8::from(down), 0, 0]);
    out.extend_from_slice(&keysym.to_be_bytes());
}

pub(super) fn put_pointer(buttons: u8, x: u16, y: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(&[5, buttons]);
    out.extend_from_slice(&x.to_be_bytes());
    out.extend_from_slice(&y.to_be_bytes());
}
