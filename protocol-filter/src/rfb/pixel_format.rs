//! How a pixel is written, and what its bytes mean.

/// The pixel format of RFC 6143, section 7.4, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelFormat {
    bits: u8,
    depth: u8,
    big_endian: bool,
    true_colour: bool,
    /// Red, green, blue: the largest value, and how far it is shifted.
    channels: [Channel; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Channel {
    max: u16,
    shift: u8,
}

impl PixelFormat {
    /// Its length on the wire.
    pub const LENGTH: usize = 16;

    /// Reads a format.
    ///
    /// # Errors
    /// If pixels cannot be told from it.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, &'static str> {
        let [bits, depth, big_endian, true_colour, r1, r0, g1, g0, b1, b0, rs, gs, bs, _, _, _] = *bytes;
        let channel = |high, low, shift| Channel { max: u16::from_be_bytes([high, low]), shift };
        let format = Self {
            bits,
            depth,
            big_endian: big_endian != 0,
            true_colour: true_colour != 0,
            channels: [channel(r1, r0, rs), channel(g1, g0, gs), channel(b1, b0, bs)],
        };
        format.validate()?;
        Ok(format)
    }

    fn validate(&self) -> Result<(), &'static str> {
        if !matches!(self.bits, 8 | 16 | 32) {
            return Err("a pixel format with other than 8, 16 or 32 bits per pixel");
        }
        if self.depth == 0 || self.depth > self.bits {
            return Err("a pixel format with a depth that its bits cannot hold");
        }
        if !self.true_colour {
            return if self.bits == 8 { Ok(()) } else { Err("a colour map with other than 8 bits per pixel") };
        }
        let mut used = 0_u64;
        for Channel { max, shift } in self.channels {
            if max == 0 || !(u32::from(max) + 1).is_power_of_two() {
                return Err("a pixel format whose largest value is not a power of two less one");
            }
            if shift >= self.bits {
                return Err("a pixel format that shifts a colour out of the pixel");
            }
            let mask = u64::from(max) << shift;
            if mask >> self.bits != 0 {
                return Err("a pixel format that shifts a colour out of the pixel");
            }
            if used & mask != 0 {
                return Err("a pixel format whose colours overlap");
            }
            used |= mask;
        }
        Ok(())
    }

    /// The format as it is written.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let [red, green, blue] = self.channels;
        let [r, g, b] = [red.max.to_be_bytes(), green.max.to_be_bytes(), blue.max.to_be_bytes()];
        let flags = [u8::from(self.big_endian), u8::from(self.true_colour)];
        let shifts = [red.shift, green.shift, blue.shift];
        [
            self.bits, self.depth, flags[0], flags[1], r[0], r[1], g[0], g[1], b[0], b[1], shifts[0], shifts[1],
            shifts[2], 0, 0, 0,
        ]
    }

    /// Bytes per pixel: 1, 2 or 4.
    #[must_use]
    pub fn bytes(&self) -> usize {
        usize::from(self.bits / 8)
    }

    /// Do pixels name entries of a colour map?
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        !self.true_colour
    }

    /// Bytes per pixel in ZRLE, which leaves out a byte that is always zero (RFC 6143, section 7.7.6).
    pub(super) fn compact(&self) -> Compact {
        if self.bits != 32 || !self.true_colour {
            return Compact { bytes: self.bytes(), offset: 0 };
        }
        // Every implementation goes by where the colours lie; the RFC's condition on the depth adds nothing, since a depth that
        // is honest is at most 24 then.
        let used = self.channels.iter().fold(0_u32, |used, channel| used | u32::from(channel.max) << channel.shift);
        let (low, high) = (used >> 24 == 0, used & 0xff == 0);
        match (low, high, self.big_endian) {
            (true, _, false) | (_, true, true) => Compact { bytes: 3, offset: 0 },
            (true, false, true) | (false, true, false) => Compact { bytes: 3, offset: 1 },
            (false, false, _) => Compact { bytes: 4, offset: 0 },
        }
    }

    /// The number that a pixel's bytes stand for; `pixel` is [`PixelFormat::bytes`] long.
    pub(super) fn value(&self, pixel: &[u8]) -> u32 {
        let append = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        if self.big_endian { pixel.iter().fold(0, append) } else { pixel.iter().rev().fold(0, append) }
    }

    /// Red, green and blue of a true-colour pixel's value, 8 bits each.
    pub(super) fn colour(&self, value: u32) -> [u8; 3] {
        self.channels.map(|Channel { max, shift }| {
            let max = u32::from(max);
            let level = (value >> shift) & max;
            // At most 65535 * 255, and at most 255 after the division.
            ((level * 255 + max / 2) / max) as u8
        })
    }
}

/// How ZRLE writes a pixel: so many of its bytes, from this one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compact {
    pub(super) bytes: usize,
    pub(super) offset: usize,
}
