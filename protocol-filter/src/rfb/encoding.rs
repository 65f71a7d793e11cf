//! The encodings that may pass: those whose rectangles can be followed on the way and drawn again from the recording.

use super::pixel_format::PixelFormat;

/// An encoding of pixels, or a message in a rectangle's clothes (a pseudo-encoding).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Pixels as they are.
    Raw,
    /// Pixels that are on the screen already, elsewhere.
    CopyRect,
    /// A background and rectangles of one colour.
    Rre,
    /// Tiles of 16 by 16.
    Hextile,
    /// Tiles of 64 by 64, run lengths and palettes, in one zlib stream per connection.
    Zrle,
    /// The screen has another size.
    DesktopSize,
    /// The update ends here.
    LastRect,
    /// The pointer's shape.
    Cursor,
    /// The pointer's shape in two colours.
    XCursor,
    /// The desktop has another name.
    DesktopName,
}

impl Encoding {
    /// All that may pass. Whatever else a viewer asks for is left out, so that no message that it would make legal can come.
    pub const ALL: [Encoding; 10] = [
        Encoding::Raw,
        Encoding::CopyRect,
        Encoding::Rre,
        Encoding::Hextile,
        Encoding::Zrle,
        Encoding::DesktopSize,
        Encoding::LastRect,
        Encoding::Cursor,
        Encoding::XCursor,
        Encoding::DesktopName,
    ];

    /// Its number in the protocol.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Encoding::Raw => 0,
            Encoding::CopyRect => 1,
            Encoding::Rre => 2,
            Encoding::Hextile => 5,
            Encoding::Zrle => 16,
            Encoding::DesktopSize => -223,
            Encoding::LastRect => -224,
            Encoding::Cursor => -239,
            Encoding::XCursor => -240,
            Encoding::DesktopName => -307,
        }
    }

    /// The encoding of a number, if it may pass.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.number() == number)
    }
}

/// Which encodings a server may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encodings(u16);

impl Encodings {
    /// What a server may always use.
    pub(super) const RAW: Self = Self(1 << Encoding::Raw as u16);
    /// All that may pass.
    pub(super) const ALL: Self = Self((1 << Encoding::ALL.len()) - 1);

    pub(super) fn insert(&mut self, encoding: Encoding) {
        self.0 |= 1 << encoding as u16;
    }

    pub(super) fn contains(self, encoding: Encoding) -> bool {
        self.0 & (1 << encoding as u16) != 0
    }
}

/// A part of the screen, or of a rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Area {
    pub(super) x: u16,
    pub(super) y: u16,
    pub(super) width: u16,
    pub(super) height: u16,
}

impl Area {
    pub(super) fn decode(bytes: [u8; 8]) -> Self {
        let [x1, x0, y1, y0, w1, w0, h1, h0] = bytes;
        let number = |high, low| u16::from_be_bytes([high, low]);
        Self { x: number(x1, x0), y: number(y1, y0), width: number(w1, w0), height: number(h1, h0) }
    }

    pub(super) fn encode(self) -> [u8; 8] {
        let [[x1, x0], [y1, y0]] = [self.x.to_be_bytes(), self.y.to_be_bytes()];
        let [[w1, w0], [h1, h0]] = [self.width.to_be_bytes(), self.height.to_be_bytes()];
        [x1, x0, y1, y0, w1, w0, h1, h0]
    }

    /// How many pixels it has.
    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Does it lie in a screen (or a rectangle) of that size?
    pub(super) fn fits(self, width: u16, height: u16) -> bool {
        u32::from(self.x) + u32::from(self.width) <= u32::from(width)
            && u32::from(self.y) + u32::from(self.height) <= u32::from(height)
    }

    /// Bytes of a mask with a bit for each pixel, every row in whole bytes.
    pub(super) fn mask_bytes(self) -> u64 {
        u64::from(self.width).div_ceil(8) * u64::from(self.height)
    }

    /// The most that ZRLE can need for it: every pixel a run of its own, every tile a whole palette, and zlib's own bytes.
    pub(super) fn most_zrle_bytes(self, format: &PixelFormat) -> u64 {
        let tiles = u64::from(self.width).div_ceil(64) * u64::from(self.height).div_ceil(64);
        2 * self.pixels() * format.bytes() as u64 + 1024 * tiles + 1024
    }
}

/// A rectangle of an update: its header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rectangle {
    pub(super) area: Area,
    pub(super) encoding: Encoding,
}

/// A pixel as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixel {
    bytes: [u8; 4],
    length: usize,
}

impl Pixel {
    /// `bytes` are at most four.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let length = bytes.len().min(4);
        let mut pixel = Self { bytes: [0; 4], length };
        pixel.bytes[..length].copy_from_slice(&bytes[..length]);
        pixel
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
