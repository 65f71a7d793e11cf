//! Passkeys in a browser's hands, and stock ssh that waits for them: what goes wrong, what is refused, and what ends.

use std::time::{Duration, Instant};

use sallyport_tests::{Browser, Person, Plant, Running, Setup, Token, eventually};

use super::people::{AT_ONCE, PASSWORD, address, browser, sign_in_with_code};

#[test]
fn a_wrong_number_costs_a_try_and_a_refusal_lets_nobody_in() {
    let plant = plant();
    let alice = alice(&plant);
    let browser = browser(&plant);
    let _passkey = browser.authenticator(Token::Passkey);
    enrol(&plant, &browser);
    sign_in(&browser);
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // Wrong, then right.
    let mut ssh = waits(&alice, "echo through", "right");
    let (link, number) = asked(&ssh);
    browser.open(&link);
    browser.keep_pictures("real-confirm");
    type_number(&browser, wrong(&number));
    browser.wait_for_text("2 tries left.");
    assert!(!ssh.log().contains("through") && ssh.ended().is_none(), "{}", ssh.log());
    type_number(&browser, &number);
    browser.wait_for_text("ssh goes on in your terminal");
    eventually("ssh goes on", AT_ONCE, || ssh.log().contains("through").then_some(()));
    // What came of it lets the next one in without a word.
    assert_eq!(alice.leased_ssh(["ews-1", "echo again"]).ok(), "again\n");
    end_leases(&plant);

    // Refused.
    let mut ssh = waits(&alice, "echo through", "refused");
    let (link, number) = asked(&ssh);
    browser.open(&link);
    browser.click("form.refuse button");
    browser.wait_for_text("nobody was let in");
    ends_outside(&mut ssh);
    browser.open(&link);
    browser.wait_for_text("nobody was let in");
    assert!(!browser.shows("#number"), "{number} could still be typed");

    // Three wrong numbers are as a refusal. Long after it, that is: at once, she would not be asked again.
    plant.sql("DELETE FROM confirmations");
    let mut ssh = waits(&alice, "echo through", "wrong");
    let (link, number) = asked(&ssh);
    browser.open(&link);
    for left in ["2 tries left.", "One try left.", "Too many wrong numbers"] {
        type_number(&browser, wrong(&number));
        browser.wait_for_text(left);
    }
    ends_outside(&mut ssh);
}

#[test]
fn the_link_of_a_login_shows_nothing_to_anybody_else() {
    let plant = plant();
    let alice = alice(&plant);
    let hers = browser(&plant);
    let _passkey = hers.authenticator(Token::Passkey);
    enrol(&plant, &hers);
    let bob = plant.person("bob");
    plant.set_password("bob", PASSWORD);
    let his = browser(&plant);
    sign_in_with_code(&his, &bob);

    let ssh = waits(&alice, "echo through", "one");
    let (link, _) = asked(&ssh);
    his.open(&link);
    his.wait_for_text("There is nothing here");
    assert!(!his.text().contains("10.0.0.10") && !his.text().contains("alice"), "{}", his.text());

    // Whoever is not signed in is asked who they are, and comes back to it.
    hers.open(&link);
    hers.wait_for_url(&format!("/sign-in?next={}", &link[address("").len()..]));
    hers.click("form[data-options=\"/sign-in/passkey/options\"] button");
    hers.wait_for_text("An ssh login waits for you");
    assert_eq!(hers.url(), link);
}

#[test]
fn whoever_has_the_portal_open_sees_a_login_at_once_and_when_it_is_gone() {
    let plant = plant();
    let alice = alice(&plant);
    let browser = browser(&plant);
    let _passkey = browser.authenticator(Token::Passkey);
    enrol(&plant, &browser);
    sign_in(&browser);
    assert!(!browser.shows("[data-waiting]"));

    // In one connection, so that nothing is left of it once it is killed.
    let mut ssh = waits_for(&alice, "ews-1.direct", "echo through", "one");
    let (link, _) = asked(&ssh);
    let known = Instant::now();
    browser.wait_for("[data-waiting] a");
    assert!(known.elapsed() < AT_ONCE * 2, "it was shown after {:?}", known.elapsed());
    assert!(browser.text_of("[data-waiting]").contains("From 10.0.0.10"), "{}", browser.text_of("[data-waiting]"));
    browser.keep_pictures("real-waiting");
    browser.click("[data-waiting] a");
    browser.wait_for("#number");
    assert_eq!(browser.url(), link);
    assert!(!browser.shows("[data-waiting]"), "it is on the page already");

    ssh.kill();
    browser.wait_for_text("This login waits no longer");
    browser.open(&address("/"));
    assert!(!browser.shows("[data-waiting]"));
}

#[test]
fn a_key_whose_counter_went_back_is_refused_and_told_of() {
    let plant = plant();
    let _alice = alice(&plant);
    let browser = browser(&plant);
    let passkey = browser.authenticator(Token::Passkey);
    enrol(&plant, &browser);
    sign_in(&browser);
    let credential = passkey.credentials()[0].clone();
    browser.click(".person button");
    browser.wait_for_text("You are signed out");

    passkey.remove(&credential);
    passkey.put(&credential.with_sign_count(0)).expect("a copy");
    browser.open(&address("/sign-in"));
    browser.click("form[data-options=\"/sign-in/passkey/options\"] button");
    browser.wait_for("form[data-webauthn] [data-problem]");
    browser.open(&address("/"));
    browser.wait_for_url("/sign-in");
    let audit = plant.audit();
    let told = audit.iter().find(|entry| entry["code"] == "SP-1015").expect("the event");
    assert!(told.to_string().contains(&passkey.credentials()[0].id()), "{told}");
}

#[test]
fn whoever_does_not_verify_does_not_sign_in() {
    let plant = plant();
    let _alice = alice(&plant);
    let browser = browser(&plant);
    let passkey = browser.authenticator(Token::KeyWithPin);
    enrol(&plant, &browser);
    passkey.verifies(false);
    browser.open(&address("/sign-in"));
    browser.click("form[data-options=\"/sign-in/passkey/options\"] button");
    browser.wait_for_text("Nothing was signed");
    passkey.verifies(true);
    browser.click("form[data-options=\"/sign-in/passkey/options\"] button");
    browser.wait_for_text("What you may reach now");
}

#[test]
fn a_second_key_is_added_and_its_removal_ends_what_it_let_in() {
    let plant = plant();
    let alice = alice(&plant);
    let browser = browser(&plant);
    {
        let _first = browser.authenticator(Token::Passkey);
        enrol(&plant, &browser);
        sign_in(&browser);
    }
    let spare = browser.authenticator(Token::KeyWithPin);
    browser.open(&address("/factors"));
    assert!(browser.text().contains("Your last second factor"), "{}", browser.text());
    browser.fill("#passkey-name", "Spare");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_text("Spare");
    browser.keep_pictures("real-factors");

    let mut ssh = waits(&alice, "echo through; sleep 60", "one");
    let (link, number) = asked(&ssh);
    browser.open(&link);
    type_number(&browser, &number);
    eventually("ssh goes on", Duration::from_secs(10), || ssh.log().contains("through").then_some(()));

    browser.open(&address("/factors"));
    let remove = format!("form[action$=\"/{}/remove\"]", spare.credentials()[0].id());
    browser.click(&format!("details:has({remove}) summary"));
    browser.click(&format!("{remove} button"));
    eventually("ssh ends", AT_ONCE * 2, || ssh.ended());
    // Whatever the person had proven before is asked for anew.
    browser.wait_for_url("/sign-in?next=/factors");
    let left = plant.sallyport(&["identity", "factors", "alice"]).ok();
    assert!(left.contains("Blue key") && !left.contains("Spare"), "{left}");
    assert_eq!(plant.json(&["lease", "list"]).as_array().expect("a list").len(), 0);
}

#[test]
fn a_lease_opened_beforehand_lets_in_what_shows_no_prompt() {
    let plant = plant();
    let alice = alice(&plant);
    let browser = browser(&plant);
    let _passkey = browser.authenticator(Token::Passkey);
    enrol(&plant, &browser);
    sign_in(&browser);
    browser.open(&address("/sessions"));
    browser.keep_pictures("real-sessions-lease");
    browser.click("form[data-options=\"/leases/new/options\"] button");
    browser.wait_for(".axis");
    assert_eq!(alice.leased_ssh(["ews-1", "echo through"]).ok(), "through\n");

    browser.click("section[aria-labelledby=leases] summary");
    browser.click("form[action^=\"/leases/\"] button");
    browser.wait_for_text("You have no lease.");
}

fn plant() -> Plant {
    Setup::standard().portal().start()
}

/// alice has a key and a password, and no second factor yet.
fn alice(plant: &Plant) -> Person {
    let alice = plant.person_without_second_factor("alice");
    plant.set_password("alice", PASSWORD);
    alice
}

/// Invites alice, who enrols what is in her browser's hands.
fn enrol(plant: &Plant, browser: &Browser) {
    let invitation = plant.json(&["identity", "invite", "alice"]);
    let link = invitation["link"].as_str().expect("a link");
    browser.open(link);
    browser.wait_for_text("Set up your second factor");
    browser.keep_pictures("real-invitation");
    browser.fill("#password-passkey", PASSWORD);
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
}

/// With a passkey alone: it is two factors in one.
fn sign_in(browser: &Browser) {
    browser.open(&address("/sign-in"));
    browser.click("form[data-options=\"/sign-in/passkey/options\"] button");
    browser.wait_for_text("What you may reach now");
}

/// ssh, with nobody to answer a prompt.
pub(super) fn waits(person: &Person, command: &str, log: &str) -> Running {
    waits_for(person, "ews-1", command, log)
}

pub(super) fn waits_for(person: &Person, host: &str, command: &str, log: &str) -> Running {
    let mut ssh = person.leased("ssh");
    ssh.arg("-F").arg(person.config()).args([host, command]);
    Running::start("ssh", ssh, &person.folder().join(format!("ssh-{log}.log")))
}

/// The link and the number that a terminal shows.
pub(super) fn asked(ssh: &Running) -> (String, String) {
    eventually("ssh says where to confirm", Duration::from_secs(20), || {
        let log = ssh.log();
        let link = log.split_whitespace().find(|word| word.starts_with("https://"))?.to_owned();
        let number = log.split_once("The number is ")?.1.split('.').next()?.to_owned();
        Some((link, number))
    })
}

pub(super) fn type_number(browser: &Browser, number: &str) {
    browser.fill("#number", number);
    browser.click("button.main");
}

pub(super) fn wrong(number: &str) -> &'static str {
    if number == "100" { "101" } else { "100" }
}

/// It ended, and nothing was reached.
pub(super) fn ends_outside(ssh: &mut Running) {
    eventually("ssh ends", Duration::from_secs(10), || ssh.ended());
    assert!(!ssh.log().contains("through"), "{}", ssh.log());
}

pub(super) fn end_leases(plant: &Plant) {
    for lease in plant.json(&["lease", "list"]).as_array().expect("a list") {
        plant.sallyport(&["lease", "revoke", lease["id"].as_str().expect("an id")]).ok();
    }
}
