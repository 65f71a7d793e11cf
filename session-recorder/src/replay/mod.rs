//! Replay: what to show, and how long to wait before it.
mod clean;
mod fit;
mod listen;

pub use clean::{PUT_BACK, Sanitizer};
pub use fit::Fit;
pub(crate) use listen::Heard;

use crate::entry::{Direction, Entry, TrackId};
use crate::export::Track;
use crate::header::Header;
use crate::read::ReadError;
use std::time::Duration;

/// How fast a replay goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// 2.0 is twice as fast.
    pub speed: f64,
    /// Pauses longer than this are cut to it.
    pub idle: Option<Duration>,
    /// Everything before this is shown at once.
    pub seek: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0, idle: None, seek: Duration::ZERO }
    }
}

/// One thing to show.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How long to wait before it.
    pub wait: Duration,
    /// Where it stands, from the start of the recording.
    pub offset: Duration,
    /// What to show.
    pub show: Show,
}

/// What a step shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    /// Bytes for a terminal, with everything taken out that could act on the terminal they are shown on.
    Bytes(Vec<u8>),
    /// The person's window got this size, in columns and rows.
    Resized(u16, u16),
}

/// The steps of one track.
pub struct Steps<I> {
    entries: I,
    started: crate::Moment,
    track: TrackId,
    terminal: bool,
    pace: Pace,
    shown_until: Duration,
    output: Stream,
    errors: Stream,
    /// Where the last entry of the track stands.
    last: Duration,
    ended: bool,
}

/// One of the two streams, and where the control string began that it may be in.
#[derive(Default)]
struct Stream {
    sanitizer: Sanitizer,
    began: Duration,
}

impl Stream {
    fn clean(&mut self, bytes: &[u8], lines: bool, offset: Duration) -> String {
        let before = self.sanitizer.strings();
        let shown = self.sanitizer.clean(bytes, lines);
        if self.sanitizer.strings() != before {
            self.began = offset;
        }
        shown
    }

    /// What is left, and since when it was held back.
    fn finish(&mut self) -> String {
        let hides = self.sanitizer.unfinished().is_some_and(|bytes| bytes > 0);
        let left = self.sanitizer.finish();
        if hides { format!("{left}[it began at {:.3} s]\r\n", self.began.as_secs_f64()) } else { left }
    }
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Steps<I> {
    /// Replays `track` out of the entries of a recording.
    pub fn new(header: &Header, track: &Track, entries: I, pace: Pace) -> Self {
        Self {
            entries,
            started: header.started,
            track: TrackId(track.track),
            terminal: track.terminal.is_some(),
            pace,
            shown_until: Duration::from_micros(track.from_micros).max(pace.seek),
            output: Stream::default(),
            errors: Stream::default(),
            last: Duration::ZERO,
            ended: false,
        }
    }

    fn show(&mut self, entry: &Entry) -> Option<Show> {
        if let Some((cols, rows)) = crate::export::window_change(entry) {
            return Some(Show::Resized(cols, rows));
        }
        let stream = match entry.kind.direction()? {
            Direction::Input => return None,
            Direction::Output => &mut self.output,
            Direction::ErrorOutput => &mut self.errors,
        };
        if let Some(length) = entry.unstored() {
            return Some(Show::Bytes(format!("\r\n[{length} bytes, recorded as SHA-256 only]\r\n").into_bytes()));
        }
        let shown = stream.clean(&entry.body, !self.terminal, self.last);
        (!shown.is_empty()).then(|| Show::Bytes(shown.into_bytes()))
    }

    /// What the streams still hold back, once.
    fn end(&mut self) -> Option<Step> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let left = self.output.finish() + &self.errors.finish();
        let show = (!left.is_empty()).then(|| Show::Bytes(left.into_bytes()))?;
        Some(Step { wait: Duration::ZERO, offset: self.last, show })
    }

    fn wait(&mut self, offset: Duration) -> Duration {
        let pause = offset.saturating_sub(self.shown_until);
        self.shown_until = self.shown_until.max(offset);
        let pause = self.pace.idle.map_or(pause, |idle| pause.min(idle));
        let speed = if self.pace.speed.is_finite() && self.pace.speed > 0.0 { self.pace.speed } else { 1.0 };
        Duration::try_from_secs_f64(pause.as_secs_f64() / speed).unwrap_or(pause)
    }
}

impl<I: Iterator<Item = Result<Entry, ReadError>>> Iterator for Steps<I> {
    type Item = Result<Step, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let entry = match self.entries.next() {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Some(Err(error)),
                None => return self.end().map(Ok),
            };
            if entry.track != self.track {
                continue;
            }
            self.last = Duration::from_micros(entry.at.micros_since(self.started));
            if let Some(show) = self.show(&entry) {
                return Some(Ok(Step { wait: self.wait(self.last), offset: self.last, show }));
            }
        }
    }
}
