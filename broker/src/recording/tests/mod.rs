//! The recorder and the disk: what is on it after a failure, and what an independent verifier says about it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use age::secrecy::ExposeSecret;
use jiff::Timestamp;
use sallyport_session_recorder::types::Identity;
use sallyport_session_recorder::{
    Budget, Direction, Entry, Header, Keys, Kind, Moment, Part, Reader, RecordError, State, TrackId, verify,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

mod faulty_disk;
mod hangs;
mod recovery;
mod reserve;
mod retention;

use self::faulty_disk::FaultyDisk;
use super::{Found, RecordingHandle, Recordings, RecordingsError, open_file};
use crate::audit::{Audit, AuditConfig, AuditEvent};
use crate::config::{Durability, RecordingConfig, Retention};
use crate::store::recordings::{Recording, RecordingState};
use crate::store::{DatabaseConfig, Store};

const T1: TrackId = TrackId(1);

struct Desk {
    folder: TempDir,
    reader: Identity,
    keys: Arc<Keys>,
    store: Store,
    audit: Audit,
    disk: Arc<FaultyDisk>,
    config: RecordingConfig,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("gate.db").display());
        let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let reader = Identity::generate();
        let keys = Arc::new(Keys::new(&[reader.to_public().to_string()], key.clone()).unwrap());
        let audit = Audit::start(AuditConfig {
            store: store.clone(),
            key,
            broker: "gate-1".to_owned(),
            actor: "gate-1".to_owned(),
            spool: None,
        });
        let config = RecordingConfig {
            dir: folder.path().join("recordings"),
            recipients: vec![reader.to_public().to_string()],
            durability: Durability::Process,
            cap: 1 << 30,
            warn_below: 0,
            low_below: 0,
            critical_below: 0,
            reserve: 0,
            keep: Retention::default(),
            retention: BTreeMap::new(),
        };
        Self { audit: audit.await.unwrap(), folder, reader, keys, store, disk: Arc::default(), config }
    }

    fn open(&self) -> Recordings {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Recordings, RecordingsError> {
        Recordings::open_on(
            Arc::<FaultyDisk>::clone(&self.disk),
            self.config.clone(),
            "gate-1",
            Arc::clone(&self.keys),
            self.store.clone(),
            self.audit.clone(),
        )
    }

    async fn start(&self, recordings: &Recordings, number: u8) -> RecordingHandle {
        self.try_start(recordings, number).await.unwrap()
    }

    async fn try_start(&self, recordings: &Recordings, number: u8) -> Result<RecordingHandle, RecordError> {
        self.enter(number).await;
        recordings.start(header(&session(number))).await
    }

    /// Enters a session that is about to be recorded.
    async fn enter(&self, number: u8) {
        let session = session(number);
        let mut write = self.store.begin_quiet_write().await.unwrap();
        sqlx::query(
            "INSERT INTO sessions (id, broker, identity, asset, zone, service, account, form, source, rule, terms, started_at)
             VALUES ($1, 'gate-1', 'alice', 'ews-1', 'cell-1', 'ssh', 'operator', 'jump', '192.0.2.7', '', '{}', 0)",
        )
        .bind(&session)
        .execute(&mut *write)
        .await
        .unwrap();
        write.commit().await.unwrap();
    }

    /// A session that has begun on record.
    async fn begin(&self, recordings: &Recordings, number: u8) -> RecordingHandle {
        let handle = self.start(recordings, number).await;
        self.audit
            .record(AuditEvent::SessionStarted {
                session: session(number),
                identity: "alice".to_owned(),
                source: "192.0.2.7".to_owned(),
                asset: "ews-1".to_owned(),
                zone: "cell-1".to_owned(),
                service: "ssh".to_owned(),
                account: "operator".to_owned(),
                form: "jump".to_owned(),
                rule: String::new(),
            })
            .await
            .unwrap();
        handle
    }

    /// Ends a session on record.
    async fn end(&self, handle: RecordingHandle) {
        let sealed = handle.seal("left", "").await.unwrap();
        self.audit
            .record(AuditEvent::SessionEnded {
                session: handle.session().to_owned(),
                identity: "alice".to_owned(),
                asset: "ews-1".to_owned(),
                end: "left".to_owned(),
                detail: String::new(),
                recording_head: Some(sealed.head_hex()),
                recording_bytes: Some(sealed.bytes),
                writes: None,
                tolerated: Vec::new(),
            })
            .await
            .unwrap();
    }

    /// What somebody does who can write the database.
    async fn sql(&self, statement: String) {
        let mut write = self.store.begin_quiet_write().await.unwrap();
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
    }

    fn path(&self, recording: &Recording) -> PathBuf {
        self.config.dir.join(&recording.start.path)
    }

    async fn catalogued(&self, number: u8) -> Recording {
        self.store.recording(&session(number)).await.unwrap()
    }

    fn read(&self, path: &Path) -> Vec<Entry> {
        let trusted = [self.keys.public_key()];
        let reader = Reader::open(open_file(path).unwrap(), std::slice::from_ref(&self.reader), Some(&trusted));
        reader.unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn state(&self, path: &Path) -> State {
        let verification = verify(open_file(path).unwrap(), &[self.keys.public_key()]).unwrap();
        assert_eq!(verification.fault, None);
        verification.state
    }

    /// The codes of the audit chain, in order.
    async fn codes(&self) -> Vec<String> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT code FROM audit ORDER BY seq")
            .fetch_all(self.store.reader().unwrap())
            .await
            .unwrap();
        rows.into_iter().map(|(code,)| code).collect()
    }

    /// What the verifier that was written from the document says: its report with the entries, and its exit code.
    fn independent(&self, path: &Path) -> (Value, Option<i32>) {
        let identity = self.folder.path().join("reader.key");
        std::fs::write(&identity, self.reader.to_string().expose_secret()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/verify_recording.py");
        let output = Command::new("/usr/bin/python3")
            .arg(script)
            .args(["--key", &self.keys.public_key_hex(), "--identity"])
            .args([&identity, path])
            .output()
            .unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (report, output.status.code())
    }
}

fn session(number: u8) -> String {
    format!("01jd{number:022}")
}

fn header(session: &str) -> Header {
    Header {
        session: session.to_owned(),
        broker: String::new(),
        identity: "alice".to_owned(),
        source: "192.0.2.7".to_owned(),
        asset: "ews-1".to_owned(),
        zone: "cell-1".to_owned(),
        service: "ssh".to_owned(),
        account: "operator".to_owned(),
        form: "jump".to_owned(),
        started: Moment { unix_micros: 0, monotonic_micros: 0 },
        rule: "role engineer, grant 1".to_owned(),
        terms: json!({}),
        durability: sallyport_session_recorder::Durability::Process,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_independent_verifier_proves_and_reads_what_was_recorded() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let track = handle.opened(&json!({ "channel": "session" })).unwrap();
    assert_eq!(track, T1);
    handle.json(track, Kind::Request, &json!({ "request": "exec", "command": "status" })).unwrap();
    handle.append(track, Kind::Output, &b"PRESSURE 12.5 bar OK\r\n".repeat(100)).unwrap();
    let mut bulk = [Part::Bulk { direction: Direction::Input, body: &[7; 5000], budget: &mut Budget::none() }];
    handle.append_all(track, &mut bulk).unwrap();
    let sealed = handle.seal("closed", "by the person").await.unwrap();
    let recording = desk.catalogued(1).await;
    assert_eq!(recording.state, RecordingState::Sealed);
    assert_eq!((recording.head, recording.bytes), (Some(sealed.head_hex()), sealed.bytes));

    let path = desk.path(&desk.catalogued(1).await);
    let (report, code) = desk.independent(&path);
    assert_eq!((report["verdict"].as_str(), code), (Some("sealed"), Some(0)), "{report}");
    assert_eq!(report["head"], sealed.head_hex());
    assert_eq!(report["proven_bytes"], sealed.bytes);
    let entries = report["entries"].as_array().unwrap();
    let ours = desk.read(&path);
    assert_eq!(entries.len(), ours.len());
    for (theirs, ours) in entries.iter().zip(&ours) {
        assert_eq!(theirs["kind"], ours.kind.word());
        assert_eq!(theirs["monotonic_micros"], ours.at.monotonic_micros);
        assert_eq!(theirs.get("json").cloned(), ours.json());
    }
    let text = data_encoding::BASE64.encode(&b"PRESSURE 12.5 bar OK\r\n".repeat(100));
    assert_eq!(entries[2]["base64"], text);
    assert_eq!((&entries[3]["kind"], &entries[3]["length"]), (&json!("input-digest"), &json!(5000)));

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() - 300;
    bytes[middle] ^= 1;
    let changed = desk.folder.path().join("changed.srec");
    std::fs::write(&changed, &bytes).unwrap();
    let (report, code) = desk.independent(&changed);
    assert_eq!((report["verdict"].as_str(), code), (Some("damaged"), Some(1)), "{report}");
    bytes[middle] ^= 1;
    std::fs::write(&changed, &bytes[..bytes.len() - 10]).unwrap();
    assert_eq!(desk.independent(&changed).1, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pumps_share_one_recording_and_lose_nothing() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let pumps: Vec<_> = (0..8)
        .map(|_| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let track = handle.opened(&json!({ "channel": "session" })).unwrap();
                for number in 0..200_u32 {
                    handle.append(track, Kind::Output, &number.to_be_bytes()).unwrap();
                }
            })
        })
        .collect();
    for pump in pumps {
        pump.await.unwrap();
    }
    handle.seal("closed", "").await.unwrap();
    let entries = desk.read(&desk.path(&desk.catalogued(1).await));
    for track in 1..=8 {
        let numbers: Vec<u32> = entries
            .iter()
            .filter(|entry| entry.track == TrackId(track) && entry.kind == Kind::Output)
            .map(|entry| u32::from_be_bytes(entry.body.as_slice().try_into().unwrap()))
            .collect();
        assert!(numbers.into_iter().eq(0..200), "track {track}");
    }
    assert!(entries.is_sorted_by_key(|entry| entry.at.monotonic_micros));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_the_recording_and_what_was_taken_is_there() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let failed = handle.failed();
    handle.append(T1, Kind::Input, b"taken").unwrap();
    desk.disk.leave_room(20);
    assert!(matches!(handle.append(T1, Kind::Input, b"not taken"), Err(RecordError::Sink(_))));
    assert!(*failed.borrow());
    desk.disk.mend();
    assert!(matches!(handle.append(T1, Kind::Input, b"nor this"), Err(RecordError::Failed)));
    assert!(handle.seal("recording-failed", "").await.is_err());
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Failed);

    let recovered = recordings.seal_failed().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].found, Found::Interrupted { cut: 0 });
    assert_eq!(recordings.seal_failed().await.unwrap(), []);
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Interrupted);
    let path = desk.path(&desk.catalogued(1).await);
    assert_eq!(desk.state(&path), State::Interrupted);
    let bodies: Vec<_> = desk.read(&path).into_iter().map(|entry| entry.body).collect();
    assert_eq!(bodies, [b"taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_before_the_session_refuses_it() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    desk.disk.leave_room(100);
    assert!(desk.try_start(&recordings, 1).await.is_err());
    let days = std::fs::read_dir(&desk.config.dir).unwrap().map(|entry| entry.unwrap().path());
    let left: Vec<_> = days.filter(|path| path.is_dir()).flat_map(|day| std::fs::read_dir(day).unwrap()).collect();
    assert!(left.is_empty(), "a file without a header: {left:?}");
    let mut desk = desk;
    drop(recordings);
    desk.config.critical_below = u64::MAX;
    let recordings = desk.open();
    assert!(recordings.may_start().is_err());
    assert!(matches!(desk.try_start(&recordings, 2).await, Err(RecordError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_slows_the_session_and_nothing_else() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    desk.disk.slow_down(Duration::from_millis(150));
    let slow = tokio::spawn(async move {
        handle.append(T1, Kind::Input, b"slow").unwrap();
        handle
    });
    let start = std::time::Instant::now();
    for _ in 0..10 {
        tokio::spawn(async {}).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(140), "{:?}", start.elapsed());
    let handle = slow.await.unwrap();
    desk.disk.mend();
    handle.seal("closed", "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_broker_left_is_sealed_as_interrupted_each_on_its_own() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    for number in 1..=4 {
        let handle = desk.start(&recordings, number).await;
        handle.append(T1, Kind::Input, &[number; 100]).unwrap();
        if number == 4 {
            handle.seal("closed", "").await.unwrap();
            let mut write = desk.store.begin_quiet_write().await.unwrap();
            // As if the broker had died between the seal and the catalogue.
            sqlx::query("UPDATE recordings SET state = 'open' WHERE session = $1")
                .bind(session(4))
                .execute(&mut *write)
                .await
                .unwrap();
            write.commit().await.unwrap();
        }
    }
    drop(recordings);
    let paths: Vec<PathBuf> = [
        desk.path(&desk.catalogued(1).await),
        desk.path(&desk.catalogued(2).await),
        desk.path(&desk.catalogued(3).await),
    ]
    .into();
    let mut damaged = std::fs::read(&paths[0]).unwrap();
    damaged[40] ^= 1;
    std::fs::write(&paths[0], damaged).unwrap();
    let mut torn = std::fs::read(&paths[1]).unwrap();
    torn.extend_from_slice(&[1, 0, 0, 1, 0, 9, 9]);
    std::fs::write(&paths[1], torn).unwrap();

    let recovered = desk.open().recover().await.unwrap();
    let found: Vec<Found> = recovered.into_iter().map(|each| each.found).collect();
    assert!(matches!(found[0], Found::Damaged(_)), "{found:?}");
    assert_eq!(found[1..], [Found::Interrupted { cut: 7 }, Found::Interrupted { cut: 0 }, Found::Whole]);
    let mut states = Vec::new();
    for number in 1..=4 {
        states.push(desk.catalogued(number).await.state);
    }
    use RecordingState::{Failed, Interrupted, Sealed};
    assert_eq!(states, [Failed, Interrupted, Interrupted, Sealed]);
    assert_eq!(desk.state(&paths[1]), State::Interrupted);
    assert_eq!(desk.read(&paths[1])[0].body, [2; 100]);
    let torn = paths[1].with_extension("srec.torn");
    assert_eq!(std::fs::read(&torn).unwrap(), [1, 0, 0, 1, 0, 9, 9]);
    assert_eq!(std::fs::metadata(&torn).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(desk.independent(&paths[2]).0["verdict"], "interrupted");
    assert_eq!(desk.codes().await, ["SP-4008", "SP-4007", "SP-4007", "SP-4007"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_never_reached_the_catalogue_is_found() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    handle.append(T1, Kind::Input, b"x").unwrap();
    let mut write = desk.store.begin_quiet_write().await.unwrap();
    sqlx::query("DELETE FROM recordings").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    drop((handle, recordings));
    let recovered = desk.open().recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Interrupted);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_of_one_name_do_not_share_a_folder() {
    let desk = Desk::new().await;
    let first = desk.open();
    assert!(matches!(desk.try_open(), Err(RecordingsError::InUse(_))));
    drop(first);
    assert!(desk.try_open().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_counts_as_a_failure_and_leaves_room_for_the_seal() {
    let mut desk = Desk::new().await;
    desk.config.cap = 200_000;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let mut noise = vec![0; 10_000];
    let error = loop {
        rand::fill(noise.as_mut_slice());
        if let Err(error) = handle.append(T1, Kind::Output, &noise) {
            break error;
        }
    };
    assert!(matches!(error, RecordError::Cap { cap: 200_000 }));
    assert!(*handle.failed().borrow());
    let sealed = handle.seal("recording-failed", "the cap").await.unwrap();
    assert!(sealed.bytes < 200_000);
    assert_eq!(desk.state(&desk.path(&desk.catalogued(1).await)), State::Sealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_recording_is_signed_within_two_seconds() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let stop = CancellationToken::new();
    let (looking, asked) = (recordings.clone(), stop.clone());
    let task = tokio::spawn(async move { looking.look_after(asked).await });
    handle.append(T1, Kind::Input, b"last key").unwrap();
    let path = desk.path(&desk.catalogued(1).await);
    let trusted = [desk.keys.public_key()];
    let proven = || verify(open_file(&path).unwrap(), &trusted).unwrap().unproven_bytes == 0;
    assert!(!proven());
    tokio::time::timeout(Duration::from_secs(5), async {
        while !proven() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_durability_power_everything_is_synced_before_the_call_returns() {
    let mut desk = Desk::new().await;
    desk.config.durability = Durability::Power;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    handle.append(T1, Kind::Input, b"x").unwrap();
    handle.seal("closed", "").await.unwrap();
    let path = desk.path(&desk.catalogued(1).await);
    let verification = verify(open_file(&path).unwrap(), &[desk.keys.public_key()]).unwrap();
    assert_eq!(verification.header.durability, sallyport_session_recorder::Durability::Power);
    assert_eq!(verification.header.broker, "gate-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_recording_takes_nothing_more() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let other = handle.clone();
    handle.seal("closed", "").await.unwrap();
    assert!(matches!(other.append(T1, Kind::Input, b"late"), Err(RecordError::Sealed)));
    assert!(matches!(other.seal("again", "").await, Err(RecordError::Sealed)));
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Sealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_that_is_a_path_is_refused() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    for id in ["../../../../etc/cron.d/abcd", "", "a/b"] {
        assert!(matches!(recordings.start(header(id)).await, Err(RecordError::Unavailable(_))), "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_passes_to_hashes_is_on_record_once_for_each_direction() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.start(&recordings, 1).await;
    let track = handle.opened(&json!({ "channel": "session" })).unwrap();
    let mut budgets = [Budget::new(1000, 0), Budget::new(1000, 0), Budget::none()];
    for _ in 0..3 {
        let [input, output, file] = &mut budgets;
        for (direction, budget) in [(Direction::Input, input), (Direction::Output, output), (Direction::Output, file)] {
            handle.append_all(track, &mut [Part::Bulk { direction, body: &[7; 600], budget }]).unwrap();
        }
    }
    let told = || async { desk.codes().await.into_iter().filter(|code| code == "SP-4015").count() };
    for _ in 0..100 {
        if told().await >= 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.seal("left", "").await.unwrap();
    assert_eq!(told().await, 2);
}
