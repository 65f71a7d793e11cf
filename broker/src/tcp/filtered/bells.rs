//! What the loops of a stream tell each other.
//!
//! They are one task, so nothing has to be scheduled for them: who has something for another loop rings its bell, and all are polled
//! again while a bell was rung for a loop that had been polled before.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// Rung for one loop, which hears it once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    awaited: AtomicBool,
}

/// What waits is still sent, within a bound, and nothing more is heard. Every loop hears of it.
#[derive(Debug, Default)]
pub(super) struct Ending {
    begun: AtomicBool,
    untold: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::Relaxed);
    }

    /// Waits until it is rung, or was.
    pub(super) async fn heard(&self) {
        poll_fn(|_| self.poll()).await;
    }

    /// The same, but not longer than until the end begins.
    pub(super) async fn heard_before(&self, ending: &Ending) {
        poll_fn(|_| if ending.has_begun() { Poll::Ready(()) } else { self.poll() }).await;
    }

    fn poll(&self) -> Poll<()> {
        let rung = self.rung.swap(false, Ordering::Relaxed);
        self.awaited.store(!rung, Ordering::Relaxed);
        if rung { Poll::Ready(()) } else { Poll::Pending }
    }

    /// True once for each time that it was rung behind the back of who waits for it.
    fn calls(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed)
    }
}

impl Ending {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
        self.untold.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) async fn begins(&self) {
        poll_fn(|_| if self.has_begun() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    fn calls(&self) -> bool {
        self.untold.swap(false, Ordering::Relaxed)
    }
}

/// Runs loops that tell each other by these bells and this ending, and by nothing else.
pub(super) async fn ringing<T>(loops: impl Future<Output = T>, bells: &[&Bell], ending: &Ending) -> T {
    let mut loops = pin!(loops);
    poll_fn(|context| {
        loop {
            let polled = loops.as_mut().poll(context);
            let called = bells.iter().fold(ending.calls(), |called, bell| bell.calls() || called);
            if polled.is_ready() || !called {
                return polled;
            }
        }
    })
    .await
}
