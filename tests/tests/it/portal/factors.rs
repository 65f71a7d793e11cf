//! Somebody's own factors, as they set them up and take them away themselves.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use sallyport::portal::look::Qr;
use sallyport::totp::TotpSettings;
use sallyport::vault::Secret;
use sallyport_tests::{Answer, Setup, Token, eventually};

use super::passkeys::{browser, enrol_and_sign_in, invited};
use super::{PASSWORD, alice, plant};

/// What stands in the first box of a kind on a page.
fn inside<'a>(page: &'a Answer, before: &str) -> &'a str {
    let (_, rest) = page.body.split_once(before).unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split('<').next().unwrap()
}

/// The key that a page of a new authenticator shows, in base32.
fn key_on(page: &Answer) -> String {
    inside(page, "<div class=\"line\"><code>").replace(' ', "")
}

#[test]
fn an_authenticator_counts_once_its_code_was_given_and_not_before() {
    let plant = plant();
    let mut alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    let page = visitor.get("/factors/totp");
    assert!(page.body.contains("The app that you use now stops working once this one is proven."), "{page}");
    let key = key_on(&page);
    // What a camera reads is the key that is shown to be typed.
    let seed = Secret::new(BASE32_NOPAD.decode(key.as_bytes()).unwrap());
    let uri = TotpSettings::default().uri("Sallyport gate-1", "alice", &seed);
    let qr = Qr::of(uri.expose()).unwrap();
    assert!(page.body.contains(&format!("d=\"{}\"", qr.path)), "{page}");

    for wrong in ["000000", "", "zzzz-zzzz-zzzz-zzzz"] {
        let again = visitor.post("/factors/totp", &[("code", wrong)]);
        assert_eq!(again.status, 200, "{again}");
        assert!(again.body.contains("That code did not work."), "{again}");
        assert_eq!(key_on(&again), key, "the app need not be set up anew");
    }
    assert_eq!(visitor.get("/factors").status, 200, "the one before still counts");
    // Another page begins another app.
    let other = key_on(&visitor.get("/factors/totp"));
    assert_ne!(other, key);

    let old = alice.with_key(&other);
    assert_eq!(visitor.post("/factors/totp", &[("code", &alice.fresh_code())]).leads_to(), "/factors");
    // What the one before proved counts no more: this sign-in with it.
    assert_eq!(visitor.get("/factors").leads_to(), "/sign-in?next=/factors");
    visitor.sign_in(&alice, PASSWORD);
    let page = visitor.get("/factors");
    assert!(!page.body.contains("Never"), "a code of it was used: {page}");
    alice.with_key(&old.unwrap());
    assert_eq!(visitor.first("alice", PASSWORD).leads_to(), "/sign-in/second");
    visitor.get("/sign-in/second");
    assert_eq!(visitor.post("/sign-in/second", &[("code", &alice.fresh_code())]).status, 403);
}

#[test]
fn recovery_codes_are_shown_once_and_each_counts_once() {
    let plant = plant();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    visitor.get("/factors");
    let codes = |page: &Answer| -> Vec<String> {
        let listed = page.body.split("<li><code>").skip(1);
        listed.map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    };
    let first = codes(&visitor.post("/factors/recovery", &[]));
    assert_eq!(first.len(), 10);
    let page = visitor.get("/factors");
    assert!(page.body.contains("10 left."), "{page}");
    assert!(first.iter().all(|code| !page.body.contains(code)), "{page}");
    let enters = |code: &str| {
        let mut visitor = portal.visitor();
        visitor.first("alice", PASSWORD);
        visitor.get("/sign-in/second");
        visitor.post("/sign-in/second", &[("code", code)]).status == 303
    };
    assert!(enters(&first[0]));
    assert!(!enters(&first[0]), "one code let in twice");
    assert!(enters(&first[1].to_uppercase().replace('-', " ")));
    let page = visitor.get("/factors");
    assert!(page.body.contains("8 left."), "{page}");
    // New ones make those before void.
    let second = codes(&visitor.post("/factors/recovery", &[]));
    assert!(!enters(&first[2]) && enters(&second[2]));
}

/// Whoever finds a browser open adds nothing of theirs, and takes nothing away.
#[test]
fn a_sign_in_of_a_while_ago_changes_no_factor_before_another_one_was_given() {
    let plant = Setup::standard().portal().setting("[portal]\nfresh = \"10s\"").start();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.sign_in(&alice, PASSWORD);
    let fresh = visitor.get("/factors");
    assert!(fresh.body.contains("href=\"/factors/totp\"") && !fresh.body.contains("prove that it is you"), "{fresh}");
    // A page that was left open with the key of a new authenticator on it.
    let left_open = Secret::new(BASE32_NOPAD.decode(key_on(&visitor.get("/factors/totp")).as_bytes()).unwrap());
    let stale = eventually("it was a while ago", Duration::from_secs(30), || {
        let page = visitor.get("/factors");
        page.body.contains("prove that it is you").then_some(page)
    });
    for way in ["href=\"/factors/totp\"", "action=\"/factors/recovery\"", "/factors/passkey/"] {
        assert!(!stale.body.contains(way), "{way}: {stale}");
    }
    // Nor by hand.
    assert_eq!(visitor.get("/factors/totp").leads_to(), "/factors");
    assert_eq!(visitor.post("/factors/recovery", &[]).leads_to(), "/factors");
    assert_eq!(visitor.post("/factors/passkey/AAAA/remove", &[]).leads_to(), "/factors");
    let settings = TotpSettings::default();
    let code = settings.code(&left_open, settings.step(jiff::Timestamp::now()));
    assert_eq!(visitor.post("/factors/totp", &[("code", code.expose().as_str())]).leads_to(), "/factors");
    assert_eq!(visitor.get("/factors").status, 200, "what she proved stands");
    let wrong = visitor.post("/factors/prove", &[("code", "zzzz-zzzz-zzzz-zzzz")]);
    assert_eq!(wrong.status, 403);
    assert!(wrong.body.contains("This code is not valid."), "{wrong}");
    assert_eq!(visitor.post("/factors/recovery", &[]).leads_to(), "/factors");

    assert_eq!(visitor.post("/factors/prove", &[("code", &alice.fresh_code())]).leads_to(), "/factors");
    assert_eq!(visitor.post("/factors/recovery", &[]).status, 200);
    let told = plant.audit();
    let step_up = told.iter().filter(|entry| entry["event"]["credential"] == "step-up").count();
    assert_eq!(step_up, 1, "{told:?}");
}

#[test]
fn a_passkey_proves_it_again_too() {
    let plant = Setup::standard().portal().setting("[portal]\nfresh = \"10s\"").start();
    let (_alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    browser.open("https://gate.plant.example:8443/factors");
    browser.wait_for("#passkey-name");
    eventually("it was a while ago", Duration::from_secs(30), || {
        browser.fill("#passkey-name", "Another");
        browser.click("form[data-webauthn=create] button");
        browser.text().contains("It was too long ago that you proved who you are.").then_some(())
    });
    browser.open("https://gate.plant.example:8443/factors");
    browser.wait_for_text("prove that it is you");
    assert!(!browser.shows("#passkey-name"));
    browser.keep_pictures("real-factors-prove");
    browser.click("form[data-options='/factors/prove/options'] button");
    browser.wait_for("#passkey-name");
}
