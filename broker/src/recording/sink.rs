//! The file of one recording: append only, one `write` per append.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::Mode;
use sallyport_session_recorder::Sink;

use super::path::RecordingPath;
use super::reserve::Claim;
use super::syncer::{Syncer, Unsynced};
use crate::config::Durability;

/// Where the bytes of recordings go.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Writes all of these behind what the file has.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()>;
}

/// Whatever the file lies on.
#[derive(Debug)]
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }
}

/// The file of a recording that is being made.
#[derive(Debug)]
pub(crate) struct FileSink {
    file: Arc<Unsynced>,
    syncer: Arc<Syncer>,
    durability: Durability,
    length: u64,
    disk: Arc<dyn Disk>,
    claim: Claim,
}

impl FileSink {
    /// Makes the file, which must not exist, and the folder of the day if need be.
    pub(super) fn create(
        folder: &Path,
        path: &RecordingPath,
        durability: Durability,
        syncer: &Arc<Syncer>,
        disk: Arc<dyn Disk>,
        claim: Claim,
    ) -> io::Result<Self> {
        make_folder(&folder.join(path.day()), durability, syncer)?;
        let (file, day) = path.create(folder)?;
        let sink = Self { file: Unsynced::new(file), syncer: Arc::clone(syncer), durability, length: 0, disk, claim };
        sync_folder(day, durability, syncer)?;
        Ok(sink)
    }

    /// Makes everything so far survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What an earlier sync has lost is not written again: the recording is over.
        self.file.check()?;
        self.claim.check()?;
        self.disk.write(self.file.file(), bytes)
    }
}

impl Sink for FileSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        while let Err(error) = self.write(bytes) {
            // Half a block at the end helps nobody. If this fails too, the recovery at the next start cuts it.
            if let Err(second) = self.file.file().set_len(self.length) {
                tracing::warn!(error = %second, "The end of a failed recording could not be cut");
                return Err(error);
            }
            if !self.claim.makes_room(&error) {
                return Err(error);
            }
        }
        self.length += bytes.len() as u64;
        match self.durability {
            Durability::Process => self.syncer.later(&self.file),
            Durability::Power => self.file.sync()?,
        }
        Ok(())
    }
}

/// Creates a folder and, one by one, those above it; readable for the broker alone.
pub(super) fn make_folder(folder: &Path, durability: Durability, syncer: &Arc<Syncer>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_folder(above, durability, syncer)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(File::open(above)?, durability, syncer)
}

/// Makes a folder's entries survive a power failure: at once, or with the next grouped sync.
fn sync_folder(folder: File, durability: Durability, syncer: &Arc<Syncer>) -> io::Result<()> {
    let folder = Unsynced::new(folder);
    match durability {
        Durability::Process => syncer.later(&folder),
        Durability::Power => folder.sync()?,
    }
    Ok(())
}

/// Opens a recording that was named as a file. A link in its place is not followed.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, open};
    let file = open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    Ok(File::from(file))
}
