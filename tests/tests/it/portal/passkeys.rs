//! From an invitation to a session: a real browser with a virtual authenticator, and stock ssh that waits.

use std::time::Instant;

use sallyport_tests::{Browser, Form, Known, Person, Plant, Terminal, Token};

use super::plant;

const ORIGIN: &str = "https://gate.plant.example:8443";

pub(super) fn browser(plant: &Plant) -> Browser {
    let certificate = plant.folder().join("broker/portal.crt");
    let known = Known { name: Plant::PORTAL_NAME, address: Plant::PORTAL.0, certificate: &certificate };
    Browser::at(plant.network(), &known)
}

/// A person without an authenticator app, with an invitation.
pub(super) fn invited(plant: &Plant, name: &str) -> (Person, String) {
    let person = plant.person_without_second_factor(name);
    let invitation = plant.json(&["identity", "invite", name]);
    (person, invitation["link"].as_str().unwrap().to_owned())
}

/// Enrols a passkey by an invitation, and signs in with it.
pub(super) fn enrol_and_sign_in(browser: &Browser, link: &str) {
    browser.open(link);
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
    browser.click("form[data-options='/sign-in/passkey/options'] button");
    browser.wait_for_url("/");
}

/// The link and the number that a terminal shows.
pub(super) fn shown(terminal: &Terminal) -> (String, String) {
    for expected in ["The number is ", ".\r\n"] {
        terminal.expect(expected);
    }
    let text = terminal.shown();
    let link = text.split_once("browser: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let number = text.split_once("The number is ").unwrap().1.split('.').next().unwrap().to_owned();
    (link, number)
}

/// A login that asks for one word.
fn login(person: &Person) -> Terminal {
    person.terminal(&["ews-1", "echo through"], 120, 30)
}

pub(super) fn confirm(browser: &Browser, link: &str, number: &str) {
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

#[test]
fn no_login_is_confirmed_blindly() {
    let plant = plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);

    let mut guessed = login(&alice);
    let (link, number) = shown(&guessed);
    browser.open(&link);
    let wrong = if number == "100" { "101" } else { "100" };
    for left in ["2 tries left", "One try left"] {
        browser.fill("#number", wrong);
        browser.click("form[data-webauthn=get] button");
        browser.wait_for_text(left);
    }
    browser.fill("#number", wrong);
    browser.click("form[data-webauthn=get] button");
    browser.wait_for_text("Too many wrong numbers");
    guessed.expect("This login was refused in the portal.");
    assert_eq!(guessed.ended().code(), Some(255));

    // At once, another is not even asked about.
    let mut held_back = login(&alice);
    held_back.expect("A login like this was refused in the portal a moment ago");
    assert_eq!(held_back.ended().code(), Some(255));
    plant.sql("DELETE FROM confirmations");
    let mut refused = login(&alice);
    let (link, _) = shown(&refused);
    browser.open(&link);
    browser.click("form.refuse button");
    browser.wait_for_text("That login was turned away");
    refused.expect("This login was refused in the portal.");
    assert_eq!(refused.ended().code(), Some(255));
    assert_eq!(plant.audit().iter().filter(|entry| entry["code"] == "SP-1014").count(), 2);
    assert!(plant.json(&["recording", "list"]).as_array().unwrap().is_empty(), "nobody was let in");
}

#[test]
fn a_login_is_confirmed_once_and_by_nobody_else() {
    let plant = plant();
    let (alice, alices) = invited(&plant, "alice");
    let (_bob, bobs) = invited(&plant, "bob");
    let (hers, his, strangers) = (browser(&plant), browser(&plant), browser(&plant));
    let _her_key = hers.authenticator(Token::KeyWithPin);
    let _his_key = his.authenticator(Token::Passkey);
    enrol_and_sign_in(&hers, &alices);
    enrol_and_sign_in(&his, &bobs);

    let mut terminal = login(&alice);
    let (link, number) = shown(&terminal);
    his.open(&link);
    his.wait_for_text("There is nothing here");
    strangers.open(&link);
    assert!(strangers.url().contains("/sign-in?next=/c/"), "{}", strangers.url());
    // Another one of hers, meanwhile, waits with it.
    let mut other = login(&alice);
    assert_eq!(shown(&other), (link.clone(), number.clone()));
    confirm(&hers, &link, &number);
    for terminal in [&mut terminal, &mut other] {
        terminal.expect("through");
        assert!(terminal.ended().success());
    }
    hers.open(&link);
    hers.wait_for_text("Confirmed");
    assert!(!hers.shows("#number"), "there is nothing to confirm any more");
}

#[test]
fn a_lease_that_was_opened_beforehand_lets_tools_in_that_show_no_prompt() {
    let plant = plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let silent = |form: Form| alice.leased_ssh(["-o", "BatchMode=yes", &form.host("ews-1"), "echo in"]);
    let without = silent(Form::Direct);
    assert_eq!(without.status.code(), Some(255));
    assert!(without.stderr.contains("Permission denied (keyboard-interactive)"), "{}", without.stderr);
    browser.open(&format!("{ORIGIN}/sessions"));
    browser.click("form[data-options='/leases/new/options'] button");
    browser.wait_for_text("14 min left");
    for form in Form::BOTH {
        assert_eq!(silent(form).ok(), "in\n");
    }
    let leases = plant.json(&["lease", "list"]);
    assert_eq!((leases[0]["factor"].as_str(), leases[0]["identity"].as_str()), (Some("webauthn"), Some("alice")));
}

#[test]
fn a_copy_of_a_key_is_refused_and_told_of() {
    let plant = plant();
    let (_alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let credential = key.credentials().remove(0);
    key.remove(&credential);
    key.put(&credential.with_sign_count(0)).unwrap();
    browser.click("form.person button");
    browser.wait_for_text("You are signed out");
    browser.open(&format!("{ORIGIN}/sign-in"));
    browser.click("form[data-options='/sign-in/passkey/options'] button");
    browser.wait_for_text("there may be a copy of it");
    let told = plant.audit().into_iter().find(|entry| entry["code"] == "SP-1015").expect("an event");
    assert_eq!(told["severity"], "alert");
}

#[test]
fn a_passkey_that_is_taken_away_ends_what_it_opened() {
    let plant = plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let mut terminal = alice.terminal(&["ews-1", "echo in; sleep 60"], 120, 30);
    let (link, number) = shown(&terminal);
    confirm(&browser, &link, &number);
    terminal.expect("in\r\n");
    browser.open(&format!("{ORIGIN}/factors"));
    browser.wait_for_text("Your last second factor: add another before you remove it.");
    let factors = plant.json(&["identity", "factors", "alice"]);
    let passkey = factors.as_array().unwrap().iter().find(|factor| factor["kind"] == "webauthn").unwrap();
    plant.sallyport(&["identity", "factor", "remove", "alice", passkey["credential"].as_str().unwrap()]).ok();
    assert_ne!(terminal.ended().code(), Some(0));
    browser.open(&format!("{ORIGIN}/factors"));
    assert!(browser.url().contains("/sign-in"), "{}", browser.url());
    let mut again = login(&alice);
    assert_eq!(again.ended().code(), Some(255));
    assert!(!again.shown().contains("Confirm this login"), "{}", again.shown());
}

#[test]
fn an_invitation_asks_for_the_password_where_there_is_one() {
    let plant = plant();
    let (_alice, link) = invited(&plant, "alice");
    plant.set_password("alice", super::PASSWORD);
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    browser.open(&link);
    browser.fill("#passkey-name", "Blue key");
    browser.fill("#password-passkey", "a wrong password");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_text("That is not your password.");
    let refused = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-1004").count();
    assert_eq!(refused, 1);
    browser.fill("#password-passkey", super::PASSWORD);
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
    let enrolled =
        plant.audit().into_iter().find(|entry| entry["event"]["factor"] == "webauthn" && entry["code"] == "SP-5106");
    assert_eq!(enrolled.expect("an event")["actor"], "alice", "she did it herself");
}
