//! Grouped `fdatasync`: one thread for all recordings, at most 250 ms behind.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The loss window on power failure; the format document names it.
const INTERVAL: Duration = Duration::from_millis(250);

/// A file that may hold bytes that are not on the disk yet.
#[derive(Debug)]
pub(super) struct Unsynced {
    file: File,
    queued: AtomicBool,
    /// A sync failed: the kernel may have dropped what was written, and will not say so again.
    lost: AtomicBool,
}

impl Unsynced {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, queued: AtomicBool::new(false), lost: AtomicBool::new(false) })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Fails when an earlier sync has failed.
    pub(super) fn check(&self) -> io::Result<()> {
        if self.lost.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier fdatasync failed"));
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.file.sync_data().inspect_err(|_| self.lost.store(true, Ordering::Release))
    }
}

/// The thread's queue.
#[derive(Debug, Default)]
pub(super) struct Syncer {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    files: Vec<Arc<Unsynced>>,
    stop: bool,
}

/// Ends the thread when the last owner of the recordings is gone.
#[derive(Debug)]
pub(super) struct SyncerThread {
    pub(super) syncer: Arc<Syncer>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start() -> io::Result<SyncerThread> {
        let syncer = Arc::new(Syncer::default());
        let works = Arc::clone(&syncer);
        let thread = std::thread::Builder::new().name("recording-sync".to_owned()).spawn(move || works.run())?;
        Ok(SyncerThread { syncer, thread: Some(thread) })
    }

    /// The file is synced within the interval.
    pub(super) fn later(&self, file: &Arc<Unsynced>) {
        if file.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut queue = self.lock();
        queue.files.push(Arc::clone(file));
        if queue.files.len() == 1 {
            self.wake.notify_one();
        }
    }

    fn run(&self) {
        let mut files = Vec::new();
        while self.wait_for_files(&mut files) {
            let round = Instant::now();
            for file in files.drain(..) {
                // Before the sync: what is written during it needs another.
                file.queued.store(false, Ordering::Release);
                if let Err(error) = file.sync() {
                    tracing::error!(%error, "A recording could not be synced; its next append fails");
                }
            }
            self.pause(INTERVAL.saturating_sub(round.elapsed()));
        }
    }

    fn wait_for_files(&self, files: &mut Vec<Arc<Unsynced>>) -> bool {
        let mut queue = self.lock();
        while queue.files.is_empty() {
            if queue.stop {
                return false;
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut queue.files, files);
        true
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut queue = self.lock();
        while !queue.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SyncerThread {
    fn drop(&mut self) {
        self.syncer.lock().stop = true;
        self.syncer.wake.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The thread that syncs recordings had failed");
        }
    }
}
