//! What every test needs: keys, a sink in memory, a small session.
use sallyport_session_recorder::types::{Identity, VerifyingKey};
use sallyport_session_recorder::{
    Durability, Entry, Header, Keys, Kind, Moment, Reader, Recorder, Sink, TrackId, Verification, VerifyError, verify,
};
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

/// The one person who can read, and the broker that signs.
pub(crate) static DESK: LazyLock<Desk> = LazyLock::new(|| Desk::new(7));

pub(crate) struct Desk {
    pub(crate) reader: Identity,
    pub(crate) keys: Arc<Keys>,
}

impl Desk {
    pub(crate) fn new(seed: u8) -> Desk {
        let reader = Identity::generate();
        let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let keys = Arc::new(Keys::new(&[reader.to_public().to_string()], signing).unwrap());
        Desk { reader, keys }
    }

    pub(crate) fn trusted(&self) -> [VerifyingKey; 1] {
        [self.keys.public_key()]
    }

    pub(crate) fn start(&self, memory: &Memory) -> Recorder<Memory> {
        Recorder::start(memory.clone(), &header("s1"), &self.keys, at(0)).unwrap()
    }

    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<Verification, VerifyError> {
        verify(bytes, &self.trusted())
    }

    pub(crate) fn read(&self, bytes: &[u8]) -> Vec<Entry> {
        self.reader(bytes).collect::<Result<_, _>>().unwrap()
    }

    pub(crate) fn reader<'a>(&self, bytes: &'a [u8]) -> Reader<&'a [u8]> {
        Reader::open(bytes, std::slice::from_ref(&self.reader), Some(&self.trusted())).unwrap()
    }

    /// A sealed recording with entries of every sort and several checkpoints.
    pub(crate) fn small(&self, session: &str) -> Vec<u8> {
        let memory = Memory::default();
        let mut recorder = Recorder::start(memory.clone(), &header(session), &self.keys, at(0)).unwrap();
        let json = |recorder: &mut Recorder<Memory>, ms, kind, text: &str| {
            recorder.append(at(ms), TrackId(1), kind, text.as_bytes()).unwrap();
        };
        json(&mut recorder, 1, Kind::Opened, r#"{"channel":"session"}"#);
        json(&mut recorder, 2, Kind::Request, r#"{"request":"exec","command":"status","answer":"success"}"#);
        recorder.append(at(3), TrackId(1), Kind::Output, b"all is well\n").unwrap();
        recorder.append(at(1500), TrackId(1), Kind::Output, &b"the same again ".repeat(40)).unwrap();
        recorder.append(at(1600), TrackId(1), Kind::Input, b"q").unwrap();
        recorder.checkpoint(at(2700)).unwrap();
        recorder.append(at(2800), TrackId(1), Kind::ErrorOutput, b"bye\n").unwrap();
        json(&mut recorder, 2900, Kind::Closed, r#"{"exit_status":0}"#);
        recorder.seal(at(3000), "closed", "by the person").unwrap();
        memory.bytes()
    }
}

/// A moment so many milliseconds after the start.
pub(crate) fn at(ms: i64) -> Moment {
    Moment {
        unix_micros: 1_795_420_800_000_000 + ms * 1000,
        monotonic_micros: u64::try_from(5_000_000 + ms * 1000).unwrap(),
    }
}

pub(crate) fn header(session: &str) -> Header {
    Header {
        session: session.to_owned(),
        broker: "gate-1".to_owned(),
        identity: "alice".to_owned(),
        source: "192.0.2.7".to_owned(),
        asset: "ews-1".to_owned(),
        zone: "cell-1".to_owned(),
        service: "ssh".to_owned(),
        account: "operator".to_owned(),
        form: "jump".to_owned(),
        started: at(0),
        rule: "role engineer, grant 1 (plant.toml:31)".to_owned(),
        terms: serde_json::json!({ "file_transfer": "download" }),
        durability: Durability::Process,
    }
}

/// A sink that keeps everything, and can fail.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    writes: usize,
    room: Option<usize>,
}

impl Memory {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().bytes.clone()
    }

    pub(crate) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    /// From now on there is room for so many bytes; a write that does not fit leaves what fits.
    pub(crate) fn leave_room(&self, bytes: usize) {
        self.state.lock().unwrap().room = Some(bytes);
    }
}

impl Sink for Memory {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.writes += 1;
        let fits = state.room.unwrap_or(usize::MAX).min(bytes.len());
        state.bytes.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - fits);
        Ok(())
    }
}

/// Where each block begins and ends, by the framing alone. The first element is the header.
pub(crate) fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let length = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 16 + length(12);
    let mut parts = vec![&bytes[..at]];
    while at < bytes.len() {
        let end = at + 5 + length(at + 1);
        parts.push(&bytes[at..end]);
        at = end;
    }
    parts
}
