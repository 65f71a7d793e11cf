//! The picture in memory: a palette index per pixel, simple shapes, and what differs between two pictures.

use super::font;

/// A picture of [`WIDTH`] by [`HEIGHT`] pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canvas {
    pixels: Vec<Colour>,
}

/// Some pixels of it. INVARIANT of those that [`Area::within`] and [`Canvas::tiles`] make: not empty, inside the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Ground,
    Panel,
    Line,
    Text,
    Dim,
    Liquid,
    On,
    Off,
    Alarm,
    Warning,
    /// Nothing that is ever drawn: what a viewer's screen has before it was sent anything.
    Unseen,
}

impl Colour {
    /// Red, green, blue.
    pub(super) fn rgb(self) -> [u8; 3] {
        match self {
            Self::Ground => [0x1c, 0x22, 0x2a],
            Self::Panel => [0x34, 0x3d, 0x48],
            Self::Line => [0xb8, 0xc4, 0xd0],
            Self::Text => [0xf4, 0xf6, 0xf8],
            Self::Dim => [0x8a, 0x96, 0xa3],
            Self::Liquid => [0x2f, 0x8f, 0xd8],
            Self::On => [0x35, 0xc4, 0x6a],
            Self::Off => [0x6b, 0x74, 0x7e],
            Self::Alarm => [0xe5, 0x3a, 0x35],
            Self::Warning => [0xf2, 0xb1, 0x34],
            Self::Unseen => [0, 0, 0],
        }
    }
}

impl Area {
    pub(super) const WHOLE: Self = Self { x: 0, y: 0, width: WIDTH, height: HEIGHT };

    pub(super) const fn new(x: usize, y: usize, width: usize, height: usize) -> Self {
        Self { x, y, width, height }
    }

    pub(super) fn contains(&self, x: usize, y: usize) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }

    /// What this one has in common with another.
    pub(super) fn within(&self, other: &Self) -> Option<Self> {
        let (left, top) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (left < right && top < bottom).then(|| Self::new(left, top, right - left, bottom - top))
    }
}

impl Canvas {
    /// All of one colour.
    pub(super) fn new(colour: Colour) -> Self {
        Self { pixels: vec![colour; WIDTH * HEIGHT] }
    }

    /// The pixels of an area, row by row from the top.
    pub(super) fn pixels(&self, area: Area) -> impl Iterator<Item = Colour> + '_ {
        self.rows(area).flatten().copied()
    }

    pub(super) fn fill(&mut self, area: Area, colour: Colour) {
        let Some(area) = area.within(&Area::WHOLE) else { return };
        for row in self.pixels.chunks_mut(WIDTH).skip(area.y).take(area.height) {
            row[area.x..area.x + area.width].fill(colour);
        }
    }

    pub(super) fn frame(&mut self, area: Area, thickness: usize, colour: Colour) {
        let Area { x, y, width, height } = area;
        self.fill(Area::new(x, y, width, thickness), colour);
        self.fill(Area::new(x, y + height - thickness, width, thickness), colour);
        self.fill(Area::new(x, y, thickness, height), colour);
        self.fill(Area::new(x + width - thickness, y, thickness, height), colour);
    }

    /// A filled circle around a pixel.
    pub(super) fn disc(&mut self, x: usize, y: usize, radius: usize, colour: Colour) {
        for dy in 0..=radius {
            let half = (radius * radius - dy * dy).isqrt();
            let left = x.saturating_sub(half);
            self.fill(Area::new(left, y.saturating_sub(dy), half * 2 + 1, 1), colour);
            self.fill(Area::new(left, y + dy, half * 2 + 1, 1), colour);
        }
    }

    /// Two triangles, point to point: a valve as drawings show it.
    pub(super) fn valve(&mut self, x: usize, y: usize, half: usize, colour: Colour) {
        for dx in 0..=half {
            let tall = Area::new(0, y.saturating_sub(dx * 2 / 3), 1, dx * 2 / 3 * 2 + 1);
            self.fill(Area { x: x + dx, ..tall }, colour);
            self.fill(Area { x: x.saturating_sub(dx), ..tall }, colour);
        }
    }

    /// Text from its upper left corner; `scale` pixels for each dot of the font.
    pub(super) fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, colour: Colour) {
        for (place, letter) in text.chars().enumerate() {
            let left = x + place * font::ADVANCE * scale;
            for (dx, dy) in font::dots(letter) {
                self.fill(Area::new(left + dx * scale, y + dy * scale, scale, scale), colour);
            }
        }
    }

    /// The tiles that an area lies in, cut to it.
    pub(super) fn tiles(area: Area) -> impl Iterator<Item = Area> {
        let starts = (0..HEIGHT).step_by(TILE).flat_map(|y| (0..WIDTH).step_by(TILE).map(move |x| (x, y)));
        starts.filter_map(move |(x, y)| {
            Area::new(x, y, TILE, TILE).within(&Area::WHOLE).and_then(|tile| tile.within(&area))
        })
    }

    /// The smallest part of an area outside which the two pictures are the same; `None` if they are all over it.
    pub(super) fn difference(&self, other: &Self, area: Area) -> Option<Area> {
        let mut found: Option<(usize, usize, usize, usize)> = None;
        for (y, (mine, theirs)) in (area.y..).zip(self.rows(area).zip(other.rows(area))) {
            let differs = |(mine, theirs): (&Colour, &Colour)| mine != theirs;
            let Some(first) = mine.iter().zip(theirs).position(differs) else { continue };
            let last = mine.iter().zip(theirs).rposition(differs).unwrap_or(first);
            let (left, top, right, _) = found.unwrap_or((first, y, last, y));
            found = Some((left.min(first), top, right.max(last), y));
        }
        let (left, top, right, bottom) = found?;
        Some(Area::new(area.x + left, top, right - left + 1, bottom - top + 1))
    }

    /// Takes an area over from another picture.
    pub(super) fn copy(&mut self, other: &Self, area: Area) {
        let rows = self.pixels.chunks_mut(WIDTH).skip(area.y).take(area.height);
        for (mine, theirs) in rows.zip(other.rows(area)) {
            mine[area.x..area.x + area.width].copy_from_slice(theirs);
        }
    }

    fn rows(&self, area: Area) -> impl Iterator<Item = &[Colour]> + '_ {
        let rows = self.pixels.chunks(WIDTH).skip(area.y).take(area.height);
        rows.map(move |row| &row[area.x..area.x + area.width])
    }
}

/// Pixels of the picture.
pub(super) const WIDTH: usize = 480;
pub(super) const HEIGHT: usize = 320;
/// Pixels of a tile's side.
const TILE: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn tiles_cover_an_area_once() {
        for area in [Area::WHOLE, Area::new(31, 33, 2, 1), Area::new(470, 310, 10, 10)] {
            let mut count = vec![0; WIDTH * HEIGHT];
            for tile in Canvas::tiles(area) {
                for y in tile.y..tile.y + tile.height {
                    for x in tile.x..tile.x + tile.width {
                        count[y * WIDTH + x] += 1;
                    }
                }
            }
            for (at, count) in count.into_iter().enumerate() {
                assert_eq!(count, usize::from(area.contains(at % WIDTH, at / WIDTH)), "{area:?} at {at}");
            }
        }
    }

    #[test]
    fn a_difference_is_as_small_as_it_can_be() {
        let (one, mut other) = (Canvas::new(Colour::Ground), Canvas::new(Colour::Ground));
        let tile = Area::new(32, 64, 32, 32);
        assert_eq!(one.difference(&other, tile), None);
        other.fill(Area::new(40, 70, 3, 5), Colour::Text);
        other.fill(Area::new(50, 72, 1, 1), Colour::Text);
        assert_eq!(one.difference(&other, tile), Some(Area::new(40, 70, 11, 5)));
        let mut copy = one.clone();
        copy.copy(&other, Area::new(40, 70, 11, 5));
        assert_eq!(copy, other);
        assert_ne!(copy, one);
    }

    #[test]
    fn nothing_is_drawn_outside_the_picture() {
        let mut canvas = Canvas::new(Colour::Ground);
        canvas.fill(Area::new(WIDTH - 1, HEIGHT - 1, 50, 50), Colour::Text);
        canvas.fill(Area::new(WIDTH + 3, 0, 50, 50), Colour::Text);
        canvas.disc(0, 0, 10, Colour::Text);
        canvas.text(WIDTH - 4, HEIGHT - 3, 2, "88", Colour::Text);
        let mut valve = Canvas::new(Colour::Ground);
        valve.valve(2, 2, 9, Colour::On);
        assert_eq!(valve.pixels(Area::new(2, 2, 1, 1)).next().unwrap(), Colour::On);
    }
}
