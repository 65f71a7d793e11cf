//! Reading what was recorded, straight from the files: no database, no broker.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use sallyport_session_recorder::{Entry, Fault, FaultKind, Kind, ReadError, Reader, identities};
use serde_json::Value;

use crate::Plant;

/// One recording, read with the auditor's key.
pub struct Evidence {
    /// The session's id.
    pub session: String,
    /// Every entry up to the end, or to where the file was cut.
    pub entries: Vec<Entry>,
}

impl Evidence {
    /// Every recording of a plant, the oldest first.
    pub fn all(plant: &Plant) -> Vec<Evidence> {
        recordings(&plant.recordings_folder()).iter().map(|path| Evidence::read(path, &plant.auditor_key())).collect()
    }

    /// Whether a file has a whole header. One that was cut within it is of a session that did not begin.
    pub fn is_begun(path: &Path, key: &Path) -> bool {
        let key = identities(&fs::read_to_string(key).expect("the auditor's key")).expect("an age identity");
        let file = File::open(path).expect("a recording");
        let short = file.metadata().expect("its length").len() < 4096;
        !short || Reader::open(BufReader::new(file), &key, None).is_ok()
    }

    /// One file.
    #[track_caller]
    pub fn read(path: &Path, key: &Path) -> Evidence {
        Evidence::read_until(path, key, |_| false)
    }

    /// One file of which a power failure may have left no more than a beginning: what stands behind it is no block (a broker cuts
    /// that off before it seals the file). Anything else that is wrong with it is a fault, as in [`Evidence::read`].
    #[track_caller]
    pub fn read_what_is_left(path: &Path, key: &Path) -> Evidence {
        Evidence::read_until(path, key, |fault| fault.kind == FaultKind::Frame)
    }

    #[track_caller]
    fn read_until(path: &Path, key: &Path, is_the_end: impl Fn(&Fault) -> bool) -> Evidence {
        let key = identities(&fs::read_to_string(key).expect("the auditor's key")).expect("an age identity");
        let file = BufReader::new(File::open(path).expect("a recording"));
        let mut reader = Reader::open(file, &key, None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let session = reader.header().session.clone();
        let mut entries = Vec::new();
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => break,
                Err(ReadError::Fault(fault)) if is_the_end(&fault) => break,
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
        Evidence { session, entries }
    }

    /// The bytes of one kind, over all tracks, in the order in which they passed.
    pub fn content(&self, kind: Kind) -> Vec<u8> {
        self.entries.iter().filter(|entry| entry.kind == kind).flat_map(|entry| entry.body.clone()).collect()
    }

    /// Every operation on record.
    pub fn operations(&self) -> Vec<Value> {
        self.entries.iter().filter(|entry| entry.kind == Kind::Operation).filter_map(Entry::json).collect()
    }

    /// How the first track beside that of the session itself ended.
    #[track_caller]
    pub fn closed(&self) -> Value {
        let closed = |entry: &&Entry| entry.kind == Kind::Closed && entry.track.0 > 0;
        self.entries.iter().find(closed).and_then(Entry::json).expect("a track that has ended")
    }

    /// How many bytes of the person's a digest stands for.
    pub fn digested_input(&self) -> u64 {
        let input = |entry: &&Entry| matches!(entry.kind, Kind::InputDigest | Kind::InputFile);
        self.entries.iter().filter(input).filter_map(Entry::unstored).sum()
    }
}

/// The sessions that have ended, in the order in which they did, and how. Waits until none is live.
#[track_caller]
pub fn ended(plant: &Plant) -> Vec<(String, String)> {
    plant.quiet();
    let ended = plant.audit().into_iter().filter(|event| event["code"] == "SP-3002");
    let mut ended: Vec<_> = ended.map(|event| (event["seq"].as_u64(), event["event"].clone())).collect();
    ended.sort_by_key(|(number, _)| *number);
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    ended.iter().map(|(_, event)| (text(event, "session"), text(event, "end"))).collect()
}

/// How the sessions have ended, in that order.
#[track_caller]
pub fn ends(plant: &Plant) -> Vec<String> {
    ended(plant).into_iter().map(|(_, end)| end).collect()
}

/// How the only session so far ended, and its evidence, which verifies.
#[track_caller]
pub fn the_end(plant: &Plant) -> (String, Evidence) {
    let ends = ends(plant);
    assert_eq!(ends.len(), 1, "{ends:?}");
    let evidence = Evidence::all(plant).pop().expect("its recording");
    plant.sallyport(&["recording", "verify", &evidence.session]).ok();
    (ends[0].clone(), evidence)
}

/// The files of recordings below a folder, by name, which is by time.
pub fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "srec") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
