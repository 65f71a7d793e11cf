//! Strangers at the portal's port: they are bounded with those at ssh's, and keep nobody out.

use std::time::{Duration, Instant};

use sallyport_tests::{Setup, Token};

use super::confirmations::{FORGED, script};
use super::passkeys::{browser, invited};
use super::{PASSWORD, alice, plant, with_password};

const PER_SOURCE: usize = 16;

#[test]
fn two_hundred_connections_of_one_source_hold_up_nobody_elsewhere() {
    let limits = format!("[ssh]\nmax_unauthenticated_per_source = {PER_SOURCE}\nmax_rate_per_source = 1000");
    let mut plant = Setup::standard().portal().setting(&limits).start();
    let alice = alice(&plant);
    let pid = plant.broker().pid();
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = descriptors();
    let flooding = plant.portal_from("10.0.0.11");
    let mut held: Vec<_> = (0..200).filter_map(|_| flooding.socket().ok()).collect();
    assert!(held.len() >= 150, "only {} connections were begun", held.len());
    let open = descriptors();
    assert!(open <= before + PER_SOURCE + 4, "{open} descriptors are open, and {before} before");
    // ssh and portal of another source go on.
    let began = Instant::now();
    alice.ssh(["ews-1.direct", "echo in"]).ok();
    let portal = plant.portal();
    portal.visitor().sign_in(&alice, PASSWORD);
    assert!(began.elapsed() < Duration::from_secs(15), "took {:?}", began.elapsed());
    // At ssh's port the flooding source has no more room than it has at the portal's: they are one count.
    assert!(held.len() > PER_SOURCE);
    held.clear();
}

/// Whatever somebody does in the portal is on the record, and the record is everybody's.
#[test]
fn whoever_is_signed_in_does_not_fill_the_record() {
    const TRIED: usize = 150;
    let plant = plant();
    let (alice, bob) = (alice(&plant), with_password(&plant, "bob"));
    let portal = plant.portal();
    let (mut hers, mut his) = (portal.visitor(), portal.visitor());
    hers.sign_in(&alice, PASSWORD);
    his.sign_in(&bob, PASSWORD);
    let began = Instant::now();
    let answers: Vec<u16> =
        (0..TRIED).map(|_| hers.post("/factors/prove", &[("code", "zzzz-zzzz-zzzz-zzzz")]).status).collect();
    let most = 60 + usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let looked_at = answers.iter().filter(|status| **status == 403).count();
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), TRIED - looked_at, "{answers:?}");
    assert!((60..=most).contains(&looked_at) && looked_at < TRIED, "{looked_at} of {TRIED} were looked at");
    let told = plant.audit().iter().filter(|entry| entry["code"] == "SP-1004").count();
    assert_eq!(told, looked_at, "what was not looked at is not on the record");
    // She reads on, and nobody else is held up.
    assert_eq!(hers.get("/factors").status, 200);
    assert_eq!(his.post("/factors/recovery", &[]).status, 200);
}

/// A key that is not believed is as a wrong code: the third one ends the sign-in.
#[test]
fn whoever_has_a_password_alone_does_not_fill_the_record_with_keys() {
    let plant = plant();
    let (_alice, link) = invited(&plant, "alice");
    plant.set_password("alice", PASSWORD);
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    browser.open(&link);
    browser.fill("#passkey-name", "Blue key");
    browser.fill("#password-passkey", PASSWORD);
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");

    let portal = plant.portal();
    let mut thief = portal.visitor();
    assert_eq!(thief.first("alice", PASSWORD).leads_to(), "/sign-in/second");
    let page = thief.get("/sign-in/second").body;
    let csrf = page.split_once("name=\"csrf\" content=\"").unwrap().1.split('"').next().unwrap();
    let refused = || plant.audit().iter().filter(|entry| entry["code"] == "SP-1004").count();
    let before = refused();
    for _ in 0..8 {
        script(&plant, thief.cookie.as_deref(), csrf, "/sign-in/key/options", "{}");
        script(&plant, thief.cookie.as_deref(), csrf, "/sign-in/key/finish", FORGED);
    }
    assert_eq!(refused() - before, 3);
    assert_eq!(thief.get("/sign-in/second").leads_to(), "/sign-in");
}
