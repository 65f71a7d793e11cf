//! What a pixel looks like.

use super::pixel_format::PixelFormat;

/// Red, green and blue.
pub(super) type Colour = [u8; 3];

/// What a pixel's bytes look like.
pub(super) fn colour(format: &PixelFormat, map: &[Colour], pixel: &[u8]) -> Colour {
    let value = format.value(pixel);
    if !format.is_mapped() {
        return format.colour(value);
    }
    usize::try_from(value).ok().and_then(|index| map.get(index)).copied().unwrap_or_default()
}
