//! What follows a rectangle's header, by encoding. Nothing is held but the field that is being read.

use super::encoding::{Area, Encoding, Pixel, Rectangle};
use super::feed::Feed;
use super::pixel_format::PixelFormat;
use super::sink::{Reason, Sink, Tile};

/// What is still to come of a rectangle.
#[derive(Debug)]
pub(super) enum Body {
    Pixels { left: u64 },
    Copy { area: Area },
    RreHead { area: Area },
    Rre { area: Area, left: u32 },
    Hextile(Hextile),
    ZrleHead { most: u64 },
    Zrle { left: u64 },
    Cursor { left: u64 },
    NameHead,
    Name { length: usize },
}

/// Tiles of a rectangle, row by row; the one at `x`, `y` (counted in the rectangle) is being read.
#[derive(Debug)]
pub(super) struct Hextile {
    area: Area,
    x: u16,
    y: u16,
    expect: Expect,
}

#[derive(Debug)]
enum Expect {
    Flags,
    Colours { flags: u8 },
    Pixels { left: u64 },
    Subrectangles { coloured: bool, left: u8 },
}

impl Body {
    /// The most that a desktop's name may hold.
    pub(super) const MOST_NAME: usize = 4096;

    pub(super) fn new(rectangle: &Rectangle, format: &PixelFormat) -> Self {
        let area = rectangle.area;
        let pixels = area.pixels() * format.bytes() as u64;
        match rectangle.encoding {
            Encoding::Raw => Body::Pixels { left: pixels },
            Encoding::CopyRect => Body::Copy { area },
            Encoding::Rre => Body::RreHead { area },
            Encoding::Hextile => Body::Hextile(Hextile { area, x: 0, y: 0, expect: Expect::Flags }),
            Encoding::Zrle => Body::ZrleHead { most: area.most_zrle_bytes(format) },
            Encoding::Cursor => Body::Cursor { left: pixels + area.mask_bytes() },
            Encoding::XCursor if area.pixels() == 0 => Body::Cursor { left: 0 },
            Encoding::XCursor => Body::Cursor { left: 6 + 2 * area.mask_bytes() },
            Encoding::DesktopName => Body::NameHead,
            // They have no body.
            Encoding::DesktopSize | Encoding::LastRect => Body::Cursor { left: 0 },
        }
    }

    /// Reads what there is; tells when the rectangle is whole.
    pub(super) fn read(
        &mut self,
        feed: &mut Feed<'_, '_>,
        format: &PixelFormat,
        screen: (u16, u16),
        sink: &mut impl Sink,
    ) -> Result<Option<()>, Reason> {
        loop {
            *self = match self {
                Body::Pixels { left } => return run(feed, left, |bytes, _| sink.pixels(bytes)),
                Body::Cursor { left } => return run(feed, left, |bytes, _| sink.cursor_bytes(bytes)),
                Body::Zrle { left } => return run(feed, left, |bytes, left| sink.zrle_bytes(bytes, left)),
                Body::Copy { area } => {
                    let Some([x1, x0, y1, y0]) = feed.field() else { return Ok(None) };
                    let (x, y) = (u16::from_be_bytes([x1, x0]), u16::from_be_bytes([y1, y0]));
                    if !(Area { x, y, ..*area }).fits(screen.0, screen.1) {
                        return Err("a copy of what is not on the screen");
                    }
                    sink.copy(x, y)?;
                    return Ok(Some(()));
                }
                Body::RreHead { area } => {
                    let mut head = [0; 8];
                    let head = &mut head[..4 + format.bytes()];
                    if !feed.fill(head) {
                        return Ok(None);
                    }
                    let left = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
                    if u64::from(left) > area.pixels() {
                        return Err("more rectangles of one colour than the rectangle has pixels");
                    }
                    sink.background(left, Pixel::new(&head[4..]))?;
                    Body::Rre { area: *area, left }
                }
                Body::Rre { left: 0, .. } => return Ok(Some(())),
                Body::Rre { area, left } => {
                    let mut field = [0; 12];
                    let field = &mut field[..format.bytes() + 8];
                    if !feed.fill(field) {
                        return Ok(None);
                    }
                    let (pixel, inner) = field.split_at(format.bytes());
                    let inner = inner.first_chunk().map(|bytes| Area::decode(*bytes)).unwrap_or_default();
                    if !inner.fits(area.width, area.height) {
                        return Err("a rectangle of one colour that is not in its rectangle");
                    }
                    sink.subrectangle(Pixel::new(pixel), inner)?;
                    Body::Rre { area: *area, left: *left - 1 }
                }
                Body::Hextile(hextile) => return hextile.read(feed, format, sink),
                Body::ZrleHead { most } => {
                    let Some(length) = feed.field().map(u32::from_be_bytes) else { return Ok(None) };
                    if u64::from(length) > *most {
                        return Err("more compressed bytes than the rectangle can need");
                    }
                    sink.zrle(length)?;
                    Body::Zrle { left: u64::from(length) }
                }
                Body::NameHead => {
                    let Some(length) = feed.field().map(u32::from_be_bytes) else { return Ok(None) };
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    if length > Self::MOST_NAME {
                        return Err("a desktop's name that is longer than 4096 bytes");
                    }
                    Body::Name { length }
                }
                Body::Name { length } => {
                    let mut name = vec![0; *length];
                    if !feed.fill(&mut name) {
                        return Ok(None);
                    }
                    sink.renamed(&name)?;
                    return Ok(Some(()));
                }
            }
        }
    }
}

impl Hextile {
    const BACKGROUND: u8 = 2;
    const FOREGROUND: u8 = 4;
    const SUBRECTANGLES: u8 = 8;
    const COLOURED: u8 = 16;
    /// The bits that RFC 6143 gives a meaning. Others belong to encodings with other lengths.
    const KNOWN: u8 = 31;

    fn read(
        &mut self,
        feed: &mut Feed<'_, '_>,
        format: &PixelFormat,
        sink: &mut impl Sink,
    ) -> Result<Option<()>, Reason> {
        loop {
            let Some(tile) = self.tile() else { return Ok(Some(())) };
            self.expect = match &mut self.expect {
                Expect::Flags => {
                    let Some([flags]) = feed.field() else { return Ok(None) };
                    if flags & !Self::KNOWN != 0 {
                        return Err("a Hextile tile of unknown kind");
                    }
                    Expect::Colours { flags }
                }
                Expect::Colours { flags } if *flags & Tile::RAW != 0 => {
                    // The other bits mean nothing then, and nothing follows them.
                    sink.tile(
                        tile,
                        &Tile { flags: Tile::RAW, background: None, foreground: None, subrectangles: None },
                    )?;
                    Expect::Pixels { left: tile.pixels() * format.bytes() as u64 }
                }
                Expect::Colours { flags } => {
                    let flags = *flags;
                    let Some(head) = Self::colours(flags, feed, format) else { return Ok(None) };
                    sink.tile(tile, &head)?;
                    Expect::Subrectangles {
                        coloured: flags & Self::COLOURED != 0,
                        left: head.subrectangles.unwrap_or(0),
                    }
                }
                Expect::Pixels { left } => {
                    if run(feed, left, |bytes, _| sink.pixels(bytes))?.is_none() {
                        return Ok(None);
                    }
                    self.next_tile()
                }
                Expect::Subrectangles { left: 0, .. } => self.next_tile(),
                Expect::Subrectangles { coloured, left } => {
                    let (coloured, left) = (*coloured, *left - 1);
                    let mut field = [0; 6];
                    let colour = if coloured { format.bytes() } else { 0 };
                    let field = &mut field[..colour + 2];
                    if !feed.fill(field) {
                        return Ok(None);
                    }
                    let inner = Self::inner(field[colour], field[colour + 1]);
                    if !inner.fits(tile.width, tile.height) {
                        return Err("a rectangle of one colour that is not in its tile");
                    }
                    sink.tile_subrectangle(coloured.then(|| Pixel::new(&field[..colour])), inner)?;
                    Expect::Subrectangles { coloured, left }
                }
            }
        }
    }

    /// The tile's area on the screen; nothing behind the last.
    fn tile(&self) -> Option<Area> {
        let Area { x, y, width, height } = self.area;
        if self.y >= height || width == 0 {
            return None;
        }
        let (width, height) = ((width - self.x).min(16), (height - self.y).min(16));
        Some(Area { x: x + self.x, y: y + self.y, width, height })
    }

    fn next_tile(&mut self) -> Expect {
        self.x += 16;
        if self.x >= self.area.width {
            (self.x, self.y) = (0, self.y + 16);
        }
        Expect::Flags
    }

    fn colours(flags: u8, feed: &mut Feed<'_, '_>, format: &PixelFormat) -> Option<Tile> {
        let has = |bit: u8, length: usize| if flags & bit != 0 { length } else { 0 };
        let background = has(Self::BACKGROUND, format.bytes());
        let foreground = has(Self::FOREGROUND, format.bytes());
        let mut field = [0; 9];
        let field = &mut field[..background + foreground + has(Self::SUBRECTANGLES, 1)];
        if !feed.fill(field) {
            return None;
        }
        let (first, rest) = field.split_at(background);
        let (second, rest) = rest.split_at(foreground);
        let pixel = |bytes: &[u8]| (!bytes.is_empty()).then(|| Pixel::new(bytes));
        Some(Tile { flags, background: pixel(first), foreground: pixel(second), subrectangles: rest.first().copied() })
    }

    /// Four bits each: x and y, width and height less one.
    fn inner(position: u8, size: u8) -> Area {
        let nibbles = |byte: u8| (u16::from(byte >> 4), u16::from(byte & 15));
        let ((x, y), (width, height)) = (nibbles(position), nibbles(size));
        Area { x, y, width: width + 1, height: height + 1 }
    }
}

/// Passes on what is there of a counted run; tells when it is whole.
fn run(
    feed: &mut Feed<'_, '_>,
    left: &mut u64,
    mut pass: impl FnMut(&[u8], u64) -> Result<(), Reason>,
) -> Result<Option<()>, Reason> {
    if *left > 0 {
        let bytes = feed.run(left);
        if !bytes.is_empty() {
            pass(bytes, *left)?;
        }
    }
    Ok((*left == 0).then_some(()))
}
