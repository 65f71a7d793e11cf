//! Room on the disk that only emergencies may spend: a file of allocated blocks beside the recordings.
//!
//! It is taken when the broker starts, as far as the disk has it to give, and is given back piece by piece when the recording of
//! an emergency finds no room. From the first piece on ordinary recordings are refused, until the disk has room again: else a busy
//! session would eat what was kept for the emergency. Then the reserve is filled up again.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::FallocateFlags;

/// The reserve of one broker.
#[derive(Debug)]
pub(super) struct Reserve {
    wanted: u64,
    /// The file, and how long it is. None where there is to be none, or where the file system cannot allocate.
    held: Mutex<Option<Held>>,
    /// Something was given back, and the disk has no room yet.
    opened: AtomicBool,
    /// Recordings of emergencies that are being made.
    emergencies: AtomicUsize,
}

#[derive(Debug)]
struct Held {
    file: File,
    length: u64,
}

/// For whom a recording is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A session like any other.
    Ordinary,
    /// A session of an emergency: it may spend the reserve.
    Emergency,
}

/// How a recording meets a disk that is full.
#[derive(Debug)]
pub(super) struct Claim {
    reserve: Arc<Reserve>,
    urgency: Urgency,
}

impl Reserve {
    /// Takes the reserve that is there, and no more than is wanted. [`Self::fill`] makes it whole.
    pub(super) fn open(folder: &Path, broker: &str, wanted: u64) -> io::Result<Arc<Self>> {
        let held = match wanted {
            0 => {
                remove(&path(folder, broker))?;
                None
            }
            _ => Some(Held::open(&path(folder, broker), wanted)?),
        };
        Ok(Arc::new(Self {
            wanted,
            held: Mutex::new(held),
            opened: AtomicBool::new(false),
            emergencies: AtomicUsize::new(0),
        }))
    }

    /// Bytes that emergencies still have.
    pub(super) fn left(&self) -> u64 {
        self.held().as_ref().map_or(0, |held| held.length)
    }

    /// Whether something of it was given back, and is not there again.
    pub(super) fn is_open(&self) -> bool {
        self.opened.load(Ordering::Acquire)
    }

    /// Grows to what the disk has to give: never below the mark `low`, and never more than a quarter of what is there.
    pub(super) fn fill(&self, free: u64, low: u64) {
        if self.is_open() {
            return;
        }
        let mut held = self.held();
        let Some(inside) = held.as_mut() else { return };
        let target = target(self.wanted, free.saturating_add(inside.length), low);
        if target <= inside.length {
            return;
        }
        match inside.grow(target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!("The file system of the recordings cannot allocate room: emergencies have no reserve");
                *held = None;
            }
            Err(error) => tracing::warn!(%error, wanted = target, "The reserve for emergencies could not be filled"),
        }
    }

    /// Gives a piece back to the disk; `false` when nothing is left, or the disk does not take it.
    pub(super) fn give_back(&self) -> bool {
        let mut held = self.held();
        let Some(inside) = held.as_mut().filter(|inside| inside.length > 0) else { return false };
        // Before there is room that somebody else could take.
        self.opened.store(true, Ordering::Release);
        match inside.cut(inside.length.saturating_sub(PIECE)) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "The reserve for emergencies could not be given back");
                false
            }
        }
    }

    /// Makes sure that what stands around a recording has room too: folders, the spool of the audit, an embedded database.
    /// `free` says how much there is now.
    pub(super) fn make_room(&self, free: impl Fn() -> io::Result<u64>) -> io::Result<u64> {
        let mut left = free()?;
        while left < ELBOW_ROOM && self.give_back() {
            left = free()?;
        }
        Ok(left)
    }

    /// Looks after it: more room while emergencies go on; closed, and filled up again, when the disk has room.
    pub(super) fn tend(&self, free: impl Fn() -> io::Result<u64>, low: u64, critical: u64) -> io::Result<()> {
        let going_on = self.emergencies.load(Ordering::Acquire) > 0;
        let left = if going_on { self.make_room(&free)? } else { free()? };
        // What was given back is never so much: this is other room.
        if left >= critical.max(2 * ELBOW_ROOM) {
            self.opened.store(false, Ordering::Release);
        }
        self.fill(left, low);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn open(path: &Path, wanted: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.open(path)?;
        let found = file.metadata()?;
        let mut held = Self { file, length: found.len() };
        // A file with holes, as a copy has them, reserves nothing.
        let kept = if allocated(&found) >= found.len() { found.len().min(wanted) } else { 0 };
        if kept < held.length {
            held.cut(kept)?;
        }
        Ok(held)
    }

    fn grow(&mut self, length: u64) -> io::Result<()> {
        let grown = rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, length).map_err(io::Error::from);
        if let Err(error) = grown {
            // What was allocated before it failed stays beyond the end of the file, or in it: neither is counted on.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length = length;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        // Some file systems give blocks back only when the change is on disk.
        self.file.sync_all()?;
        self.length = length;
        Ok(())
    }
}

impl Claim {
    pub(super) fn new(reserve: &Arc<Reserve>, urgency: Urgency) -> Self {
        if urgency == Urgency::Emergency {
            reserve.emergencies.fetch_add(1, Ordering::AcqRel);
        }
        Self { reserve: Arc::clone(reserve), urgency }
    }

    /// Whether it may write at all: what was given back is not for everybody.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.urgency {
            Urgency::Ordinary if self.reserve.is_open() => {
                Err(io::Error::new(io::ErrorKind::StorageFull, "what room is left is kept for emergencies"))
            }
            Urgency::Ordinary | Urgency::Emergency => Ok(()),
        }
    }

    /// Makes room after a write that failed, if it may. `true`: it is worth another try.
    pub(super) fn makes_room(&self, error: &io::Error) -> bool {
        let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        full && self.urgency == Urgency::Emergency && self.reserve.give_back()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.urgency == Urgency::Emergency {
            self.reserve.emergencies.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// How much of it a broker has allocated; none when it never started.
pub(crate) fn reserve_found(folder: &Path, broker: &str) -> io::Result<Option<u64>> {
    match std::fs::symlink_metadata(path(folder, broker)) {
        Ok(file) => Ok(Some(allocated(&file).min(file.len()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn allocated(file: &std::fs::Metadata) -> u64 {
    file.blocks().saturating_mul(512)
}

/// How large it may be where there are `room` bytes, its own among them.
fn target(wanted: u64, room: u64, low: u64) -> u64 {
    wanted.min(room / 4).min(room.saturating_sub(low))
}

fn path(folder: &Path, broker: &str) -> PathBuf {
    super::path::of_broker(folder, broker, "reserve")
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What is given back at a time.
const PIECE: u64 = 4 << 20;
/// What stands around the recordings of an emergency wants this much.
const ELBOW_ROOM: u64 = 16 << 20;
