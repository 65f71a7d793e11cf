//! The bed itself: a browser, and virtual authenticators in its hands.

use std::sync::Arc;

use sallyport_tests::{Browser, Network, Token};
use serde_json::{Value, json};

use super::site::Site;

const CREATE: &str = r#"
    const [done] = arguments;
    navigator.credentials.create({ publicKey: {
        rp: { id: "localhost", name: "a plant" },
        user: { id: new Uint8Array([1, 2, 3]), name: "alice", displayName: "Alice" },
        challenge: new Uint8Array(32),
        pubKeyCredParams: [{ type: "public-key", alg: -7 }],
        authenticatorSelection: { residentKey: "required", userVerification: "required" },
    } }).then((made) => done({ id: made.id }), (error) => done({ error: error.name }));
"#;

const GET: &str = r#"
    const [verification, done] = arguments;
    navigator.credentials.get({ publicKey: {
        rpId: "localhost", challenge: new Uint8Array(32), userVerification: verification, timeout: 3000,
    } }).then(
        (got) => done({ id: got.id, flags: new Uint8Array(got.response.authenticatorData)[32] }),
        (error) => done({ error: error.name }),
    );
"#;

/// User present, user verified: flags of authenticator data.
const PRESENT: u64 = 1;
const VERIFIED: u64 = 4;

#[test]
fn a_passkey_is_made_and_used_and_its_counter_can_be_turned_back() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    site.page("/", "<!doctype html><title>A page</title><p>Nothing to see.</p>");
    let browser = Browser::start(&network);
    browser.open(&format!("{}/", site.origin));
    assert_eq!(browser.title(), "A page");
    let passkey = browser.authenticator(Token::Passkey);
    assert!(passkey.credentials().is_empty());

    let made = browser.script_that_calls_back(CREATE, &[]);
    let held = passkey.credentials();
    assert_eq!(held.len(), 1);
    assert_eq!(made, json!({ "id": held[0].id() }));
    assert_eq!(held[0].relying_party(), "localhost");

    let used = get(&browser, "required");
    assert_eq!(used["id"], made["id"]);
    assert_eq!(used["flags"].as_u64().unwrap() & (PRESENT | VERIFIED), PRESENT | VERIFIED);
    let counted = passkey.credentials()[0].clone();
    assert!(counted.sign_count() > held[0].sign_count(), "it counts how often it signs");

    // A copy whose counter lies behind, in the place of the real one.
    passkey.remove(&counted);
    assert_eq!(get(&browser, "required"), json!({ "error": "NotAllowedError" }));
    passkey.put(&counted.clone().with_sign_count(0)).unwrap();
    assert_eq!(get(&browser, "required")["id"], made["id"]);
    assert_eq!(passkey.credentials()[0].sign_count(), 1);

    // Whoever does not verify is present and no more.
    passkey.verifies(false);
    assert_eq!(get(&browser, "required"), json!({ "error": "NotAllowedError" }));
    assert_eq!(get(&browser, "discouraged")["flags"].as_u64().unwrap() & (PRESENT | VERIFIED), PRESENT);
}

/// A page that draws itself anew every millisecond, as one does that is left in the middle of a click, and is at rest after a while.
const RESTLESS: &str = r#"<!doctype html><title>A page</title><main></main><script src="/restless.js"></script>"#;
const DRAWS_ANEW: &str = r#"
    const main = document.querySelector("main");
    const draw = () => {
        main.innerHTML = "<input id=name><button>Go on</button>";
        main.querySelector("button").addEventListener("click", () => { document.title = main.querySelector("input").value; });
    };
    draw();
    const drawing = setInterval(draw, 1);
    setTimeout(() => clearInterval(drawing), 3000);
"#;

#[test]
fn what_is_drawn_anew_under_a_hand_is_taken_again() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    site.page("/", RESTLESS);
    site.script("/restless.js", DRAWS_ANEW);
    let browser = Browser::start(&network);
    browser.open(&format!("{}/", site.origin));
    for _ in 0..40 {
        browser.fill("#name", "alice");
        browser.click("button");
        assert_eq!(browser.text_of("button"), "Go on");
    }
}

#[test]
fn what_a_page_may_not_do_is_told() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    site.page(
        "/",
        "<!doctype html><title>A page</title><p style='color:red'>Red?</p><script>document.title = 'x'</script>",
    );
    let browser = Browser::start(&network);
    browser.open(&format!("{}/", site.origin));
    assert_eq!(browser.title(), "A page");
    let complaints = browser.complaints();
    assert_eq!(complaints.iter().filter(|each| each.contains("Content Security Policy")).count(), 2, "{complaints:?}");
    assert!(browser.complaints().is_empty(), "each is told once");
}

#[test]
fn what_keeps_people_out_is_found() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let page = |main: &str| {
        format!(
            "<!doctype html><html lang=en><title>A page</title><link rel=stylesheet href=/page.css><main><h1>A page</h1>{main}</main>"
        )
    };
    site.style("/page.css", ".pale { color: #bbbbbb; background: #ffffff }");
    site.page("/open", &page("<p>Words.</p><label>Name <input></label>"));
    site.page("/barred", &page("<p class=pale>Words.</p><input><img src='data:,'>"));
    let browser = Browser::start(&network);
    browser.open(&format!("{}/open", site.origin));
    assert_eq!(browser.barriers(), Vec::<String>::new());
    browser.open(&format!("{}/barred", site.origin));
    let barriers = browser.barriers();
    for rule in ["color-contrast", "label", "image-alt"] {
        assert!(barriers.iter().any(|barrier| barrier.starts_with(&format!("{rule}:"))), "{rule}: {barriers:?}");
    }
}

fn get(browser: &Browser, verification: &str) -> Value {
    browser.script_that_calls_back(GET, &[json!(verification)])
}
