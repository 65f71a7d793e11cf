//! The server's messages after the handshake, decoded as they stream by: what the filter passes on and what the screen
//! draws is told by the same reader, so that neither can be shown what the other does not see.

use super::encoding::{Area, Encoding, Encodings, Rectangle};
use super::feed::{Carry, Feed};
use super::pixel_format::PixelFormat;
use super::rectangle::Body;
use super::sink::{Reason, Sink};

/// Where the server's stream stands.
#[derive(Debug)]
pub(super) struct Follow {
    /// The size of the screen.
    width: u16,
    height: u16,
    format: PixelFormat,
    /// Comes into force when the update that is being read has ended.
    next_format: PixelFormat,
    encodings: Encodings,
    expect: Expect,
}

#[derive(Debug)]
enum Expect {
    Message,
    UpdateHead,
    Rectangle { left: u16 },
    Body { left: u16, body: Body },
    ColoursHead,
    Colour { index: u16, left: u16 },
    CutTextHead,
    CutText { left: u64 },
}

impl Follow {
    /// The most that a cut text may hold.
    pub(super) const MOST_CUT_TEXT: u32 = 1 << 20;
    /// The largest side of a screen.
    pub(super) const MOST_SIDE: u16 = 16384;
    /// The largest screen, in pixels.
    pub(super) const MOST_PIXELS: u64 = 4096 * 4096;

    pub(super) fn new(width: u16, height: u16, format: PixelFormat, encodings: Encodings) -> Result<Self, Reason> {
        let mut follow = Self { width: 0, height: 0, format, next_format: format, encodings, expect: Expect::Message };
        follow.resize(width, height)?;
        Ok(follow)
    }

    /// From now on, and for what is being read already from its end.
    pub(super) fn set_format(&mut self, format: PixelFormat) {
        self.next_format = format;
        if !self.is_in_update() {
            self.format = format;
        }
    }

    /// Is the next update to begin in this format as it is?
    pub(super) fn comes_in(&self, format: PixelFormat) -> bool {
        self.next_format == format
    }

    /// The viewer has asked for it, so that it may come.
    pub(super) fn allow(&mut self, encoding: Encoding) {
        self.encodings.insert(encoding);
    }

    /// Nothing of a message has been read.
    pub(super) fn is_between_messages(&self) -> bool {
        matches!(self.expect, Expect::Message)
    }

    fn is_in_update(&self) -> bool {
        matches!(self.expect, Expect::UpdateHead | Expect::Rectangle { .. } | Expect::Body { .. })
    }

    /// Reads what there is.
    pub(super) fn read(&mut self, carry: &mut Carry, bytes: &[u8], sink: &mut impl Sink) -> Result<(), Reason> {
        let mut feed = Feed::new(carry, bytes);
        while self.step(&mut feed, sink)?.is_some() {}
        Ok(())
    }

    /// One step, or nothing if bytes are missing for it.
    fn step(&mut self, feed: &mut Feed<'_, '_>, sink: &mut impl Sink) -> Result<Option<()>, Reason> {
        self.expect = match &mut self.expect {
            Expect::Message => {
                if feed.is_empty() {
                    return Ok(None);
                }
                feed.begin_message();
                let Some([kind]) = feed.field() else { return Ok(None) };
                match kind {
                    0 => Expect::UpdateHead,
                    1 => Expect::ColoursHead,
                    2 => {
                        sink.bell()?;
                        Expect::Message
                    }
                    3 => Expect::CutTextHead,
                    _ => return Err("a message that no server may send here"),
                }
            }
            Expect::UpdateHead => {
                let Some([_, n1, n0]) = feed.field() else { return Ok(None) };
                let left = u16::from_be_bytes([n1, n0]);
                sink.update(left)?;
                self.after_rectangle(left)
            }
            Expect::Rectangle { left } => {
                let left = *left;
                let Some(head) = feed.field::<12>() else { return Ok(None) };
                self.rectangle(left, head, sink)?
            }
            Expect::Body { left, body } => {
                let left = *left - 1;
                if body.read(feed, &self.format, (self.width, self.height), sink)?.is_none() {
                    return Ok(None);
                }
                self.after_rectangle(left)
            }
            Expect::ColoursHead => {
                let Some([_, f1, f0, n1, n0]) = feed.field() else { return Ok(None) };
                let (first, count) = (u16::from_be_bytes([f1, f0]), u16::from_be_bytes([n1, n0]));
                if u32::from(first) + u32::from(count) > 1 << 16 {
                    return Err("colour map entries past 65535");
                }
                sink.colours(first, count)?;
                Expect::Colour { index: first, left: count }
            }
            Expect::Colour { left: 0, .. } => Expect::Message,
            Expect::Colour { index, left } => {
                let Some([r1, r0, g1, g0, b1, b0]) = feed.field() else { return Ok(None) };
                let level = |high, low| u16::from_be_bytes([high, low]);
                sink.colour(*index, [level(r1, r0), level(g1, g0), level(b1, b0)])?;
                // Wraps only behind the last entry, where it is not used any more.
                Expect::Colour { index: index.wrapping_add(1), left: *left - 1 }
            }
            Expect::CutTextHead => {
                let Some([_, _, _, l3, l2, l1, l0]) = feed.field() else { return Ok(None) };
                let length = u32::from_be_bytes([l3, l2, l1, l0]);
                if length > Self::MOST_CUT_TEXT {
                    return Err("a cut text that is longer than 1 MiB, or of negative length");
                }
                sink.cut_text(length)?;
                Expect::CutText { left: u64::from(length) }
            }
            Expect::CutText { left: 0 } => Expect::Message,
            Expect::CutText { left } => {
                if feed.is_empty() {
                    return Ok(None);
                }
                sink.cut_text_bytes(feed.run(left))?;
                return Ok(Some(()));
            }
        };
        Ok(Some(()))
    }

    fn rectangle(&mut self, left: u16, head: [u8; 12], sink: &mut impl Sink) -> Result<Expect, Reason> {
        let [a, b, c, d, e, f, g, h, number @ ..] = head;
        let area = Area::decode([a, b, c, d, e, f, g, h]);
        let encoding = Encoding::from_number(i32::from_be_bytes(number))
            .filter(|encoding| self.encodings.contains(*encoding))
            .ok_or("a rectangle in an encoding that was not asked for")?;
        let rectangle = Rectangle { area, encoding };
        match encoding {
            Encoding::DesktopSize => {
                self.resize(area.width, area.height)?;
                sink.rectangle(&rectangle, &self.format)?;
                return Ok(self.after_rectangle(left - 1));
            }
            Encoding::LastRect => {
                sink.rectangle(&rectangle, &self.format)?;
                return Ok(self.after_rectangle(0));
            }
            Encoding::Cursor | Encoding::XCursor => {
                if area.width > 1024 || area.height > 1024 {
                    return Err("a pointer's shape that is larger than 1024 by 1024");
                }
            }
            Encoding::DesktopName => {}
            Encoding::Raw | Encoding::CopyRect | Encoding::Rre | Encoding::Hextile | Encoding::Zrle => {
                if !area.fits(self.width, self.height) {
                    return Err("a rectangle that is not on the screen");
                }
            }
        }
        sink.rectangle(&rectangle, &self.format)?;
        Ok(Expect::Body { left, body: Body::new(&rectangle, &self.format) })
    }

    fn after_rectangle(&mut self, left: u16) -> Expect {
        if left > 0 {
            return Expect::Rectangle { left };
        }
        self.format = self.next_format;
        Expect::Message
    }

    fn resize(&mut self, width: u16, height: u16) -> Result<(), Reason> {
        if width.max(height) > Self::MOST_SIDE || u64::from(width) * u64::from(height) > Self::MOST_PIXELS {
            return Err("a screen that is larger than can be drawn from a recording");
        }
        (self.width, self.height) = (width, height);
        Ok(())
    }
}
