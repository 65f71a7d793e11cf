//! Evidence that a test reads back or breaks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sallyport_session_recorder::{Durability, Header, Keys, Kind, Moment, Part, RecordError, Recorder, Sink, TrackId};

use crate::session::Evidence;

/// Evidence that can be read back, and that fails at the n-th append.
#[derive(Default)]
pub(crate) struct Notebook {
    pub(crate) entries: Mutex<Vec<(TrackId, Kind, Vec<u8>)>>,
    /// A real recorder beside, whose length counts.
    pub(crate) recorder: Option<Mutex<Recorder<Nowhere>>>,
    /// Count bytes only; for floods.
    pub(crate) lengths_only: bool,
    pub(crate) fail_at: Option<usize>,
    /// How it breaks from now on.
    pub(crate) strike: Mutex<Option<Strike>>,
    pub(crate) appends: AtomicUsize,
    pub(crate) tracks: AtomicUsize,
}

/// How evidence breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strike {
    /// It fails.
    Fails,
    /// It takes so long.
    Hangs(Duration),
}

impl Notebook {
    fn note(&self, track: TrackId, kind: Kind, body: &[u8]) -> Result<(), RecordError> {
        let number = self.appends.fetch_add(1, Ordering::SeqCst);
        if self.fail_at.is_some_and(|fail_at| number >= fail_at) {
            return Err(RecordError::Failed);
        }
        if kind.is_json() && body.len() > sallyport_session_recorder::MAX_BODY {
            return Err(RecordError::TooLong(body.len()));
        }
        let body = if self.lengths_only && !kind.is_json() { &[] } else { body };
        self.entries.lock().unwrap().push((track, kind, body.to_vec()));
        Ok(())
    }

    pub(crate) fn bytes(&self, wanted: Kind) -> Vec<u8> {
        let entries = self.entries.lock().unwrap();
        entries.iter().filter(|(_, kind, _)| *kind == wanted).flat_map(|(_, _, body)| body.clone()).collect()
    }

    pub(crate) fn json(&self, wanted: Kind) -> Vec<serde_json::Value> {
        let entries = self.entries.lock().unwrap();
        let wanted = entries.iter().filter(|(_, kind, _)| *kind == wanted);
        wanted.map(|(_, _, body)| serde_json::from_slice(body).unwrap()).collect()
    }
}

impl Evidence for Notebook {
    fn opened(&self, body: &serde_json::Value) -> Result<TrackId, RecordError> {
        let track = TrackId(u32::try_from(self.tracks.fetch_add(1, Ordering::SeqCst)).unwrap() + 1);
        self.note(track, Kind::Opened, body.to_string().as_bytes()).map(|()| track)
    }

    fn append_all(&self, track: TrackId, parts: &mut [Part<'_>]) -> Result<(), RecordError> {
        let strike = *self.strike.lock().unwrap();
        match strike {
            None => {}
            Some(Strike::Fails) => return Err(RecordError::Failed),
            Some(Strike::Hangs(time)) => std::thread::sleep(time),
        }
        if let Some(recorder) = &self.recorder {
            recorder.lock().unwrap().append_all(now(), track, parts)?;
        }
        parts.iter().try_for_each(|part| match part {
            Part::Whole { kind, body } => self.note(track, *kind, body),
            Part::Bulk { direction, body, .. } => self.note(track, direction.content(), body),
            Part::File { direction, run } => self.note(track, direction.file(), &run.length.to_be_bytes()),
        })
    }
}

/// A sink that keeps nothing.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn append(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

fn now() -> Moment {
    let micros = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
    Moment { unix_micros: i64::try_from(micros).unwrap(), monotonic_micros: u64::try_from(micros).unwrap() }
}

/// Evidence by a real recorder, of which only the length is kept.
pub(crate) fn weighed() -> Notebook {
    let text = String::new;
    let header = Header {
        session: text(),
        broker: text(),
        identity: text(),
        source: text(),
        asset: text(),
        zone: text(),
        service: text(),
        account: text(),
        form: text(),
        started: now(),
        rule: text(),
        terms: serde_json::Value::Null,
        durability: Durability::Process,
    };
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let keys = Keys::new(&[recipient], ed25519_dalek::SigningKey::from_bytes(&[7; 32])).unwrap();
    let recorder = Recorder::start(Nowhere, &header, &Arc::new(keys), now()).unwrap();
    Notebook { recorder: Some(Mutex::new(recorder)), lengths_only: true, ..Notebook::default() }
}
