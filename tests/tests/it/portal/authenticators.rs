//! Security keys that ask for no PIN, and makers that are demanded, in a browser's hands.

use std::process::Command;

use sallyport_tests::{Setup, Token, finish};

use super::PASSWORD;
use super::passkeys::{browser, invited};

#[test]
fn a_key_without_a_pin_is_a_second_factor_where_it_is_configured() {
    let mut plant = Setup::standard().portal().start();
    let (_alice, link) = invited(&plant, "alice");
    plant.set_password("alice", PASSWORD);
    let browser = browser(&plant);
    let key = browser.authenticator(Token::SecurityKey);
    let enrol = || {
        browser.open(&link);
        browser.fill("#passkey-name", "Plain key");
        browser.fill("#password-passkey", PASSWORD);
        browser.click("form[data-webauthn=create] button");
    };
    // The browser knows already that such a key cannot do what is demanded.
    enrol();
    browser.wait_for("form[data-webauthn] [data-problem]");
    assert!(key.credentials().is_empty());

    let text = std::fs::read_to_string(plant.config()).unwrap();
    std::fs::write(plant.config(), text.replace("[portal]\n", "[portal]\nunverified_keys = true\n")).unwrap();
    plant.broker().terminate();
    plant.serve();
    enrol();
    browser.wait_for_url("/sign-in");
    assert_eq!(key.credentials().len(), 1);

    // It does after the password. That it does not alone, is a test of the login's.
    browser.fill("#name", "alice");
    browser.fill("#password", PASSWORD);
    browser.click("button.main");
    browser.wait_for_url("/sign-in/second");
    browser.click("form[data-options='/sign-in/key/options'] button");
    browser.wait_for_url("/");
    assert!(plant.audit().iter().any(|entry| entry["code"] == "SP-1012"), "what it signed is on the record");
}

#[test]
fn where_makers_are_demanded_a_key_of_nobody_knows_whom_is_not_enrolled() {
    let plant = Setup::standard().portal().setting("[portal]\nattestation_roots = [\"makers.pem\"]").lay_out();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
    openssl.args(["-subj", "/CN=Nordic Keys", "-keyout", "/dev/null", "-out"]);
    openssl.arg(plant.config().with_file_name("makers.pem"));
    finish(openssl, b"").ok();
    let mut plant = plant;
    plant.serve();
    let (_alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    browser.open(&link);
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_text("Keys of this make are not taken here.");
    let factors = plant.json(&["identity", "factors", "alice"]);
    assert!(factors.as_array().unwrap().iter().all(|factor| factor["kind"] != "webauthn"), "{factors}");
    let check = plant.sallyport(&["portal", "check"]);
    assert!(check.text().contains("those of the makers in `attestation_roots` are enrolled"), "{check}");
    // The invitation is still good for one that is taken.
    browser.open(&link);
    browser.wait_for_text("Set up your second factor");
}
