//! What retention removes, and what nobody makes it remove who cannot sign.

use jiff::SignedDuration;

use super::*;
use crate::recording::retention::Removed;
use crate::store::recordings::RecordingFilter;

async fn three(desk: &mut Desk, keep: Retention) -> Recordings {
    desk.config.retention.insert("cell-1".to_owned(), keep);
    let recordings = desk.open();
    for number in 1..=3 {
        let handle = desk.begin(&recordings, number).await;
        desk.end(handle).await;
    }
    recordings
}

fn days(days: u32) -> Retention {
    Retention { days: Some(days), bytes: None }
}

async fn hold(desk: &Desk, number: u8) {
    let mut write = desk.store.begin_quiet_write().await.unwrap();
    assert!(desk.store.hold_recording(&mut write, &session(number), true).await.unwrap());
    let event = AuditEvent::RecordingHeld { session: session(number), reason: "case 17".to_owned() };
    desk.audit.record_in(&mut write, event).await.unwrap();
    write.commit().await.unwrap();
}

async fn exists(desk: &Desk, number: u8) -> bool {
    desk.path(&desk.catalogued(number).await).exists()
}

async fn said(desk: &Desk, code: &str) -> usize {
    desk.codes().await.into_iter().filter(|each| each == code).count()
}

fn sessions(removed: Vec<Removed>) -> Vec<String> {
    removed.into_iter().map(|each| each.session).collect()
}

fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * 31)
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_goes_by_age_and_leaves_what_is_held() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    hold(&desk, 2).await;
    assert_eq!(recordings.retain(Timestamp::now()).await.unwrap(), []);
    let removed = recordings.retain(later()).await.unwrap();
    assert_eq!(sessions(removed), [session(1), session(3)]);
    assert!(!exists(&desk, 1).await);
    assert!(exists(&desk, 2).await);
    assert_eq!(said(&desk, "SP-4004").await, 2);
    let listed = desk.store.recordings(&RecordingFilter::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].recording.legal_hold);
    assert_eq!((listed[0].identity.as_str(), listed[0].form.as_str()), ("alice", "jump"));
    assert_eq!(recordings.retain(later()).await.unwrap(), []);
    assert_eq!((said(&desk, "SP-4010").await, said(&desk, "SP-4011").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_by_size_removes_the_oldest_first() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, Retention::default()).await;
    let newest = desk.catalogued(3).await.bytes;
    drop(recordings);
    desk.config.retention.clear();
    desk.config.keep = Retention { days: None, bytes: Some(newest + 10) };
    let recordings = desk.open();
    // Neither the order nor the sizes of the catalogue count.
    desk.sql(format!("UPDATE recordings SET started_at = 0, bytes = 1 WHERE session = '{}'", session(3))).await;
    let removed = recordings.retain(Timestamp::now()).await.unwrap();
    assert_eq!(sessions(removed), [session(1), session(2)]);
    desk.sql("UPDATE recordings SET bytes = 1000000000".to_owned()).await;
    assert_eq!(recordings.retain(Timestamp::now()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalogue_alone_says_removes_nothing() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    hold(&desk, 1).await;
    let victim = desk.folder.path().join("victim.key");
    std::fs::write(&victim, "precious").unwrap();
    let (held, other) = (session(1), session(2));
    desk.sql(format!("UPDATE recordings SET legal_hold = 0, closed_at = 1, started_at = 1 WHERE session = '{held}'"))
        .await;
    desk.sql(format!("UPDATE recordings SET path = '../victim.key', closed_at = 1 WHERE session = '{other}'")).await;
    desk.sql(format!("UPDATE recordings SET zone = 'cell-9', closed_at = 1 WHERE session = '{}'", session(3))).await;
    assert_eq!(recordings.retain(Timestamp::now()).await.unwrap(), []);
    // When its time has come, what lies elsewhere still stays, and somebody is told once.
    for _ in 0..2 {
        let removed = sessions(recordings.retain(later()).await.unwrap());
        assert!(!removed.contains(&held) && !removed.contains(&other), "{removed:?}");
    }
    assert!(exists(&desk, 1).await && victim.exists());
    assert_eq!(said(&desk, "SP-4010").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_was_lifted_behind_the_brokers_back_holds() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    hold(&desk, 1).await;
    assert_eq!(recordings.retain(Timestamp::now()).await.unwrap(), []);
    // An entry that nobody signed says it was released; so does the catalogue.
    let id = session(1);
    let head = "(SELECT hash FROM audit ORDER BY seq DESC LIMIT 1)";
    let event = format!(r#"{{"event":"recording.released","reason":"","session":"{id}"}}"#);
    desk.sql(format!(
        "INSERT INTO audit SELECT seq + 1, 'x', at, 'SP-4006', 'cli', 'root', NULL, '{id}', '{event}', {head}, 'y', NULL
         FROM audit ORDER BY seq DESC LIMIT 1"
    ))
    .await;
    desk.sql("UPDATE recordings SET legal_hold = 0".to_owned()).await;
    for _ in 0..2 {
        assert_eq!(recordings.retain(later()).await.unwrap(), []);
    }
    assert_eq!(said(&desk, "SP-4011").await, 1);
    assert!(exists(&desk, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_chain_lets_nothing_go() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    desk.sql("UPDATE audit SET at = 1 WHERE code = 'SP-3002'".to_owned()).await;
    assert_eq!(recordings.retain(Timestamp::now()).await.unwrap(), []);
    assert_eq!((said(&desk, "SP-4004").await, said(&desk, "SP-4011").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_does_not_know_is_not_removed_but_reported() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    desk.start(&recordings, 4).await.seal("closed", "").await.unwrap();
    // The chain may be a moment behind: the first time it is only noticed.
    assert_eq!(sessions(recordings.retain(later()).await.unwrap()).len(), 3);
    assert_eq!(said(&desk, "SP-4010").await, 0);
    for _ in 0..2 {
        assert_eq!(recordings.retain(later()).await.unwrap(), []);
    }
    assert_eq!(said(&desk, "SP-4010").await, 1);
    assert!(exists(&desk, 4).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_a_link_is_not_followed() {
    let mut desk = Desk::new().await;
    let recordings = three(&mut desk, days(30)).await;
    let path = desk.path(&desk.catalogued(1).await);
    let (day, elsewhere) = (path.parent().unwrap(), desk.folder.path().join("elsewhere"));
    std::fs::rename(day, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, day).unwrap();
    assert_eq!(recordings.retain(later()).await.unwrap(), []);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 3);
    assert_eq!(said(&desk, "SP-4010").await, 3);
    // Nor is anything recorded there.
    assert!(desk.try_start(&recordings, 5).await.is_err());
}
