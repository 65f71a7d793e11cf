//! The pixels of a screen, as it is drawn again.

use super::colour::Colour;
use super::encoding::Area;
use super::sink::Reason;

/// Rows of pixels, four bytes each: red, green, blue, and 255.
#[derive(Debug)]
pub(super) struct Surface {
    width: u16,
    height: u16,
    rgba: Vec<u8>,
    /// How many pixels may still be painted. A few bytes can ask for millions.
    budget: u64,
}

impl Surface {
    /// The most that may be painted at once: sixteen of the largest screens, 130 of 1920 by 1080.
    const BURST: u64 = 1 << 28;
    /// What each byte received may paint beside that: as much as a Hextile tile of one colour.
    const PER_BYTE: u64 = 256;
    /// What each microsecond of the session may: 130 times a second all of a screen of 1920 by 1080.
    const PER_MICROSECOND: u64 = 1 << 8;
    /// What a step costs beside its pixels.
    const STEP: u64 = 8;

    /// All black.
    pub(super) fn new(width: u16, height: u16) -> Self {
        let rgba = BLACK.repeat(usize::from(width) * usize::from(height));
        Self { width, height, rgba, budget: Self::BURST }
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    pub(super) fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// So many bytes were received.
    pub(super) fn received(&mut self, bytes: usize) {
        self.refill((bytes as u64).saturating_mul(Self::PER_BYTE));
    }

    /// So much of the session's time has gone by.
    pub(super) fn elapsed(&mut self, micros: u64) {
        self.refill(micros.saturating_mul(Self::PER_MICROSECOND));
    }

    fn refill(&mut self, pixels: u64) {
        self.budget = self.budget.saturating_add(pixels).min(Self::BURST);
    }

    fn spend(&mut self, pixels: u64) -> Result<(), Reason> {
        let cost = pixels + Self::STEP;
        self.budget = self.budget.checked_sub(cost).ok_or("more is painted here than any screen shows")?;
        Ok(())
    }

    /// Another size; what lies in both stays.
    pub(super) fn resize(&mut self, width: u16, height: u16) -> Result<(), Reason> {
        self.spend(u64::from(width) * u64::from(height))?;
        let mut resized = Self { budget: self.budget, ..Self::new(width, height) };
        let common = usize::from(width.min(self.width)) * 4;
        for y in 0..height.min(self.height) {
            let (to, from) = (resized.offset(0, y), self.offset(0, y));
            resized.rgba[to..to + common].copy_from_slice(&self.rgba[from..from + common]);
        }
        *self = resized;
        Ok(())
    }

    /// One colour. The area lies on the screen.
    pub(super) fn fill(&mut self, area: Area, colour: Colour) -> Result<(), Reason> {
        self.spend(area.pixels() + u64::from(area.height))?;
        for y in area.y..area.y + area.height {
            self.row(area.x, y, area.width, colour);
        }
        Ok(())
    }

    /// `count` pixels of one colour from the area's pixel `index` on, row by row, as far as the area goes.
    pub(super) fn run(&mut self, area: Area, index: u32, count: u32, colour: Colour) -> Result<(), Reason> {
        self.spend(count.into())?;
        let width = u32::from(area.width);
        let Some(mut row) = index.checked_div(width) else { return Ok(()) };
        let mut column = index % width;
        let mut left = count;
        while left > 0 && row < u32::from(area.height) {
            let length = left.min(width - column);
            // Within the area, which is counted in 16 bits.
            self.row(area.x + column as u16, area.y + row as u16, length as u16, colour);
            left -= length;
            (row, column) = (row + 1, 0);
        }
        Ok(())
    }

    /// What is at `x`, `y` comes to the area. Both lie on the screen, and may overlap.
    pub(super) fn copy(&mut self, area: Area, x: u16, y: u16) -> Result<(), Reason> {
        self.spend(area.pixels() + u64::from(area.height))?;
        let length = usize::from(area.width) * 4;
        let mut copy = |row: u16| {
            let (from, to) = (self.offset(x, y + row), self.offset(area.x, area.y + row));
            self.rgba.copy_within(from..from + length, to);
        };
        if y < area.y {
            (0..area.height).rev().for_each(&mut copy)
        } else {
            (0..area.height).for_each(&mut copy)
        }
        Ok(())
    }

    fn row(&mut self, x: u16, y: u16, length: u16, [red, green, blue]: Colour) {
        let from = self.offset(x, y);
        let row = &mut self.rgba[from..from + usize::from(length) * 4];
        let Some(first) = row.first_chunk_mut() else { return };
        *first = [red, green, blue, 255];
        let mut drawn = first.len();
        while drawn < row.len() {
            let more = drawn.min(row.len() - drawn);
            row.copy_within(..more, drawn);
            drawn += more;
        }
    }

    fn offset(&self, x: u16, y: u16) -> usize {
        (usize::from(y) * usize::from(self.width) + usize::from(x)) * 4
    }
}

const BLACK: [u8; 4] = [0, 0, 0, 255];
