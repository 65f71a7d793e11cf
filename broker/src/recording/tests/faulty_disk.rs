//! A disk that fills up, slows down or hangs.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::recording::sink::{Disk, FileSystem};

/// A disk, and what a test lets happen to it.
#[derive(Debug, Default)]
pub(super) struct FaultyDisk {
    room: AtomicU64,
    limited: AtomicBool,
    delay_micros: AtomicU64,
    /// A write of so many bytes hangs; none does where it is 0.
    hangs_from: AtomicU64,
}

impl FaultyDisk {
    /// From now on the disk has room for this many bytes, then it is full.
    pub(super) fn leave_room(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
        self.limited.store(true, Ordering::SeqCst);
    }

    /// The disk is mended.
    pub(super) fn mend(&self) {
        self.limited.store(false, Ordering::SeqCst);
        self.delay_micros.store(0, Ordering::SeqCst);
        self.hangs_from.store(0, Ordering::SeqCst);
    }

    /// From now on every write takes at least this long.
    pub(super) fn slow_down(&self, delay: Duration) {
        self.delay_micros.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// From now on every write of so many bytes or more hangs, until the disk is mended.
    pub(super) fn hang_from(&self, bytes: u64) {
        self.hangs_from.store(bytes, Ordering::SeqCst);
    }

    fn hangs(&self, bytes: usize) -> bool {
        let from = self.hangs_from.load(Ordering::SeqCst);
        from > 0 && bytes as u64 >= from
    }

    fn strike(&self, bytes: usize) -> io::Result<()> {
        let delay = self.delay_micros.load(Ordering::SeqCst);
        if delay > 0 {
            std::thread::sleep(Duration::from_micros(delay));
        }
        while self.hangs(bytes) {
            std::thread::sleep(Duration::from_millis(1));
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

impl Disk for FaultyDisk {
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        self.strike(bytes.len())?;
        FileSystem.write(file, bytes)
    }
}
