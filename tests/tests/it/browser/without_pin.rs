//! Keys that ask nobody for a PIN, in a browser's hands: after the password, and to confirm ssh.

use std::time::Duration;

use sallyport_tests::{Browser, Plant, Setup, Token, eventually};

use super::passkeys::{asked, ends_outside, type_number, waits, wrong};
use super::people::{PASSWORD, address, browser};

#[test]
fn a_key_without_a_pin_confirms_ssh_of_somebody_who_has_signed_in_with_their_password() {
    let plant = Setup::standard().portal().setting("[portal]\nunverified_keys = true").start();
    for (name, token) in [("alice", Token::SecurityKey), ("ada", Token::U2f)] {
        let person = plant.person_without_second_factor(name);
        plant.set_password(name, PASSWORD);
        let browser = browser(&plant);
        let key = browser.authenticator(token);
        enrol(&plant, &browser, name);
        sign_in(&browser, name);
        assert_eq!(browser.complaints(), Vec::<String>::new());

        // The key of ssh was right already: ssh waits for the second factor alone.
        let ssh = waits(&person, "echo through", "one");
        let (link, number) = asked(&ssh);
        browser.open(&link);
        type_number(&browser, wrong(&number));
        browser.wait_for_text("2 tries left.");
        assert!(!ssh.log().contains("through"), "{}", ssh.log());
        let signed = key.credentials()[0].sign_count();
        type_number(&browser, &number);
        browser.wait_for_text("ssh goes on in your terminal");
        eventually("ssh goes on", Duration::from_secs(20), || ssh.log().contains("through").then_some(()));
        assert_eq!(key.credentials()[0].sign_count(), signed + 1, "it was touched once");
    }
    let audit = plant.audit();
    let confirmed = audit.iter().filter(|entry| {
        let purpose = entry["event"]["purpose"].as_str().unwrap_or_default();
        entry["code"] == "SP-1012" && purpose.starts_with("to confirm a login from 10.0.0.10")
    });
    assert_eq!(confirmed.count(), 2, "{audit:?}");
    assert!(plant.sallyport(&["audit", "verify"]).ok().contains("4 assertions of passkeys"));
}

/// Where a PIN is demanded again, ssh is not even told to wait for such a key.
#[test]
fn once_a_pin_is_demanded_such_a_key_confirms_nothing() {
    let mut plant = Setup::standard().portal().setting("[portal]\nunverified_keys = true").start();
    let alice = plant.person_without_second_factor("alice");
    plant.set_password("alice", PASSWORD);
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::U2f);
    enrol(&plant, &browser, "alice");
    let text = std::fs::read_to_string(plant.config()).expect("a configuration");
    std::fs::write(plant.config(), text.replace("unverified_keys = true\n", "")).expect("a configuration");
    plant.broker().terminate();
    plant.serve();
    let mut ssh = waits(&alice, "echo through", "one");
    ends_outside(&mut ssh);
    assert!(!ssh.log().contains("/c/"), "{}", ssh.log());
    browser.open(&address("/sign-in"));
    browser.fill("#name", "alice");
    browser.fill("#password", PASSWORD);
    browser.click("button.main");
    browser.wait_for("#code");
    assert!(!browser.shows("form[data-webauthn]"), "it is asked for all the same");
}

fn enrol(plant: &Plant, browser: &Browser, name: &str) {
    let invitation = plant.json(&["identity", "invite", name]);
    browser.open(invitation["link"].as_str().expect("a link"));
    browser.fill("#password-passkey", PASSWORD);
    browser.fill("#passkey-name", "Plain key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
}

fn sign_in(browser: &Browser, name: &str) {
    browser.open(&address("/sign-in"));
    browser.fill("#name", name);
    browser.fill("#password", PASSWORD);
    browser.click("button.main");
    browser.wait_for_url("/sign-in/second");
    browser.click("form[data-options='/sign-in/key/options'] button");
    browser.wait_for_text("What you may reach now");
}
