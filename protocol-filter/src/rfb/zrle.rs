//! ZRLE (RFC 6143, section 7.7.6): tiles of 64 by 64 in one zlib stream for the whole connection.

use std::fmt;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use super::colour::{Colour, colour};
use super::encoding::Area;
use super::feed::{Carry, Feed};
use super::pixel_format::{Compact, PixelFormat};
use super::sink::Reason;
use super::surface::Surface;

/// The stream, and the rectangle that is being drawn from it.
pub(super) struct Zrle {
    inflate: Box<InflateState>,
    tiles: Option<Tiles>,
}

/// Tiles of a rectangle, row by row; the one at `x`, `y` (counted in the rectangle) is being drawn.
struct Tiles {
    area: Area,
    x: u16,
    y: u16,
    format: PixelFormat,
    compact: Compact,
    palette: Vec<Colour>,
    carry: Carry,
    expect: Expect,
}

#[derive(Clone, Copy)]
enum Expect {
    Kind,
    Palette {
        missing: u8,
        then: Packing,
    },
    Draw {
        packing: Packing,
        drawn: u32,
    },
    /// How long a run is that has come to `length` so far.
    Run {
        packing: Packing,
        drawn: u32,
        colour: Colour,
        length: u32,
    },
}

/// How the pixels of a tile are written.
#[derive(Clone, Copy)]
enum Packing {
    Raw,
    Solid,
    /// So many bits for a place in the palette.
    Packed {
        bits: u8,
    },
    Runs,
    PaletteRuns,
}

impl Zrle {
    /// Inflated at a time. What is inflated is drawn before more is: a rectangle cannot hold more than its pixels.
    const AT_A_TIME: usize = 8192;
    /// Read at a time. A byte holds at most four symbols of 258 bytes each, and one more may have begun before: all that there is
    /// before a fault is inflated and drawn, however the stream is cut.
    const READ: usize = 7;

    pub(super) fn new() -> Self {
        Self { inflate: InflateState::new_boxed(DataFormat::Zlib), tiles: None }
    }

    pub(super) fn begin(&mut self, area: Area, format: &PixelFormat) {
        self.tiles = Some(Tiles {
            area,
            x: 0,
            y: 0,
            format: *format,
            compact: format.compact(),
            palette: Vec::new(),
            carry: Carry::default(),
            expect: Expect::Kind,
        });
    }

    pub(super) fn read(&mut self, bytes: &[u8], map: &[Colour], surface: &mut Surface) -> Result<(), Reason> {
        let Some(tiles) = &mut self.tiles else { return Err("compressed bytes without a rectangle") };
        let mut inflated = [0; Self::AT_A_TIME];
        for piece in bytes.chunks(Self::READ) {
            let mut rest = piece;
            loop {
                let result = inflate(&mut self.inflate, rest, &mut inflated, MZFlush::None);
                rest = &rest[result.bytes_consumed..];
                tiles.draw(&inflated[..result.bytes_written], map, surface)?;
                match result.status {
                    // More may be inside.
                    Ok(MZStatus::Ok) if result.bytes_consumed > 0 || result.bytes_written > 0 => {}
                    Ok(MZStatus::Ok) | Err(MZError::Buf) => break,
                    Ok(MZStatus::StreamEnd) if rest.is_empty() => break,
                    Ok(MZStatus::StreamEnd | MZStatus::NeedDict) | Err(_) => {
                        return Err("compressed bytes that cannot be read");
                    }
                }
            }
        }
        Ok(())
    }

    /// The rectangle's bytes have all come.
    pub(super) fn end(&mut self) -> Result<(), Reason> {
        match self.tiles.take() {
            Some(tiles) if tiles.tile().is_none() => Ok(()),
            _ => Err("compressed bytes that hold less than their rectangle"),
        }
    }
}

impl Tiles {
    const SIDE: u16 = 64;

    fn draw(&mut self, bytes: &[u8], map: &[Colour], surface: &mut Surface) -> Result<(), Reason> {
        let mut carry = std::mem::take(&mut self.carry);
        let mut feed = Feed::new(&mut carry, bytes);
        while let Some(tile) = self.tile() {
            match self.step(tile, &mut feed, map, surface)? {
                Some(Expect::Draw { drawn, .. }) if u64::from(drawn) >= tile.pixels() => self.next_tile(),
                Some(next) => self.expect = next,
                None => break,
            }
        }
        if self.tile().is_none() && !feed.is_empty() {
            return Err("compressed bytes that hold more than their rectangle");
        }
        self.carry = carry;
        Ok(())
    }

    /// What comes next, or nothing if bytes are missing.
    fn step(
        &mut self,
        tile: Area,
        feed: &mut Feed<'_, '_>,
        map: &[Colour],
        surface: &mut Surface,
    ) -> Result<Option<Expect>, Reason> {
        Ok(match self.expect {
            Expect::Kind => match feed.field() {
                Some([kind]) => {
                    self.palette.clear();
                    Some(kinds(kind)?)
                }
                None => None,
            },
            Expect::Palette { missing: 0, then } => Some(Expect::Draw { packing: then, drawn: 0 }),
            Expect::Palette { missing, then } => self.pixel(feed, map).map(|colour| {
                self.palette.push(colour);
                Expect::Palette { missing: missing - 1, then }
            }),
            Expect::Draw { packing, drawn } => self.pixels(packing, drawn, tile, feed, map, surface)?,
            Expect::Run { packing, drawn, colour, length } => match feed.field() {
                Some([255]) if u64::from(length) + 255 <= tile.pixels() => {
                    Some(Expect::Run { packing, drawn, colour, length: length + 255 })
                }
                Some([more]) => {
                    let length = length + u32::from(more);
                    if more == 255 || u64::from(drawn) + u64::from(length) > tile.pixels() {
                        return Err("a run that is longer than its tile");
                    }
                    surface.run(tile, drawn, length, colour)?;
                    Some(Expect::Draw { packing, drawn: drawn + length })
                }
                None => None,
            },
        })
    }

    fn pixels(
        &self,
        packing: Packing,
        drawn: u32,
        tile: Area,
        feed: &mut Feed<'_, '_>,
        map: &[Colour],
        surface: &mut Surface,
    ) -> Result<Option<Expect>, Reason> {
        Ok(match packing {
            Packing::Raw => match self.pixel(feed, map) {
                Some(colour) => {
                    surface.run(tile, drawn, 1, colour)?;
                    Some(Expect::Draw { packing, drawn: drawn + 1 })
                }
                None => None,
            },
            Packing::Solid => match self.pixel(feed, map) {
                Some(colour) => {
                    surface.fill(tile, colour)?;
                    // A tile has at most 64 * 64 pixels.
                    Some(Expect::Draw { packing, drawn: tile.pixels() as u32 })
                }
                None => None,
            },
            Packing::Runs => self.pixel(feed, map).map(|colour| Expect::Run { packing, drawn, colour, length: 1 }),
            Packing::PaletteRuns => match feed.field() {
                Some([index]) => {
                    let colour = self.named(index & 0x7f)?;
                    if index & 0x80 != 0 {
                        return Ok(Some(Expect::Run { packing, drawn, colour, length: 1 }));
                    }
                    surface.run(tile, drawn, 1, colour)?;
                    Some(Expect::Draw { packing, drawn: drawn + 1 })
                }
                None => None,
            },
            Packing::Packed { bits } => match feed.field() {
                Some([byte]) => {
                    // Each row begins with a byte of its own.
                    let in_row = u32::from(tile.width) - drawn % u32::from(tile.width);
                    let count = in_row.min(8 / u32::from(bits));
                    for place in 0..count {
                        let shift = 8 - u32::from(bits) * (place + 1);
                        let index = (byte >> shift) & ((1 << bits) - 1);
                        surface.run(tile, drawn + place, 1, self.named(index)?)?;
                    }
                    Some(Expect::Draw { packing, drawn: drawn + count })
                }
                None => None,
            },
        })
    }

    fn pixel(&self, feed: &mut Feed<'_, '_>, map: &[Colour]) -> Option<Colour> {
        let mut pixel = [0; 4];
        let Compact { bytes, offset } = self.compact;
        feed.fill(&mut pixel[offset..offset + bytes]).then(|| colour(&self.format, map, &pixel[..self.format.bytes()]))
    }

    fn named(&self, index: u8) -> Result<Colour, Reason> {
        self.palette.get(usize::from(index)).copied().ok_or("a colour that is not in its tile's palette")
    }

    /// The tile's area on the screen; nothing behind the last.
    fn tile(&self) -> Option<Area> {
        let Area { x, y, width, height } = self.area;
        if self.y >= height || width == 0 {
            return None;
        }
        let (width, height) = ((width - self.x).min(Self::SIDE), (height - self.y).min(Self::SIDE));
        Some(Area { x: x + self.x, y: y + self.y, width, height })
    }

    fn next_tile(&mut self) {
        self.x += Self::SIDE;
        if self.x >= self.area.width {
            (self.x, self.y) = (0, self.y + Self::SIDE);
        }
        self.expect = Expect::Kind;
    }
}

/// What a tile's first byte says.
fn kinds(kind: u8) -> Result<Expect, Reason> {
    let draw = |packing| Expect::Draw { packing, drawn: 0 };
    Ok(match kind {
        0 => draw(Packing::Raw),
        1 => draw(Packing::Solid),
        2 => Expect::Palette { missing: kind, then: Packing::Packed { bits: 1 } },
        3 | 4 => Expect::Palette { missing: kind, then: Packing::Packed { bits: 2 } },
        5..=16 => Expect::Palette { missing: kind, then: Packing::Packed { bits: 4 } },
        128 => draw(Packing::Runs),
        130..=255 => Expect::Palette { missing: kind - 128, then: Packing::PaletteRuns },
        17..=127 | 129 => return Err("a tile of unknown kind"),
    })
}

impl fmt::Debug for Zrle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zrle").finish_non_exhaustive()
    }
}
