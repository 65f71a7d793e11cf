//! A QR code as one path of an SVG: no image to fetch, no style, and sharp at any size.

use std::fmt::Write as _;

use qrcode::{Color, QrCode};

/// A QR code, ready to draw.
#[derive(Clone)]
pub struct Qr {
    /// Width and height in modules, the quiet zone with them.
    pub side: usize,
    /// The dark modules, as the `d` of an SVG path.
    pub path: String,
}

/// What a QR code cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes are too many for a QR code")]
pub struct QrError(usize);

/// Light modules around it, as ISO/IEC 18004 asks.
const QUIET: usize = 4;

impl Qr {
    /// The code that a camera reads as `text`.
    ///
    /// # Errors
    ///
    /// What is too long.
    pub fn of(text: &str) -> Result<Self, QrError> {
        let code = QrCode::new(text.as_bytes()).map_err(|_| QrError(text.len()))?;
        let width = code.width();
        let mut path = String::new();
        for (row, modules) in code.to_colors().chunks(width).enumerate() {
            let mut column = 0;
            for run in modules.chunk_by(|one, next| one == next) {
                if run[0] == Color::Dark {
                    let (x, y, long) = (column + QUIET, row + QUIET, run.len());
                    // Writing to a string cannot fail.
                    let written = write!(path, "M{x} {y}h{long}v1h-{long}z");
                    debug_assert!(written.is_ok());
                }
                column += run.len();
            }
        }
        Ok(Self { side: width + 2 * QUIET, path })
    }
}
