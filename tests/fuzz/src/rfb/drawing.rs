//! What went to the tool is drawn, whole and cut, and takes no more memory than the largest screen.

use sallyport_protocol_filter::rfb::{Encoding, PixelFormat, Screen};

/// What a screen is told, in order.
#[derive(Clone)]
pub(super) enum Piece {
    /// Width, height and format; what is sent with it is the greeting, which is not drawn.
    Begin(u16, u16, PixelFormat),
    Format(PixelFormat),
    Sent(Vec<u8>),
}

/// The pieces of a connection that was played byte by byte, so that each is at its place.
#[derive(Default)]
pub(super) struct Drawing {
    pieces: Vec<Piece>,
    /// The tool asked for ZRLE, which the filter passes unopened.
    compressed: bool,
    /// Pixels of all sizes that the screen had.
    pixels: u64,
}

/// The largest screen: 4096 by 4096 pixels, in whatever shape.
const MOST_PIXELS: u64 = 1 << 24;
/// Beyond so many pixels a screen is drawn only if the script asks for it: it takes long.
const SMALL: u64 = 1 << 18;

impl Drawing {
    pub(super) fn may_use(&mut self, encodings: &[Encoding]) {
        self.compressed |= encodings.contains(&Encoding::Zrle);
    }

    pub(super) fn resized(&mut self, width: u16, height: u16) {
        let pixels = u64::from(width) * u64::from(height);
        assert!(pixels <= MOST_PIXELS, "a screen of {width} by {height} passed");
        self.pixels += pixels;
    }

    /// What was noted, then what was sent: by one byte of a side not more than one of the two that matters here.
    pub(super) fn add(&mut self, news: &mut Vec<Piece>, sent: &[u8]) {
        for piece in news.drain(..) {
            if let Piece::Begin(width, height, _) = piece {
                self.resized(width, height);
                self.pieces.push(piece);
                return;
            }
            self.pieces.push(piece);
        }
        match self.pieces.last_mut() {
            Some(Piece::Sent(all)) => all.extend_from_slice(sent),
            Some(_) if !sent.is_empty() => self.pieces.push(Piece::Sent(sent.to_vec())),
            // Before the screen is open nothing is drawn.
            Some(_) | None => {}
        }
    }

    pub(super) fn hold(&self, large: bool) {
        let most = if large { 2 * MOST_PIXELS } else { SMALL };
        let Some(Piece::Begin(width, height, format)) = self.pieces.first() else { return };
        if self.pixels > most {
            return;
        }
        let screen = || Screen::new(*width, *height, *format).expect("the filter let it pass");
        let (mut whole, mut cut) = (screen(), screen());
        for piece in &self.pieces[1..] {
            match piece {
                Piece::Begin(..) => panic!("two greetings"),
                Piece::Format(format) => [&mut whole, &mut cut].map(|screen| screen.set_pixel_format(*format)),
                Piece::Sent(bytes) => {
                    let drawn = whole.receive(bytes);
                    let failed = bytes.chunks(7).map(|bytes| cut.receive(bytes)).find(Result::is_err);
                    assert_eq!(drawn, failed.unwrap_or(Ok(())), "it matters how the bytes are cut");
                    assert!(drawn.is_ok() || self.compressed, "what passed cannot be drawn: {drawn:?}");
                    continue;
                }
            };
        }
        let (width, height) = whole.size();
        assert_eq!(whole.rgba().len(), 4 * usize::from(width) * usize::from(height));
        assert!(cut.size() == (width, height) && cut.rgba() == whole.rgba(), "it matters how the bytes are cut");
    }
}
