//! Who hears of the server's messages, piece by piece.

use super::encoding::{Area, Pixel, Rectangle};
use super::pixel_format::PixelFormat;

/// What is wrong, in words.
pub(super) type Reason = &'static str;

/// Hears of each piece in the order of the wire.
pub(super) trait Sink {
    /// An update of so many rectangles begins; 65535 says that it ends with a LastRect.
    fn update(&mut self, rectangles: u16) -> Result<(), Reason>;
    /// A rectangle begins, with pixels in this format. Its size was checked against the screen.
    fn rectangle(&mut self, rectangle: &Rectangle, format: &PixelFormat) -> Result<(), Reason>;
    /// CopyRect: from there.
    fn copy(&mut self, x: u16, y: u16) -> Result<(), Reason>;
    /// RRE: so many rectangles on this background.
    fn background(&mut self, subrectangles: u32, background: Pixel) -> Result<(), Reason>;
    /// RRE: a rectangle of one colour, within the rectangle.
    fn subrectangle(&mut self, pixel: Pixel, area: Area) -> Result<(), Reason>;
    /// Hextile: a tile begins. The area is the screen's.
    fn tile(&mut self, area: Area, tile: &Tile) -> Result<(), Reason>;
    /// Hextile: a rectangle of one colour, within the tile.
    fn tile_subrectangle(&mut self, pixel: Option<Pixel>, area: Area) -> Result<(), Reason>;
    /// Raw pixels of the rectangle or tile that began last, cut anywhere.
    fn pixels(&mut self, bytes: &[u8]) -> Result<(), Reason>;
    /// ZRLE: so many bytes follow.
    fn zrle(&mut self, length: u32) -> Result<(), Reason>;
    /// ZRLE: some of them; `left` are still to come.
    fn zrle_bytes(&mut self, bytes: &[u8], left: u64) -> Result<(), Reason>;
    /// Some bytes of a pointer's shape.
    fn cursor_bytes(&mut self, bytes: &[u8]) -> Result<(), Reason>;
    /// The desktop's name.
    fn renamed(&mut self, name: &[u8]) -> Result<(), Reason>;
    /// So many entries of the colour map follow.
    fn colours(&mut self, first: u16, count: u16) -> Result<(), Reason>;
    /// One of them.
    fn colour(&mut self, index: u16, colour: [u16; 3]) -> Result<(), Reason>;
    /// A bell.
    fn bell(&mut self) -> Result<(), Reason>;
    /// A text of so many bytes was cut.
    fn cut_text(&mut self, length: u32) -> Result<(), Reason>;
    /// Some of them.
    fn cut_text_bytes(&mut self, bytes: &[u8]) -> Result<(), Reason>;
}

/// What a Hextile tile says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) flags: u8,
    pub(super) background: Option<Pixel>,
    pub(super) foreground: Option<Pixel>,
    pub(super) subrectangles: Option<u8>,
}

impl Tile {
    pub(super) const RAW: u8 = 1;

    /// Its pixels follow as they are.
    pub(super) fn is_raw(&self) -> bool {
        self.flags & Self::RAW != 0
    }
}
