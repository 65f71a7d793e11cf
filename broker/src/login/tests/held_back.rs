//! Whoever has somebody's key, and was refused in the portal.

use super::bed::{Bed, PASSWORD};
use super::{answer, key, password, said};

const HELD_BACK: &str =
    "A login like this was refused in the portal a moment ago: for a while, none can be confirmed there.";

/// Alice refuses what waits.
async fn refuse(bed: &Bed) {
    let broker = &bed.entrance.broker;
    let row = broker.store.waiting_confirmation("alice", broker.now()).await.unwrap().unwrap();
    assert!(broker.store.decide_confirmation(&row.id, None, broker.now()).await.unwrap());
}

#[tokio::test]
async fn after_a_refusal_nobody_is_asked_about_its_like_and_a_code_still_counts() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    let (_slot, mut refused) = bed.attempt();
    assert_eq!(key(&mut refused, &bed, "alice").await, "partial");
    assert!(said(refused.ask("alice").await).contains("/c/"));
    refuse(&bed).await;
    let (_slot, mut again) = bed.attempt();
    assert_eq!(key(&mut again, &bed, "alice").await, "partial");
    assert_eq!(said(again.ask("alice").await), format!("{HELD_BACK}Code: "));
    let broker = &bed.entrance.broker;
    assert!(broker.store.waiting_confirmation("alice", broker.now()).await.unwrap().is_none(), "nobody is asked");
    assert_eq!(answer(&mut again, "alice", &bed.code(0)).await, "alice in the lobby, 2 factors");
    // By another first factor she is asked as ever.
    let (_slot, mut other) = bed.attempt();
    assert_eq!(password(&mut other, "alice", PASSWORD).await, "partial");
    assert!(said(other.ask("alice").await).contains("/c/"));
}

#[tokio::test]
async fn who_has_no_code_hears_why_and_connects_later() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, mut refused) = bed.attempt();
    assert_eq!(key(&mut refused, &bed, "alice").await, "partial");
    assert!(said(refused.ask("alice").await).contains("/c/"));
    refuse(&bed).await;
    let (_slot, mut again) = bed.attempt();
    assert_eq!(key(&mut again, &bed, "alice").await, "partial");
    assert_eq!(said(again.ask("alice").await), HELD_BACK);
    assert_eq!(answer(&mut again, "alice", "").await, "hang up");
}
