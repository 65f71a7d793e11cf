//! The bytes of SFTP version 3.

use rustix::fs::Stat;

use super::super::root::Entry;

/// Types of packets.
pub(super) mod kind {
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const VERSION: u8 = 2;
    pub(in super::super) const OPEN: u8 = 3;
    pub(in super::super) const CLOSE: u8 = 4;
    pub(in super::super) const READ: u8 = 5;
    pub(in super::super) const WRITE: u8 = 6;
    pub(in super::super) const LSTAT: u8 = 7;
    pub(in super::super) const FSTAT: u8 = 8;
    pub(in super::super) const SETSTAT: u8 = 9;
    pub(in super::super) const FSETSTAT: u8 = 10;
    pub(in super::super) const OPENDIR: u8 = 11;
    pub(in super::super) const READDIR: u8 = 12;
    pub(in super::super) const REMOVE: u8 = 13;
    pub(in super::super) const MKDIR: u8 = 14;
    pub(in super::super) const RMDIR: u8 = 15;
    pub(in super::super) const REALPATH: u8 = 16;
    pub(in super::super) const STAT: u8 = 17;
    pub(in super::super) const RENAME: u8 = 18;
    pub(in super::super) const STATUS: u8 = 101;
    pub(in super::super) const HANDLE: u8 = 102;
    pub(in super::super) const DATA: u8 = 103;
    pub(in super::super) const NAME: u8 = 104;
    pub(in super::super) const ATTRS: u8 = 105;
    pub(in super::super) const EXTENDED: u8 = 200;
}

/// Status codes.
pub(super) mod code {
    pub(in super::super) const OK: u32 = 0;
    pub(in super::super) const EOF: u32 = 1;
    pub(in super::super) const NO_SUCH_FILE: u32 = 2;
    pub(in super::super) const PERMISSION_DENIED: u32 = 3;
    pub(in super::super) const FAILURE: u32 = 4;
    pub(in super::super) const BAD_MESSAGE: u32 = 5;
    pub(in super::super) const UNSUPPORTED: u32 = 8;
}

pub(super) const READ: u32 = 1;
pub(super) const WRITE: u32 = 2;
pub(super) const APPEND: u32 = 4;
pub(super) const CREATE: u32 = 8;
pub(super) const TRUNCATE: u32 = 16;
pub(super) const EXCLUSIVE: u32 = 32;

/// The extension that `sftp` and `scp` use to replace a file.
pub(super) const POSIX_RENAME: &[u8] = b"posix-rename@openssh.com";

/// A packet that ends before its content does, or is longer than any may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Short;

/// A whole packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) kind: u8,
    pub(super) body: Vec<u8>,
}

impl Packet {
    /// Takes the first packet off the bytes received, if it is all there.
    pub(super) fn split(received: &mut Vec<u8>) -> Result<Option<Self>, Short> {
        let Some(head) = received.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| Short)?;
        if length == 0 || length > LONGEST {
            return Err(Short);
        }
        if received.len() < 4 + length {
            return Ok(None);
        }
        let packet: Vec<u8> = received.drain(..4 + length).collect();
        Ok(Some(Self { kind: packet[4], body: packet[5..].to_vec() }))
    }
}

/// What a client says of a file.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) permissions: Option<u32>,
    pub(super) times: Option<(u32, u32)>,
}

/// Takes a body apart.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn u32(&mut self) -> Result<u32, Short> {
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or(Short)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*head))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Short> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or(Short)?;
        self.rest = rest;
        Ok(u64::from_be_bytes(*head))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Short> {
        let length = usize::try_from(self.u32()?).map_err(|_| Short)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Our handles are four bytes; nobody else's are known here.
    pub(super) fn handle(&mut self) -> Result<u32, Short> {
        let bytes = self.bytes()?;
        Ok(bytes.try_into().map_or(u32::MAX, u32::from_be_bytes))
    }

    pub(super) fn attributes(&mut self) -> Result<Attributes, Short> {
        let flags = self.u32()?;
        let mut attributes = Attributes::default();
        if flags & 1 != 0 {
            attributes.size = Some(self.u64()?);
        }
        if flags & 2 != 0 {
            // Owner and group: there is one user here.
            self.u64()?;
        }
        if flags & 4 != 0 {
            attributes.permissions = Some(self.u32()?);
        }
        if flags & 8 != 0 {
            attributes.times = Some((self.u32()?, self.u32()?));
        }
        Ok(attributes)
    }
}

/// Puts an answer together.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    fn new(kind: u8, number: u32) -> Self {
        Self { bytes: [&[0, 0, 0, 0, kind][..], &number.to_be_bytes()].concat() }
    }

    fn u32(mut self, number: u32) -> Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    fn string(self, bytes: &[u8]) -> Self {
        // No answer is longer than a packet.
        let mut longer = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        longer.bytes.extend_from_slice(bytes);
        longer
    }

    fn stat(self, stat: &Stat) -> Self {
        let mut longer = self.u32(1 | 2 | 4 | 8);
        longer.bytes.extend(u64::try_from(stat.st_size).unwrap_or(0).to_be_bytes());
        let seconds = |seconds: i64| u32::try_from(seconds).unwrap_or(0);
        // Owner and group: one user, and no number of the machine below.
        longer.u32(1000).u32(1000).u32(stat.st_mode).u32(seconds(stat.st_atime)).u32(seconds(stat.st_mtime))
    }

    fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len() - 4).unwrap_or(u32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }

    pub(super) fn version() -> Vec<u8> {
        Self::new(kind::VERSION, 3).string(POSIX_RENAME).string(b"1").done()
    }

    pub(super) fn ok(id: u32) -> Vec<u8> {
        Self::status(id, code::OK, "")
    }

    pub(super) fn status(id: u32, code: u32, message: &str) -> Vec<u8> {
        Self::new(kind::STATUS, id).u32(code).string(message.as_bytes()).string(b"en").done()
    }

    pub(super) fn handle(id: u32, handle: u32) -> Vec<u8> {
        Self::new(kind::HANDLE, id).string(&handle.to_be_bytes()).done()
    }

    pub(super) fn data(id: u32, bytes: &[u8]) -> Vec<u8> {
        Self::new(kind::DATA, id).string(bytes).done()
    }

    pub(super) fn attributes(id: u32, stat: &Stat) -> Vec<u8> {
        Self::new(kind::ATTRS, id).stat(stat).done()
    }

    pub(super) fn path(id: u32, path: &str) -> Vec<u8> {
        Self::new(kind::NAME, id).u32(1).string(path.as_bytes()).string(path.as_bytes()).u32(0).done()
    }

    pub(super) fn names(id: u32, entries: &[Entry]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let begun = Self::new(kind::NAME, id).u32(count);
        entries
            .iter()
            .fold(begun, |answer, entry| answer.string(&entry.name).string(&long(entry)).stat(&entry.stat))
            .done()
    }
}

/// A line as `ls -l` has it: `sftp` shows it as it is.
fn long(entry: &Entry) -> Vec<u8> {
    let mode = entry.stat.st_mode;
    let kind = match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::Directory => 'd',
        rustix::fs::FileType::Symlink => 'l',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().enumerate();
    let bits: String = bits.map(|(at, bit)| if mode & (0o400 >> at) != 0 { bit } else { '-' }).collect();
    let time = jiff::Timestamp::from_second(entry.stat.st_mtime).unwrap_or_default();
    let shown = time.strftime("%b %d %H:%M");
    let mut line = format!("{kind}{bits}    1 operator operator {:>10} {shown} ", entry.stat.st_size).into_bytes();
    line.extend_from_slice(&entry.name);
    line
}

const LONGEST: usize = 256 * 1024 + 1024;
