//! What waits for one receiver, on disk: in order, within a bound, and there again after a crash.
//!
//! ```text
//!  append ─► 0000000003.queue ─► 0000000002.queue ─► read ─► sent ─► confirm ─► `sent`, and the segment goes
//! ```
//!
//! A line is the checksum of an event and the event. What another process cut, changed or removed is passed over and counted: the queue
//! goes on behind it. Nothing here is synced but by [`Queue::sync`]: what a loss of power takes, is in the audit chain.

mod line;
mod segment;

use std::collections::VecDeque;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub(super) use segment::Place;
use segment::{Segment, Written};

/// The queue of one receiver.
pub(super) struct Queue {
    folder: PathBuf,
    /// INVARIANT: no more bytes wait on disk.
    bound: u64,
    segment: u64,
    state: Mutex<State>,
    arrived: Notify,
}

struct State {
    /// The oldest first; the last is written.
    segments: VecDeque<Segment>,
    written: Option<Written>,
    read: Place,
    sent: Place,
    damaged: u64,
}

/// What came of adding events.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// How many found no place.
    pub(super) lost: u64,
    /// Why they did not.
    pub(super) reason: Option<String>,
}

/// Events that are next for the receiver.
#[derive(Debug)]
pub(super) struct Batch {
    /// The events, the oldest first.
    pub(super) events: Vec<String>,
    /// Where they end: what to confirm.
    pub(super) end: Place,
}

impl Queue {
    /// Opens the queue in a folder of its own, with what an earlier run left.
    pub(super) fn open(folder: &Path, bound: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        segment::mend(folder)?;
        let segments = segment::found(folder)?;
        let first = segments.front().map_or(1, |segment| segment.number);
        // Without a place all is sent again, which a receiver can tell; with one that is ahead, nothing would be.
        let noted =
            segment::noted(folder).filter(|place| segments.iter().any(|segment| segment.number == place.segment));
        let sent = noted.unwrap_or(Place { segment: first, offset: 0 });
        let state = State { segments, written: None, read: sent, sent, damaged: 0 };
        let segment = (bound / 16).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT);
        Ok(Self { folder: folder.to_owned(), bound, segment, state: Mutex::new(state), arrived: Notify::new() })
    }

    /// Adds events at the end, as many as there is room for.
    pub(super) fn append(&self, events: &[String]) -> Added {
        let mut state = self.state();
        let mut waiting = state.waiting();
        let (mut text, mut taken) = (String::new(), 0_u64);
        let mut added = Added::default();
        for event in events {
            let line = line::framed(event);
            let length = bytes(line.len());
            // Behind one that found no place none goes in: the order holds.
            if added.lost > 0 || waiting.saturating_add(length) > self.bound {
                added.lost += 1;
                added.reason = Some("its queue is full".to_owned());
                continue;
            }
            waiting += length;
            taken += 1;
            text.push_str(&line);
        }
        if !text.is_empty() {
            if let Err(error) = state.write(&self.folder, self.segment, &text) {
                added.lost += taken;
                added.reason = Some(format!("its queue cannot be written: {error}"));
            }
            self.arrived.notify_one();
        }
        added
    }

    /// The next events, up to so many and about so many bytes. They stay until they are confirmed.
    pub(super) fn read(&self, most: usize) -> io::Result<Batch> {
        let mut state = self.state();
        let mut events = Vec::new();
        let mut length = 0;
        loop {
            let at = state.read.segment;
            let taken = segment::read(&self.folder, state.read, most - events.len())?;
            state.damaged += taken.damaged;
            state.read.offset += taken.length;
            length += taken.length;
            events.extend(taken.events);
            if taken.cut {
                state.forget(&self.folder)?;
            }
            let next = state.segments.iter().map(|segment| segment.number).find(|number| *number > at);
            match next {
                Some(next) if taken.ended && events.len() < most && length < bytes(MOST_READ) => {
                    let left = state.segments.iter().find(|segment| segment.number == at);
                    state.damaged += u64::from(left.is_some_and(|left| left.length > state.read.offset));
                    state.read = Place { segment: next, offset: 0 };
                }
                _ => return Ok(Batch { events, end: state.read }),
            }
        }
    }

    /// What was read and is not confirmed is read again.
    pub(super) fn rewind(&self) {
        let mut state = self.state();
        state.read = state.sent;
    }

    /// Everything up to here has come to its receiver: it waits no more.
    pub(super) fn confirm(&self, place: Place) -> io::Result<()> {
        let mut state = self.state();
        if place <= state.sent {
            return Ok(());
        }
        state.sent = place;
        segment::note(&self.folder, place)?;
        while state.segments.front().is_some_and(|segment| segment.number < place.segment) {
            if let Some(gone) = state.segments.pop_front() {
                segment::remove(&self.folder, gone.number)?;
            }
        }
        Ok(())
    }

    /// How many bytes wait until they are confirmed.
    pub(super) fn waiting(&self) -> u64 {
        self.state().waiting()
    }

    /// Whether there is room again, well below the bound.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() < self.bound - self.bound / 8
    }

    /// In how many places it was damaged since the last time this was asked.
    pub(super) fn take_damage(&self) -> u64 {
        std::mem::take(&mut self.state().damaged)
    }

    /// What was added survives the loss of power when this returns.
    pub(super) fn sync(&self) -> io::Result<()> {
        let file: Option<File> = self.state().written.as_ref().map(|written| written.file.try_clone()).transpose()?;
        file.map_or(Ok(()), |file| file.sync_data())
    }

    /// Resolves when something was added since the last time.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn waiting(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|segment| segment.length).sum();
        all.saturating_sub(self.sent.offset)
    }

    fn write(&mut self, folder: &Path, segment: u64, text: &str) -> io::Result<()> {
        // What is not as this process left it, is somebody else's work: what was in it is passed over, and nothing is added to it.
        let changed = match &self.written {
            Some(written) => !written.is_as_left()?,
            None => false,
        };
        let full = self.written.as_ref().is_some_and(|written| written.length >= segment);
        if self.written.is_none() || changed || full {
            self.begin(folder)?;
        }
        let Some(written) = &mut self.written else { return Ok(()) };
        let result = written.add(text);
        if let Some(last) = self.segments.back_mut() {
            last.length = written.length;
        }
        result
    }

    /// Begins a segment behind all others. Where one stands already, that an earlier run was still writing when this one began, it is
    /// read in its place.
    fn begin(&mut self, folder: &Path) -> io::Result<()> {
        for _ in 0..MOST_FOREIGN {
            let number = self.segments.back().map_or(self.read.segment, |last| last.number) + 1;
            let (written, length) = match Written::create(folder, number) {
                Ok(written) => (Some(written), 0),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (None, segment::length(folder, number)?),
                Err(error) => return Err(error),
            };
            self.segments.push_back(Segment { number, length });
            if self.segments.len() == 1 {
                (self.read, self.sent) = (Place { segment: number, offset: 0 }, Place { segment: number, offset: 0 });
            }
            if written.is_some() {
                self.written = written;
                return Ok(());
            }
        }
        Err(io::Error::other("its folder is full of files that somebody else makes"))
    }

    /// The segment that is read is not what it was: nothing more is expected of it.
    fn forget(&mut self, folder: &Path) -> io::Result<()> {
        let Self { segments, written, read, damaged, .. } = self;
        let known = segments.len();
        if segments.back().is_some_and(|last| last.number == read.segment) {
            *written = None;
        }
        segments.retain(|segment| segment.number != read.segment);
        *damaged += u64::from(segments.len() < known);
        read.offset = 0;
        segment::remove(folder, read.segment)
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// What waits for a receiver in this folder, by its files alone: for whoever looks from outside.
pub(crate) fn waiting_in(folder: &Path) -> io::Result<u64> {
    let segments = segment::found(folder)?;
    let noted = segment::noted(folder);
    let waits = |segment: &&Segment| noted.is_none_or(|place| segment.number >= place.segment);
    let all: u64 = segments.iter().filter(waits).map(|segment| segment.length).sum();
    Ok(all.saturating_sub(noted.map_or(0, |place| place.offset)))
}

/// About so many bytes are read at once.
pub(super) const MOST_READ: usize = 256 << 10;
/// Segments of others that are met in a row.
const MOST_FOREIGN: usize = 100;
const SMALLEST_SEGMENT: u64 = 64 << 10;
const LARGEST_SEGMENT: u64 = 4 << 20;

#[cfg(test)]
mod tests;
