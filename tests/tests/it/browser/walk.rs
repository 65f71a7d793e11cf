//! A walk through a portal that runs, page by page, as somebody takes it from their invitation to their last session. Each page is looked at in
//! the widths of a desk and of a phone, in light and in dark: nothing reaches out of it, and nothing keeps anybody out. The pictures are kept
//! (`SALLYPORT_SCREENSHOTS=FOLDER`, or `target/screenshots`).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sallyport_tests::{Browser, Setup, Token, repository};

use super::passkeys::{asked, end_leases, type_number, waits, waits_for};
use super::people::{PASSWORD, address, browser};

/// What pages hear by themselves: nobody looks at it.
const NO_PAGE: &str = "/events";

struct Walk<'a> {
    browser: &'a Browser,
    seen: RefCell<BTreeSet<String>>,
}

impl Walk<'_> {
    #[track_caller]
    fn to(&self, path: &str, name: &str) {
        self.browser.open(&address(path));
        self.look(name);
    }

    #[track_caller]
    fn look(&self, name: &str) {
        let url = self.browser.url();
        let path = url.strip_prefix(&address("")).expect("a page of ours").split('?').next().unwrap_or_default();
        self.seen.borrow_mut().insert(path.to_owned());
        self.browser.keep_pictures_and_judge(&format!("walk-{name}"));
    }
}

#[test]
fn every_page_of_a_portal_that_runs_is_open_to_everybody_in_every_width_and_scheme() {
    let plant = Setup::standard().portal().start();
    let mut alice = plant.person_without_second_factor("alice");
    plant.set_password("alice", PASSWORD);
    let invitation = plant.json(&["identity", "invite", "alice"]);
    let link = invitation["link"].as_str().expect("a link");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::Passkey);
    let walk = Walk { browser: &browser, seen: RefCell::default() };

    walk.to("/nothing", "nothing-here");
    walk.to("/lost", "lost");
    browser.open(link);
    walk.look("invitation");
    browser.fill("#password-passkey", PASSWORD);
    browser.fill("#passkey-name", "Blue key");
    browser.click("form[data-webauthn=create] button");
    browser.wait_for_url("/sign-in");
    browser.open(link);
    walk.look("invitation-over");

    walk.to("/sign-in", "sign-in");
    browser.fill("#name", "alice");
    browser.fill("#password", "a wrong one");
    browser.click("button.main");
    browser.wait_for_text("That did not work.");
    walk.look("sign-in-wrong");
    browser.fill("#password", PASSWORD);
    browser.click("button.main");
    browser.wait_for_url("/sign-in/second");
    walk.look("second");
    browser.click("form[data-options='/sign-in/key/options'] button");
    browser.wait_for_text("What you may reach now");
    walk.look("reach");
    walk.to("/sessions", "sessions-none");
    walk.to("/requests", "requests-none");
    walk.to("/factors", "factors-last");

    // A login of hers waits, is confirmed, and is a session.
    let mut ssh = waits(&alice, "echo through; sleep 600", "one");
    let (link, number) = asked(&ssh);
    browser.open(&address("/"));
    browser.wait_for("[data-waiting] a");
    walk.look("reach-waiting");
    browser.open(&link);
    walk.look("confirm");
    type_number(&browser, &number);
    browser.wait_for_text("ssh goes on in your terminal");
    walk.look("confirm-done");
    browser.open(&address("/sessions"));
    browser.wait_for("form[action^='/sessions/'], .ask summary");
    walk.look("sessions");
    browser.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })", &[]);
    walk.look("sessions-asked");
    ssh.kill();
    end_leases(&plant);

    // Another is refused, and one is given up.
    let refused = waits(&alice, "echo through", "two");
    browser.open(&asked(&refused).0);
    browser.click("form.refuse button");
    browser.wait_for_text("nobody was let in");
    walk.look("confirm-refused");
    plant.sql("DELETE FROM confirmations");
    let mut given_up = waits_for(&alice, "ews-1.direct", "echo through", "three");
    browser.open(&asked(&given_up).0);
    given_up.kill();
    browser.wait_for_text("This login waits no longer");
    walk.look("confirm-over");

    // An authenticator beside the passkey, and what stands in for it.
    walk.to("/factors/totp", "authenticator");
    browser.fill("#code", "000000");
    browser.click("button.main");
    browser.wait_for_text("That code did not work.");
    walk.look("authenticator-wrong");
    let key = browser.script("return document.querySelector('.line code').textContent", &[]);
    alice.enrol(&key.as_str().expect("a key").replace(' ', ""));
    browser.fill("#code", &alice.fresh_code());
    browser.click("button.main");
    // Whatever was proven before is asked for anew.
    browser.wait_for_url("/sign-in?next=/factors");
    browser.click("form[data-options='/sign-in/passkey/options'] button");
    browser.wait_for_text("Your factors");
    walk.look("factors");
    browser.click("section[aria-labelledby=recovery] summary");
    browser.click("form[action='/factors/recovery'] button");
    browser.wait_for_text("Your recovery codes");
    walk.look("recovery");
    browser.click(".person button");
    browser.wait_for_text("You are signed out");
    walk.look("signed-out");
    assert_eq!(browser.complaints().iter().filter(|each| each.contains("Policy")).count(), 0);

    let seen = walk.seen.borrow();
    let missed: Vec<_> = paths().into_iter().filter(|path| !seen.iter().any(|seen| is_at(path, seen))).collect();
    assert!(missed.is_empty(), "nobody has looked at {missed:?}; seen: {seen:?}");
}

/// Whether a page lies at a path, as its route says it: `/c/{code}`.
fn is_at(route: &str, path: &str) -> bool {
    let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
    route.len() == path.len() && route.iter().zip(&path).all(|(route, path)| route.starts_with('{') || route == path)
}

/// Where pages lie, as the sources say it: whoever adds one leads the walk to it.
fn paths() -> BTreeSet<String> {
    let folder = repository().join("broker/src/portal/pages");
    let sources = fs::read_dir(folder).expect("the pages").map(|entry| entry.expect("an entry").path());
    let paths: BTreeSet<String> = sources.flat_map(|source| paths_in(&source)).filter(|path| path != NO_PAGE).collect();
    assert!(paths.len() >= 9, "the sources are written otherwise by now: {paths:?}");
    paths
}

fn paths_in(source: &Path) -> Vec<String> {
    let text = fs::read_to_string(source).expect("a source");
    let named = |name: &str| {
        let (_, value) = text.split_once(&format!("const {name}: &str = \"")).unwrap_or_else(|| panic!("no {name}"));
        value.split('"').next().unwrap_or_default().to_owned()
    };
    let routes = text.split(".route(").skip(1).filter_map(|route| route.split_once(','));
    let shown = routes.filter(|(_, method)| method.trim_start().starts_with("get("));
    shown
        .map(|(path, _)| path.trim())
        .map(|path| {
            path.strip_prefix('"').map_or_else(|| named(path), |literal| literal.trim_end_matches('"').to_owned())
        })
        .collect()
}
