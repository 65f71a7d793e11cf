//! Keys that are good for nothing else, a recording, and a place in memory for one.

use std::io;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sallyport_session_recorder::types::{Identity, VerifyingKey};
use sallyport_session_recorder::{Durability, Header, Keys, Kind, Moment, Recorder, Sink, TrackId, identities};

/// The one who can read, and the broker that signs.
pub(super) struct Desk {
    pub(super) readers: Vec<Identity>,
    pub(super) keys: Arc<Keys>,
    pub(super) trusted: Vec<VerifyingKey>,
}

pub(super) static DESK: LazyLock<Desk> = LazyLock::new(|| {
    let readers = identities(READER).expect("an identity");
    let recipients: Vec<String> = readers.iter().map(|reader| reader.to_public().to_string()).collect();
    let signing = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let trusted = vec![signing.verifying_key()];
    Desk { readers, keys: Arc::new(Keys::new(&recipients, signing).expect("a recipient")), trusted }
});

/// 32 times the byte 7.
const READER: &str = "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K";

/// A whole recording with entries of several kinds and three checkpoints.
pub(super) static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let memory = Memory::default();
    let start = header().started;
    let after = |ms: u64| Moment {
        unix_micros: start.unix_micros + 1000 * i64::try_from(ms).expect("soon"),
        monotonic_micros: start.monotonic_micros + 1000 * ms,
    };
    let mut recorder = Recorder::start(memory.clone(), &header(), &DESK.keys, start).expect("room in memory");
    let again = b"the same again ".repeat(20);
    let entries: [(u64, Kind, &[u8]); 5] = [
        (1, Kind::Opened, br#"{"channel":"session"}"#),
        (2, Kind::Request, br#"{"request":"exec","command":"status","answer":"success"}"#),
        (1500, Kind::Output, &again),
        (1600, Kind::Input, b"q"),
        (2800, Kind::Closed, br#"{"exit_status":0}"#),
    ];
    for (ms, kind, body) in entries {
        recorder.append(after(ms), TrackId(1), kind, body).expect("room in memory");
    }
    recorder.seal(after(3000), "closed", "by the person").expect("room in memory");
    memory.take()
});

pub(super) fn header() -> Header {
    let word = |text: &str| text.to_owned();
    Header {
        session: word("s1"),
        broker: word("gate-1"),
        identity: word("alice"),
        source: word("192.0.2.7"),
        asset: word("plc-1"),
        zone: word("cell-1"),
        service: word("modbus"),
        account: word("-"),
        form: word("forward"),
        started: Moment { unix_micros: 1_795_420_800_000_000, monotonic_micros: 5_000_000 },
        rule: word("role engineer, grant 1 (plant.toml:31)"),
        terms: serde_json::Value::Null,
        durability: Durability::Process,
    }
}

/// Where each block lies, by the framing alone, as far as that leads. The first is the header.
pub(super) fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let number =
        |at: usize| bytes.get(at..at + 4).map(|four| four.iter().fold(0, |all, byte| all << 8 | usize::from(*byte)));
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut next = number(12).map(|length| 16 + length);
    while let Some(end) = next.filter(|end| *end <= bytes.len() && start < bytes.len()) {
        parts.push(start..end);
        start = end;
        next = number(end + 1).map(|length| end + 5 + length);
    }
    parts
}

/// A sink that keeps everything.
#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(())
    }
}
