//! A server's side of drawing: pictures, written in each encoding. Written from RFC 6143, not from the filter.

use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;

use crate::laws::Random;

/// Pixel values, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) format: [u8; 16],
    pub(crate) values: Vec<u32>,
}

/// The one zlib stream of a connection.
pub(crate) struct Compressor(CompressorOxide);

impl Compressor {
    pub(crate) fn new() -> Self {
        Self(CompressorOxide::new(create_comp_flags_from_zip_params(6, 15, 0)))
    }

    pub(crate) fn compress(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut compressed = vec![0; bytes.len() * 2 + 1024];
        let result = deflate(&mut self.0, bytes, &mut compressed, MZFlush::Sync);
        assert_eq!(result.bytes_consumed, bytes.len());
        compressed.truncate(result.bytes_written);
        compressed
    }
}

impl Picture {
    /// Of at most so many colours, in runs of up to `run` pixels.
    pub(crate) fn random(
        width: u16,
        height: u16,
        format: [u8; 16],
        colours: u16,
        run: u16,
        random: &mut Random,
    ) -> Self {
        let mask = used_bits(&format);
        let palette: Vec<u32> = (0..colours.max(1)).map(|_| random.next() as u32 & mask).collect();
        let mut values = Vec::new();
        while values.len() < usize::from(width) * usize::from(height) {
            let value = palette[usize::from(random.below(colours))];
            values.extend(std::iter::repeat_n(value, usize::from(random.below(run)) + 1));
        }
        values.truncate(usize::from(width) * usize::from(height));
        Self { width, height, format, values }
    }

    pub(crate) fn rgba(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| look(&self.format, *value)).collect()
    }

    /// The values of a part: x, y, width, height.
    fn part(&self, [x, y, width, height]: [u16; 4]) -> Vec<u32> {
        let row = |row: u16| {
            let from = usize::from(row) * usize::from(self.width) + usize::from(x);
            &self.values[from..from + usize::from(width)]
        };
        (y..y + height).flat_map(|y| row(y).to_vec()).collect()
    }

    fn whole(&self) -> [u16; 4] {
        [0, 0, self.width, self.height]
    }

    /// Parts of at most `side` by `side`, row by row.
    fn tiles(&self, side: u16) -> Vec<[u16; 4]> {
        let mut tiles = Vec::new();
        for y in (0..self.height).step_by(side.into()) {
            for x in (0..self.width).step_by(side.into()) {
                tiles.push([x, y, (self.width - x).min(side), (self.height - y).min(side)]);
            }
        }
        tiles
    }

    pub(crate) fn raw(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| pixel(&self.format, *value)).collect()
    }

    pub(crate) fn rre(&self) -> Vec<u8> {
        let background = self.values[0];
        let mut body = pixel(&self.format, background);
        let count = subrectangles(&self.values, self.whole(), background, |value, x, y, length| {
            body.extend(pixel(&self.format, value));
            body.extend([x, y, length, 1].iter().flat_map(|number| number.to_be_bytes()));
        });
        [u32::from(count).to_be_bytes().to_vec(), body].concat()
    }

    pub(crate) fn hextile(&self, random: &mut Random) -> Vec<u8> {
        let mut body = Vec::new();
        // What the next tile may leave out, as it is as before.
        let (mut background, mut foreground) = (None, None);
        for tile in self.tiles(16) {
            let values = self.part(tile);
            let colours = distinct(&values);
            if colours.len() > 100 || random.below(6) == 0 {
                body.push(1);
                body.extend(values.iter().flat_map(|value| pixel(&self.format, *value)));
                (background, foreground) = (None, None);
                continue;
            }
            let mut flags = 0;
            let mut head = Vec::new();
            if background != Some(colours[0]) {
                flags |= 2;
                head.extend(pixel(&self.format, colours[0]));
                background = Some(colours[0]);
            }
            let coloured = colours.len() > 2 || (colours.len() == 2 && random.below(3) == 0);
            if coloured {
                flags |= 8 | 16;
            } else if let Some(second) = colours.get(1) {
                flags |= 8;
                if foreground != Some(*second) {
                    flags |= 4;
                    head.extend(pixel(&self.format, *second));
                    foreground = Some(*second);
                }
            }
            let mut inner = Vec::new();
            let count = subrectangles(&values, tile, colours[0], |value, x, y, length| {
                if coloured {
                    inner.extend(pixel(&self.format, value));
                }
                inner.extend([(x << 4 | y) as u8, ((length - 1) << 4) as u8]);
            });
            body.push(flags);
            body.extend(head);
            if flags & 8 != 0 {
                body.push(u8::try_from(count).unwrap());
                body.extend(inner);
            }
        }
        body
    }

    /// What a ZRLE rectangle holds before it is compressed.
    pub(crate) fn zrle(&self, random: &mut Random) -> Vec<u8> {
        self.tiles(64).iter().flat_map(|tile| self.zrle_tile(*tile, random)).collect()
    }

    fn zrle_tile(&self, tile: [u16; 4], random: &mut Random) -> Vec<u8> {
        let values = self.part(tile);
        let colours = distinct(&values);
        let compact = |value: &u32| compact(&self.format, *value);
        let palette = || colours.iter().flat_map(compact);
        let place = |value: u32| colours.iter().position(|colour| *colour == value).unwrap() as u8;
        let count = colours.len();
        match random.below(4) {
            _ if count == 1 => [vec![1], compact(&colours[0])].concat(),
            0 if count <= 16 => {
                let bits = [1, 1, 1, 2, 2, 4][count.min(5)];
                let mut body = vec![count as u8];
                body.extend(palette());
                for row in values.chunks(tile[2].into()) {
                    for byte in row.chunks(8 / bits) {
                        let packed = byte.iter().enumerate().map(|(at, value)| place(*value) << (8 - bits * (at + 1)));
                        body.push(packed.sum());
                    }
                }
                body
            }
            1 if count <= 127 => {
                let mut body = vec![128 + count as u8];
                body.extend(palette());
                for (value, length) in runs(&values) {
                    if length == 1 {
                        body.push(place(value));
                    } else {
                        body.push(0x80 | place(value));
                        body.extend(run_length(length));
                    }
                }
                body
            }
            2 => {
                let mut body = vec![128];
                for (value, length) in runs(&values) {
                    body.extend(compact(&value));
                    body.extend(run_length(length));
                }
                body
            }
            _ => [vec![0], values.iter().flat_map(compact).collect()].concat(),
        }
    }
}

/// A rectangle of the whole picture behind its length.
pub(crate) fn compressed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[..], body].concat()
}

fn run_length(length: usize) -> Vec<u8> {
    let mut bytes = vec![255; (length - 1) / 255];
    bytes.push(((length - 1) % 255) as u8);
    bytes
}

fn runs(values: &[u32]) -> Vec<(u32, usize)> {
    values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

fn distinct(values: &[u32]) -> Vec<u32> {
    let mut seen = Vec::new();
    for value in values {
        if !seen.contains(value) {
            seen.push(*value);
        }
    }
    seen
}

/// Calls for each horizontal run that is not background: value, x, y, length. Tells how many.
fn subrectangles(
    values: &[u32],
    [_, _, width, _]: [u16; 4],
    background: u32,
    mut each: impl FnMut(u32, u16, u16, u16),
) -> u16 {
    let mut count = 0;
    for (y, row) in values.chunks(width.into()).enumerate() {
        let mut x = 0;
        for (value, length) in runs(row) {
            if value != background {
                each(value, x, y as u16, length as u16);
                count += 1;
            }
            x += length as u16;
        }
    }
    count
}

/// A pixel on the wire.
fn pixel(format: &[u8; 16], value: u32) -> Vec<u8> {
    let length = usize::from(format[0] / 8);
    if format[2] != 0 { value.to_be_bytes()[4 - length..].to_vec() } else { value.to_le_bytes()[..length].to_vec() }
}

/// A pixel in ZRLE: three bytes where one of four is never used.
fn compact(format: &[u8; 16], value: u32) -> Vec<u8> {
    let bytes = pixel(format, value);
    let used = used_bits(format);
    if format[0] != 32 || (used >> 24 != 0 && used & 0xff != 0) {
        return bytes;
    }
    let unused = if used >> 24 == 0 { 0 } else { 3 };
    let unused = if format[2] != 0 { unused } else { 3 - unused };
    bytes.iter().enumerate().filter(|(place, _)| *place != unused).map(|(_, byte)| *byte).collect()
}

fn channels(format: &[u8; 16]) -> [(u32, u8); 3] {
    let max = |place: usize| u32::from(format[place]) << 8 | u32::from(format[place + 1]);
    [(max(4), format[10]), (max(6), format[11]), (max(8), format[12])]
}

fn used_bits(format: &[u8; 16]) -> u32 {
    if format[3] == 0 { 255 } else { channels(format).iter().map(|(max, shift)| max << shift).sum() }
}

/// The colour of a value; with a colour map, that of [`colour_map`].
fn look(format: &[u8; 16], value: u32) -> [u8; 4] {
    if format[3] == 0 {
        return [value as u8, 255 - value as u8, 7, 255];
    }
    let level = |(max, shift): (u32, u8)| {
        let level = (value >> shift) & max;
        (f64::from(level) * 255.0 / f64::from(max)).round() as u8
    };
    let [red, green, blue] = channels(format).map(level);
    [red, green, blue, 255]
}

/// The message that sets the whole map.
pub(crate) fn colour_map() -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0, 1, 0];
    for index in 0..=255_u8 {
        bytes.extend([index, 9, 255 - index, 9, 7, 9]);
    }
    bytes
}
