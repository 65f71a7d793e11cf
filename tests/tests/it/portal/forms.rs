//! What changes something: it comes from a page of ours, and from the browser that the page was given to.

use sallyport_tests::{Answer, Plant, form};

use super::{PASSWORD, alice, plant, with_password};

/// A sign-out by hand: with this cookie, and these lines.
fn sign_out(plant: &Plant, cookie: &str, lines: &[&str], fields: &[(&str, &str)]) -> Answer {
    let cookie = format!("Cookie: {cookie}");
    let lines = [&[cookie.as_str()], lines].concat();
    plant.portal().ask("POST", "/sign-out", &lines, &form(fields))
}

const ORIGIN: &str = "Origin: https://gate.plant.example:8443";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// Lines of a head, and the fields of a form.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn a_form_of_another_site_or_of_another_session_changes_nothing() {
    let plant = plant();
    let (alice, bob) = (alice(&plant), with_password(&plant, "bob"));
    let portal = plant.portal();
    let (mut mine, mut other) = (portal.visitor(), portal.visitor());
    mine.sign_in(&alice, PASSWORD);
    other.sign_in(&bob, PASSWORD);
    let (cookie, token) = (mine.cookie.clone().unwrap(), mine.csrf.clone());
    let mut stranger = portal.visitor();
    stranger.get("/sign-in");
    let right = ("csrf", token.as_str());
    let cases: [Case<'_>; 13] = [
        (&[FORM], &[right]),
        (&["Origin: https://evil.example", FORM], &[right]),
        (&["Origin: null", FORM], &[right]),
        (&["Origin: http://gate.plant.example:8443", FORM], &[right]),
        (&["Origin: https://gate.plant.example", FORM], &[right]),
        (&["Origin: https://gate.plant.example:8443.evil.example", FORM], &[right]),
        (&[ORIGIN, "Origin: https://evil.example", FORM], &[right]),
        (&[ORIGIN, "Sec-Fetch-Site: cross-site", FORM], &[right]),
        (&[ORIGIN, FORM], &[]),
        (&[ORIGIN, FORM], &[("csrf", "")]),
        (&[ORIGIN, FORM], &[("csrf", &other.csrf)]),
        (&[ORIGIN, FORM], &[("csrf", &stranger.csrf)]),
        (&[ORIGIN, "Content-Type: text/plain"], &[right]),
    ];
    for (lines, fields) in cases {
        let answer = sign_out(&plant, &cookie, lines, fields);
        assert!((400..500).contains(&answer.status), "{lines:?} {fields:?}: {answer}");
        assert_eq!(mine.get("/").status, 200, "signed out by {lines:?} {fields:?}");
    }
    // As a script would send it, and as the page itself does.
    let in_header = format!("X-Csrf: {}", other.csrf);
    assert_eq!(sign_out(&plant, &cookie, &[ORIGIN, FORM, &in_header], &[right]).status, 403);
    assert_eq!(sign_out(&plant, &cookie, &[ORIGIN, FORM], &[right]).status, 200);
    assert_eq!(mine.get("/").leads_to(), "/sign-in");
    assert_eq!(other.get("/").status, 200);
}

#[test]
fn nobody_goes_on_under_a_cookie_that_was_known_before() {
    let plant = plant();
    let alice = alice(&plant);
    let portal = plant.portal();
    let mut visitor = portal.visitor();
    visitor.get("/sign-in");
    let mut seen = vec![visitor.cookie.clone().unwrap()];
    visitor.first("alice", PASSWORD);
    seen.push(visitor.cookie.clone().unwrap());
    visitor.get("/sign-in/second");
    let old_token = visitor.csrf.clone();
    visitor.post("/sign-in/second", &[("code", &alice.fresh_code())]);
    let last = visitor.cookie.clone().unwrap();
    assert!(!seen.contains(&last) && seen[0] != seen[1], "a stage went on under the cookie of the one before");
    for cookie in &seen {
        let mut planted = portal.visitor();
        planted.cookie = Some(cookie.clone());
        assert_eq!(planted.get("/").leads_to(), "/sign-in");
        assert_eq!(planted.get("/sign-in/second").leads_to(), "/sign-in");
    }
    // A page of the stage before does nothing any more.
    visitor.csrf = old_token;
    assert_eq!(visitor.post("/sign-out", &[]).status, 403);
    assert_eq!(visitor.get("/").status, 200);
    // What a signed-in browser signs in again with is another; the one before is over.
    let before = visitor.cookie.clone();
    let mut again = portal.visitor();
    again.cookie = before.clone();
    again.csrf = visitor.csrf.clone();
    let answer = again.post("/sign-in", &[("name", "alice"), ("password", PASSWORD)]);
    assert_eq!(answer.leads_to(), "/sign-in/second");
    visitor.cookie = before;
    assert_eq!(visitor.get("/").leads_to(), "/sign-in");
}

#[test]
fn the_sign_in_leads_to_our_own_pages_alone() {
    let plant = plant();
    let portal = plant.portal();
    for (name, wanted, led) in [
        ("anna", "/sessions", "/sessions"),
        ("bert", "//evil.example", "/"),
        ("carl", "https://evil.example/", "/"),
        ("dora", "/\\evil.example", "/"),
    ] {
        let person = with_password(&plant, name);
        let mut visitor = portal.visitor();
        visitor.get("/sign-in");
        visitor.post("/sign-in", &[("name", name), ("password", PASSWORD), ("next", wanted)]);
        let second = visitor.get("/sign-in/second");
        assert!(!second.body.contains("evil"), "{second}");
        let fields = [("code", person.fresh_code()), ("next", wanted.to_owned())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(visitor.post("/sign-in/second", &fields).leads_to(), led, "{wanted}");
        assert_eq!(visitor.get("/sign-in?next=/sessions").leads_to(), "/sessions");
    }
    let mut stranger = portal.visitor();
    assert_eq!(stranger.get("/sessions").leads_to(), "/sign-in?next=/sessions");
    assert_eq!(stranger.get("/sign-in?next=//evil.example").body.matches("evil").count(), 0);
}
