//! A login that waits for its person in the portal, and whoever wants to get in by it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::ceremony;
use super::bed::{Bed, PASSWORD};
use super::{key, said};
use crate::audit::{AuditEvent, ChainFault, ChainVerification};
use crate::identity::tests::soft_key::SoftKey;
use crate::identity::{Asserted, Refused};
use crate::listen::Slot;
use crate::login::Attempt;
use crate::store::Genuine;
use crate::store::confirmations::{ConfirmationRow, ConfirmationState, NumberTried};

impl Bed {
    async fn waiting(&self) -> Option<Genuine<ConfirmationRow>> {
        let broker = &self.entrance.broker;
        broker.store.waiting_confirmation("alice", broker.now()).await.unwrap()
    }

    pub(super) async fn assert_with(&self, key: &mut SoftKey) -> Result<Asserted, Refused> {
        let (identities, now) = (&self.entrance.broker.identities, self.entrance.broker.now());
        let (options, asserting) = identities.begin_assertion(&self.alice, now).await.unwrap();
        let answer = serde_json::from_value(key.get(&options)).unwrap();
        identities.finish_assertion(asserting, &answer, now).await
    }

    async fn confirm(&self, id: &str, asserted: &Asserted) -> bool {
        let broker = &self.entrance.broker;
        broker.identities.confirm(id, asserted, broker.now()).await.unwrap()
    }

    /// A login by alice's key, that waits.
    async fn begin(&self) -> (Slot, Attempt, String) {
        let (slot, mut attempt) = self.attempt();
        assert_eq!(key(&mut attempt, self, "alice").await, "partial");
        let asked = said(attempt.ask("alice").await);
        (slot, attempt, asked)
    }
}

#[tokio::test]
async fn a_login_goes_on_when_its_person_has_confirmed_it_and_the_lease_says_by_what() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, mut attempt, asked) = bed.begin().await;
    let row = bed.waiting().await.unwrap();
    let link = format!(
        "Confirm this login in your browser: https://gate.plant:8443/c/{}\nThe number is {}.",
        row.code, row.number
    );
    assert_eq!(asked, link);
    let waits = tokio::spawn(async move { (said(attempt.answer("alice", "").await), attempt) });
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(bed.confirm(&row.id, &asserted).await);
    let (said, _attempt) = waits.await.unwrap();
    assert_eq!(said, "alice in the lobby, 2 factors");
    let (_, granted) = bed.last("SP-1006").await;
    assert_eq!(granted["factor"], "webauthn");
    // It was spent, and says nothing to the next one.
    let row = bed.entrance.broker.store.confirmation(&row.id).await.unwrap().unwrap();
    assert_eq!(row.state, ConfirmationState::Spent);
    assert!(!bed.confirm(&row.id, &asserted).await);
}

#[tokio::test]
async fn who_has_an_authenticator_too_gives_a_code_or_confirms() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    let (_slot, mut attempt, asked) = bed.begin().await;
    assert!(asked.ends_with("Code, or Enter once confirmed: "), "{asked}");
    assert_eq!(
        said(attempt.answer("alice", "zzzz-zzzz-zzzz-zzzz").await).lines().next(),
        Some("This code is not valid.")
    );
    assert_eq!(said(attempt.answer("alice", &bed.code(0)).await), "alice in the lobby, 2 factors");
    drop(attempt);
    let gone = async {
        while bed.waiting().await.is_some() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("nobody is asked any more");
}

#[tokio::test]
async fn a_refused_login_is_told_so_and_ends() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, mut attempt, _) = bed.begin().await;
    let row = bed.waiting().await.unwrap();
    let broker = &bed.entrance.broker;
    assert!(broker.store.decide_confirmation(&row.id, None, broker.now()).await.unwrap());
    assert_eq!(said(attempt.answer("alice", "").await), "This login was refused in the portal.");
    assert_eq!(said(attempt.answer("alice", "").await), "hang up");
    let (_, event) = bed.last("SP-1014").await;
    assert_eq!(event["identity"], "alice");
}

#[tokio::test]
async fn a_wrong_number_three_times_and_the_request_is_dead() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    let (_slot, _attempt, _) = bed.begin().await;
    let row = bed.waiting().await.unwrap();
    let (store, now) = (&bed.entrance.broker.store, bed.entrance.broker.now());
    assert_eq!(store.try_number(&row.id, row.number, now).await.unwrap(), NumberTried::Right);
    for left in [2, 1] {
        assert_eq!(store.try_number(&row.id, row.number - 1, now).await.unwrap(), NumberTried::Wrong { left });
    }
    assert_eq!(store.try_number(&row.id, row.number - 1, now).await.unwrap(), NumberTried::Over);
    assert_eq!(
        store.try_number(&row.id, row.number, now).await.unwrap(),
        NumberTried::Over,
        "the right one comes too late"
    );
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(!bed.confirm(&row.id, &asserted).await);
}

#[tokio::test]
async fn one_login_of_a_person_waits_at_a_time_and_it_is_counted_who_was_turned_away() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, _attempt, _) = bed.begin().await;
    for count in 1..=3 {
        // Whoever has only her password.
        let (_slot, mut other) = bed.attempt();
        assert_eq!(super::password(&mut other, "alice", PASSWORD).await, "partial");
        let busy = "Another login of yours waits for its confirmation in the portal.";
        assert_eq!(said(other.ask("alice").await), busy);
        assert_eq!(bed.waiting().await.unwrap().turned_away, count);
    }
}

#[tokio::test]
async fn logins_of_one_key_and_address_wait_together_and_one_confirmation_lets_all_in() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, mut first, asked) = bed.begin().await;
    let (_slot, mut second, same) = bed.begin().await;
    assert_eq!(asked, same);
    let row = bed.waiting().await.unwrap();
    assert_eq!(row.turned_away, 0);
    let both = tokio::spawn(async move {
        tokio::join!(async { said(first.answer("alice", "").await) }, async { said(second.answer("alice", "").await) })
    });
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(bed.confirm(&row.id, &asserted).await);
    let (first, second) = both.await.unwrap();
    assert_eq!([first, second], ["alice in the lobby, 2 factors"; 2]);
    let events = bed.events().await;
    assert_eq!(events.iter().filter(|code| *code == "SP-1005").count(), 1, "one by a lease: {events:?}");
}

/// It has shown its key before the other was confirmed, and asks what is due after that.
#[tokio::test]
async fn a_login_that_comes_between_the_confirmation_of_another_and_its_lease_asks_for_none_of_its_own() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (its_slot, mut first, _) = bed.begin().await;
    let (_slot, mut late) = bed.attempt();
    assert_eq!(key(&mut late, &bed, "alice").await, "partial");
    let row = bed.waiting().await.unwrap();
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(bed.confirm(&row.id, &asserted).await);
    let (_slot, mut between) = bed.attempt();
    assert_eq!(key(&mut between, &bed, "alice").await, "partial");
    let asked = said(between.ask("alice").await);
    assert!(asked.contains(&row.code), "the one that is confirmed and not yet leased: {asked}");
    assert_eq!(said(first.answer("alice", "").await), "alice in the lobby, 2 factors");
    assert_eq!(said(between.answer("alice", "").await), "alice in the lobby, 2 factors");
    // Two connections are all that she may have.
    drop((first, its_slot));
    assert_eq!(said(late.ask("alice").await), "alice in the lobby, 2 factors");
    assert!(bed.waiting().await.is_none());
}

/// Where the person was lately, a login of a stranger with their key makes room.
#[tokio::test]
async fn a_login_from_where_the_person_was_lately_makes_another_leave() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    let (_slot, mut attempt, _) = bed.begin().await;
    assert_eq!(said(attempt.answer("alice", &bed.code(0)).await), "alice in the lobby, 2 factors");
    drop(attempt);
    bed.admin.revoke_leases(None, bed.entrance.broker.now()).await.unwrap();
    let (_slot, mut first) = bed.attempt();
    assert_eq!(super::password(&mut first, "alice", PASSWORD).await, "partial");
    assert!(said(first.ask("alice").await).contains("/c/"));
    let before = bed.waiting().await.unwrap().id.clone();
    let (_slot, _second, asked) = bed.begin().await;
    assert!(asked.contains("/c/"), "{asked}");
    assert_ne!(bed.waiting().await.unwrap().id, before);
    assert_eq!(said(first.answer("alice", "").await), "Another login of yours took the place of this one.");
}

/// A confirmation is of one login: the same person, the same first factor, the same address.
#[tokio::test]
async fn a_confirmation_lets_in_nobody_else() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    let (_slot, _attempt, _) = bed.begin().await;
    let row = bed.waiting().await.unwrap();
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(bed.confirm(&row.id, &asserted).await);
    // Somebody with alice's password instead of her key.
    let identities = &bed.entrance.broker.identities;
    let now = bed.entrance.broker.now();
    let claim = crate::identity::Claim::Password(crate::vault::Secret::new(PASSWORD.to_owned()));
    let other = identities.first_factor("alice", claim, [192, 0, 2, 7].into(), now).await.unwrap();
    let refused = identities.second_factor(&other, crate::identity::Offer::Confirmation(&row.id), now).await;
    assert!(matches!(refused, Err(Refused::NotConfirmed)), "{refused:?}");
    let claim = crate::identity::Claim::Key(bed.key.public_key());
    let elsewhere = identities.first_factor("alice", claim, [192, 0, 2, 8].into(), now).await.unwrap();
    let refused = identities.second_factor(&elsewhere, crate::identity::Offer::Confirmation(&row.id), now).await;
    assert!(matches!(refused, Err(Refused::NotConfirmed)), "{refused:?}");
}

/// Whoever writes the database can write a row; it confirms nothing without a MAC.
#[tokio::test]
async fn a_row_that_nobody_confirmed_confirms_nothing() {
    let bed = Bed::new().await;
    let _passkey = bed.passkey().await;
    bed.without_authenticator().await;
    let (_slot, mut attempt, _) = bed.begin().await;
    let store = &bed.entrance.broker.store;
    let mut write = store.begin_write().await.unwrap();
    sqlx::query("UPDATE confirmations SET state = 'confirmed', decided_at = asked_at, proven_by = 'webauthn:x'")
        .execute(&mut *write)
        .await
        .unwrap();
    write.commit().await.unwrap();
    assert_eq!(said(attempt.answer("alice", "").await), "Another login of yours took the place of this one.");
}

#[tokio::test]
async fn an_assertion_of_another_origin_without_verification_or_replayed_is_refused() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    passkey.origin = "https://gate.plant.evil:8443".to_owned();
    assert!(matches!(bed.assert_with(&mut passkey).await, Err(Refused::WebAuthn(_))));
    passkey.origin = "https://gate.plant:8443".to_owned();
    passkey.name = "plant".to_owned();
    assert!(matches!(bed.assert_with(&mut passkey).await, Err(Refused::WebAuthn(_))));
    passkey.name = "gate.plant".to_owned();
    passkey.verifies = false;
    assert!(matches!(bed.assert_with(&mut passkey).await, Err(Refused::WebAuthn(_))));
    passkey.verifies = true;
    // The answer to another challenge.
    let (identities, now) = (&bed.entrance.broker.identities, bed.entrance.broker.now());
    let (options, asserting) = identities.begin_assertion(&bed.alice, now).await.unwrap();
    let (_, other) = identities.begin_assertion(&bed.alice, now).await.unwrap();
    let answer: Value = passkey.get(&options);
    let parsed = || serde_json::from_value(answer.clone()).unwrap();
    assert!(identities.finish_assertion(other, &parsed(), now).await.is_err());
    assert!(identities.finish_assertion(asserting, &parsed(), now).await.is_ok());
    // Too late.
    let (options, asserting) = identities.begin_assertion(&bed.alice, now).await.unwrap();
    let answer = serde_json::from_value(passkey.get(&options)).unwrap();
    let later: Timestamp = now + SignedDuration::from_mins(6);
    assert!(matches!(identities.finish_assertion(asserting, &answer, later).await, Err(Refused::Stale { .. })));
}

#[tokio::test]
async fn a_counter_that_goes_back_is_refused_and_a_key_of_another_person_too() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    bed.assert_with(&mut passkey).await.unwrap();
    passkey.counter -= 1;
    assert!(matches!(bed.assert_with(&mut passkey).await, Err(Refused::CounterWentBack { .. })));
    let mut stranger = SoftKey::new("gate.plant", "https://gate.plant:8443");
    assert!(bed.assert_with(&mut stranger).await.is_err());
}

#[tokio::test]
async fn a_passkey_that_was_taken_away_proves_nothing_and_its_leases_end() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    let (_slot, mut attempt, _) = bed.begin().await;
    let row = bed.waiting().await.unwrap();
    let waits = tokio::spawn(async move { said(attempt.answer("alice", "").await) });
    let asserted = bed.assert_with(&mut passkey).await.unwrap();
    assert!(bed.confirm(&row.id, &asserted).await);
    assert_eq!(waits.await.unwrap(), "alice in the lobby, 2 factors");
    let (broker, now) = (&bed.entrance.broker, bed.entrance.broker.now());
    let credential = asserted.credential().strip_prefix("webauthn:").unwrap().to_owned();
    bed.admin.remove_passkey(&bed.alice, &credential, now).await.unwrap();
    assert!(matches!(broker.identities.begin_assertion(&bed.alice, now).await, Err(Refused::NoPasskey)));
    let (_slot, mut again) = bed.attempt();
    assert_eq!(key(&mut again, &bed, "alice").await, "partial", "the lease is gone");
    // Whoever puts the old row back: the chain holds something later.
    let mut write = broker.store.begin_write().await.unwrap();
    sqlx::query("UPDATE webauthn SET revoked_at = NULL").execute(&mut *write).await.unwrap();
    write.commit().await.unwrap();
    assert!(matches!(broker.identities.begin_assertion(&bed.alice, now).await, Err(Refused::NoPasskey)));
}

#[tokio::test]
async fn an_invitation_enrols_one_passkey_and_no_second() {
    let bed = Bed::new().await;
    let (broker, now) = (&bed.entrance.broker, bed.entrance.broker.now());
    let identities = &broker.identities;
    let secret = bed.admin.invite(&bed.alice, SignedDuration::from_hours(1), now).await.unwrap();
    let invitation = crate::identity::Invitation::of(secret.expose());
    assert_eq!(identities.invited(&invitation, now).await.unwrap(), Some(bed.alice.clone()));
    assert_eq!(identities.invited(&invitation, now + SignedDuration::from_hours(1)).await.unwrap(), None);
    let mut keys = [(); 2].map(|()| SoftKey::new("gate.plant", "https://gate.plant:8443"));
    let mut enrolled = Vec::new();
    for key in &mut keys {
        let (options, enrolling) = identities.begin_enrolment(&bed.alice, "", now).await.unwrap();
        let answer = serde_json::from_value(key.create(&options)).unwrap();
        let new = identities.finish_enrolment(enrolling, &answer, now).await.unwrap();
        let by = Some((&invitation, [192, 0, 2, 7].into()));
        enrolled.push(bed.admin.add_passkey(&new, "key", by, now).await.is_ok());
    }
    assert_eq!(enrolled, [true, false]);
    assert_eq!(identities.invited(&invitation, now).await.unwrap(), None);
    // Who is locked is invited to nothing.
    let locked = bed.admin.invite(&bed.alice, SignedDuration::from_hours(1), now).await.unwrap();
    let locked = crate::identity::Invitation::of(locked.expose());
    bed.admin.lock(&bed.alice, "away", now).await.unwrap();
    assert_eq!(identities.invited(&locked, now).await.unwrap(), None);
    bed.admin.unlock(&bed.alice, now).await.unwrap();
    // A later one makes an earlier one void, also where its row is put back.
    let first = bed.admin.invite(&bed.alice, SignedDuration::from_hours(1), now).await.unwrap();
    let _second = bed.admin.invite(&bed.alice, SignedDuration::from_hours(1), now).await.unwrap();
    let first = crate::identity::Invitation::of(first.expose());
    assert_eq!(identities.invited(&first, now).await.unwrap(), None);
}

#[tokio::test]
async fn a_passkey_alone_signs_in_whoever_it_belongs_to() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    let (identities, now) = (&bed.entrance.broker.identities, bed.entrance.broker.now());
    let (options, discovering) = identities.begin_discovery(now).unwrap();
    assert!(options["publicKey"]["allowCredentials"].as_array().is_none_or(Vec::is_empty), "it names nobody");
    let answer = serde_json::from_value(passkey.get(&options)).unwrap();
    let asserted = identities.finish_discovery(discovering, &answer, now).await.unwrap();
    let proof = identities.passkey_sign_in(&asserted, [192, 0, 2, 7].into(), now).await.unwrap();
    assert_eq!(proof.identity(), &bed.alice);
    bed.admin.lock(&bed.alice, "gone", now).await.unwrap();
    assert!(identities.passkey_sign_in(&asserted, [192, 0, 2, 7].into(), now).await.is_err());
}

/// What was signed can be checked later, by whoever has the chain.
#[tokio::test]
async fn what_a_passkey_signed_is_in_the_chain_and_checked_against_the_enrolled_key() {
    let bed = Bed::new().await;
    let mut passkey = bed.passkey().await;
    let broker = &bed.entrance.broker;
    let source = [192, 0, 2, 7].into();
    let bad = |found: &ChainVerification| {
        let bad = found.faults.iter().filter(|fault| matches!(fault, ChainFault::BadAssertion(_)));
        bad.count()
    };
    for count in 1..=2 {
        let asserted = bed.assert_with(&mut passkey).await.unwrap();
        ceremony::asserted(broker, &asserted, source, "to sign in".to_owned()).await.unwrap();
        let found = broker.audit.verify(&broker.store).await.unwrap();
        assert_eq!((found.assertions, bad(&found)), (count, 0), "{:?}", found.faults);
    }
    let (_, told) = bed.last("SP-1012").await;
    let part = |name: &str| told[name].as_str().unwrap().to_owned();
    let forged = |identity: &str, client_data: String| AuditEvent::AssertionVerified {
        identity: identity.to_owned(),
        source: part("source"),
        credential: part("credential"),
        purpose: part("purpose"),
        client_data,
        authenticator_data: part("authenticator_data"),
        signature: part("signature"),
    };
    broker.audit.record(forged("alice", "e30".to_owned())).await.unwrap();
    broker.audit.record(forged("bob", part("client_data"))).await.unwrap();
    let found = broker.audit.verify(&broker.store).await.unwrap();
    assert_eq!((found.assertions, bad(&found)), (2, 2), "{:?}", found.faults);
}
