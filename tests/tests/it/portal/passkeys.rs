//! From an invitation to a session: a real browser with a virtual authenticator, and stock ssh that waits.

use std::time::Instant;

use sallyport_tests::{Browser, Form, Known, Person, Plant, Terminal, Token};

use super::plant;

const ORIGIN: &str = "https://gate.plant.example:8443";

fn browser(plant: &Plant) -> Browser {
    let certificate = plant.folder().join("broker/portal.crt");
    let known = Known { name: Plant::PORTAL_NAME, address: Plant::PORTAL.0, certificate: &certificate };
    Browser::at(plant.network(), &known)
}

/// A person without an authenticator app, with an invitation.
fn invited(plant: &Plant, name: &str) -> (Person, String) {
    let person = plant.person_without_second_factor(name);
    let invitation = plant.json(&["identity", "invite", name]);
    (person, invitation["link"].as_str().unwrap().to_owned())
}

/// Enrols a passkey by an invitation, and signs in with it.
fn enrol_and_sign_in(browser: &Browser, link: &str) {
    browser.open(link);
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
    browser.click("form[data-options='/sign-in/passkey/options'] button");
    browser.wait_for_url("/");
}

/// The link and the number that a terminal shows.
fn shown(terminal: &Terminal) -> (String, String) {
    for expected in ["The number is ", ".\r\n"] {
        terminal.expect(expected);
    }
    let text = terminal.shown();
    let link = text.split_once("browser: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let number = text.split_once("The number is ").unwrap().1.split('.').next().unwrap().to_owned();
    (link, number)
}

fn confirm(browser: &Browser, link: &str, number: &str) {
    browser.open(link);
    browser.fill("#number", number);
    browser.click("form[data-webauthn=get] button");
    browser.wait_for_text("Confirmed");
}

#[test]
fn an_invitation_a_passkey_and_ssh_goes_on_within_a_second_of_the_touch() {
    let plant = plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    assert_eq!(browser.url(), format!("{ORIGIN}/"));
    browser.open(&link);
    browser.wait_for_text("no longer works");

    for form in Form::BOTH {
        let mut terminal = alice.terminal(&[&form.host("ews-1"), "echo through"], 120, 30);
        let (link, number) = shown(&terminal);
        assert!(link.starts_with(&format!("{ORIGIN}/c/")), "{link}");
        browser.open(&link);
        let page = browser.text();
        assert!(
            page.contains("OpenSSH") && page.contains(if form == Form::Direct { "ews-1" } else { "ssh -J" }),
            "{page}"
        );
        browser.fill("#number", &number);
        browser.click("form[data-webauthn=get] button");
        let touched = Instant::now();
        terminal.expect("through");
        println!("{form:?}: {:?} from the click to the session", touched.elapsed());
        assert!(terminal.ended().success());
        browser.wait_for_text("Confirmed");
        for lease in plant.json(&["lease", "list"]).as_array().unwrap() {
            plant.sallyport(&["lease", "revoke", lease["id"].as_str().unwrap()]).ok();
        }
    }
    let verified = plant.sallyport(&["audit", "verify"]).ok();
    assert!(verified.contains("3 assertions of passkeys"), "{verified}");
}
