//! How a viewer wants its pixels (RFC 6143, section 7.4).

use super::canvas::Colour;

/// A true-colour format of 8, 16 or 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PixelFormat {
    bits: u8,
    depth: u8,
    big_endian: bool,
    /// Of red, green and blue.
    channels: [Channel; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Channel {
    most: u16,
    shift: u8,
}

/// Not a format that the panel can draw in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("pixels other than true colour of 8, 16 or 32 bits")]
pub(super) struct Unsupported;

impl PixelFormat {
    /// 32 bits, little-endian, eight for each colour.
    pub(super) const NATURAL: Self = Self {
        bits: 32,
        depth: 24,
        big_endian: false,
        channels: [Channel { most: 255, shift: 16 }, Channel { most: 255, shift: 8 }, Channel { most: 255, shift: 0 }],
    };

    /// The sixteen bytes of the wire.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let [red, green, blue] = self.channels;
        let ([rh, rl], [gh, gl], [bh, bl]) =
            (red.most.to_be_bytes(), green.most.to_be_bytes(), blue.most.to_be_bytes());
        let (big, shifts) = (u8::from(self.big_endian), [red.shift, green.shift, blue.shift]);
        [self.bits, self.depth, big, 1, rh, rl, gh, gl, bh, bl, shifts[0], shifts[1], shifts[2], 0, 0, 0]
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Result<Self, Unsupported> {
        let [bits, depth, big, true_colour, rh, rl, gh, gl, bh, bl, rs, gs, bs, ..] = bytes;
        let channel = |high, low, shift| Channel { most: u16::from_be_bytes([high, low]), shift };
        let channels = [channel(rh, rl, rs), channel(gh, gl, gs), channel(bh, bl, bs)];
        if !matches!(bits, 8 | 16 | 32) || true_colour == 0 {
            return Err(Unsupported);
        }
        let fits = |Channel { most, shift }: &Channel| *shift < bits && u64::from(*most) << shift < 1 << bits;
        if !channels.iter().all(fits) {
            return Err(Unsupported);
        }
        Ok(Self { bits, depth, big_endian: big != 0, channels })
    }

    /// Writes one pixel.
    pub(super) fn write(&self, colour: Colour, to: &mut Vec<u8>) {
        let mut pixel = 0_u32;
        for (Channel { most, shift }, level) in self.channels.iter().zip(colour.rgb()) {
            pixel |= ((u32::from(level) * u32::from(*most) + 127) / 255) << shift;
        }
        let bytes = usize::from(self.bits / 8);
        if self.big_endian {
            to.extend(&pixel.to_be_bytes()[4 - bytes..]);
        } else {
            to.extend(&pixel.to_le_bytes()[..bytes]);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn drawn(format: [u8; 16]) -> Vec<u8> {
        let mut bytes = Vec::new();
        PixelFormat::from_bytes(format).unwrap().write(Colour::Liquid, &mut bytes);
        bytes
    }

    #[test]
    fn a_colour_is_written_as_asked() {
        // 0x2f8fd8
        assert_eq!(drawn(PixelFormat::NATURAL.to_bytes()), [0xd8, 0x8f, 0x2f, 0]);
        assert_eq!(drawn([32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]), [0, 0x2f, 0x8f, 0xd8]);
        // 5-6-5: 6, 35, 26
        assert_eq!(drawn([16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0]), [0x7a, 0x34]);
        assert_eq!(drawn([16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0]), [0x34, 0x7a]);
        // 2-3-3 from the lowest bit, as many viewers ask: 1, 4, 3 with blue highest
        assert_eq!(drawn([8, 8, 0, 1, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0]), [0b11_100_001]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for format in [
            [8, 8, 0, 0, 0, 7, 0, 7, 0, 3, 0, 3, 6, 0, 0, 0],
            [24, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0],
            [0, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0],
            [255, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0],
            [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 25, 8, 0, 0, 0, 0],
            [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 255, 8, 0, 0, 0, 0],
            [32, 24, 0, 1, 0, 0, 0, 255, 0, 255, 64, 8, 0, 0, 0, 0],
            [16, 16, 0, 1, 255, 255, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0],
        ] {
            assert_eq!(PixelFormat::from_bytes(format), Err(Unsupported), "{format:?}");
        }
    }
}
