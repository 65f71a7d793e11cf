//! A small SFTP server (version 3, draft-ietf-secsh-filexfer-02) over the workstation's files.
//!
//! One packet in, one packet out. No symbolic links are made or read; no path leaves the folder (see `root.rs`).

mod wire;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};

use rustix::fs::{Mode, OFlags, Stat};

use super::channel::{Gone, Input, Output};
use super::root::{Entry, Root, absolute};
use super::station::HOME;
use wire::{Answer, Attributes, Packet, Reader, Short, code, kind};

/// Serves until the client leaves or breaks the protocol.
pub(super) async fn serve(root: Root, input: &mut Input, output: &Output) -> Result<u32, Gone> {
    let mut server = Server { root, open: HashMap::new(), next: 0 };
    let mut received = Vec::new();
    while let Some(bytes) = input.next().await {
        received.extend_from_slice(&bytes);
        loop {
            let packet = match Packet::split(&mut received) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(Short) => return Ok(1),
            };
            let Ok(answer) = tokio::task::block_in_place(|| server.answer(&packet)) else { return Ok(1) };
            output.bytes(answer).await?;
        }
    }
    Ok(0)
}

struct Server {
    root: Root,
    open: HashMap<u32, Open>,
    next: u32,
}

enum Open {
    File { file: File, append: bool },
    Folder { entries: Vec<Entry> },
}

/// How a request went wrong: a status code for the client.
struct Fault(u32, String);

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Self(code::BAD_MESSAGE, "the request is cut short".to_owned())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::NotFound => code::NO_SUCH_FILE,
            io::ErrorKind::PermissionDenied => code::PERMISSION_DENIED,
            _ => code::FAILURE,
        };
        Self(code, error.kind().to_string())
    }
}

impl Server {
    fn answer(&mut self, packet: &Packet) -> Result<Vec<u8>, Short> {
        if packet.kind == kind::INIT {
            return Ok(Answer::version());
        }
        let mut reader = Reader::new(&packet.body);
        let id = reader.u32()?;
        Ok(match self.request(packet.kind, &mut reader, id) {
            Ok(answer) => answer,
            Err(Fault(code, message)) => Answer::status(id, code, &message),
        })
    }

    fn request(&mut self, kind: u8, reader: &mut Reader<'_>, id: u32) -> Result<Vec<u8>, Fault> {
        match kind {
            kind::OPEN => {
                let (path, wanted) = (path(reader)?, reader.u32()?);
                let attributes = reader.attributes()?;
                let open = self.open_file(&path, wanted, &attributes)?;
                self.keep(id, open)
            }
            kind::OPENDIR => {
                let entries = self.root.list(&path(reader)?)?;
                self.keep(id, Open::Folder { entries })
            }
            kind::CLOSE => {
                let handle = reader.handle()?;
                self.open.remove(&handle).map(|_| Answer::ok(id)).ok_or_else(unknown_handle)
            }
            kind::READ => self.read(reader, id),
            kind::WRITE => self.write(reader, id),
            kind::READDIR => self.read_folder(reader.handle()?, id),
            kind::STAT => Ok(Answer::attributes(id, &self.root.stat(&path(reader)?, true)?)),
            kind::LSTAT => Ok(Answer::attributes(id, &self.root.stat(&path(reader)?, false)?)),
            kind::FSTAT => {
                let file = self.file(reader.handle()?)?;
                Ok(Answer::attributes(id, &stat_of(file)?))
            }
            kind::SETSTAT => {
                let path = path(reader)?;
                let file = self.root.open(&path, OFlags::WRONLY, Mode::empty())?;
                change(&file, &reader.attributes()?).map(|()| Answer::ok(id))
            }
            kind::FSETSTAT => {
                let file = self.file(reader.handle()?)?;
                change(file, &reader.attributes()?).map(|()| Answer::ok(id))
            }
            kind::REMOVE => Ok(self.root.remove_file(&path(reader)?).map(|()| Answer::ok(id))?),
            kind::RMDIR => Ok(self.root.remove_folder(&path(reader)?).map(|()| Answer::ok(id))?),
            kind::MKDIR => Ok(self.root.make_folder(&path(reader)?).map(|()| Answer::ok(id))?),
            kind::RENAME => {
                let (from, to) = (path(reader)?, path(reader)?);
                Ok(self.root.rename(&from, &to, false).map(|()| Answer::ok(id))?)
            }
            kind::REALPATH => Ok(Answer::path(id, &path(reader)?)),
            kind::EXTENDED if reader.bytes()? == wire::POSIX_RENAME => {
                let (from, to) = (path(reader)?, path(reader)?);
                Ok(self.root.rename(&from, &to, true).map(|()| Answer::ok(id))?)
            }
            _ => Err(Fault(code::UNSUPPORTED, "this workstation does not do that".to_owned())),
        }
    }

    fn open_file(&self, path: &str, wanted: u32, attributes: &Attributes) -> Result<Open, Fault> {
        let mut flags = match wanted & (wire::READ | wire::WRITE) {
            wire::READ => OFlags::RDONLY,
            wire::WRITE => OFlags::WRONLY,
            0 => return Err(Fault(code::BAD_MESSAGE, "neither to read nor to write".to_owned())),
            _ => OFlags::RDWR,
        };
        let mut mode = Mode::empty();
        if wanted & wire::CREATE != 0 {
            flags |= OFlags::CREATE;
            mode = Mode::from_raw_mode(attributes.permissions.unwrap_or(0o644) & 0o777);
        }
        for (bit, flag) in
            [(wire::TRUNCATE, OFlags::TRUNC), (wire::EXCLUSIVE, OFlags::EXCL), (wire::APPEND, OFlags::APPEND)]
        {
            if wanted & bit != 0 {
                flags |= flag;
            }
        }
        let file = self.root.open(path, flags, mode)?;
        Ok(Open::File { file, append: wanted & wire::APPEND != 0 })
    }

    fn keep(&mut self, id: u32, open: Open) -> Result<Vec<u8>, Fault> {
        if self.open.len() >= MOST_OPEN {
            return Err(Fault(code::FAILURE, "too many files are open".to_owned()));
        }
        let handle = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(handle, open);
        Ok(Answer::handle(id, handle))
    }

    fn file(&self, handle: u32) -> Result<&File, Fault> {
        match self.open.get(&handle) {
            Some(Open::File { file, .. }) => Ok(file),
            Some(Open::Folder { .. }) | None => Err(unknown_handle()),
        }
    }

    fn read(&self, reader: &mut Reader<'_>, id: u32) -> Result<Vec<u8>, Fault> {
        let (handle, offset, length) = (reader.handle()?, reader.u64()?, reader.u32()?);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(MOST_READ).min(MOST_READ)];
        let read = self.file(handle)?.read_at(&mut bytes, offset)?;
        if read == 0 {
            return Err(Fault(code::EOF, "end of file".to_owned()));
        }
        Ok(Answer::data(id, &bytes[..read]))
    }

    fn write(&self, reader: &mut Reader<'_>, id: u32) -> Result<Vec<u8>, Fault> {
        let (handle, offset, bytes) = (reader.handle()?, reader.u64()?, reader.bytes()?);
        match self.open.get(&handle) {
            Some(Open::File { file, append: false }) => file.write_all_at(bytes, offset)?,
            Some(Open::File { file, append: true }) => io::Write::write_all(&mut &*file, bytes)?,
            Some(Open::Folder { .. }) | None => return Err(unknown_handle()),
        }
        Ok(Answer::ok(id))
    }

    fn read_folder(&mut self, handle: u32, id: u32) -> Result<Vec<u8>, Fault> {
        let Some(Open::Folder { entries }) = self.open.get_mut(&handle) else { return Err(unknown_handle()) };
        if entries.is_empty() {
            return Err(Fault(code::EOF, "no more entries".to_owned()));
        }
        let some = entries.drain(..entries.len().min(AT_ONCE)).collect::<Vec<_>>();
        Ok(Answer::names(id, &some))
    }
}

fn unknown_handle() -> Fault {
    Fault(code::FAILURE, "no such handle".to_owned())
}

fn path(reader: &mut Reader<'_>) -> Result<String, Fault> {
    let bytes = reader.bytes()?;
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let text = text.ok_or_else(|| Fault(code::NO_SUCH_FILE, "the name is not text".to_owned()))?;
    Ok(absolute(HOME, text))
}

fn stat_of(file: &File) -> io::Result<Stat> {
    Ok(rustix::fs::fstat(file)?)
}

fn change(file: &File, attributes: &Attributes) -> Result<(), Fault> {
    if let Some(size) = attributes.size {
        file.set_len(size)?;
    }
    if let Some(permissions) = attributes.permissions {
        file.set_permissions(std::fs::Permissions::from_mode(permissions & 0o777))?;
    }
    if let Some((accessed, modified)) = attributes.times {
        let time = |seconds: u32| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.into());
        file.set_times(std::fs::FileTimes::new().set_accessed(time(accessed)).set_modified(time(modified)))?;
    }
    Ok(())
}

const MOST_OPEN: usize = 64;
const MOST_READ: usize = 128 * 1024;
const AT_ONCE: usize = 100;

#[cfg(test)]
mod tests;
