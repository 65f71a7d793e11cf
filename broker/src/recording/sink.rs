//! The file of one recording: append only, one `write` per append.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Mode;
use sallyport_session_recorder::Sink;

use super::path::RecordingPath;
use super::syncer::{Syncer, Unsynced};
use crate::config::Durability;

/// The file of a recording that is being made.
#[derive(Debug)]
pub struct FileSink {
    file: Arc<Unsynced>,
    syncer: Arc<Syncer>,
    durability: Durability,
    length: u64,
    faults: Option<Arc<Faults>>,
}

impl FileSink {
    /// Makes the file, which must not exist, and the folder of the day if need be.
    pub(super) fn create(
        folder: &Path,
        path: &RecordingPath,
        durability: Durability,
        syncer: &Arc<Syncer>,
        faults: Option<Arc<Faults>>,
    ) -> io::Result<Self> {
        make_folder(&folder.join(path.day()), durability, syncer)?;
        let (file, day) = path.create(folder)?;
        let sink = Self { file: Unsynced::new(file), syncer: Arc::clone(syncer), durability, length: 0, faults };
        sync_folder(day, durability, syncer)?;
        Ok(sink)
    }

    /// Makes everything so far survive a power failure.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            faults.strike(bytes.len())?;
        }
        // What an earlier sync has lost is not written again: the recording is over.
        self.file.check()?;
        self.file.file().write_all(bytes)
    }
}

impl Sink for FileSink {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.write(bytes) {
            // Half a block at the end helps nobody. If this fails too, the recovery at the next start cuts it.
            if let Err(second) = self.file.file().set_len(self.length) {
                tracing::warn!(error = %second, "The end of a failed recording could not be cut");
            }
            return Err(error);
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
pub fn open_file(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, open};
    let file = open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    Ok(File::from(file))
}

/// What a test lets happen to the disk.
#[derive(Debug, Default)]
pub struct Faults {
    room: AtomicU64,
    limited: std::sync::atomic::AtomicBool,
    delay_micros: AtomicU64,
    /// A write of so many bytes hangs; none does where it is 0.
    hangs_from: AtomicU64,
}

impl Faults {
    /// From now on the disk has room for this many bytes, then it is full.
    pub fn leave_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
        self.limited.store(true, Ordering::SeqCst);
    }

    /// The disk is mended.
    pub fn mend(&self) {
        self.limited.store(false, Ordering::SeqCst);
        self.delay_micros.store(0, Ordering::SeqCst);
        self.hangs_from.store(0, Ordering::SeqCst);
    }

    /// From now on every write takes at least this long.
    pub fn slow_down(&self, delay: std::time::Duration) {
        self.delay_micros.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// From now on every write of so many bytes or more hangs, until the disk is mended.
    pub fn hang_from(&self, bytes: u64) {
        self.hangs_from.store(bytes, Ordering::SeqCst);
    }

    fn hangs(&self, bytes: usize) -> bool {
        let from = self.hangs_from.load(Ordering::SeqCst);
        from > 0 && bytes as u64 >= from
    }

    fn strike(&self, bytes: usize) -> io::Result<()> {
        let delay = self.delay_micros.load(Ordering::SeqCst);
        if delay > 0 {
            std::thread::sleep(std::time::Duration::from_micros(delay));
        }
        while self.hangs(bytes) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if !self.limited.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.room
            .try_update(Ordering::SeqCst, Ordering::SeqCst, |room| room.checked_sub(bytes as u64))
            .map(drop)
            .map_err(|_| io::ErrorKind::StorageFull.into())
    }
}
