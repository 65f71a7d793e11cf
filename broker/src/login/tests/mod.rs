//! A login through no door at all: what holds here holds for every door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod authenticators;
mod bed;
mod bounds;
mod confirmations;
mod held_back;
mod signing_in;

use std::time::Duration;

use bed::{Bed, PASSWORD};
use jiff::{SignedDuration, Timestamp};

use super::{Attempt, Entry, Left, Step};
use crate::identity::Claim;
use crate::vault::Secret;

const LOGIN_ACCEPTED: &str = "SP-1001";
const LOGIN_REFUSED: &str = "SP-1002";
const FACTOR_ACCEPTED: &str = "SP-1003";
const FACTOR_REFUSED: &str = "SP-1004";
const LEASE_USED: &str = "SP-1005";
const LEASE_GRANTED: &str = "SP-1006";
const CONNECTION_REFUSED: &str = "SP-1010";
const LOGIN_ABANDONED: &str = "SP-1020";
const PERMITTED: &str = "SP-2001";
const DENIED: &str = "SP-2002";

/// A step in few words.
fn said(step: Step) -> String {
    match step {
        Step::Ask(question) => format!("{}{}", question.instruction, question.prompt.unwrap_or_default()),
        Step::Partial => "partial".to_owned(),
        Step::Left(Left::First) => "first".to_owned(),
        Step::Left(Left::Second) => "second".to_owned(),
        Step::Left(Left::Envelope) => "envelope".to_owned(),
        Step::HangUp => "hang up".to_owned(),
        Step::Enter { identity, entry } => match entry {
            Entry::Lobby(session) => format!("{identity} in the lobby, {} factors", session.proof().proofs().len()),
            Entry::Session { authorized, typed } => {
                assert!(typed.is_none());
                let target = authorized.target();
                format!("{identity} at {} as {}, {}", target.asset, target.account, target.form)
            }
            Entry::Refused(sentence) | Entry::Crowded(sentence) => sentence,
        },
    }
}

async fn password(attempt: &mut Attempt, name: &str, password: &str) -> String {
    said(attempt.first(name, Claim::Password(Secret::new(password.to_owned()))).await)
}

async fn key(attempt: &mut Attempt, bed: &Bed, name: &str) -> String {
    said(attempt.first(name, Claim::Key(bed.key.public_key())).await)
}

async fn answer(attempt: &mut Attempt, name: &str, typed: &str) -> String {
    said(attempt.answer(name, typed).await)
}

#[tokio::test]
async fn a_key_and_a_code_let_in_and_so_does_the_key_while_the_lease_lasts() {
    let bed = Bed::new().await;
    let (_slot, mut attempt) = bed.attempt();
    assert_eq!(said(attempt.ways("alice")), "first");
    assert!(attempt.worth_proving("alice", bed.key.public_key()).await.is_ok());
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    assert_eq!(said(attempt.ask("alice").await), "Code: ");
    assert_eq!(answer(&mut attempt, "alice", &bed.code(0)).await, "alice in the lobby, 2 factors");
    assert_eq!(bed.events().await, [FACTOR_ACCEPTED, FACTOR_ACCEPTED, LEASE_GRANTED, LOGIN_ACCEPTED]);
    // As long as the broker's own bound, which is shorter than the grant's.
    let (at, granted) = bed.last(LEASE_GRANTED).await;
    let expires_at: Timestamp = granted["expires_at"].as_str().unwrap().parse().unwrap();
    let off = expires_at.duration_since(at) - SignedDuration::from_mins(30);
    assert!(off.abs() < SignedDuration::from_secs(20), "{granted}");
    let row = bed.entrance.broker.store.find_lease(granted["lease"].as_str().unwrap()).await.unwrap().unwrap();
    let micros = |at: Timestamp| at.as_microsecond();
    assert_eq!(micros(row.expires_at), micros(expires_at), "the one that counts, and the one on record");

    let (_slot, mut again) = bed.attempt();
    assert_eq!(key(&mut again, &bed, "alice:ews-1").await, "alice at ews-1 as operator, direct");
    let events = bed.events().await;
    assert_eq!(events[4..], [FACTOR_ACCEPTED, LEASE_USED, LOGIN_ACCEPTED, PERMITTED]);
}

#[tokio::test]
async fn a_password_and_a_code_lead_where_the_name_says() {
    let bed = Bed::new().await;
    let (_slot, mut attempt) = bed.attempt();
    let name = "alice:operator@10.10.1.20";
    assert_eq!(password(&mut attempt, name, PASSWORD).await, "partial");
    assert_eq!(answer(&mut attempt, name, &bed.code(0)).await, "alice at ews-1 as operator, direct");

    let (_slot, mut elsewhere) = bed.attempt();
    let nowhere = password(&mut elsewhere, "alice:plc-9", PASSWORD).await;
    assert_eq!(nowhere, "You may not reach `plc-9` now, or it does not exist.");
    assert_eq!(bed.events().await.last().unwrap(), DENIED);
}

#[tokio::test]
async fn a_recovery_code_stands_in_for_the_authenticator_once() {
    let bed = Bed::new().await;
    let codes = bed.admin.new_recovery_codes(&bed.alice).await.unwrap();
    let (_slot, mut attempt) = bed.attempt();
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    assert_eq!(answer(&mut attempt, "alice", codes[0].expose()).await, "alice in the lobby, 2 factors");
    // With the password there is no lease yet.
    let (_slot, mut again) = bed.attempt();
    assert_eq!(password(&mut again, "alice", PASSWORD).await, "partial");
    assert_eq!(answer(&mut again, "alice", codes[0].expose()).await, "This code is not valid.Code: ");
}

#[tokio::test]
async fn wrong_codes_end_the_attempt_and_then_hold_up_whoever_gives_them() {
    let bed = Bed::new().await;
    let (_slot, mut attempt) = bed.attempt();
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    for _ in 0..2 {
        assert_eq!(answer(&mut attempt, "alice", "zzzz-zzzz-zzzz-zzzz").await, "This code is not valid.Code: ");
    }
    assert_eq!(answer(&mut attempt, "alice", "zzzz-zzzz-zzzz-zzzz").await, "hang up");
    assert_eq!(key(&mut attempt, &bed, "alice").await, "hang up", "what is over stays over");
    assert_eq!(password(&mut attempt, "bob", "whatever").await, "hang up", "whatever name is given");
    let expected = [FACTOR_ACCEPTED, FACTOR_REFUSED, FACTOR_REFUSED, FACTOR_REFUSED, LOGIN_REFUSED];
    assert_eq!(bed.events().await, expected);
    assert_eq!(bed.last(LOGIN_REFUSED).await.1["reason"], "3 wrong codes on one connection");

    let (_slot, mut again) = bed.attempt();
    assert_eq!(key(&mut again, &bed, "alice").await, "partial");
    assert_eq!(answer(&mut again, "alice", "zzzz-zzzz-zzzz-zzzz").await, "This code is not valid.Code: ");
    let held = answer(&mut again, "alice", &bed.code(0)).await;
    assert_eq!(held, "Too many wrong codes. Wait a while, then try again.Code: ", "not even looked at");
}

#[tokio::test]
async fn whoever_is_locked_gets_in_at_no_step() {
    let bed = Bed::new().await;
    let (_slot, mut between) = bed.attempt();
    assert_eq!(key(&mut between, &bed, "alice").await, "partial");
    bed.admin.lock(&bed.alice, "left her badge", Timestamp::now()).await.unwrap();
    assert_eq!(answer(&mut between, "alice", &bed.code(0)).await, "Access denied.Code: ");
    let (_slot, mut after) = bed.attempt();
    assert!(after.worth_proving("alice", bed.key.public_key()).await.is_err());
    assert_eq!(key(&mut after, &bed, "alice").await, "first");
    assert_eq!(password(&mut after, "alice", PASSWORD).await, "first");
    assert_eq!(bed.last(FACTOR_REFUSED).await.1["reason"], "the identity is locked: left her badge");
}

#[tokio::test]
async fn a_first_factor_that_is_left_alone_leaves_its_trace() {
    let bed = Bed::new().await;
    let (slot, mut attempt) = bed.attempt();
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    assert_eq!(answer(&mut attempt, "alice", "zzzz-zzzz-zzzz-zzzz").await, "This code is not valid.Code: ");
    drop((attempt, slot));
    abandoned(&bed, "the connection ended, or the login took too long, after 1 wrong codes").await;
    let (_slot, mut other) = bed.attempt();
    assert_eq!(key(&mut other, &bed, "alice").await, "partial");
    assert_eq!(said(other.ask("bob").await), "first", "what was proven, was proven for alice");
    abandoned(&bed, "another name was given, after 0 wrong codes").await;
}

/// It is told in a task of its own.
async fn abandoned(bed: &Bed, reason: &str) {
    let told = async {
        while !bed.events().await.iter().any(|code| code == LOGIN_ABANDONED)
            || bed.last(LOGIN_ABANDONED).await.1["reason"] != reason
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.expect(reason);
    assert_eq!(bed.last(LOGIN_ABANDONED).await.1["factor"], "key");
}

#[tokio::test]
async fn nothing_counts_before_a_first_factor_and_not_for_ever() {
    let bed = Bed::new().await;
    let (_slot, mut attempt) = bed.attempt();
    assert_eq!(said(attempt.ask("alice").await), "first");
    assert_eq!(answer(&mut attempt, "alice", &bed.code(0)).await, "first");
    for name in ["nobody", "alice:ews-1/../x"] {
        assert_eq!(password(&mut attempt, name, PASSWORD).await, "first");
        assert_eq!(bed.last(FACTOR_REFUSED).await.1["reason"], "no such identity");
    }
    assert_eq!(said(attempt.ways("a fourth name")), "hang up");
    let (_slot, mut asking) = bed.attempt();
    let steps: Vec<_> = (0..30).map(|_| said(asking.ways("alice"))).collect();
    assert_eq!(steps.iter().filter(|step| *step == "first").count(), 25, "{steps:?}");
}

#[tokio::test]
async fn who_has_as_many_connections_as_their_roles_allow_hears_so_and_no_more() {
    let bed = Bed::new().await;
    let (_one, mut attempt) = bed.attempt();
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    assert_eq!(answer(&mut attempt, "alice", &bed.code(0)).await, "alice in the lobby, 2 factors");
    let (_two, mut second) = bed.attempt();
    assert_eq!(key(&mut second, &bed, "alice").await, "alice in the lobby, 2 factors");
    let (_three, mut third) = bed.attempt();
    let crowded = key(&mut third, &bed, "alice:ews-1").await;
    assert_eq!(crowded, "You have 2 connections open, and may have no more. Close one first.");
    assert_eq!(bed.events().await.last().unwrap(), CONNECTION_REFUSED);
}

#[tokio::test]
async fn what_was_proven_on_a_connection_that_had_to_go_is_on_record_all_the_same() {
    let bed = Bed::new().await;
    let (slot, mut attempt) = bed.attempt();
    assert_eq!(key(&mut attempt, &bed, "alice").await, "partial");
    drop(slot);
    assert_eq!(answer(&mut attempt, "alice", &bed.code(0)).await, "hang up");
    assert_eq!(bed.events().await, [FACTOR_ACCEPTED, FACTOR_ACCEPTED, LEASE_GRANTED], "and it was no login");
}
