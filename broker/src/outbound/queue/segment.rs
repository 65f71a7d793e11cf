//! The files of a queue: numbered segments, and where the receiver is.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{MOST_READ, bytes, line};

/// A place in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::outbound) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// One file.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) length: u64,
}

/// The file that is added to.
pub(super) struct Written {
    pub(super) file: File,
    pub(super) length: u64,
}

/// What was read of a segment.
pub(super) struct Taken {
    pub(super) events: Vec<String>,
    /// Bytes, with those of lines that were passed over.
    pub(super) length: u64,
    /// Lines that are not as they were written.
    pub(super) damaged: u64,
    /// The file is gone, or shorter than what was read of it.
    pub(super) cut: bool,
    /// There is no more in it now.
    pub(super) ended: bool,
}

/// The segments of a folder, the oldest first.
pub(super) fn found(folder: &Path) -> io::Result<VecDeque<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(number) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok()) {
            match entry.metadata() {
                Ok(file) => segments.push(Segment { number, length: file.len() }),
                // Sent and removed while somebody looks from outside.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments.into())
}

/// A crash can have broken off the last line, before anybody relied on it.
pub(super) fn mend(folder: &Path) -> io::Result<()> {
    let Some(last) = found(folder)?.pop_back() else { return Ok(()) };
    let path = path(folder, last.number);
    let text = fs::read(&path)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() { OpenOptions::new().write(true).open(path)?.set_len(bytes(whole)) } else { Ok(()) }
}

/// Where the receiver is, as far as it was noted.
pub(super) fn noted(folder: &Path) -> Option<Place> {
    let text = fs::read_to_string(folder.join(NOTE)).ok()?;
    let (segment, offset) = text.strip_suffix('\n')?.split_once(' ')?;
    Some(Place { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

/// Notes it: whole, or not at all.
pub(super) fn note(folder: &Path, place: Place) -> io::Result<()> {
    let new = folder.join("sent.new");
    fs::write(&new, format!("{} {}\n", place.segment, place.offset))?;
    fs::rename(new, folder.join(NOTE))
}

pub(super) fn remove(folder: &Path, number: u64) -> io::Result<()> {
    match fs::remove_file(path(folder, number)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads events from a place on. A last line without its end is not there yet.
pub(super) fn read(folder: &Path, from: Place, most: usize) -> io::Result<Taken> {
    let mut taken = Taken { events: Vec::new(), length: 0, damaged: 0, cut: false, ended: true };
    let mut file = match File::open(path(folder, from.segment)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            taken.cut = true;
            return Ok(taken);
        }
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() < from.offset {
        taken.cut = true;
        return Ok(taken);
    }
    file.seek(SeekFrom::Start(from.offset))?;
    let mut lines = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        text.clear();
        let length = (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut text)?;
        let whole = text.strip_suffix(b"\n");
        if length == 0 || (whole.is_none() && bytes(length) < LONGEST_LINE) {
            return Ok(taken);
        }
        taken.length += bytes(length);
        match whole.and_then(line::unframed) {
            Some(event) => taken.events.push(event),
            None => taken.damaged += 1,
        }
        if taken.events.len() >= most || taken.length >= bytes(MOST_READ) {
            taken.ended = false;
            return Ok(taken);
        }
    }
}

pub(super) fn length(folder: &Path, number: u64) -> io::Result<u64> {
    Ok(fs::metadata(path(folder, number))?.len())
}

impl Written {
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(folder, number))?;
        Ok(Self { file, length: 0 })
    }

    /// Whether nobody else has written, cut or removed it.
    pub(super) fn is_as_left(&self) -> io::Result<bool> {
        let now = self.file.metadata()?;
        Ok(now.len() == self.length && now.nlink() > 0)
    }

    /// Adds lines: all of them, or none.
    pub(super) fn add(&mut self, text: &str) -> io::Result<()> {
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => {
                self.length += bytes(text.len());
                Ok(())
            }
            Err(error) => {
                // A part of a line must not stand before later ones. Where even this fails, the next look finds it changed.
                drop(self.file.set_len(self.length));
                Err(error)
            }
        }
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}{SUFFIX}"))
}

const SUFFIX: &str = ".queue";
const NOTE: &str = "sent";
/// The largest event, every character of it escaped, and what stands around it.
const LONGEST_LINE: u64 = 16 << 20;
