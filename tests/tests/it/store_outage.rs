//! The database goes away in the middle: live sessions go on, their events wait on disk and enter once; nothing new begins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use sallyport::audit::{Audit, AuditConfig, AuditEntry, AuditError, AuditEvent, Expected, verify_store};
use sallyport::store::{DatabaseConfig, Store};
use sallyport_tests::Postgres;
use tempfile::TempDir;

use crate::store::{Database, within};

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

async fn start(store: &Store, spool: &Path) -> Result<Audit, AuditError> {
    let (store, spool) = (store.clone(), Some(spool.to_owned()));
    Audit::start(AuditConfig { store, key: key(), broker: "b1".into(), actor: "b1".into(), spool }).await
}

/// An event of a live session.
fn file(number: usize) -> AuditEvent {
    AuditEvent::FileRefused {
        session: "s1".into(),
        identity: "alice".into(),
        asset: "ews-1".into(),
        via: "sftp".into(),
        operation: "open-write".into(),
        path: format!("/tmp/{number}"),
    }
}

/// An event of something that would begin.
fn login() -> AuditEvent {
    AuditEvent::LoginAccepted { identity: "alice".into(), source: "10.0.0.10".into(), factors: vec![], lease: None }
}

async fn chain(store: &Store) -> Vec<AuditEntry> {
    let found = verify_store(store, &[key().verifying_key()], Expected::default()).await.expect("a readable chain");
    assert!(found.whole(), "{:?}", found.faults);
    store.audit_page(0, 10_000).await.expect("a readable chain")
}

/// The numbers of the files in the chain, in its order.
fn numbers(chain: &[AuditEntry]) -> Vec<usize> {
    chain
        .iter()
        .filter(|entry| entry.code == "SP-3006")
        .map(|entry| {
            let event: serde_json::Value = serde_json::from_str(&entry.event).expect("JSON");
            event["path"].as_str().and_then(|path| path.rsplit('/').next()?.parse().ok()).expect("a number")
        })
        .collect()
}

fn codes(chain: &[AuditEntry]) -> Vec<&str> {
    chain.iter().map(|entry| entry.code.as_str()).collect()
}

/// Waits until the flag has this value.
async fn until<T: PartialEq + Copy>(mut flag: tokio::sync::watch::Receiver<T>, value: T, what: &str) {
    within(Duration::from_secs(15), what, flag.wait_for(|now| *now == value)).await.expect("a living watcher");
}

/// A server of its own with a store and an audit on it.
struct Plant {
    server: Postgres,
    store: Store,
    config: DatabaseConfig,
    directory: TempDir,
}

impl Plant {
    async fn new() -> Self {
        let server = Postgres::start();
        let config = DatabaseConfig::url(server.database());
        let store = Store::open(&config).await.expect("an open store");
        Self { server, store, config, directory: TempDir::new().expect("a directory") }
    }

    fn spool(&self) -> PathBuf {
        self.directory.path().join("audit.spool")
    }

    async fn crash(&self) {
        let available = self.store.available();
        self.server.crash();
        until(available, false, "noticing the outage").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn events_of_live_sessions_wait_on_disk_and_enter_once_in_order() {
    let plant = Plant::new().await;
    let audit = start(&plant.store, &plant.spool()).await.unwrap();
    audit.record(file(0)).await.unwrap();
    plant.crash().await;

    for number in 1..=20 {
        within(Duration::from_secs(7), "spooling", audit.record(file(number))).await.unwrap();
    }
    assert_eq!(*audit.waiting().borrow(), 20);
    let refused = within(Duration::from_secs(7), "the refusal", audit.record(login())).await;
    assert!(matches!(refused, Err(AuditError::Unavailable(_))), "{refused:?}");

    plant.server.start_again();
    until(audit.waiting(), 0, "reconciling").await;
    until(plant.store.available(), true, "coming back").await;
    audit.record(file(21)).await.unwrap();
    audit.record(login()).await.unwrap();
    let chain = chain(&plant.store).await;
    assert_eq!(numbers(&chain), (0..=21).collect::<Vec<_>>());
    let last: Vec<_> = codes(&chain).split_off(21);
    assert_eq!(last, ["SP-7001", "SP-3006", "SP-1001"]);
    assert!(chain[21].event.contains(r#""events":20"#), "{}", chain[21].event);
    assert_eq!(std::fs::metadata(plant.spool()).unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_server_may_die_again_and_again_under_load() {
    let plant = Plant::new().await;
    let audit = start(&plant.store, &plant.spool()).await.unwrap();
    let available = plant.store.available();
    let recorder = tokio::spawn(async move {
        for number in 0..400 {
            audit.record(file(number)).await.unwrap_or_else(|error| panic!("event {number}: {error}"));
            tokio::task::yield_now().await;
            if number % 100 == 99 {
                // Let the test take the server away somewhere in each hundred.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        audit
    });
    for _ in 0..3 {
        plant.server.crash();
        plant.server.start_again();
        until(available.clone(), true, "coming back").await;
    }
    let audit = within(Duration::from_secs(60), "all events", recorder).await.unwrap();
    until(audit.waiting(), 0, "reconciling").await;
    let chain = chain(&plant.store).await;
    assert_eq!(numbers(&chain), (0..400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_away_everything_fails_at_once_and_changes_are_heard_after() {
    let plant = Plant::new().await;
    let mut changes = plant.store.changes();
    plant.crash().await;
    let limit = Duration::from_millis(500);
    let read = within(limit, "a read", plant.store.brokers()).await;
    assert!(read.as_ref().is_err_and(sallyport::store::StoreError::is_unavailable), "{read:?}");
    let write = within(limit, "a write", plant.store.begin_write()).await;
    assert!(write.is_err_and(|error| error.is_unavailable()));
    let open = Store::open(&plant.config).await;
    assert!(open.as_ref().is_err_and(sallyport::store::StoreError::is_unavailable), "{open:?}");

    plant.server.start_again();
    until(plant.store.available(), true, "coming back").await;
    // Whatever was missed: a tick after the reconnection, then news as ever.
    within(Duration::from_secs(5), "the tick after", changes.changed()).await.unwrap();
    let other = Store::open(&plant.config).await.unwrap();
    while tokio::time::timeout(Duration::from_millis(700), changes.changed()).await.is_ok() {}
    other.begin_write().await.unwrap().commit().await.unwrap();
    within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_killed_broker_left_on_disk_enters_at_its_next_start() {
    let plant = Plant::new().await;
    let audit = start(&plant.store, &plant.spool()).await.unwrap();
    audit.record(file(0)).await.unwrap();
    plant.crash().await;
    for number in 1..=5 {
        audit.record(file(number)).await.unwrap();
    }
    // Two brokers do not share one spool.
    let second = start(&plant.store, &plant.spool()).await;
    assert!(matches!(second, Err(AuditError::Spool(_))), "{second:?}");
    let left = std::fs::read(plant.spool()).unwrap();
    drop(audit);

    plant.server.start_again();
    until(plant.store.available(), true, "coming back").await;
    // Killed in the middle of a line: that one was never acknowledged.
    let again = plant.directory.path().join("again.spool");
    std::fs::write(&again, [&left[..], br#"{"draft":{"id":"01"#].concat()).unwrap();
    let audit = start(&plant.store, &again).await.unwrap();
    assert_eq!(numbers(&chain(&plant.store).await), [0, 1, 2, 3, 4, 5]);
    drop(audit);

    // Killed after the database had them and before the file was emptied: they do not enter twice.
    let third = plant.directory.path().join("third.spool");
    std::fs::write(&third, &left).unwrap();
    let audit = start(&plant.store, &third).await.unwrap();
    audit.record(file(6)).await.unwrap();
    let chain = chain(&plant.store).await;
    assert_eq!(numbers(&chain), [0, 1, 2, 3, 4, 5, 6]);
    let known = chain.iter().rfind(|entry| entry.code == "SP-7001").unwrap();
    assert!(known.event.contains(r#""events":0,"#) && known.event.contains(r#""known":5,"#), "{}", known.event);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_changed_spool_is_kept_and_reported() {
    let plant = Plant::new().await;
    let audit = start(&plant.store, &plant.spool()).await.unwrap();
    plant.crash().await;
    for number in 1..=4 {
        audit.record(file(number)).await.unwrap();
    }
    let text = std::fs::read_to_string(plant.spool()).unwrap();
    drop(audit);
    plant.server.start_again();
    until(plant.store.available(), true, "coming back").await;
    let lines: Vec<&str> = text.lines().collect();
    let changes: [(&str, String); 3] = [
        ("edited", text.replacen("/tmp/3", "/tmp/9", 1)),
        ("removed", [lines[0], lines[1], lines[3], ""].join("\n")),
        ("not JSON", [lines[0], lines[1], "nonsense", lines[3], ""].join("\n")),
    ];
    for (number, (what, changed)) in changes.into_iter().enumerate() {
        let path = plant.directory.path().join(format!("{number}.spool"));
        std::fs::write(&path, &changed).unwrap();
        let audit = start(&plant.store, &path).await.unwrap();
        let chain = chain(&plant.store).await;
        assert_eq!(numbers(&chain), [1, 2], "{what}");
        let report = chain.last().unwrap();
        assert_eq!(report.code, "SP-7002", "{what}");
        let event: serde_json::Value = serde_json::from_str(&report.event).unwrap();
        assert_eq!(event["line"], 3, "{what}");
        assert_eq!(std::fs::read_to_string(event["kept_as"].as_str().unwrap()).unwrap(), changed, "{what}");
        drop(audit);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_spool_that_takes_nothing_ends_the_session() {
    let plant = Plant::new().await;
    let audit = start(&plant.store, &plant.spool()).await.unwrap();
    plant.crash().await;
    let large = |number: usize| {
        let AuditEvent::FileRefused { session, identity, asset, via, operation, .. } = file(number) else {
            panic!("another event")
        };
        AuditEvent::FileRefused { session, identity, asset, via, operation, path: "x".repeat(1_000_000) }
    };
    let mut taken = 0;
    let refused = loop {
        match audit.record(large(taken)).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "no bound");
    };
    assert!(matches!(refused, AuditError::Spool(_)), "{refused}");
    assert!((60..70).contains(&taken), "{taken}");
    // What was taken is whole.
    plant.server.start_again();
    until(audit.waiting(), 0, "reconciling").await;
    until(plant.store.available(), true, "coming back").await;
    assert_eq!(chain(&plant.store).await.iter().filter(|entry| entry.code == "SP-3006").count(), taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_spool_every_event_fails() {
    let plant = Plant::new().await;
    let audit = crate::store::audit(&plant.store).await;
    plant.crash().await;
    for event in [file(1), login()] {
        let refused = audit.record(event).await;
        assert!(matches!(refused, Err(AuditError::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_sqlite_database_held_by_somebody_else_counts_as_away() {
    let database = Database::sqlite();
    let (store, other) = (database.open().await, database.open().await);
    let spool = database.directory.path().join("audit.spool");
    let audit = start(&store, &spool).await.unwrap();
    audit.record(file(0)).await.unwrap();
    let hold = other.begin_write().await.unwrap();
    let refused = within(Duration::from_secs(12), "the refusal", audit.record(login())).await;
    assert!(matches!(refused, Err(AuditError::Unavailable(_))), "{refused:?}");
    within(Duration::from_secs(12), "spooling", audit.record(file(1))).await.unwrap();
    assert_eq!(*audit.waiting().borrow(), 1);
    drop(hold);
    until(audit.waiting(), 0, "reconciling").await;
    assert_eq!(numbers(&chain(&store).await), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_sqlite_database_that_was_removed_stays_away() {
    let database = Database::sqlite();
    let store = database.open().await;
    let spool = database.directory.path().join("audit.spool");
    let audit = start(&store, &spool).await.unwrap();
    let available = store.available();
    for file in std::fs::read_dir(database.directory.path()).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().contains(".db") {
            std::fs::remove_file(file.path()).unwrap();
        }
    }
    until(available, false, "noticing").await;
    assert!(store.begin_write().await.is_err_and(|error| error.is_unavailable()));
    audit.record(file(1)).await.unwrap();
    assert!(matches!(audit.record(login()).await, Err(AuditError::Unavailable(_))));
    // A new file in its place is another database: what was opened never writes to it.
    let fresh = Store::open(&database.config).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), async { store.available().wait_for(|now| *now).await.map(drop) })
        .await
        .expect_err("it stays away until the broker is started again");
    assert_eq!(fresh.audit_head().await.unwrap(), None);
}
