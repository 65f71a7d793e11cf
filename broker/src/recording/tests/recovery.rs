//! What a starting broker makes of recordings whose end is in the audit chain, or should be.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_end_is_in_the_chain_is_never_sealed_again() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    for number in 1..=2 {
        let handle = desk.begin(&recordings, number).await;
        handle.append(T1, Kind::Output, b"harmless").unwrap();
        handle.append(T1, Kind::Output, &[b'E'; 400]).unwrap();
        desk.end(handle).await;
    }
    drop(recordings);
    // Cut, and called open; the other only called open.
    let path = desk.path(&desk.catalogued(1).await);
    let whole = std::fs::read(&path).unwrap();
    let cut = &whole[..whole.len() - 300];
    std::fs::write(&path, cut).unwrap();
    desk.sql("UPDATE recordings SET state = 'open', head = NULL, closed_at = NULL".to_owned()).await;
    let before = desk.codes().await.len();

    let recovered = desk.open().recover().await.unwrap();
    assert_eq!(recovered.len(), 1);
    assert!(matches!(&recovered[0].found, Found::Damaged(fault) if fault.contains("the audit chain has its end")));
    assert_eq!(std::fs::read(&path).unwrap(), cut);
    assert_eq!(desk.codes().await[before..], ["SP-4008"]);
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Failed);
    assert_eq!(desk.catalogued(2).await.state, RecordingState::Sealed);
    // Put back, it is the one that the chain knows.
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(desk.open().recover().await.unwrap(), []);
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Sealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_was_edited_in_the_chain_is_no_leave_to_seal() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.begin(&recordings, 1).await;
    desk.end(handle).await;
    drop(recordings);
    desk.sql("UPDATE recordings SET state = 'open'".to_owned()).await;
    desk.sql(r#"UPDATE audit SET event = '{"event":"session.ended"}' WHERE code = 'SP-3002'"#.to_owned()).await;
    let recovered = desk.open().recover().await.unwrap();
    assert!(matches!(&recovered[0].found, Found::Damaged(fault) if fault.contains("was edited")), "{recovered:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_sessions_recording_that_is_gone_is_missed() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.begin(&recordings, 1).await;
    let path = desk.path(&desk.catalogued(1).await);
    // A session whose broker died before it began on record has none to miss.
    desk.start(&recordings, 2).await;
    drop((handle, recordings));
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(desk.path(&desk.catalogued(2).await)).unwrap();
    desk.sql("DELETE FROM recordings".to_owned()).await;
    let recovered = desk.open().recover().await.unwrap();
    assert_eq!(recovered.iter().map(|each| each.session.clone()).collect::<Vec<_>>(), [session(1)]);
    assert_eq!(desk.codes().await.last().unwrap(), "SP-4008");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_did_not_reach_the_chain_any_more_is_entered() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.begin(&recordings, 1).await;
    handle.seal("left", "").await.unwrap();
    assert_eq!(desk.catalogued(1).await.state, RecordingState::Sealed);
    drop((handle, recordings));
    let recovered = desk.open().recover().await.unwrap();
    assert_eq!(recovered.iter().map(|each| each.found.clone()).collect::<Vec<_>>(), [Found::Whole]);
    assert_eq!(desk.codes().await, ["SP-3001", "SP-4007"]);
    assert_eq!(desk.open().recover().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_leads_elsewhere_is_not_sealed() {
    let desk = Desk::new().await;
    let recordings = desk.open();
    let handle = desk.begin(&recordings, 1).await;
    handle.append(T1, Kind::Input, b"x").unwrap();
    let path = desk.path(&desk.catalogued(1).await);
    drop((handle, recordings));
    let elsewhere = desk.folder.path().join("elsewhere.srec");
    std::fs::rename(path, &elsewhere).unwrap();
    let before = std::fs::read(&elsewhere).unwrap();
    desk.sql("UPDATE recordings SET path = '../elsewhere.srec'".to_owned()).await;
    let recovered = desk.open().recover().await.unwrap();
    assert!(matches!(&recovered[0].found, Found::Damaged(_)), "{recovered:?}");
    assert_eq!(std::fs::read(&elsewhere).unwrap(), before);
}
