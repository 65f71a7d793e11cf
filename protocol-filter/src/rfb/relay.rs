//! The server's messages, judged and encoded anew for the tool.

use super::Filter;
use super::encoding::{Area, Encoding, Pixel, Rectangle};
use super::handshake::put_text;
use super::operation::{Counted, Message, Operation};
use super::pixel_format::PixelFormat;
use super::rules::{Rules, VIEW};
use super::sink::{Reason, Sink, Tile};
use super::tally::Tallies;
use crate::{Journal, Kind, Phase, Side};

/// Writes what the filter has read from the server.
pub(super) struct Relay<'a> {
    pub(super) to_client: &'a mut Vec<u8>,
    pub(super) journal: &'a mut dyn Journal<Filter>,
    pub(super) tallies: &'a mut Tallies,
    /// Update requests that went out and were not answered: at most so many.
    pub(super) owed: &'a mut u64,
    /// Does the cut text that is being read pass?
    pub(super) cut_text_passes: &'a mut bool,
    pub(super) rules: Rules,
    pub(super) now_ms: u64,
}

impl Relay<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.to_client.extend_from_slice(bytes);
        Ok(())
    }

    fn note(&mut self, message: Message<'_>) {
        self.journal.note(&Operation {
            side: Side::Server,
            kind: Kind::Read,
            phase: Phase::Notice,
            message,
            verdict: VIEW,
        });
    }

    fn count(&mut self, what: Counted) {
        self.tallies.add(what, VIEW, self.now_ms, self.journal);
    }
}

impl Sink for Relay<'_> {
    fn update(&mut self, rectangles: u16) -> Result<(), Reason> {
        self.count(Counted::Updates);
        *self.owed = self.owed.saturating_sub(1);
        let [n1, n0] = rectangles.to_be_bytes();
        self.put(&[0, 0, n1, n0])
    }

    fn rectangle(&mut self, Rectangle { area, encoding }: &Rectangle, _: &PixelFormat) -> Result<(), Reason> {
        if *encoding == Encoding::DesktopSize {
            self.note(Message::DesktopSize { width: area.width, height: area.height });
        }
        self.put(&area.encode())?;
        self.put(&encoding.number().to_be_bytes())
    }

    fn copy(&mut self, x: u16, y: u16) -> Result<(), Reason> {
        self.put(&x.to_be_bytes())?;
        self.put(&y.to_be_bytes())
    }

    fn background(&mut self, subrectangles: u32, background: Pixel) -> Result<(), Reason> {
        self.put(&subrectangles.to_be_bytes())?;
        self.put(background.bytes())
    }

    fn subrectangle(&mut self, pixel: Pixel, area: Area) -> Result<(), Reason> {
        self.put(pixel.bytes())?;
        self.put(&area.encode())
    }

    fn tile(&mut self, _: Area, tile: &Tile) -> Result<(), Reason> {
        self.put(&[tile.flags])?;
        for pixel in [tile.background, tile.foreground].iter().flatten() {
            self.put(pixel.bytes())?;
        }
        match tile.subrectangles {
            Some(count) => self.put(&[count]),
            None => Ok(()),
        }
    }

    fn tile_subrectangle(&mut self, pixel: Option<Pixel>, area: Area) -> Result<(), Reason> {
        if let Some(pixel) = pixel {
            self.put(pixel.bytes())?;
        }
        // Within a tile, each is below 16.
        let nibbles = |high: u16, low: u16| (high << 4 | low) as u8;
        self.put(&[nibbles(area.x, area.y), nibbles(area.width - 1, area.height - 1)])
    }

    fn pixels(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.put(bytes)
    }

    fn zrle(&mut self, length: u32) -> Result<(), Reason> {
        self.put(&length.to_be_bytes())
    }

    fn zrle_bytes(&mut self, bytes: &[u8], _: u64) -> Result<(), Reason> {
        self.put(bytes)
    }

    fn cursor_bytes(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.put(bytes)
    }

    fn renamed(&mut self, name: &[u8]) -> Result<(), Reason> {
        self.note(Message::DesktopName(name));
        put_text(name, self.to_client);
        Ok(())
    }

    fn colours(&mut self, first: u16, count: u16) -> Result<(), Reason> {
        self.count(Counted::ColourMaps);
        self.put(&[1, 0])?;
        self.put(&first.to_be_bytes())?;
        self.put(&count.to_be_bytes())
    }

    fn colour(&mut self, _: u16, colour: [u16; 3]) -> Result<(), Reason> {
        colour.iter().try_for_each(|level| self.put(&level.to_be_bytes()))
    }

    fn bell(&mut self) -> Result<(), Reason> {
        self.count(Counted::Bells);
        self.put(&[2])
    }

    fn cut_text(&mut self, length: u32) -> Result<(), Reason> {
        let verdict = self.rules.on_cut_text_from_asset();
        *self.cut_text_passes = verdict.passes();
        if !verdict.passes() {
            self.tallies.add(Counted::DroppedCutTextFromAsset, verdict, self.now_ms, self.journal);
            return Ok(());
        }
        self.journal.note(&Operation {
            side: Side::Server,
            kind: Kind::Read,
            phase: Phase::Notice,
            message: Message::CutText { length },
            verdict,
        });
        self.put(&[3, 0, 0, 0])?;
        self.put(&length.to_be_bytes())
    }

    fn cut_text_bytes(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if *self.cut_text_passes { self.put(bytes) } else { Ok(()) }
    }
}
