//! How a body is stored.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use crate::{Durability, Reader, State, verify};

use super::*;

/// A sink that keeps everything.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn header() -> Header {
    let at = Moment { unix_micros: 0, monotonic_micros: 0 };
    let none = String::new;
    Header {
        session: "s1".to_owned(),
        broker: none(),
        identity: none(),
        source: none(),
        asset: none(),
        zone: none(),
        service: none(),
        account: none(),
        form: none(),
        started: at,
        rule: none(),
        terms: serde_json::Value::Null,
        durability: Durability::Process,
    }
}

/// What is compressed is for the writer to choose: what an earlier broker compressed, and what this one does not, is read alike.
#[test]
fn bodies_are_read_whether_they_were_worth_compressing_or_not() {
    let reader = age::x25519::Identity::generate();
    let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let keys = Arc::new(Keys::new(&[reader.to_public().to_string()], signing).unwrap());
    let bodies = [10, 64, 65, 300, 1023, 1024, 5000].map(|length| vec![b'x'; length]);
    let written = |compressed_from: Option<usize>| {
        let at = header().started;
        let mut recorder = Recorder::start(Memory::default(), &header(), &keys, at).unwrap();
        recorder.compressed_from = compressed_from.unwrap_or(recorder.compressed_from);
        for body in &bodies {
            recorder.append(at, TrackId(1), Kind::Operation, body).unwrap();
        }
        recorder.seal_in_place(at, "closed", "").unwrap();
        recorder.sink.0
    };
    let (now, earlier, never) = (written(None), written(Some(64)), written(Some(usize::MAX)));
    assert!(now.len() - earlier.len() > 1100 && never.len() - now.len() > 5800);
    for recording in [now, earlier, never] {
        let trusted = [keys.public_key()];
        assert_eq!(verify(recording.as_slice(), &trusted).unwrap().state, State::Sealed);
        let entries = Reader::open(recording.as_slice(), std::slice::from_ref(&reader), Some(&trusted)).unwrap();
        let read: Vec<_> = entries.map(|entry| entry.unwrap().body).collect();
        assert!(read == bodies);
    }
}
