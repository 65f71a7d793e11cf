//! A capture file, read block by block.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use pcap_parser::traits::{PcapNGPacketBlock, PcapReaderIterator};
use pcap_parser::{Block, InterfaceDescriptionBlock, PcapBlockOwned, PcapError, create_reader};

use super::packet::{Segment, Sliced, slice};

/// A capture that is being read. Holds one block.
pub(crate) struct Capture {
    path: PathBuf,
    reader: Box<dyn PcapReaderIterator + Send>,
    interfaces: Vec<Interface>,
    /// When the last packet was captured: for those that do not say.
    last_micros: i64,
    fragments: u64,
    foreign: u64,
}

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The file cannot be opened.
    #[error("cannot read `{}`: {source}", path.display())]
    Open { path: PathBuf, source: std::io::Error },
    /// Another kind of file.
    #[error("`{}` is no capture: neither pcap nor pcapng", path.display())]
    NoCapture { path: PathBuf },
    /// It ends in the middle.
    #[error("`{}` ends within a packet: it was cut off; what came before was read", path.display())]
    CutOff { path: PathBuf },
    /// What is no packet, or one larger than any network has.
    #[error("`{}` is damaged behind byte {offset}; what came before was read", path.display())]
    Damaged { path: PathBuf, offset: usize },
}

/// More than the largest packet that tools capture, with what a block has around it.
const BUFFER: usize = 1 << 20;
/// Interfaces of a file that are remembered at most.
const MOST_INTERFACES: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: i32,
    ticks_per_second: u64,
    offset_seconds: i64,
}

/// What a look at the next block gave.
enum Step {
    Read(usize, Option<Segment>),
    More,
    End,
    CutOff,
    Damaged,
}

impl Capture {
    pub(crate) fn open(path: &Path) -> Result<Self, CaptureError> {
        let file = File::open(path).map_err(|source| CaptureError::Open { path: path.to_path_buf(), source })?;
        Self::read(path, file)
    }

    /// A capture from wherever its bytes come; `path` is what errors call it.
    pub(super) fn read(path: &Path, bytes: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let no_capture = |_| CaptureError::NoCapture { path: path.to_path_buf() };
        let reader = create_reader(BUFFER, bytes).map_err(no_capture)?;
        Ok(Self { path: path.to_path_buf(), reader, interfaces: Vec::new(), last_micros: 0, fragments: 0, foreign: 0 })
    }

    /// The next TCP segment; none at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Segment>, CaptureError> {
        loop {
            match self.step() {
                Step::Read(length, segment) => {
                    self.reader.consume(length);
                    if segment.is_some() {
                        return Ok(segment);
                    }
                }
                Step::More => self.refill()?,
                Step::End => return Ok(None),
                Step::CutOff => return Err(CaptureError::CutOff { path: self.path.clone() }),
                Step::Damaged => return Err(self.damaged()),
            }
        }
    }

    /// Packets that were passed over, since they are only parts of larger ones.
    pub(crate) const fn fragments(&self) -> u64 {
        self.fragments
    }

    /// Packets that were passed over, since what lies below IP is of a kind that is not read.
    pub(crate) const fn foreign(&self) -> u64 {
        self.foreign
    }

    fn step(&mut self) -> Step {
        match self.reader.next() {
            Ok((length, block)) => match packet(&block, &mut self.interfaces, self.last_micros) {
                Some(Found::Packet { link, micros, data }) => {
                    self.last_micros = micros;
                    match slice(link, micros, data) {
                        Sliced::Tcp(segment) => Step::Read(length, Some(segment)),
                        Sliced::Fragment => {
                            self.fragments += 1;
                            Step::Read(length, None)
                        }
                        Sliced::Foreign => {
                            self.foreign += 1;
                            Step::Read(length, None)
                        }
                        Sliced::Other => Step::Read(length, None),
                    }
                }
                Some(Found::Other) => Step::Read(length, None),
                None => Step::Damaged,
            },
            Err(PcapError::Eof) => Step::End,
            Err(PcapError::Incomplete(_)) => Step::More,
            Err(PcapError::UnexpectedEof) => Step::CutOff,
            Err(
                PcapError::BufferTooSmall
                | PcapError::ReadError
                | PcapError::HeaderNotRecognized
                | PcapError::NomError(..)
                | PcapError::OwnedNomError(..),
            ) => Step::Damaged,
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        let before = self.reader.data().len();
        let failed = self.reader.refill().is_err();
        // A block that wants more than there is room for would be waited for without end.
        if failed || (self.reader.data().len() == before && !self.reader.reader_exhausted()) {
            return Err(self.damaged());
        }
        Ok(())
    }

    fn damaged(&self) -> CaptureError {
        CaptureError::Damaged { path: self.path.clone(), offset: self.reader.consumed() }
    }
}

enum Found<'a> {
    Packet { link: i32, micros: i64, data: &'a [u8] },
    Other,
}

/// What a block holds. None for one that cannot be.
fn packet<'a>(block: &'a PcapBlockOwned<'_>, interfaces: &mut Vec<Interface>, last: i64) -> Option<Found<'a>> {
    match block {
        PcapBlockOwned::LegacyHeader(header) => {
            let ticks_per_second = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
            // The upper bits may tell of checksums behind each packet, which IP's own length leaves out.
            let link = header.network.0 & 0x0FFF_FFFF;
            interfaces.push(Interface { link, ticks_per_second, offset_seconds: 0 });
            Some(Found::Other)
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first()?;
            let fraction = i64::from(packet.ts_usec) * 1_000_000 / i64::try_from(interface.ticks_per_second).ok()?;
            let micros = i64::from(packet.ts_sec) * 1_000_000 + fraction;
            Some(Found::Packet { link: interface.link, micros, data: packet.data })
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            Some(Found::Other)
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            interfaces.push(interface(description)?);
            (interfaces.len() <= MOST_INTERFACES).then_some(Found::Other)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = interfaces.get(usize::try_from(packet.if_id).ok()?)?;
            let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            Some(Found::Packet { link: interface.link, micros: interface.micros(ticks)?, data: packet.packet_data() })
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let interface = interfaces.first()?;
            Some(Found::Packet { link: interface.link, micros: last, data: packet.packet_data() })
        }
        PcapBlockOwned::NG(_) => Some(Found::Other),
    }
}

fn interface(description: &InterfaceDescriptionBlock<'_>) -> Option<Interface> {
    // The upper bit tells powers of two from powers of ten.
    let (binary, exponent) = (description.if_tsresol & 0x80 != 0, u32::from(description.if_tsresol & 0x7F));
    let base: u64 = if binary { 2 } else { 10 };
    Some(Interface {
        link: description.linktype.0,
        ticks_per_second: base.checked_pow(exponent)?,
        offset_seconds: description.if_tsoffset,
    })
}

impl Interface {
    fn micros(self, ticks: u64) -> Option<i64> {
        let fraction = i128::from(ticks) * 1_000_000 / i128::from(self.ticks_per_second);
        i64::try_from(fraction + i128::from(self.offset_seconds) * 1_000_000).ok()
    }
}

#[cfg(test)]
mod tests;
