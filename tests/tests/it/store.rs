//! The store, every test on both engines: SQLite in a temporary directory, PostgreSQL from the harness.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport::audit::{Audit, AuditConfig, AuditEvent};
use sallyport::plant::{ApplyError, apply};
use sallyport::store::brokers::BrokerSeen;
use sallyport::store::end_asked::{AskEnd, EndAsked};
use sallyport::store::files::TransferredFile;
use sallyport::store::identities::NewIdentity;
use sallyport::store::plants::{NewPlant, plant_sha256};
use sallyport::store::sessions::{NewSession, SessionEnd, SessionFilter};
use sallyport::store::{DatabaseConfig, Engine, Store, StoreError};
use sallyport::vault::{MasterKey, MasterKeySource, Vault};
use sallyport_policy::{PlantFile, WriteWindow};
use sallyport_tests::{PASSWORD, Postgres};
use tempfile::TempDir;
use tokio::time::timeout;

/// Makes each test run once on SQLite and once on PostgreSQL.
macro_rules! on_both_engines {
    ($( $(#[$attribute:meta])* async fn $name:ident($database:ident: Database) $body:block )*) => {
        $( $(#[$attribute])* async fn $name($database: $crate::store::Database) $body )*

        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    super::$name($crate::store::Database::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $name() {
                    super::$name($crate::store::Database::postgres()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_engines;

/// An empty database of one test.
pub(crate) struct Database {
    pub(crate) config: DatabaseConfig,
    pub(crate) directory: TempDir,
    _server: Option<Arc<Postgres>>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let directory = TempDir::new().expect("a directory");
        // A name with everything in it that a URL would take for something else.
        let config = DatabaseConfig::url(format!("sqlite://{}/a plant?#%41ø.db", directory.path().display()));
        Self { config, directory, _server: None }
    }

    pub(crate) fn postgres() -> Self {
        let server = Postgres::shared();
        let config = DatabaseConfig::url(server.database());
        Self { config, directory: TempDir::new().expect("a directory"), _server: Some(server) }
    }

    /// Opens it, as each process does for itself.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.config).await.expect("an open store")
    }
}

impl Database {
    /// Opens it with a master key, for what reads and writes rows under MACs.
    pub(crate) async fn with_key(&self) -> Store {
        let (store, path) = (self.open().await, self.directory.path().join("rows.key"));
        let source = MasterKeySource::File(path.clone());
        let master = MasterKey::load(&source).or_else(|_| MasterKey::create(&path)).expect("a master key");
        Vault::init(store.clone(), &master, at(0)).await.expect("a vault");
        store
    }
}

pub(crate) async fn audit(store: &Store) -> Audit {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let config = AuditConfig { store: store.clone(), key, broker: "b1".into(), actor: "root".into(), spool: None };
    Audit::start(config).await.expect("a started audit")
}

/// Runs it, and fails the test when it takes longer than anything here may.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    timeout(limit, future).await.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}"))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).expect("a time")
}

fn session(id: &str, broker: &str, identity: &str, second: i64) -> NewSession {
    NewSession {
        id: id.to_owned(),
        broker: broker.to_owned(),
        identity: identity.to_owned(),
        asset: "ews-1".to_owned(),
        zone: "cell-1".to_owned(),
        service: "ssh".to_owned(),
        account: "operator".to_owned(),
        form: "jump".to_owned(),
        source: "10.0.0.10".to_owned(),
        rule: "role process-engineer, grant 1 (plant.toml:31)".to_owned(),
        terms: "{}".to_owned(),
        started_at: at(second),
    }
}

fn end(word: &str, second: i64) -> SessionEnd {
    SessionEnd { at: at(second), word: word.to_owned(), detail: "so it was".to_owned() }
}

fn plant(text: &str, after: i64) -> NewPlant {
    NewPlant {
        files: vec![PlantFile { name: "plant.toml".to_owned(), text: text.to_owned() }],
        after,
        diff: format!("+ {text}"),
        applied_by: "root".to_owned(),
        applied_at: at(after),
    }
}

fn ids(sessions: &[sallyport::store::sessions::Session]) -> Vec<&str> {
    sessions.iter().map(|session| session.start.id.as_str()).collect()
}

on_both_engines! {
    async fn a_plant_comes_back_exactly_as_it_was_applied(database: Database) {
        let store = database.with_key().await;
        let audit = audit(&store).await;
        assert_eq!(store.current_plant().await.unwrap(), None);
        assert_eq!(store.current_plant_version().await.unwrap(), 0);
        let text = "# ø\r\n[zone.cell-1]\nlevel = 2\t\n\n\n\"quoted\" \\ and no line end";
        assert_eq!(apply(&plant(text, 0), &store, &audit).await.unwrap(), 1);
        let mut second = plant("[zone.cell-2]\n", 1);
        second.files.push(PlantFile { name: "cells/b.toml".to_owned(), text: String::new() });
        assert_eq!(apply(&second, &store, &audit).await.unwrap(), 2);

        let other = database.with_key().await;
        assert_eq!(other.plant(1).await.unwrap().files, plant(text, 0).files);
        let current = other.current_plant().await.unwrap().unwrap();
        assert_eq!((current.version, &current.files), (2, &second.files));
        assert_eq!(current.sha256, plant_sha256(&second.files));
        let versions: Vec<i64> = other.plant_versions().await.unwrap().iter().map(|plant| plant.version).collect();
        assert_eq!(versions, [2, 1]);
        assert!(matches!(other.plant(3).await, Err(StoreError::Missing { .. })));

        let events = other.audit_entries(&Default::default()).await.unwrap();
        let codes: Vec<&str> = events.iter().map(|entry| entry.code.as_str()).collect();
        assert_eq!(codes, ["SP-5001", "SP-5001"]);
        assert!(events[1].event.contains(&current.sha256), "{}", events[1].event);
    }

    async fn a_plant_planned_against_an_older_version_is_refused(database: Database) {
        let store = database.with_key().await;
        let audit = audit(&store).await;
        apply(&plant("a", 0), &store, &audit).await.unwrap();
        let late = apply(&plant("b", 0), &store, &audit).await;
        assert!(matches!(late, Err(ApplyError::Store(StoreError::Overtaken(_)))), "{late:?}");
        assert_eq!(store.current_plant_version().await.unwrap(), 1);

        // Of two at once exactly one wins.
        let (one, two) = (database.with_key().await, database.with_key().await);
        let (plant_1, plant_2) = (plant("c", 1), plant("d", 1));
        let (first, second) = tokio::join!(apply(&plant_1, &one, &audit), apply(&plant_2, &two, &audit));
        assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1, "{first:?} {second:?}");
        assert_eq!(store.audit_head().await.unwrap().unwrap().0, 2);
    }

    async fn a_plant_whose_event_cannot_be_recorded_is_not_applied(database: Database) {
        let store = database.with_key().await;
        let audit = audit(&store).await;
        let mut changes = store.changes();
        let mut huge = plant("a", 0);
        huge.diff = "x".repeat(2 * 1024 * 1024);
        assert!(matches!(apply(&huge, &store, &audit).await, Err(ApplyError::Audit(_))));
        assert_eq!(store.current_plant().await.unwrap(), None);
        // Nor was anybody told: the next tick is that of the plant that was.
        changes.mark_unchanged();
        apply(&plant("b", 0), &store, &audit).await.unwrap();
        within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
        assert_eq!(store.current_plant_version().await.unwrap(), 1);
    }

    async fn a_plant_changed_in_the_database_is_damage_not_policy(database: Database) {
        let store = database.with_key().await;
        let audit = audit(&store).await;
        apply(&plant("level = 2", 0), &store, &audit).await.unwrap();
        let mut write = store.begin_write().await.unwrap();
        sqlx::query("UPDATE plants SET files = REPLACE(files, '2', '3')").execute(&mut *write).await.unwrap();
        write.commit().await.unwrap();
        let read = store.current_plant().await;
        assert!(matches!(read, Err(StoreError::NotGenuine { table: "plants", .. })), "{read:?}");
    }

    async fn a_session_has_one_end_and_keeps_it(database: Database) {
        let store = database.open().await;
        let started = session("01ab", "b1", "alice", 1);
        store.start_session(&started, None).await.unwrap();
        let twice = store.start_session(&started, None).await;
        assert!(matches!(twice, Err(StoreError::Taken(_))), "{twice:?}");
        let live = store.live_sessions(None).await.unwrap();
        assert_eq!((live.len(), &live[0].start, &live[0].end), (1, &started, &None));
        assert!(store.end_session("01ab", &end("revoked", 5)).await.unwrap());
        assert!(!store.end_session("01ab", &end("logout", 6)).await.unwrap());
        assert!(!store.end_session("none", &end("logout", 6)).await.unwrap());
        assert_eq!(store.session("01ab").await.unwrap().end, Some(end("revoked", 5)));
        assert!(store.live_sessions(None).await.unwrap().is_empty());
    }

    async fn a_session_is_found_by_the_beginning_of_its_id(database: Database) {
        let store = database.open().await;
        for id in ["01abc", "01abd", "01x%_"] {
            store.start_session(&session(id, "b1", "alice", 1), None).await.unwrap();
        }
        assert_eq!(store.session("01ABC").await.unwrap().start.id, "01abc");
        assert_eq!(store.session("01x").await.unwrap().start.id, "01x%_");
        assert!(matches!(store.session("01a").await, Err(StoreError::Ambiguous { candidates, .. }) if candidates.len() == 2));
        for nothing in ["02", "01abcd", "%", "01ab_", "ø"] {
            let found = store.session(nothing).await;
            assert!(matches!(found, Err(StoreError::Missing { .. })), "{nothing}: {found:?}");
        }
    }

    async fn sessions_are_listed_by_what_was_asked(database: Database) {
        let store = database.open().await;
        for (id, broker, identity, second) in
            [("a", "b1", "alice", 1), ("b", "b2", "bob", 2), ("c", "b1", "alice", 3), ("d", "b1", "bob", 4)]
        {
            store.start_session(&session(id, broker, identity, second), None).await.unwrap();
        }
        store.end_session("c", &end("logout", 9)).await.unwrap();
        let all = SessionFilter::default;
        for (filter, expected) in [
            (all(), vec!["d", "c", "b", "a"]),
            (SessionFilter { identity: Some("alice".into()), ..all() }, vec!["c", "a"]),
            (SessionFilter { broker: Some("b2".into()), ..all() }, vec!["b"]),
            (SessionFilter { live: true, ..all() }, vec!["d", "b", "a"]),
            (SessionFilter { since: Some(at(2)), until: Some(at(4)), ..all() }, vec!["c", "b"]),
            (SessionFilter { limit: Some(2), ..all() }, vec!["d", "c"]),
            (SessionFilter { asset: Some("plc-1".into()), ..all() }, vec![]),
            (SessionFilter { zone: Some("cell-1".into()), limit: Some(1), ..all() }, vec!["d"]),
        ] {
            assert_eq!(ids(&store.sessions(&filter).await.unwrap()), expected, "{filter:?}");
        }
        assert_eq!(ids(&store.live_sessions(Some("b1")).await.unwrap()), ["a", "d"]);
    }

    async fn asking_for_an_end_reaches_the_broker_that_carries_the_session(database: Database) {
        let (broker, command) = (database.open().await, database.open().await);
        let mut changes = broker.changes();
        for (id, name) in [("a", "b1"), ("b", "b2"), ("c", "b1")] {
            broker.start_session(&session(id, name, "alice", 1), None).await.unwrap();
        }
        broker.end_session("c", &end("logout", 2)).await.unwrap();
        settle(&mut changes).await;
        let wish = |by: &str, second| EndAsked { at: at(second), by: by.to_owned(), reason: Some("smoke".to_owned()) };
        let ask = |id: &'static str, wish: EndAsked| {
            let command = command.clone();
            async move {
                let mut write = command.begin_write().await.unwrap();
                let asked = write.ask_session_end(id, &wish).await.unwrap();
                write.commit().await.unwrap();
                asked
            }
        };
        assert_eq!(ask("a", wish("root", 3)).await, AskEnd::Asked);
        within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
        assert_eq!(broker.session_ends_asked("b1").await.unwrap(), [("a".to_owned(), wish("root", 3))]);
        assert!(broker.session_ends_asked("b2").await.unwrap().is_empty());
        assert_eq!(ask("a", wish("somebody else", 4)).await, AskEnd::AskedBefore);
        assert_eq!(ask("c", wish("root", 4)).await, AskEnd::Ended);
        assert_eq!(ask("x", wish("root", 4)).await, AskEnd::Unknown);
        assert_eq!(command.session("a").await.unwrap().end_asked.unwrap(), wish("root", 3));
    }

    async fn a_broker_closes_what_it_finds_open_at_its_start_and_nothing_else(database: Database) {
        let store = database.open().await;
        for (id, name) in [("a", "b1"), ("b", "b2"), ("c", "b1"), ("d", "b1")] {
            store.start_session(&session(id, name, "alice", 1), None).await.unwrap();
        }
        store.end_session("d", &end("logout", 2)).await.unwrap();
        let closed = store.interrupt_sessions("b1", &end("interrupted", 9)).await.unwrap();
        assert_eq!(ids(&closed), ["a", "c"]);
        assert_eq!(ids(&store.live_sessions(None).await.unwrap()), ["b"]);
        assert_eq!(store.session("a").await.unwrap().end, Some(end("interrupted", 9)));
        assert_eq!(store.session("d").await.unwrap().end, Some(end("logout", 2)));
        assert!(store.interrupt_sessions("b1", &end("interrupted", 10)).await.unwrap().is_empty());
    }

    async fn sessions_of_a_dead_broker_keep_nobody_out(database: Database) {
        let store = database.open().await;
        store.broker_started("b1", "x", at(0), None).await.unwrap();
        store.broker_started("b2", "x", at(0), None).await.unwrap();
        let one = Some(1);
        assert!(store.start_session(&session("a", "b2", "alice", 1), one).await.unwrap());
        assert!(!store.start_session(&session("b", "b1", "alice", 20), one).await.unwrap(), "b2 lives");
        let dead = store.session("a").await.unwrap();
        assert!(!dead.is_orphaned("b1", at(20)) && dead.is_orphaned("b1", at(60)) && !dead.is_orphaned("b2", at(60)));
        assert!(store.start_session(&session("c", "b1", "alice", 60), one).await.unwrap(), "b2 is silent");
        assert!(!store.start_session(&session("d", "b1", "alice", 600), one).await.unwrap(), "its own count always");
        // An edit above a grant moves its line and does not reset its count.
        let mut moved = session("e", "b1", "alice", 600);
        moved.rule = moved.rule.replace(":", ":9");
        assert_ne!(moved.rule, session("e", "b1", "alice", 600).rule);
        assert!(!store.start_session(&moved, one).await.unwrap());
    }

    async fn a_change_that_fails_does_not_spoil_those_beside_it(database: Database) {
        let store = database.open().await;
        store.start_session(&session("a", "b1", "alice", 1), None).await.unwrap();
        let tried: Vec<_> = ["b", "a", "c", "a", "d"].into_iter().map(|id| {
            let store = store.clone();
            tokio::spawn(async move { store.start_session(&session(id, "b1", "alice", 2), None).await })
        }).collect();
        let mut outcomes = Vec::new();
        for each in tried {
            outcomes.push(each.await.unwrap().is_ok());
        }
        assert_eq!(outcomes, [true, false, true, false, true]);
        let mut live: Vec<_> = ids(&store.live_sessions(None).await.unwrap()).into_iter().map(str::to_owned).collect();
        live.sort();
        assert_eq!(live, ["a", "b", "c", "d"]);
    }

    async fn brokers_say_that_they_live(database: Database) {
        let store = database.open().await;
        assert!(matches!(store.broker_heartbeat("b1", "x", at(1)).await, Err(StoreError::Missing { .. })));
        assert!(store.broker_started("b1", "x", at(1), None).await.unwrap());
        store.broker_heartbeat("b1", "x", at(7)).await.unwrap();
        store.start_session(&session("a", "b1", "alice", 1), None).await.unwrap();
        assert_eq!(store.session("a").await.unwrap().broker_seen_at, Some(at(7)));
        assert!(store.broker_started("a2", "z", at(3), None).await.unwrap());
        let seen = |name: &str, started, seen, instance: &str| BrokerSeen {
            name: name.into(), started_at: at(started), seen_at: at(seen), instance: instance.into()
        };
        assert_eq!(store.brokers().await.unwrap(), [seen("a2", 3, 3, "z"), seen("b1", 1, 7, "x")]);
    }

    async fn a_name_is_taken_only_from_the_one_that_was_looked_at(database: Database) {
        let store = database.open().await;
        assert!(store.broker_started("b1", "x", at(1), None).await.unwrap());
        assert!(!store.broker_started("b1", "y", at(2), None).await.unwrap(), "somebody bears it");
        let looked = store.broker("b1").await.unwrap();
        store.broker_heartbeat("b1", "x", at(7)).await.unwrap();
        assert!(!store.broker_started("b1", "y", at(8), looked.as_ref()).await.unwrap(), "it was heard of since");
        let looked = store.broker("b1").await.unwrap();
        assert!(store.broker_started("b1", "y", at(9), looked.as_ref()).await.unwrap());
        for said in [store.broker_heartbeat("b1", "x", at(10)).await, store.broker_stopped("b1", "x", at(10)).await] {
            assert!(matches!(said, Err(StoreError::Missing { .. })), "the name is another's now: {said:?}");
        }
        store.broker_stopped("b1", "y", at(11)).await.unwrap();
        assert_eq!(store.broker("b1").await.unwrap().unwrap().instance, "");
    }

    async fn files_of_channels_side_by_side_all_get_their_number(database: Database) {
        let store = database.open().await;
        store.start_session(&session("a", "b1", "alice", 1), None).await.unwrap();
        let file = |number: i64| TransferredFile {
            session: "a".to_owned(),
            at: at(number),
            direction: "upload".to_owned(),
            via: "sftp".to_owned(),
            path: format!("/tmp/{number} \u{1b}[2J"),
            size: 5_000_000_000,
            sha256: (number % 2 == 0).then(|| "00".repeat(32)),
            complete: number % 2 == 0,
        };
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let store = store.clone();
            let file = file(number);
            tasks.spawn(async move { store.add_file(&file).await });
        }
        while let Some(added) = tasks.join_next().await {
            added.unwrap().unwrap();
        }
        let mut files = store.files("a").await.unwrap();
        files.sort_by_key(|file| file.at);
        assert_eq!(files, (0..12).map(file).collect::<Vec<_>>());
        let mut dangling = file(1);
        dangling.session = "none".to_owned();
        assert!(matches!(store.add_file(&dangling).await, Err(StoreError::Dangling(_))));
        let mut enormous = file(1);
        enormous.size = u64::MAX;
        assert!(matches!(store.add_file(&enormous).await, Err(StoreError::Damaged { .. })));
    }

    async fn four_writers_lose_nothing(database: Database) {
        let mut tasks = tokio::task::JoinSet::new();
        database.open().await.broker_started("b1", "x", Timestamp::UNIX_EPOCH, None).await.unwrap();
        for _ in 0..4 {
            let store = database.open().await;
            tasks.spawn(async move {
                for _ in 0..50 {
                    // Read, then write what was read: what needs the lock.
                    let mut write = store.begin_quiet_write().await?;
                    write.lock("counter").await?;
                    let count: i64 =
                        sqlx::query_scalar("SELECT seen_at FROM brokers").fetch_one(&mut *write).await?;
                    sqlx::query("UPDATE brokers SET seen_at = $1").bind(count + 1).execute(&mut *write).await?;
                    write.commit().await?;
                }
                Ok::<_, StoreError>(())
            });
        }
        while let Some(written) = tasks.join_next().await {
            written.unwrap().unwrap();
        }
        let seen = database.open().await.brokers().await.unwrap();
        assert_eq!(seen[0].seen_at.as_microsecond(), 200);
    }

    async fn a_dropped_write_leaves_nothing_and_blocks_nobody(database: Database) {
        let store = database.open().await;
        let mut write = store.begin_write().await.unwrap();
        sqlx::query("INSERT INTO brokers (name, started_at, seen_at) VALUES ('x', 0, 0)").execute(&mut *write).await.unwrap();
        drop(write);
        within(Duration::from_secs(3), "the next write", store.broker_started("y", "x", at(1), None)).await.unwrap();
        assert_eq!(store.brokers().await.unwrap().len(), 1);
    }

    async fn a_change_of_another_process_is_heard_within_a_second(database: Database) {
        let (broker, command) = (database.open().await, database.open().await);
        let mut changes = broker.changes();
        settle(&mut changes).await;
        for round in 0..10 {
            let began = Instant::now();
            command.begin_write().await.unwrap().commit().await.unwrap();
            within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(1), "round {round}: {:?}", began.elapsed());
            changes.mark_unchanged();
        }
    }

    async fn a_broker_hears_its_own_changes_at_once(database: Database) {
        let store = database.open().await;
        let changes = store.changes();
        let before = *changes.borrow();
        store.begin_write().await.unwrap().commit().await.unwrap();
        assert_ne!(*changes.borrow(), before);
    }

    async fn a_quiet_write_disturbs_nobody(database: Database) {
        let (broker, other) = (database.open().await, database.open().await);
        let mut changes = broker.changes();
        settle(&mut changes).await;
        let before = *changes.borrow();
        for second in 0..5 {
            other.broker_started(&format!("b2-{second}"), "x", at(second), None).await.unwrap();
            broker.start_session(&session(&format!("s{second}"), "b1", "alice", second), None).await.unwrap();
        }
        // What is announced afterwards is heard once; had the quiet ones been, there would be more.
        other.begin_write().await.unwrap().commit().await.unwrap();
        within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
        let heard = *changes.borrow() - before;
        // On PostgreSQL the poll may count the one that the notification brought.
        assert!((1..=2).contains(&heard), "{heard} ticks");
    }

    async fn several_processes_may_open_a_new_database_at_once(database: Database) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let config = database.config.clone();
            tasks.spawn(async move {
                let store = Store::open(&config).await?;
                store.broker_started(&format!("b{number}"), "x", at(1), None).await
            });
        }
        while let Some(opened) = tasks.join_next().await {
            assert!(opened.unwrap().unwrap());
        }
        assert_eq!(database.open().await.brokers().await.unwrap().len(), 4);
    }

    async fn a_clock_that_jumps_closes_every_window_that_it_could_open(database: Database) {
        let store = database.with_key().await;
        let window = |id: &str, from: i64, until: i64| WriteWindow {
            id: id.parse().unwrap(),
            identity: "alice".parse().unwrap(),
            asset: "plc-1".parse().unwrap(),
            service: "modbus".parse().unwrap(),
            points: "40101-40110".parse().unwrap(),
            unit: None,
            from: at(from),
            until: at(until),
            opened_by: "lena".parse().unwrap(),
            ticket: None,
        };
        let mut write = store.begin_write().await.unwrap();
        for id in ["alice", "lena"] {
            let (id, display_name) = (id.to_owned(), String::new());
            let new = NewIdentity { id, display_name, member_of: BTreeSet::new(), valid_until: None };
            write.insert_identity(&new, at(0), "entry").await.unwrap();
        }
        // It is over at second 200; back at 100 it would be open again. The second would begin early, if it were 5000.
        for window in [window("over", 50, 150), window("later", 5000, 6000), window("long-over", 1, 20)] {
            write.open_window(&window, "entry").await.unwrap();
        }
        write.commit().await.unwrap();
        let mut write = store.begin_write().await.unwrap();
        let closed = write.close_all_windows("clock jump", at(100)).await.unwrap();
        write.commit().await.unwrap();
        let mut ids: Vec<_> = closed.iter().map(|row| row.window.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["later", "over"]);
        assert_eq!(store.write_windows(false, at(100)).await.unwrap(), []);
        let of = |now| store.windows_of(&closed[0].window.identity, &closed[0].window.asset, &closed[0].window.service, at(now));
        assert_eq!((of(100).await.unwrap(), of(5500).await.unwrap()), (Vec::new(), Vec::new()));
    }

    async fn a_database_of_a_newer_release_is_refused(database: Database) {
        let store = database.open().await;
        let mut write = store.begin_write().await.unwrap();
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9000, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .execute(&mut *write)
        .await
        .unwrap();
        write.commit().await.unwrap();
        let opened = Store::open(&database.config).await;
        assert!(matches!(opened, Err(StoreError::NewerSchema(9000))), "{opened:?}");
    }
}

/// Waits until the subscription has said what it says at its start, so that the next tick is news.
async fn settle(changes: &mut tokio::sync::watch::Receiver<u64>) {
    while timeout(Duration::from_millis(700), changes.changed()).await.is_ok() {}
}

#[tokio::test]
async fn an_unusable_url_is_refused_with_a_plain_reason() {
    for (url, expected) in [
        ("mysql://localhost/x", "it must begin with"),
        ("sqlite::memory:", "an SQLite database is a file"),
        ("sqlite://", "an SQLite database is a file"),
        ("postgres://sallyport:secret@localhost/x", "holds a password"),
        ("postgres://localhost/x?password=secret", "holds a password"),
        ("sqlite:///proc/none/store.db", "cannot create"),
        ("postgres://postgres@127.0.0.1:1/x", "unavailable"),
    ] {
        let error = Store::open(&DatabaseConfig::url(url)).await.expect_err(url).to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{url}: {error}");
        assert!(!format!("{:?}", DatabaseConfig::url(url)).contains("secret"));
    }
}

#[tokio::test]
async fn an_sqlite_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = Database::sqlite();
    let store = database.open().await;
    store.broker_started("b1", "x", at(1), None).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(database.directory.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
    assert_eq!(store.engine(), Engine::Sqlite);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store.db");
    std::fs::write(&path, "just a text, long enough to be looked at as a header of a database\n".repeat(20)).unwrap();
    let opened = Store::open(&DatabaseConfig::url(format!("sqlite://{}", path.display()))).await;
    assert!(opened.is_err(), "{opened:?}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("just a text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_its_file_and_shows_nowhere() {
    let server = Postgres::shared();
    let directory = TempDir::new().unwrap();
    let (right, wrong) = (directory.path().join("right"), directory.path().join("wrong"));
    std::fs::write(&right, format!("{PASSWORD}\n")).unwrap();
    std::fs::write(&wrong, "guess me").unwrap();
    let url = server.database_with_password();
    let config = |file: &std::path::Path| DatabaseConfig { url: url.clone(), password_file: Some(file.to_owned()) };
    let store = Store::open(&config(&right)).await.unwrap();
    store.broker_started("b1", "x", at(1), None).await.unwrap();
    let mut changes = store.changes();
    settle(&mut changes).await;
    server.sql(Postgres::name(&url), "NOTIFY sallyport_changes");
    within(Duration::from_secs(1), "the tick", changes.changed()).await.unwrap();
    assert!(!format!("{store:?} {:?}", config(&right)).contains(PASSWORD));

    let refused = Store::open(&config(&wrong)).await.expect_err("a wrong password").to_string();
    assert!(refused.contains("password authentication failed") && !refused.contains("guess me"), "{refused}");
    let missing = Store::open(&config(&directory.path().join("none"))).await;
    assert!(matches!(missing, Err(StoreError::PasswordFile { .. })), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_server_is_refused_at_the_start() {
    let server = Postgres::shared();
    let url = server.database();
    drop(Store::open(&DatabaseConfig::url(&url)).await.unwrap());
    server.sql("postgres", &format!("ALTER DATABASE {} SET default_transaction_read_only = on", Postgres::name(&url)));
    let opened = Store::open(&DatabaseConfig::url(&url)).await;
    assert!(matches!(opened, Err(StoreError::ReadOnly(_))), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_not_lost_between_two_commands() {
    // A command line starts, records one event and is gone: nothing may be left unwritten.
    let database = Database::sqlite();
    for count in 1..=3 {
        let store = database.open().await;
        audit(&store).await.record(AuditEvent::IdentityAdded { identity: "alice".into() }).await.unwrap();
        assert_eq!(store.audit_head().await.unwrap().unwrap().0, count);
    }
}
