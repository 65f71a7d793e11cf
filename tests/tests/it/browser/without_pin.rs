//! Keys that ask nobody for a PIN, in a browser's hands.

use sallyport_tests::{Browser, Plant, Setup, Token};

use super::passkeys::{ends_outside, waits};
use super::people::{PASSWORD, address, browser};

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
