#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use sallyport_policy::{PlantFile, Policy};
use tempfile::TempDir;

use super::*;
use crate::audit::{Audit, AuditConfig, AuditFilter};
use crate::store::{DatabaseConfig, Store};
use crate::vault::{MasterKey, Vault};

const SECTION: &str = r#"
[break_glass.control-room]
assets = ["*"]
services = ["modbus"]
max_duration = "1h"
review_within = "24h"
"#;

struct Bed {
    folder: TempDir,
    store: Store,
    vault: Vault,
    audit: Audit,
    policy: Policy,
    emergencies: Arc<Emergencies>,
}

impl Bed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("gate.db").display());
        let store = Store::open(&DatabaseConfig::url(url)).await.unwrap();
        let master = MasterKey::create(&folder.path().join("master.key")).unwrap();
        let (vault, _) = Vault::init(store.clone(), &master, Timestamp::now()).await.unwrap();
        let key = vault.evidence_key().unwrap();
        let (broker, actor) = ("gate-1".to_owned(), "gate-1".to_owned());
        let spool = Some(folder.path().join("spool"));
        let audit =
            Audit::start(AuditConfig { store: store.clone(), key: key.clone(), broker, actor, spool }).await.unwrap();
        let emergencies =
            Emergencies::new(folder.path(), store.clone(), vault.clone(), audit.clone(), key, None).unwrap();
        let policy = Policy::parse(&[PlantFile { name: "plant.toml".to_owned(), text: SECTION.to_owned() }]).unwrap();
        Self { folder, store, vault, audit, policy, emergencies: Arc::new(emergencies) }
    }

    async fn seal(&self) -> EnvelopeCode {
        let code = EnvelopeCode::generate();
        let mut write = self.store.begin_write().await.unwrap();
        let sealing =
            Sealing { rule: "control-room", holder: None, expires_at: None, by: "test", at: Timestamp::now() };
        sealing.enter(&mut write, &self.audit, &code).await.unwrap();
        write.commit().await.unwrap();
        self.emergencies.refresh(Timestamp::now()).await.unwrap();
        code
    }

    async fn open(&self, envelope: &Recognised, from: [u8; 4]) -> Result<Opened, NotOpened> {
        let by = Circumstances { reason: "line 4", source: IpAddr::from(from), now: Timestamp::now() };
        self.emergencies.open(&self.policy, std::slice::from_ref(envelope), by).await
    }

    async fn opened(&self) -> usize {
        self.told("SP-8001").await
    }

    async fn told(&self, code: &str) -> usize {
        let filter = AuditFilter { code: Some(code.to_owned()), ..AuditFilter::default() };
        self.store.audit_entries(&filter).await.unwrap().len()
    }

    /// The same broker after it was started again, or another one with the same database.
    async fn started_in(&self, folder: &std::path::Path) -> Emergencies {
        let (vault, key) = (self.vault.clone(), self.vault.evidence_key().unwrap());
        let started = Emergencies::new(folder, self.store.clone(), vault, self.audit.clone(), key, None).unwrap();
        started.refresh(Timestamp::now()).await.unwrap();
        started
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_type_one_code_at_once_from_many_places_one_gets_in() {
    let bed = Arc::new(Bed::new().await);
    let code = bed.seal().await;
    // All have been told that it is right, before anybody opens it.
    let recognised = bed.emergencies.recognise(&code, Timestamp::now()).await.unwrap();
    let tries: Vec<_> = (1..=20_u8)
        .map(|place| {
            let (bed, recognised) = (Arc::clone(&bed), recognised.clone());
            tokio::spawn(async move { bed.open(&recognised, [10, 0, 0, place]).await.is_ok() })
        })
        .collect();
    let mut let_in = 0;
    for tried in tries {
        let_in += usize::from(tried.await.unwrap());
    }
    assert_eq!((let_in, bed.opened().await, bed.emergencies.going_on().len()), (1, 1, 1));
}

#[tokio::test]
async fn what_another_broker_has_opened_meanwhile_is_no_double_use_here() {
    let bed = Bed::new().await;
    let code = bed.seal().await;
    let recognised = bed.emergencies.recognise(&code, Timestamp::now()).await.unwrap();
    let mut write = bed.store.begin_write().await.unwrap();
    let taken = write.open_envelope(1, "elsewhere", Timestamp::now()).await.unwrap();
    assert_eq!(taken, crate::store::envelopes::EnvelopeOpened::Now);
    write.commit().await.unwrap();
    assert_eq!(bed.open(&recognised, [10, 0, 0, 1]).await.map(drop), Err(NotOpened::Used(1)));
    bed.emergencies.settle(Timestamp::now()).await.unwrap();
    let filter = AuditFilter { code: Some("SP-8004".to_owned()), ..AuditFilter::default() };
    assert!(bed.store.audit_entries(&filter).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_snapshot_that_could_not_be_written_is_written_when_it_can_be() {
    let bed = Bed::new().await;
    bed.seal().await;
    let path = bed.folder.path().join(SNAPSHOT);
    std::fs::remove_file(&path).unwrap();
    // Where the new file would stand there is a folder.
    let beside = path.with_extension("new");
    std::fs::create_dir(&beside).unwrap();
    assert!(bed.emergencies.refresh(Timestamp::now()).await.is_err());
    std::fs::remove_dir(&beside).unwrap();
    bed.emergencies.refresh(Timestamp::now()).await.unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn who_types_codes_that_nobody_has_makes_the_database_be_read_seldom() {
    let bed = Bed::new().await;
    bed.seal().await;
    let before = bed.emergencies.readings();
    let typed: Vec<_> = (0..200)
        .map(|_| {
            let emergencies = Arc::clone(&bed.emergencies);
            tokio::spawn(
                async move { emergencies.recognise(&EnvelopeCode::generate(), Timestamp::now()).await.map(drop) },
            )
        })
        .collect();
    for typed in typed {
        assert_eq!(typed.await.unwrap(), Err(NotOpened::Unknown));
    }
    assert!(bed.emergencies.readings() - before <= 3, "{} readings", bed.emergencies.readings() - before);
}

/// Sealed by another process, a moment after what is kept was read.
#[tokio::test]
async fn an_envelope_that_was_sealed_just_now_opens() {
    let bed = Bed::new().await;
    bed.seal().await;
    let code = EnvelopeCode::generate();
    let mut write = bed.store.begin_write().await.unwrap();
    let sealing = Sealing { rule: "control-room", holder: None, expires_at: None, by: "test", at: Timestamp::now() };
    sealing.enter(&mut write, &bed.audit, &code).await.unwrap();
    write.commit().await.unwrap();
    assert!(bed.emergencies.recognise(&code, Timestamp::now()).await.is_ok());
}

/// As if the broker were killed: everything stops where it stands, and what is on disk is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envelope_that_a_crash_has_burnt_is_found_told_of_once_and_opens_nothing() {
    let bed = Arc::new(Bed::new().await);
    let code = bed.seal().await;
    let now = Timestamp::now();
    let recognised = bed.emergencies.recognise(&code, now).await.unwrap();
    // The database does not answer: the opening stands between the ledger and the record.
    let held = bed.store.begin_write().await.unwrap();
    let opening = tokio::spawn({
        let (bed, recognised) = (Arc::clone(&bed), recognised.clone());
        async move { bed.open(&recognised, [10, 0, 0, 1]).await.map(drop) }
    });
    while bed.emergencies.state().ledger.opening(1).is_none() {
        tokio::task::yield_now().await;
    }
    opening.abort();
    assert!(opening.await.unwrap_err().is_cancelled());
    drop(held);
    assert_eq!((bed.opened().await, bed.told("SP-8008").await), (0, 0));

    let started = bed.started_in(bed.folder.path()).await;
    assert_eq!(started.recognise(&code, now).await.map(drop), Err(NotOpened::Used(1)));
    for _ in 0..2 {
        started.settle(now).await.unwrap();
        assert_eq!((bed.opened().await, bed.told("SP-8008").await), (0, 1));
    }
    let entries = AuditFilter { code: Some("SP-8008".to_owned()), ..AuditFilter::default() };
    let entry = bed.store.audit_entries(&entries).await.unwrap().remove(0);
    assert!(entry.event.contains("\"envelope\":1"), "{}", entry.event);
    // Neither after one more start, even where the ledger does not say that it was told of, nor on another broker.
    let ledger = bed.folder.path().join("emergency.opened");
    let begun = std::fs::read_to_string(&ledger).unwrap().lines().next().unwrap().to_owned();
    std::fs::write(&ledger, begun + "\n").unwrap();
    let again = bed.started_in(bed.folder.path()).await;
    again.settle(now).await.unwrap();
    assert_eq!(bed.told("SP-8008").await, 1);
    let elsewhere = tempfile::tempdir().unwrap();
    for broker in [again, bed.started_in(elsewhere.path()).await] {
        assert_eq!(broker.recognise(&code, now).await.map(drop), Err(NotOpened::Used(1)));
    }
}
