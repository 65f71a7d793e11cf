//! People at the portal itself: what they press, what they read, and what stock ssh does meanwhile.

use std::time::{Duration, Instant};

use sallyport_tests::{Browser, Known, Person, Plant, Running, Setup, eventually, keys};

pub(super) const PASSWORD: &str = "correct horse battery";

/// What somebody has decided is so within this.
pub(super) const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn somebody_without_a_mouse_signs_in_reads_what_they_may_reach_and_signs_out() {
    let plant = Setup::standard().portal().start();
    let alice = plant.person("alice");
    plant.set_password("alice", PASSWORD);
    let browser = browser(&plant);
    browser.open(&address("/sessions"));
    browser.wait_for_url("/sign-in?next=/sessions");
    browser.keep_pictures("real-sign-in");
    // The name is where the keyboard is at once.
    browser.press(&format!("alice{}{PASSWORD}{}", keys::TAB, keys::ENTER));
    browser.wait_for_url("/sign-in/second");
    browser.tab_to("#code");
    browser.press(&format!("{}{}", alice.fresh_code(), keys::ENTER));
    browser.wait_for_url("/sessions");
    assert!(browser.text().contains("You have no session open."), "{}", browser.text());

    browser.tab_to("nav a[href=\"/\"]");
    browser.press(keys::ENTER);
    browser.wait_for_text("What you may reach now");
    assert!(browser.text().contains("ssh -J alice@gate.plant.example:2222 operator@ews-1"), "{}", browser.text());
    browser.keep_pictures("real-home");

    browser.tab_to(".person button");
    browser.press(keys::ENTER);
    browser.wait_for_text("You are signed out");
    browser.open(&address("/"));
    browser.wait_for_url("/sign-in");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_session_is_seen_and_ended_in_the_browser() {
    let plant = Setup::standard().portal().start();
    let alice = plant.person("alice");
    plant.set_password("alice", PASSWORD);
    let browser = browser(&plant);
    sign_in_with_code(&browser, &alice);
    let mut ssh = alice.command("ssh");
    ssh.arg("-F").arg(alice.config()).args(["ews-1", "echo here; sleep 60"]);
    let mut ssh = Running::start("ssh", ssh, &alice.folder().join("ssh.log"));
    eventually("the session is open", Duration::from_secs(20), || ssh.log().contains("here").then_some(()));

    browser.open(&address("/sessions"));
    browser.wait_for("form[action^=\"/sessions/\"], .ask summary");
    browser.keep_pictures("real-sessions");
    browser.click(".ask summary");
    browser.click("form[action^=\"/sessions/\"] button");
    let pressed = Instant::now();
    eventually("ssh ends", Duration::from_secs(5), || ssh.ended());
    assert!(pressed.elapsed() < AT_ONCE, "it went on for {:?}", pressed.elapsed());
    browser.wait_for_text("You have no session open.");
}

/// The portal's own browser: it knows the name, and takes this certificate alone.
pub(super) fn browser(plant: &Plant) -> Browser {
    let certificate = plant.folder().join("broker/portal.crt");
    let known = Known { name: Plant::PORTAL_NAME, address: Plant::PORTAL.0, certificate: &certificate };
    Browser::at(plant.network(), &known)
}

pub(super) fn address(path: &str) -> String {
    format!("https://{}{path}", Plant::PORTAL_HOST)
}

pub(super) fn sign_in_with_code(browser: &Browser, person: &Person) {
    browser.open(&address("/sign-in"));
    browser.fill("#name", &person.name);
    browser.fill("#password", PASSWORD);
    browser.click("button.main");
    browser.fill("#code", &person.fresh_code());
    browser.click("form[action=\"/sign-in/second\"] button");
    browser.wait_for_text("What you may reach now");
}
