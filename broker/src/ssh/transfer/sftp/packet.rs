//! Packets of the sftp protocol, version 3 (draft-ietf-secsh-filexfer-02), as OpenSSH speaks it.
use bytes::Bytes;

use crate::ssh::transfer::Malformed;

/// Longest packet, its length field aside; OpenSSH's own bound.
pub(crate) const MAX_PACKET: usize = 256 * 1024;
/// Longest handle the draft allows.
pub(crate) const MAX_HANDLE: usize = 256;
/// The one version that is let through: later ones lay out packets differently.
pub(crate) const VERSION: u32 = 3;

pub(crate) const INIT: u8 = 1;
pub(crate) const SERVER_VERSION: u8 = 2;
pub(crate) const STATUS: u8 = 101;
pub(crate) const HANDLE: u8 = 102;
pub(crate) const DATA: u8 = 103;
pub(crate) const NAME: u8 = 104;
pub(crate) const ATTRS: u8 = 105;
pub(crate) const EXTENDED_REPLY: u8 = 201;

pub(crate) const FX_OK: u32 = 0;
pub(crate) const FX_EOF: u32 = 1;
pub(crate) const FX_PERMISSION_DENIED: u32 = 3;
pub(crate) const FX_FAILURE: u32 = 4;
pub(crate) const FX_OP_UNSUPPORTED: u32 = 8;

pub(crate) const OPEN_READ: u32 = 1;
pub(crate) const OPEN_WRITE: u32 = 2;
/// Read, write, append, create, truncate, exclusive.
pub(crate) const OPEN_KNOWN: u32 = 0x3f;

/// A client's request, as far as a verdict needs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    Init(u32),
    Open {
        path: &'a [u8],
        flags: u32,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    OpenDir {
        path: &'a [u8],
    },
    ReadDir {
        handle: &'a [u8],
    },
    /// stat, lstat, readlink, realpath, and extensions that only look.
    Look,
    /// fstat, and extensions that only look at an open file.
    LookAt {
        handle: &'a [u8],
    },
    /// Changes something that is named by path; the second path is the new name or the link's target.
    Change {
        what: &'static str,
        path: &'a [u8],
        other: Option<&'a [u8]>,
    },
    /// Changes an open file.
    ChangeAt {
        what: &'static str,
        handle: &'a [u8],
    },
    Copy {
        from: &'a [u8],
        to: &'a [u8],
    },
    /// Well-formed, and not one that is known.
    Unknown,
}

impl Request<'_> {
    /// The length of the longest path that is kept until the answer.
    pub(crate) fn longest_path(&self) -> usize {
        match self {
            Request::Open { path, .. } | Request::OpenDir { path } => path.len(),
            Request::Change { path, other, .. } => path.len().max(other.map_or(0, <[u8]>::len)),
            _ => 0,
        }
    }
}

/// A request, and what it takes of its packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read<'a> {
    pub(crate) id: u32,
    pub(crate) request: Request<'a>,
    /// Bytes of the packet's body that are the request. OpenSSH's server passes over what follows, and some clients send it (rclone
    /// behind the data of a write), so it is dropped.
    pub(crate) length: usize,
}

/// Reads one request: type byte, id, and the rest. `Init` has no id.
pub(crate) fn request(packet: &[u8]) -> Result<Read<'_>, Malformed> {
    let mut rest = Fields(packet);
    let (id, request) = identified(&mut rest)?;
    Ok(Read { id, request, length: packet.len() - rest.0.len() })
}

fn identified<'a>(rest: &mut Fields<'a>) -> Result<(u32, Request<'a>), Malformed> {
    let kind = rest.byte()?;
    if kind == INIT {
        // What follows the version are extensions of the client; none is passed on.
        return Ok((0, Request::Init(rest.u32()?)));
    }
    let id = rest.u32()?;
    let request = match kind {
        3 => {
            let (path, flags) = (rest.string()?, rest.u32()?);
            rest.attrs()?;
            Request::Open { path, flags }
        }
        4 => Request::Close { handle: rest.handle()? },
        5 => Request::Read { handle: rest.handle()?, offset: rest.u64()?, length: rest.u32()? },
        6 => Request::Write { handle: rest.handle()?, offset: rest.u64()?, data: rest.string()? },
        7 | 16 | 17 | 19 => {
            rest.string()?;
            Request::Look
        }
        8 => Request::LookAt { handle: rest.handle()? },
        9 | 14 => {
            let path = rest.string()?;
            rest.attrs()?;
            Request::Change { what: if kind == 9 { "setstat" } else { "mkdir" }, path, other: None }
        }
        10 => {
            let handle = rest.handle()?;
            rest.attrs()?;
            Request::ChangeAt { what: "fsetstat", handle }
        }
        11 => Request::OpenDir { path: rest.string()? },
        12 => Request::ReadDir { handle: rest.handle()? },
        13 => Request::Change { what: "remove", path: rest.string()?, other: None },
        15 => Request::Change { what: "rmdir", path: rest.string()?, other: None },
        18 => two_paths("rename", rest)?,
        20 => two_paths("symlink", rest)?,
        200 => extended(rest)?,
        _ => Request::Unknown,
    };
    Ok((id, request))
}

fn extended<'a>(rest: &mut Fields<'a>) -> Result<Request<'a>, Malformed> {
    Ok(match rest.string()? {
        b"posix-rename@openssh.com" => two_paths("rename", rest)?,
        b"hardlink@openssh.com" => two_paths("hardlink", rest)?,
        b"lsetstat@openssh.com" => {
            let path = rest.string()?;
            rest.attrs()?;
            Request::Change { what: "setstat", path, other: None }
        }
        b"fsync@openssh.com" => Request::ChangeAt { what: "fsync", handle: rest.handle()? },
        b"copy-data" => {
            let from = rest.handle()?;
            rest.u64()?;
            rest.u64()?;
            let to = rest.handle()?;
            rest.u64()?;
            Request::Copy { from, to }
        }
        b"statvfs@openssh.com" | b"expand-path@openssh.com" | b"home-directory" => {
            rest.string()?;
            Request::Look
        }
        b"fstatvfs@openssh.com" => Request::LookAt { handle: rest.handle()? },
        b"users-groups-by-id@openssh.com" => {
            rest.string()?;
            rest.string()?;
            Request::Look
        }
        b"limits@openssh.com" => Request::Look,
        _ => Request::Unknown,
    })
}

/// The extensions that a server's VERSION may offer through us: those that `extended` knows.
const EXTENSIONS: [&[u8]; 11] = [
    b"posix-rename@openssh.com",
    b"hardlink@openssh.com",
    b"lsetstat@openssh.com",
    b"fsync@openssh.com",
    b"copy-data",
    b"statvfs@openssh.com",
    b"fstatvfs@openssh.com",
    b"expand-path@openssh.com",
    b"home-directory",
    b"users-groups-by-id@openssh.com",
    b"limits@openssh.com",
];

fn two_paths<'a>(what: &'static str, rest: &mut Fields<'a>) -> Result<Request<'a>, Malformed> {
    Ok(Request::Change { what, path: rest.string()?, other: Some(rest.string()?) })
}

/// A server's answer, as far as a verdict needs it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'a> {
    Version(u32),
    Status(u32),
    Handle(&'a [u8]),
    Data(&'a [u8]),
    /// Names or attributes or the answer to an extension.
    Told,
}

/// Reads one answer: type byte, id, and the rest. `Version` has no id.
pub(crate) fn answer(packet: &[u8]) -> Result<(u32, Answer<'_>), Malformed> {
    let mut rest = Fields(packet);
    let kind = rest.byte()?;
    let id = rest.u32()?;
    let answer = match kind {
        SERVER_VERSION => return Ok((0, Answer::Version(id))),
        STATUS => Answer::Status(rest.u32()?),
        HANDLE => {
            let handle = rest.handle()?;
            rest.end()?;
            Answer::Handle(handle)
        }
        DATA => {
            let data = rest.string()?;
            rest.end()?;
            Answer::Data(data)
        }
        NAME | ATTRS | EXTENDED_REPLY => Answer::Told,
        _ => return Err(Malformed("the asset sent an sftp packet of an unknown type")),
    };
    Ok((id, answer))
}

/// The INIT that is passed on, whatever version the client would speak.
pub(crate) fn init() -> Bytes {
    let mut out = Vec::with_capacity(9);
    out.extend_from_slice(&5u32.to_be_bytes());
    out.push(INIT);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.into()
}

/// The server's VERSION with the extensions that are known here and no others.
pub(crate) fn version(packet: &[u8]) -> Result<Bytes, Malformed> {
    let mut rest = Fields(packet);
    rest.byte()?;
    rest.u32()?;
    let mut body = vec![SERVER_VERSION];
    body.extend_from_slice(&VERSION.to_be_bytes());
    while !rest.0.is_empty() {
        let (name, value) = (rest.string()?, rest.string()?);
        if EXTENSIONS.contains(&name) {
            put_string(&mut body, name);
            put_string(&mut body, value);
        }
    }
    Ok(framed(&body))
}

/// A STATUS of our own.
pub(crate) fn status(id: u32, code: u32, message: &str) -> Bytes {
    let mut body = vec![STATUS];
    body.extend_from_slice(&id.to_be_bytes());
    body.extend_from_slice(&code.to_be_bytes());
    put_string(&mut body, message.as_bytes());
    put_string(&mut body, b"");
    framed(&body)
}

/// A packet of this body.
pub(crate) fn framed(body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(4 + body.len());
    put_string(&mut out, body);
    out.into()
}

fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    // Nothing framed here is near 4 GiB: it all comes from packets of at most MAX_PACKET.
    out.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(string);
}

/// Takes fields from the front of a packet.
struct Fields<'a>(&'a [u8]);

const SHORT: Malformed = Malformed("an sftp packet ends too early");

impl<'a> Fields<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| SHORT)?;
        let (string, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
        self.0 = rest;
        Ok(string)
    }

    fn handle(&mut self) -> Result<&'a [u8], Malformed> {
        let handle = self.string()?;
        if handle.len() > MAX_HANDLE { Err(Malformed("an sftp handle is too long")) } else { Ok(handle) }
    }

    /// Attributes: flags, then what the flags name.
    fn attrs(&mut self) -> Result<(), Malformed> {
        let flags = self.u32()?;
        if flags & !0x8000_000f != 0 {
            return Err(Malformed("sftp attributes of an unknown kind"));
        }
        if flags & 1 != 0 {
            self.u64()?;
        }
        if flags & 2 != 0 {
            self.u64()?;
        }
        if flags & 4 != 0 {
            self.u32()?;
        }
        if flags & 8 != 0 {
            self.u64()?;
        }
        if flags & 0x8000_0000 != 0 {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed("an sftp packet goes on after its end")) }
    }
}

/// Cuts a stream into whole packets, however it arrives.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    /// The beginning of a packet whose rest has not come yet.
    kept: Vec<u8>,
}

impl Framer {
    /// The stream from the last cut on, if it holds a whole packet; give back what is left of it with `keep`.
    pub(crate) fn join(&mut self, bytes: Bytes) -> Result<Option<Bytes>, Malformed> {
        if self.kept.is_empty() {
            return Ok(Some(bytes));
        }
        self.kept.extend_from_slice(&bytes);
        Ok(Self::cut(&self.kept)?.map(|_| std::mem::take(&mut self.kept).into()))
    }

    /// The next whole packet at the front of `stream`, its length field included; `None` when there is none yet.
    pub(crate) fn cut(stream: &[u8]) -> Result<Option<usize>, Malformed> {
        let Some((length, rest)) = stream.split_first_chunk() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| SHORT)?;
        if length == 0 || length > MAX_PACKET {
            return Err(Malformed("an sftp packet has an impossible length"));
        }
        Ok((rest.len() >= length).then_some(4 + length))
    }

    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.kept = rest.to_vec();
    }
}
