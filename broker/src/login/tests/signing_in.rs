//! A sign-in that no connection holds together.

use std::net::IpAddr;
use std::time::Duration;

use super::bed::{Bed, PASSWORD};
use super::{
    FACTOR_ACCEPTED, FACTOR_REFUSED, LOGIN_ABANDONED, LOGIN_ACCEPTED, LOGIN_REFUSED, answer, password as ssh_password,
};
use crate::identity::{MultiFactor, Offer, Refused};
use crate::login::signing_in::REFUSAL_TAKES;
use crate::login::{SecondStep, SigningIn};
use crate::vault::Secret;

const SOURCE: [u8; 4] = [192, 0, 2, 7];

async fn begin(bed: &Bed, name: &str, password: &str) -> Result<SigningIn, &'static str> {
    SigningIn::begin(&bed.entrance, IpAddr::from(SOURCE), name, Secret::new(password.to_owned())).await
}

async fn signed_in(bed: &Bed) -> MultiFactor {
    let signing_in = begin(bed, "alice", PASSWORD).await.unwrap();
    match signing_in.second(Offer::Code(&bed.code(0))).await {
        SecondStep::SignedIn(proof) => *proof,
        other => panic!("{other:?}"),
    }
}

async fn stands(bed: &Bed, proof: &MultiFactor) -> Result<(), Refused> {
    let broker = &bed.entrance.broker;
    broker.identities.still_proven(proof, broker.now()).await.map(drop)
}

#[tokio::test]
async fn a_password_and_a_code_sign_in_and_let_nobody_in_elsewhere() {
    let bed = Bed::new().await;
    let proof = signed_in(&bed).await;
    assert_eq!(proof.proofs().len(), 2);
    assert_eq!(bed.events().await, [FACTOR_ACCEPTED, FACTOR_ACCEPTED, LOGIN_ACCEPTED]);
    assert!(stands(&bed, &proof).await.is_ok());
    // The same password from the same address, by ssh: the code is asked for as ever.
    let (_slot, mut attempt) = bed.attempt();
    assert_eq!(ssh_password(&mut attempt, "alice", PASSWORD).await, "partial");
    assert_eq!(answer(&mut attempt, "alice", &bed.code(1)).await, "alice in the lobby, 2 factors");
    // And a lease from ssh does not stand in here.
    assert!(begin(&bed, "alice", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn what_takes_a_factor_away_takes_the_sign_in_away() {
    let bed = Bed::new().await;
    let (broker, proof) = (&bed.entrance.broker, signed_in(&bed).await);
    bed.admin.lock(&bed.alice, "away", broker.now()).await.unwrap();
    assert!(matches!(stands(&bed, &proof).await, Err(Refused::Locked { .. })));
    bed.admin.unlock(&bed.alice, broker.now()).await.unwrap();
    bed.admin.set_password(&bed.alice, Secret::new("another horse battery".to_owned()), broker.now()).await.unwrap();
    assert!(matches!(stands(&bed, &proof).await, Err(Refused::Withdrawn)));
}

#[tokio::test]
async fn a_lease_that_is_revoked_by_hand_ends_the_sign_in_it_was_entered_with() {
    let bed = Bed::new().await;
    let (broker, proof) = (&bed.entrance.broker, signed_in(&bed).await);
    bed.admin.revoke_lease(proof.lease().unwrap().as_str(), broker.now()).await.unwrap();
    assert!(matches!(stands(&bed, &proof).await, Err(Refused::Withdrawn)));
}

#[tokio::test]
async fn a_sign_in_that_is_given_up_leaves_a_trace() {
    let bed = Bed::new().await;
    drop(begin(&bed, "alice", PASSWORD).await.unwrap());
    tokio::time::timeout(Duration::from_secs(5), async {
        while bed.events().await.last().map(String::as_str) != Some(LOGIN_ABANDONED) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn three_wrong_codes_are_the_end_of_it() {
    let bed = Bed::new().await;
    let mut signing_in = begin(&bed, "alice", PASSWORD).await.unwrap();
    for _ in 0..2 {
        signing_in = match signing_in.second(Offer::Code("zzzz-zzzz-zzzz-zzzz")).await {
            SecondStep::Again { signing_in, sentence } => {
                assert_eq!(sentence, "This code is not valid.");
                *signing_in
            }
            other => panic!("{other:?}"),
        };
    }
    let last = signing_in.second(Offer::Code("zzzz-zzzz-zzzz-zzzz")).await;
    assert!(matches!(last, SecondStep::Over { .. }), "{last:?}");
    let refused = [FACTOR_REFUSED; 3];
    assert_eq!(bed.events().await, [&[FACTOR_ACCEPTED][..], &refused, &[LOGIN_REFUSED]].concat());
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_the_same_and_after_as_long() {
    let bed = Bed::new().await;
    for (name, password) in
        [("alice", "wrong"), ("nobody", PASSWORD), ("alice:ews-1", PASSWORD), ("", PASSWORD), ("al\nice", PASSWORD)]
    {
        let begun = std::time::Instant::now();
        assert_eq!(begin(&bed, name, password).await.err(), Some("Access denied."), "{name}");
        assert!(begun.elapsed() >= REFUSAL_TAKES, "{name}");
    }
    assert_eq!(bed.events().await, [FACTOR_REFUSED; 5]);
}
