//! A screen as a picture: in PNG, and compared to the one before it.

use std::io::Write;

use sallyport_protocol_filter::rfb::Screen;
use serde::Serialize;

use crate::cli::CliError;

/// Writes a screen as PNG, row by row.
pub(super) fn write(screen: &Screen, out: impl Write) -> Result<(), png::EncodingError> {
    let (width, height) = screen.size();
    let mut encoder = png::Encoder::new(out, width.into(), height.into());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer_with_size(1 << 16)?;
    let mut rgb = Vec::with_capacity(usize::from(width) * 3);
    for row in rows_of(screen.rgba(), width) {
        rgb.clear();
        row.chunks_exact(4).for_each(|pixel| rgb.extend_from_slice(&pixel[..3]));
        rows.write_all(&rgb)?;
    }
    rows.finish()?;
    writer.finish()
}

pub(super) fn error(error: png::EncodingError) -> CliError {
    match error {
        png::EncodingError::IoError(error) => CliError::Output(error),
        other => CliError::Failed(format!("the screen cannot be written as PNG: {other}")),
    }
}

/// The last picture that was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    size: (u16, u16),
    rgba: Vec<u8>,
}

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    x: u16,
    y: u16,
    width: u16,
    height: u16,
}

impl Kept {
    /// Takes the screen for the last; tells in which part it differs from the one before, if it does.
    pub(super) fn replace(&mut self, screen: &Screen) -> Option<Part> {
        let (width, height) = screen.size();
        let part = if self.size == (width, height) {
            differing(&self.rgba, screen.rgba(), width)?
        } else {
            Part { x: 0, y: 0, width, height }
        };
        self.size = (width, height);
        self.rgba.clear();
        self.rgba.extend_from_slice(screen.rgba());
        Some(part)
    }
}

/// The smallest part outside of which two pictures of one size are the same.
fn differing(before: &[u8], after: &[u8], width: u16) -> Option<Part> {
    let mut part: Option<(usize, usize, usize, usize)> = None;
    for (y, (before, after)) in rows_of(before, width).zip(rows_of(after, width)).enumerate() {
        if before == after {
            continue;
        }
        let differs = |(before, after): (&[u8], &[u8])| before != after;
        let mut pixels = before.chunks_exact(4).zip(after.chunks_exact(4));
        let (Some(first), Some(last)) = (pixels.clone().position(differs), pixels.rposition(differs)) else { continue };
        part = Some(match part {
            None => (first, y, last, y),
            Some((left, top, right, _)) => (left.min(first), top, right.max(last), y),
        });
    }
    let (left, top, right, bottom) = part?;
    // All within a screen, which is counted in 16 bits.
    Some(Part { x: left as u16, y: top as u16, width: (right - left + 1) as u16, height: (bottom - top + 1) as u16 })
}

fn rows_of(rgba: &[u8], width: u16) -> std::slice::ChunksExact<'_, u8> {
    rgba.chunks_exact((usize::from(width) * 4).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Black but for some pixels.
    fn picture(white: &[(usize, usize)]) -> Vec<u8> {
        let mut rgba = [0, 0, 0, 255].repeat(8 * 6);
        for (x, y) in white {
            rgba[(y * 8 + x) * 4..][..3].copy_from_slice(&[255; 3]);
        }
        rgba
    }

    #[test]
    fn what_differs_is_told_to_the_pixel() {
        let check = |before: &[(usize, usize)], after: &[(usize, usize)], expected: Option<[u16; 4]>| {
            let expected = expected.map(|[x, y, width, height]| Part { x, y, width, height });
            assert_eq!(differing(&picture(before), &picture(after), 8), expected, "{before:?} {after:?}");
        };
        check(&[], &[], None);
        check(&[(3, 2)], &[(3, 2)], None);
        check(&[], &[(3, 2)], Some([3, 2, 1, 1]));
        check(&[(0, 0)], &[], Some([0, 0, 1, 1]));
        check(&[(7, 5)], &[(0, 0)], Some([0, 0, 8, 6]));
        check(&[], &[(5, 1), (2, 3), (4, 4)], Some([2, 1, 4, 4]));
    }
}
