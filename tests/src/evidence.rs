//! Reading what was recorded, straight from the files: no database, no broker.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use sallyport_session_recorder::{Entry, Kind, Reader, identities};

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

    /// One file.
    #[track_caller]
    pub fn read(path: &Path, key: &Path) -> Evidence {
        let key = identities(&fs::read_to_string(key).expect("the auditor's key")).expect("an age identity");
        let file = BufReader::new(File::open(path).expect("a recording"));
        let mut reader = Reader::open(file, &key, None).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let session = reader.header().session.clone();
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap_or_else(|error| panic!("{}: {error}", path.display())) {
            entries.push(entry);
        }
        Evidence { session, entries }
    }

    /// The bytes of one kind, over all tracks, in the order in which they passed.
    pub fn content(&self, kind: Kind) -> Vec<u8> {
        self.entries.iter().filter(|entry| entry.kind == kind).flat_map(|entry| entry.body.clone()).collect()
    }

    /// How many bytes of the person's a digest stands for.
    pub fn digested_input(&self) -> u64 {
        let digests = self.entries.iter().filter(|entry| entry.kind == Kind::InputDigest);
        digests.filter_map(Entry::digest).map(|(length, _)| length).sum()
    }
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
