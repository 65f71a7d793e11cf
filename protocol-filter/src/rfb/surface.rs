//! The pixels of a screen, as it is drawn again.

use super::encoding::Area;

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

/// Rows of pixels, four bytes each: red, green, blue, and 255.
#[derive(Debug)]
pub(super) struct Surface {
    width: u16,
    height: u16,
    rgba: Vec<u8>,
}

impl Surface {
    /// All black.
    pub(super) fn new(width: u16, height: u16) -> Self {
        let rgba = BLACK.repeat(usize::from(width) * usize::from(height));
        Self { width, height, rgba }
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    pub(super) fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// Another size; what lies in both stays.
    pub(super) fn resize(&mut self, width: u16, height: u16) {
        let mut resized = Self::new(width, height);
        let common = usize::from(width.min(self.width)) * 4;
        for y in 0..height.min(self.height) {
            let (to, from) = (resized.offset(0, y), self.offset(0, y));
            resized.rgba[to..to + common].copy_from_slice(&self.rgba[from..from + common]);
        }
        *self = resized;
    }

    /// One colour. The area lies on the screen.
    pub(super) fn fill(&mut self, area: Area, colour: Colour) {
        for y in area.y..area.y + area.height {
            self.row(area.x, y, area.width, colour);
        }
    }

    /// `count` pixels of one colour from the area's pixel `index` on, row by row, as far as the area goes.
    pub(super) fn run(&mut self, area: Area, index: u32, count: u32, colour: Colour) {
        let width = u32::from(area.width);
        let Some(mut row) = index.checked_div(width) else { return };
        let mut column = index % width;
        let mut left = count;
        while left > 0 && row < u32::from(area.height) {
            let length = left.min(width - column);
            // Within the area, which is counted in 16 bits.
            self.row(area.x + column as u16, area.y + row as u16, length as u16, colour);
            left -= length;
            (row, column) = (row + 1, 0);
        }
    }

    /// What is at `x`, `y` comes to the area. Both lie on the screen, and may overlap.
    pub(super) fn copy(&mut self, area: Area, x: u16, y: u16) {
        let length = usize::from(area.width) * 4;
        let mut copy = |row: u16| {
            let (from, to) = (self.offset(x, y + row), self.offset(area.x, area.y + row));
            self.rgba.copy_within(from..from + length, to);
        };
        if y < area.y { (0..area.height).rev().for_each(&mut copy) } else { (0..area.height).for_each(&mut copy) }
    }

    fn row(&mut self, x: u16, y: u16, length: u16, [red, green, blue]: Colour) {
        let from = self.offset(x, y);
        for pixel in self.rgba[from..from + usize::from(length) * 4].chunks_exact_mut(4) {
            pixel.copy_from_slice(&[red, green, blue, 255]);
        }
    }

    fn offset(&self, x: u16, y: u16) -> usize {
        (usize::from(y) * usize::from(self.width) + usize::from(x)) * 4
    }
}

const BLACK: [u8; 4] = [0, 0, 0, 255];
