//! What whoever fills the chain on purpose can put into it.

use super::super::ceremony;
use super::bed::Bed;
use crate::identity::Refused;
use crate::identity::tests::soft_key::SoftKey;

/// What is signed goes on the record: nobody fills the chain by it.
#[tokio::test]
async fn an_answer_longer_than_any_browsers_is_refused() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    passkey.padding = 1500;
    assert!(bed.assert_with(&mut passkey).await.is_ok());
    passkey.padding = 2048;
    assert!(matches!(bed.assert_with(&mut passkey).await, Err(Refused::TooLong)));
    let (identities, now) = (&bed.entrance.broker.identities, bed.entrance.broker.now());
    let (options, discovering) = identities.begin_discovery(now).unwrap();
    let answer = serde_json::from_value(passkey.get(&options)).unwrap();
    assert!(matches!(identities.finish_discovery(discovering, &answer, now).await, Err(Refused::TooLong)));
    let mut another = SoftKey::new("gate.plant", "https://gate.plant:8443");
    another.padding = 2048;
    let (options, enrolling) = identities.begin_enrolment(&bed.alice, "", now).await.unwrap();
    let answer = serde_json::from_value(another.create(&options)).unwrap();
    assert!(matches!(identities.finish_enrolment(enrolling, &answer, now).await, Err(Refused::TooLong)));
}

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
