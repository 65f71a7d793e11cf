//! Addresses of their own for administrators' and auditors' pages. Which pages lie where is a test of the portal's own.

use sallyport_tests::{Plant, Setup, Token};

use super::passkeys::{browser, enrol_and_sign_in, invited};
use super::{PASSWORD, alice, with_password};

const PORT: u16 = 9443;

fn apart() -> Plant {
    Setup::standard().portal().setting(&format!("[portal]\nmanagement = [\"{}:{PORT}\"]", Plant::PORTAL.0)).start()
}

#[test]
fn each_address_has_its_origin_and_takes_nothing_that_is_said_to_the_other() {
    let plant = apart();
    let (alice, bob) = (alice(&plant), with_password(&plant, "bob"));
    let (operators, management) = (plant.portal(), plant.portal().at_port(PORT));
    let (mut hers, mut his) = (operators.visitor(), management.visitor());
    hers.sign_in(&alice, PASSWORD);
    his.sign_in(&bob, PASSWORD);
    // What is for everybody lies at both.
    for visitor in [&mut hers, &mut his] {
        assert_eq!(visitor.get("/sessions").status, 200);
        assert_eq!(visitor.get("/nothing").status, 404);
    }
    for (portal, said) in [(&operators, management.authority()), (&management, operators.authority())] {
        let answer = portal.raw(format!("GET /sign-in HTTP/1.1\r\nHost: {said}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(answer.status, 421, "{answer}");
        let origin = format!("Origin: https://{said}");
        let cookie = format!("Cookie: {}", hers.cookie.as_ref().unwrap());
        let lines = [&origin, &cookie, "Content-Type: application/x-www-form-urlencoded"];
        let answer = portal.ask("POST", "/sign-out", &lines, &format!("csrf={}", hers.csrf));
        assert_eq!(answer.status, 403, "a form of the other address: {answer}");
    }
    assert_eq!(hers.get("/").status, 200);
    let check = plant.sallyport(&["portal", "check"]);
    assert!(check.text().contains("administrators and auditors type https://gate.plant.example:9443"), "{check}");
}

#[test]
fn a_passkey_of_the_one_address_signs_in_at_the_other() {
    let plant = apart();
    let (_alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    browser.click("form.person button");
    browser.wait_for_text("You are signed out");
    browser.open(&format!("https://{}/sign-in", plant.portal().at_port(PORT).authority()));
    browser.click("form[data-options='/sign-in/passkey/options'] button");
    browser.wait_for_text("What you may reach now");
    assert_eq!(browser.url(), format!("https://{}/", plant.portal().at_port(PORT).authority()));
    assert!(plant.sallyport(&["audit", "verify"]).ok().contains("2 assertions of passkeys"));
}

/// Whoever writes both so that one of them is open to everybody is told, and nothing is served.
#[test]
fn an_address_that_operators_come_to_is_none_of_their_own() {
    let plant = Setup::standard().portal().lay_out();
    let text = std::fs::read_to_string(plant.config()).unwrap();
    let both = format!("[portal]\nmanagement = [\"{}:{}\"]\n", Plant::PORTAL.0, Plant::PORTAL.1);
    std::fs::write(plant.config(), text.replace("[portal]\n", &both)).unwrap();
    let answer = plant.sallyport(&["portal", "check"]);
    let refused = answer.refused();
    assert!(refused.contains("`10.0.0.2:8443` in `management` is reached by `listen` too"), "{refused}");
}
