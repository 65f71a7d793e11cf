//! The screen, drawn again from what a server sent.

use super::colour::{Colour, colour};
use super::encoding::{Area, Encoding, Encodings, Pixel, Rectangle};
use super::feed::Carry;
use super::follow::Follow;
use super::pixel_format::PixelFormat;
use super::sink::{Reason, Sink, Tile};
use super::surface::Surface;
use super::zrle::Zrle;

/// What was on the screen of a recorded session.
///
/// It begins with the size and format of the [`ServerInit`](super::Message::ServerInit) that the journal heard of, is fed with
/// the bytes that the server sent after that, and told of each [`SetPixelFormat`](super::Message::SetPixelFormat) at its place
/// between them. The pointer's shape is not drawn: it is not part of the screen.
///
/// Bytes that the filter would not pass are errors here too, and so is compressed data that does not hold exactly its
/// rectangle. Memory is bounded by the largest screen that the filter lets pass, 4096 by 4096 pixels in all, whatever the bytes say.
/// So is the work: what may be painted is bounded, and grows with the bytes received and with the [time](Screen::elapsed) that they took.
#[derive(Debug)]
pub struct Screen {
    follow: Follow,
    carry: Carry,
    canvas: Canvas,
    failed: Option<ScreenError>,
}

/// Why a screen cannot be drawn any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the screen cannot be drawn from here on: {0}")]
pub struct ScreenError(&'static str);

/// Where rectangles are drawn.
#[derive(Debug)]
struct Canvas {
    surface: Surface,
    /// Colours that pixels name if the format has a colour map.
    map: Vec<Colour>,
    /// Of the rectangle that is being drawn.
    format: PixelFormat,
    rectangle: Area,
    /// Of the Hextile tile that is being drawn.
    tile: Area,
    background: Colour,
    foreground: Colour,
    /// Where raw pixels go, how many have come, and the pixel that is not whole.
    raw: Area,
    drawn: u32,
    partial: Vec<u8>,
    zrle: Zrle,
}

impl Screen {
    /// A black screen.
    ///
    /// # Errors
    /// If it is larger than what is drawn.
    pub fn new(width: u16, height: u16, format: PixelFormat) -> Result<Self, ScreenError> {
        let follow = Follow::new(width, height, format, Encodings::ALL).map_err(ScreenError)?;
        let nowhere = Area::default();
        let canvas = Canvas {
            surface: Surface::new(width, height),
            map: vec![[0; 3]; 256],
            format,
            rectangle: nowhere,
            tile: nowhere,
            background: [0; 3],
            foreground: [0; 3],
            raw: nowhere,
            drawn: 0,
            partial: Vec::with_capacity(4),
            zrle: Zrle::new(),
        };
        Ok(Self { follow, carry: Carry::default(), canvas, failed: None })
    }

    /// The tool asked for pixels to be written so.
    pub fn set_pixel_format(&mut self, format: PixelFormat) {
        self.follow.set_format(format);
    }

    /// Draws what the server sent.
    ///
    /// # Errors
    /// If it is not what a server may send. What was drawn until then stays; nothing more will be.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ScreenError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        self.canvas.surface.received(bytes.len());
        self.follow.read(&mut self.carry, bytes, &mut self.canvas).map_err(|reason| {
            let error = ScreenError(reason);
            self.failed = Some(error);
            error
        })
    }

    /// So much of the session's time has gone by, in microseconds: more may be painted.
    pub fn elapsed(&mut self, micros: u64) {
        self.canvas.surface.elapsed(micros);
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> (u16, u16) {
        self.canvas.surface.size()
    }

    /// Rows from the top, pixels from the left: red, green, blue, and 255.
    #[must_use]
    pub fn rgba(&self) -> &[u8] {
        self.canvas.surface.rgba()
    }
}

impl Canvas {
    fn look(&self, pixel: &[u8]) -> Colour {
        colour(&self.format, &self.map, pixel)
    }

    fn draw_raw(&mut self, area: Area) {
        (self.raw, self.drawn) = (area, 0);
        self.partial.clear();
    }
}

/// `inner`, which is counted in `outer`, on the screen.
fn within(outer: Area, inner: Area) -> Area {
    Area { x: outer.x + inner.x, y: outer.y + inner.y, ..inner }
}

impl Sink for Canvas {
    fn update(&mut self, _: u16) -> Result<(), Reason> {
        Ok(())
    }

    fn rectangle(&mut self, Rectangle { area, encoding }: &Rectangle, format: &PixelFormat) -> Result<(), Reason> {
        self.format = *format;
        self.rectangle = *area;
        match encoding {
            Encoding::DesktopSize => self.surface.resize(area.width, area.height)?,
            Encoding::Raw => self.draw_raw(*area),
            Encoding::Hextile => (self.background, self.foreground) = ([0; 3], [0; 3]),
            Encoding::CopyRect
            | Encoding::Rre
            | Encoding::Zrle
            | Encoding::LastRect
            | Encoding::Cursor
            | Encoding::XCursor
            | Encoding::DesktopName => {}
        }
        Ok(())
    }

    fn copy(&mut self, x: u16, y: u16) -> Result<(), Reason> {
        self.surface.copy(self.rectangle, x, y)
    }

    fn background(&mut self, _: u32, background: Pixel) -> Result<(), Reason> {
        let colour = self.look(background.bytes());
        self.surface.fill(self.rectangle, colour)
    }

    fn subrectangle(&mut self, pixel: Pixel, area: Area) -> Result<(), Reason> {
        let colour = self.look(pixel.bytes());
        self.surface.fill(within(self.rectangle, area), colour)
    }

    fn tile(&mut self, area: Area, tile: &Tile) -> Result<(), Reason> {
        self.tile = area;
        if tile.is_raw() {
            self.draw_raw(area);
            return Ok(());
        }
        if let Some(pixel) = tile.background {
            self.background = self.look(pixel.bytes());
        }
        if let Some(pixel) = tile.foreground {
            self.foreground = self.look(pixel.bytes());
        }
        self.surface.fill(area, self.background)
    }

    fn tile_subrectangle(&mut self, pixel: Option<Pixel>, area: Area) -> Result<(), Reason> {
        let colour = pixel.map_or(self.foreground, |pixel| self.look(pixel.bytes()));
        self.surface.fill(within(self.tile, area), colour)
    }

    fn pixels(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let length = self.format.bytes();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, after) = rest.split_at((length - self.partial.len()).min(rest.len()));
            rest = after;
            self.partial.extend_from_slice(now);
            if self.partial.len() == length {
                let colour = self.look(&self.partial);
                self.surface.run(self.raw, self.drawn, 1, colour)?;
                self.drawn += 1;
                self.partial.clear();
            }
        }
        Ok(())
    }

    fn zrle(&mut self, length: u32) -> Result<(), Reason> {
        self.zrle.begin(self.rectangle, &self.format);
        if length == 0 { self.zrle.end() } else { Ok(()) }
    }

    fn zrle_bytes(&mut self, bytes: &[u8], left: u64) -> Result<(), Reason> {
        self.zrle.read(bytes, &self.map, &mut self.surface)?;
        if left == 0 { self.zrle.end() } else { Ok(()) }
    }

    fn cursor_bytes(&mut self, _: &[u8]) -> Result<(), Reason> {
        Ok(())
    }

    fn renamed(&mut self, _: &[u8]) -> Result<(), Reason> {
        Ok(())
    }

    fn colours(&mut self, _: u16, _: u16) -> Result<(), Reason> {
        Ok(())
    }

    fn colour(&mut self, index: u16, colour: [u16; 3]) -> Result<(), Reason> {
        if let Some(entry) = self.map.get_mut(usize::from(index)) {
            *entry = colour.map(|level| level.to_be_bytes()[0]);
        }
        Ok(())
    }

    fn bell(&mut self) -> Result<(), Reason> {
        Ok(())
    }

    fn cut_text(&mut self, _: u32) -> Result<(), Reason> {
        Ok(())
    }

    fn cut_text_bytes(&mut self, _: &[u8]) -> Result<(), Reason> {
        Ok(())
    }
}
