//! The portal's two scripts: what they send, what they say, and what they do not believe.

use std::sync::Arc;

use askama::Template;
use sallyport::portal::look::{Confirm, Frame, Home, Person};
use sallyport_tests::{Browser, Network, Token};
use serde_json::{Value, json};

use super::samples::{HOSTILE, pages, stranger, waits};
use super::site::Site;

/// What webauthn-rs answers, shortened: byte strings in base64url.
fn creation() -> Value {
    json!({ "publicKey": {
        "rp": { "id": "localhost", "name": "gate" },
        "user": { "id": "AQIDBAUGBwgJCgsMDQ4PEA", "name": "alice", "displayName": "alice" },
        "challenge": "-_8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0",
        "pubKeyCredParams": [{ "type": "public-key", "alg": -7 }, { "type": "public-key", "alg": -257 }],
        "timeout": 60000,
        "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
        "attestation": "none",
    } })
}

fn request() -> Value {
    json!({ "publicKey": {
        "challenge": "-_8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0",
        "timeout": 2000,
        "rpId": "localhost",
        "allowCredentials": [],
        "userVerification": "required",
    }, "mediation": "conditional" })
}

/// As a browser is that cannot read the JSON by itself.
const WITHOUT_JSON: &str = "delete PublicKeyCredential.parseCreationOptionsFromJSON; \
                            delete PublicKeyCredential.parseRequestOptionsFromJSON; \
                            delete PublicKeyCredential.prototype.toJSON;";

#[test]
fn a_form_lets_a_key_sign_what_the_broker_asks_and_brings_it_back() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    let _passkey = browser.authenticator(Token::Passkey);
    for before in ["", WITHOUT_JSON] {
        site.answer("/factors/passkey/options", 200, &creation());
        site.answer("/factors/passkey/finish", 200, &json!({ "next": "/made" }));
        browser.open(&format!("{}/factors", site.origin));
        browser.script(before, &[]);
        browser.fill("#passkey-name", "Blue key");
        browser.click("form[data-webauthn=create] button");
        browser.wait_for_url("/made");

        let options = site.asked();
        assert_eq!((options.path.as_str(), options.csrf.as_str()), ("/factors/passkey/options", "csrf-of-the-samples"));
        assert_eq!(options.body, json!({ "name": "Blue key" }));
        let finish = site.asked();
        assert_eq!((finish.path.as_str(), finish.csrf.as_str()), ("/factors/passkey/finish", "csrf-of-the-samples"));
        assert_eq!(finish.body["fields"], json!({ "name": "Blue key" }));
        let credential = &finish.body["credential"];
        assert_eq!((&credential["type"], &credential["id"]), (&json!("public-key"), &credential["rawId"]));
        assert!(credential["response"]["attestationObject"].is_string(), "{credential}");
        assert_eq!(client_data(credential)["challenge"], creation()["publicKey"]["challenge"]);
        assert_eq!(client_data(credential)["type"], "webauthn.create");

        site.answer("/sign-in/passkey/options", 200, &request());
        site.answer("/sign-in/passkey/finish", 200, &json!({ "next": "/made" }));
        browser.open(&format!("{}/sign-in", site.origin));
        browser.script(before, &[]);
        browser.click("form[data-webauthn=get] button");
        browser.wait_for_url("/made");
        assert_eq!(site.asked().body, json!({ "next": "/" }));
        let finish = site.asked();
        let response = &finish.body["credential"]["response"];
        for part in ["authenticatorData", "clientDataJSON", "signature", "userHandle"] {
            assert!(response[part].as_str().is_some_and(|text| !text.contains(['+', '/', '='])), "{part}: {response}");
        }
        assert_eq!(response["userHandle"], creation()["publicKey"]["user"]["id"]);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_goes_wrong_is_said_in_a_sentence_and_can_be_tried_again() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    let passkey = browser.authenticator(Token::Passkey);
    let problem = "form[data-webauthn] [data-problem]";

    // The broker says no: its sentence is shown as text, and how many tries are left.
    site.answer("/c/KQ7M-XW2P/options", 400, &json!({ "error": HOSTILE, "tries_left": 1 }));
    browser.open(&format!("{}/confirm", site.origin));
    browser.fill("#number", "123");
    browser.click("button.main");
    assert!(browser.text_of(problem).contains("<script>"), "{}", browser.text_of(problem));
    assert_eq!(browser.text_of("[data-tries]"), "One try left.");
    assert!(browser.title().starts_with("An ssh login waits"));

    // No key of theirs is at hand.
    site.answer("/c/KQ7M-XW2P/options", 200, &request());
    browser.click("button.main");
    browser.wait_for_text("Nothing was signed");

    // No answer, and one that is none.
    site.answer("/c/KQ7M-XW2P/options", 500, &json!("not an object"));
    browser.click("button.main");
    browser.wait_for_text("The browser or the key could not do it.");

    // The tab was open longer than the person was signed in.
    site.answer("/c/KQ7M-XW2P/options", 401, &json!("signed out"));
    browser.click("button.main");
    browser.wait_for_text("You are signed out by now.");

    // A key for another name than the portal's.
    let mut foreign = request();
    foreign["publicKey"]["rpId"] = json!("elsewhere.example");
    site.answer("/c/KQ7M-XW2P/options", 200, &foreign);
    browser.click("button.main");
    browser.wait_for_text("The browser refuses this address for passkeys.");

    // The same key twice.
    site.answer("/factors/passkey/options", 200, &creation());
    site.answer("/factors/passkey/finish", 200, &json!({ "next": "/made" }));
    browser.open(&format!("{}/factors", site.origin));
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/made");
    let mut again = creation();
    again["publicKey"]["excludeCredentials"] = json!([{ "type": "public-key", "id": passkey.credentials()[0].id() }]);
    site.answer("/factors/passkey/options", 200, &again);
    browser.open(&format!("{}/factors", site.origin));
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_text("set up already");
}

/// Where the broker sends somebody is on the broker, whatever an answer says.
#[test]
fn no_answer_leads_to_another_site() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    let _passkey = browser.authenticator(Token::Passkey);
    site.answer("/factors/passkey/options", 200, &creation());
    for next in ["https://elsewhere.example/", "//elsewhere.example/", "javascript:document.title='owned'"] {
        site.answer("/factors/passkey/finish", 200, &json!({ "next": next }));
        browser.open(&format!("{}/factors", site.origin));
        browser.fill("#passkey-name", "Blue key");
        browser.click("form[data-webauthn=create] button");
        browser.wait_for_text("The browser or the key could not do it.");
        assert!(browser.url().ends_with("/factors") && browser.title().starts_with("Factors"), "{}", browser.url());
    }
}

#[test]
fn a_login_that_begins_to_wait_is_shown_at_once_and_as_text() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    let waiting = json!([
        { "path": "/c/KQ7M-XW2P", "text": HOSTILE },
        { "path": "javascript:document.title='owned'", "text": "no path of ours" },
        { "path": "//elsewhere.example/c/x", "text": "nor this" },
    ]);
    site.events("/events", &format!("event: waiting\ndata: {waiting}\n\n"));
    let person = Person { name: "alice".into(), waiting: Vec::new(), events: Some("/events".to_owned()) };
    let frame = Frame { person: Some(person), ..stranger() };
    site.page("/live", &Home { frame, rows: Vec::new() }.render().unwrap());
    browser.open(&format!("{}/live", site.origin));
    browser.wait_for("[data-waiting] a");
    assert!(browser.text_of("[data-waiting]").contains("<script>document.title"));
    let links = browser.script("return [...document.querySelectorAll('[data-waiting] a')].map((a) => a.pathname)", &[]);
    assert_eq!(links, json!(["/c/KQ7M-XW2P"]));
    assert!(browser.title().starts_with("Reach"), "{}", browser.title());
}

/// Only what is known to wait no more says what became of it.
#[test]
fn a_page_that_shows_a_login_stays_as_it_is_while_the_broker_does_not_know() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    let person = Person { name: "alice".into(), waiting: Vec::new(), events: Some("/events".to_owned()) };
    let frame = Frame { person: Some(person), ..stranger() };
    site.page("/live", &Confirm { frame, state: waits(0, 3, None) }.render().unwrap());
    let unknown = "event: unknown\ndata: null\n\n";
    // Another one that is shown behind it tells that the page has heard it.
    let waiting = json!([{ "path": "/c/KQ7M-XW2P", "text": "this" }, { "path": "/c/KQ7M-1", "text": "another" }]);
    site.events("/events", &format!("{unknown}event: waiting\ndata: {waiting}\n\n"));
    browser.open(&format!("{}/live", site.origin));
    browser.script("window.before = true", &[]);
    browser.wait_for("[data-waiting] a");
    assert_eq!(browser.script("return window.before === true", &[]), json!(true), "the page was drawn anew");
}

#[test]
fn a_line_is_copied_as_it_stands() {
    let network = Arc::new(Network::new());
    let (site, browser) = (site(&network), Browser::start(&network));
    browser.open(&format!("{}/home", site.origin));
    browser.click("[data-copy]");
    browser.wait_for_text("Copied");
    let line = browser.text_of(".line code");
    assert_eq!(line, "ssh -J alice@gate.plant.example operator@ews-1");
    let copied = "const [done] = arguments; navigator.clipboard.readText().then(done, (error) => done(String(error)))";
    browser.allow("clipboard-read");
    assert_eq!(browser.script_that_calls_back(copied, &[]), json!(line));
}

fn site(network: &Arc<Network>) -> Site {
    let site = Site::start(network);
    for (name, html) in pages() {
        site.page(&format!("/{name}"), &html);
    }
    site.page("/made", "<!doctype html><title>Made</title><link rel=icon href='data:,'>");
    site
}

fn client_data(credential: &Value) -> Value {
    let written = credential["response"]["clientDataJSON"].as_str().expect("client data");
    let bytes = data_encoding::BASE64URL_NOPAD.decode(written.as_bytes()).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
