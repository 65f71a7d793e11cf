//! Over writes that hold a worker and do not end.
//!
//! Of a runtime's workers one at a time waits for sockets and timers, the others wait for it to wake them. If just that one is held
//! before it had to wake another, nobody waits for sockets any more. So a thread that is none of theirs wakes one.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio::runtime::Handle;

use super::Held;

/// How often it looks.
const TICK: Duration = Duration::from_millis(10);
/// After so many looks at nothing it waits to be told of a write.
const LOOKS: u32 = 100;

/// The thread, which ends with its owner.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    handle: Thread,
}

impl Watch {
    pub(super) fn start(held: Arc<Held>, runtime: Handle) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("recording-watch".to_owned());
        let thread = thread.spawn(move || watch(&held, &runtime, &stopped))?;
        Ok(Self { stop, handle: thread.thread().clone(), thread: Some(thread) })
    }

    /// To be unparked where a write begins and nobody watches.
    pub(super) fn thread(&self) -> &Thread {
        &self.handle
    }
}

fn watch(held: &Held, runtime: &Handle, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        // A write that began before this was said is seen here, one that begins after it tells of itself.
        held.watched.store(false, Ordering::SeqCst);
        if held.is_free() {
            thread::park();
        }
        held.watched.store(true, Ordering::SeqCst);
        let mut left = LOOKS;
        while left > 0 && !stop.load(Ordering::Acquire) {
            thread::park_timeout(TICK);
            left = if held.is_free() { left - 1 } else { LOOKS };
            if held.is_late(held.now()) {
                // Whoever takes it waits for sockets afterwards, if nobody does. Again and again: it may be held before that.
                drop(runtime.spawn(async {}));
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.handle.unpark();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The thread that watches the writes of recordings had failed");
        }
    }
}
