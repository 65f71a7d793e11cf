//! What whoever fills the chain on purpose can put into it.

use super::super::ceremony;
use super::bed::Bed;
use crate::identity::Refused;

/// Whoever proves nothing fills the chain with refusals no more here than at any door.
#[tokio::test]
async fn a_flood_of_strangers_passkeys_is_one_wave_on_the_record() {
    let bed = Bed::new().await;
    let source = [192, 0, 2, 9].into();
    for _ in 0..100 {
        ceremony::stranger_refused(&bed.entrance, source, &Refused::UnknownPasskey).await.unwrap();
    }
    let events = bed.events().await;
    let told = |code: &str| events.iter().filter(|event| *event == code).count();
    assert!((1..50).contains(&told("SP-1004")), "{} refusals were recorded one by one", told("SP-1004"));
    assert_eq!(told("SP-1008"), 1);
    // A copy of a key is told of, in a flood too.
    let (identity, credential) = (bed.alice.clone(), "webauthn:x".to_owned());
    let copied = Refused::CounterWentBack { identity, credential };
    ceremony::stranger_refused(&bed.entrance, source, &copied).await.unwrap();
    assert_eq!(bed.events().await.iter().filter(|event| *event == "SP-1015").count(), 1);
}
