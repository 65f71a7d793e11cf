//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng): one section, one interface, packets.
use std::io::{self, Write};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
/// Tells the reader that integers are little-endian.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
/// Packets begin with an IP header.
const LINKTYPE_RAW: u16 = 101;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
/// Times are 10^-6 seconds.
const MICROSECONDS: u8 = 6;

/// A pcapng file being written.
pub(super) struct Capture<W> {
    out: W,
    block: Vec<u8>,
}

impl<W: Write> Capture<W> {
    /// Writes what stands before the first packet.
    pub(super) fn begin(out: W, about: &str) -> io::Result<Self> {
        let mut capture = Self { out, block: Vec::new() };
        capture.write(SECTION_HEADER, |block| {
            block.extend(BYTE_ORDER.to_le_bytes());
            block.extend(1_u16.to_le_bytes());
            block.extend(0_u16.to_le_bytes());
            // The section's length is not known beforehand.
            block.extend((-1_i64).to_le_bytes());
            comment(block, about);
            option(block, SHB_USERAPPL, concat!("sallyport ", env!("CARGO_PKG_VERSION")).as_bytes());
            option(block, OPT_END, b"");
        })?;
        capture.write(INTERFACE_DESCRIPTION, |block| {
            block.extend(LINKTYPE_RAW.to_le_bytes());
            block.extend(0_u16.to_le_bytes());
            // No limit to a packet's length.
            block.extend(0_u32.to_le_bytes());
            option(block, IF_NAME, b"sallyport");
            option(block, IF_TSRESOL, &[MICROSECONDS]);
            option(block, OPT_END, b"");
        })?;
        Ok(capture)
    }

    /// Writes one packet. A time before 1970 cannot be told and becomes 1970.
    pub(super) fn packet(&mut self, unix_micros: i64, packet: &[u8], about: Option<&str>) -> io::Result<()> {
        let time = u64::try_from(unix_micros).unwrap_or(0).to_be_bytes();
        let [a, b, c, d, e, f, g, h] = time;
        let (high, low) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let length = u32::try_from(packet.len()).map_err(io::Error::other)?;
        self.write(ENHANCED_PACKET, |block| {
            for field in [0, high, low, length, length] {
                block.extend(field.to_le_bytes());
            }
            block.extend(packet);
            pad(block);
            if let Some(about) = about {
                comment(block, about);
                option(block, OPT_END, b"");
            }
        })
    }

    /// Hands on what is still buffered.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn write(&mut self, block_type: u32, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.block.clear();
        self.block.extend(block_type.to_le_bytes());
        self.block.extend([0; 4]);
        fill(&mut self.block);
        let length = u32::try_from(self.block.len() + 4).map_err(io::Error::other)?.to_le_bytes();
        self.block[4..8].copy_from_slice(&length);
        self.block.extend(length);
        self.out.write_all(&self.block)
    }
}

/// What a comment says may come from an asset, and comments are printed on terminals.
fn comment(block: &mut Vec<u8>, text: &str) {
    const LONGEST: usize = 2000;
    let text: String =
        text.chars().map(|char| if sallyport_plain::is_plain(char) { char } else { '\u{fffd}' }).collect();
    let end = text.char_indices().nth(LONGEST).map_or(text.len(), |(at, _)| at);
    option(block, OPT_COMMENT, &text.as_bytes()[..end]);
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    // Comments are cut before, everything else is short.
    let Ok(length) = u16::try_from(value.len()) else { return };
    block.extend(code.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(value);
    pad(block);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}
