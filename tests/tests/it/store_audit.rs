//! The audit chain in the database: many writers, one chain; whoever edits it is found out.

use std::time::Duration;

use ed25519_dalek::{SigningKey, VerifyingKey};
use sallyport::audit::{AuditEntry, AuditEvent, AuditFilter, Expected, entry_to_line, verify_lines, verify_store};
use sallyport::store::Store;

use crate::store::{audit, on_both_engines, within};

fn keys() -> [VerifyingKey; 1] {
    [SigningKey::from_bytes(&[7; 32]).verifying_key()]
}

fn added(identity: &str) -> AuditEvent {
    AuditEvent::IdentityAdded { identity: identity.to_owned() }
}

/// What verification says of the chain in the database, in words.
async fn faults(store: &Store, expected: Expected) -> Vec<String> {
    let found = verify_store(store, &keys(), expected).await.expect("a readable chain");
    found.faults.iter().map(ToString::to_string).collect()
}

async fn entries(store: &Store) -> Vec<AuditEntry> {
    store.audit_page(i64::MIN, 10_000).await.expect("a readable chain")
}

/// What somebody with access to the database could do.
async fn tamper(store: &Store, statement: &'static str) {
    let mut write = store.begin_quiet_write().await.expect("a write");
    sqlx::query(statement).execute(&mut *write).await.expect("a statement");
    write.commit().await.expect("a commit");
}

on_both_engines! {
    async fn many_writers_make_one_chain(database: Database) {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..3 {
            let audit = audit(&database.open().await).await;
            for lane in 0..10 {
                let audit = audit.clone();
                tasks.spawn(async move {
                    for number in 0..10 {
                        audit.record(added(&format!("{writer}-{lane}-{number}"))).await?;
                    }
                    Ok::<_, sallyport::audit::AuditError>(())
                });
            }
        }
        while let Some(recorded) = tasks.join_next().await {
            recorded.unwrap().unwrap();
        }
        let store = database.open().await;
        let found = verify_store(&store, &keys(), Expected::default()).await.unwrap();
        assert_eq!((found.entries, found.first, found.head.as_ref().map(|head| head.0)), (300, Some(1), Some(300)));
        assert!(found.whole(), "{:?}", found.faults);
        // They were committed in groups.
        assert!(found.signatures < 300, "{} signatures", found.signatures);
        // What one lane recorded stands in its order.
        let entries = entries(&store).await;
        let lane: Vec<_> = entries.iter().filter_map(|entry| entry.identity.as_deref()?.strip_prefix("1-4-")).collect();
        assert_eq!(lane, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }

    async fn an_event_in_a_transaction_shares_its_fate(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        let mut write = store.begin_write().await.unwrap();
        audit.record_in(&mut write, added("alice")).await.unwrap();
        drop(write);
        assert_eq!(store.audit_head().await.unwrap(), None);
        let mut write = store.begin_write().await.unwrap();
        audit.record_in(&mut write, added("bob")).await.unwrap();
        audit.record_in(&mut write, added("carol")).await.unwrap();
        write.commit().await.unwrap();
        audit.record(added("dora")).await.unwrap();
        let who: Vec<_> = entries(&store).await.into_iter().filter_map(|entry| entry.identity).collect();
        assert_eq!(who, ["bob", "carol", "dora"]);
        assert!(faults(&store, Expected::default()).await.is_empty());
    }

    async fn entries_say_who_did_what_to_whom_and_are_found_by_it(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        audit.record(added("alice")).await.unwrap();
        let refused = AuditEvent::LoginRefused {
            identity: "alice".into(),
            source: "10.0.0.10".into(),
            reason: "unknown key \u{1b}[2J\0ø\u{1f600}".into(),
        };
        // PostgreSQL text holds no NUL; canonical JSON writes it escaped.
        audit.record(refused).await.unwrap();
        audit.record(AuditEvent::SessionEndRequested { session: "s1".into(), identity: "bob".into(), reason: None }).await.unwrap();
        let found = |filter: AuditFilter| {
            let store = store.clone();
            async move {
                let entries = store.audit_entries(&filter).await.unwrap();
                entries.iter().map(|entry| (entry.seq, entry.actor.clone())).collect::<Vec<_>>()
            }
        };
        let all = AuditFilter::default;
        let root = || "root".to_owned();
        assert_eq!(found(all()).await, [(1, root()), (2, "alice".to_owned()), (3, root())]);
        assert_eq!(found(AuditFilter { identity: Some("alice".into()), ..all() }).await.len(), 2);
        assert_eq!(found(AuditFilter { session: Some("s1".into()), ..all() }).await, [(3, root())]);
        assert_eq!(found(AuditFilter { code: Some("SP-5101".into()), ..all() }).await, [(1, root())]);
        assert_eq!(found(AuditFilter { limit: Some(1), ..all() }).await, [(3, root())]);
        let second = entries(&store).await[1].time().unwrap();
        assert_eq!(found(AuditFilter { until: Some(second), ..all() }).await, [(1, root())]);
        assert!(faults(&store, Expected::default()).await.is_empty());
    }

    async fn a_name_that_no_column_takes_harms_no_other_event(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        let stranger = AuditEvent::FactorRefused {
            identity: "al\0ice".into(),
            source: "10.0.0.10".into(),
            factor: "password".into(),
            reason: "not a login name".into(),
        };
        let (one, other, third) = tokio::join!(audit.record(added("bob")), audit.record(stranger), audit.record(added("carol")));
        one.unwrap();
        other.unwrap();
        third.unwrap();
        let events = entries(&store).await;
        assert_eq!(events.len(), 3);
        assert!(events.iter().any(|entry| entry.event.contains("al\\u0000ice")), "what was said is kept");
        assert!(faults(&store, Expected::default()).await.is_empty());
    }

    async fn whoever_edits_the_table_is_found_out(database: Database) {
        let tampering: [(&'static str, &[&str]); 6] = [
            ("UPDATE audit SET actor = 'nobody' WHERE seq = 3", &["entry 3 was edited"]),
            ("UPDATE audit SET event = REPLACE(event, 'p3', 'p9') WHERE seq = 3", &["entry 3 was edited"]),
            ("DELETE FROM audit WHERE seq = 3", &["entry 3 is missing"]),
            ("UPDATE audit SET seq = seq + 100 WHERE seq = 3", &["entry 3 is missing"]),
            ("UPDATE audit SET seq = 0 WHERE seq = 1", &["entry 0 is out of order"]),
            ("UPDATE audit SET signature = NULL", &["no signature covers the entries from 1 on"]),
        ];
        let store = database.open().await;
        let audit = audit(&store).await;
        for number in 1..=5 {
            audit.record(added(&format!("p{number}"))).await.unwrap();
        }
        assert!(faults(&store, Expected::default()).await.is_empty());
        tamper(&store, "CREATE TABLE saved AS SELECT * FROM audit").await;
        for (statement, expected) in tampering {
            tamper(&store, statement).await;
            let found = faults(&store, Expected::default()).await;
            for fault in expected {
                assert!(found.first().is_some_and(|first| first.starts_with(fault)), "{statement}: {found:?}");
            }
            tamper(&store, "DELETE FROM audit").await;
            tamper(&store, "INSERT INTO audit SELECT * FROM saved").await;
            assert!(faults(&store, Expected::default()).await.is_empty());
        }
        // Two entries change places, each with its number right.
        tamper(&store, "UPDATE audit SET seq = 99 WHERE seq = 2").await;
        tamper(&store, "UPDATE audit SET seq = 2 WHERE seq = 3").await;
        tamper(&store, "UPDATE audit SET seq = 3 WHERE seq = 99").await;
        let found = faults(&store, Expected::default()).await;
        assert!(found.iter().any(|fault| fault.starts_with("entry 2 ")), "{found:?}");
    }

    async fn a_cut_tail_shows_against_a_noted_head(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        for number in 1..=5 {
            audit.record(added(&format!("p{number}"))).await.unwrap();
        }
        let expected = Expected { head: store.audit_head().await.unwrap(), partial: false, ..Expected::default() };
        assert!(faults(&store, expected.clone()).await.is_empty());
        tamper(&store, "DELETE FROM audit WHERE seq > 3").await;
        assert!(faults(&store, Expected::default()).await.is_empty(), "each entry is signed here: whole as far as it goes");
        assert_eq!(faults(&store, expected).await, ["entry 5, noted as head, is missing: the chain was cut short"]);
    }

    async fn a_broker_notices_that_what_it_wrote_is_gone(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        for number in 1..=3 {
            audit.record(added(&format!("p{number}"))).await.unwrap();
        }
        tamper(&store, "DELETE FROM audit WHERE seq > 1").await;
        audit.record(added("p4")).await.unwrap();
        let entries = entries(&store).await;
        let codes: Vec<_> = entries.iter().map(|entry| (entry.seq, entry.code.as_str())).collect();
        assert_eq!(codes, [(1, "SP-5101"), (2, "SP-5101"), (3, "SP-7003")]);
        assert!(faults(&store, Expected::default()).await.is_empty());
        // It said so once, and goes on from there.
        audit.record(added("p5")).await.unwrap();
        assert_eq!(store.audit_head().await.unwrap().unwrap().0, 4);
    }

    async fn an_export_verifies_without_the_database(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        for number in 1..=5 {
            audit.record(added(&format!("p{number} \"ø\" \\ \n"))).await.unwrap();
        }
        let text: String = entries(&store).await.iter().map(|entry| entry_to_line(entry) + "\n").collect();
        let found = verify_lines(text.as_bytes(), &keys(), Expected::default()).unwrap();
        assert!(found.whole() && found.entries == 5, "{found:?}");
        let stranger = [SigningKey::from_bytes(&[8; 32]).verifying_key()];
        let found = verify_lines(text.as_bytes(), &stranger, Expected::default()).unwrap();
        assert_eq!(found.faults.len(), 6, "{:?}", found.faults);
        // With the space: a signature, which comes earlier in the text, can hold the two letters alone.
        let changed = text.replacen("p3 ", "p4 ", 1);
        let found = verify_lines(changed.as_bytes(), &keys(), Expected::default()).unwrap();
        assert_eq!(found.faults[0].to_string(), "entry 3 was edited: its content does not match its hash");
    }

    async fn a_hundred_events_at_once_take_no_hundred_commits(database: Database) {
        let store = database.open().await;
        let audit = audit(&store).await;
        let all = (0..100).map(|number| {
            let audit = audit.clone();
            async move { audit.record(added(&format!("p{number}"))).await }
        });
        let mut tasks: tokio::task::JoinSet<_> = all.collect();
        let recorded = within(Duration::from_secs(10), "a hundred events", async {
            let mut recorded = 0;
            while let Some(done) = tasks.join_next().await {
                done.unwrap().unwrap();
                recorded += 1;
            }
            recorded
        });
        assert_eq!(recorded.await, 100);
        let found = verify_store(&store, &keys(), Expected::default()).await.unwrap();
        assert!(found.whole() && found.signatures <= 50, "{} signatures", found.signatures);
    }
}
