//! Names as long as anybody writes them, without a place to break: no page is wider for them than its window, and none is cut.

use std::sync::Arc;

use sallyport::portal::look::{
    Frame, Home, Invitation, Notice, Now, Passkey, Person, Place, Reachable, Recovery, Second, Sessions, SignIn, State,
    Waiting, words,
};
use sallyport_tests::{Browser, Network, Scheme, WIDTHS};
use serde_json::json;

use super::samples::{
    confirm, draw, factors, invitation, prove_again, recovery, rows, second, sessions, sign_in, signed_in, stranger,
    totp, waits,
};
use super::site::Site;

/// Longer than any name that is taken.
const LONG: &str =
    "maintenancecontractorofthepackaginglinesengineeringworkstationbinthethirdhallbehindthewaterworksxxxx";

/// What reaches out of the page, or out of what holds it.
const OUTSIDE: &str = r#"
    const page = document.documentElement;
    const faults = page.scrollWidth > window.innerWidth ? [`the page is ${page.scrollWidth} wide`] : [];
    for (const each of document.querySelectorAll("body *")) {
        if (each.closest(".unseen, .skip, thead, svg") || !each.checkVisibility()) continue;
        const { left, right } = each.getBoundingClientRect();
        if (left < -0.5 || right > window.innerWidth + 0.5) faults.push(`${left} to ${right}: ${each.outerHTML.slice(0, 200)}`);
    }
    return faults;
"#;

/// Words that everybody knows, and that stand in one line however long the names beside them are.
const TORN: &str = r#"
    const torn = [];
    const range = document.createRange();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        if (!node.parentElement.checkVisibility() || node.parentElement.closest(".unseen, thead, script, code, small")) continue;
        for (const { 0: word, index } of node.data.matchAll(/[A-Za-z]{2,12}/g)) {
            if (/[^\s.,:;?!…()“”]/.test((node.data[index - 1] ?? " ") + (node.data[index + word.length] ?? " "))) continue;
            range.setStart(node, index);
            range.setEnd(node, index + word.length);
            if (new Set([...range.getClientRects()].map((each) => Math.round(each.top))).size > 1) torn.push(word);
        }
    }
    return torn;
"#;

#[test]
fn no_name_makes_a_page_wider_than_its_window_or_tears_the_words_beside_it() {
    assert_eq!(LONG.len(), 100);
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    for (name, html) in pages() {
        assert!(html.contains(LONG), "{name}");
        site.page(&format!("/{name}"), &html);
        browser.open(&format!("{}/{name}", site.origin));
        browser.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })", &[]);
        // A tablet's between the two: the narrowest that has tables.
        for width in WIDTHS.into_iter().chain([320, 800]) {
            browser.appear(width, Scheme::Light);
            assert_eq!(browser.script(OUTSIDE, &[]), json!([]), "{name} at {width}");
            assert_eq!(browser.script(TORN, &[]), json!([]), "{name} at {width}");
        }
        browser.keep_pictures(name);
    }
}

fn pages() -> Vec<(&'static str, String)> {
    let lines = format!("ssh -J {LONG}@gate.plant.example:2222 {LONG}@{LONG}");
    let row = |now| Reachable {
        asset: LONG.into(),
        service: "modbus".into(),
        account: LONG.into(),
        now,
        line: lines.as_str().into(),
    };
    let all: Vec<Reachable> =
        [Now::AfterFactor, Now::AfterApproval, Now::No].map(row).into_iter().chain(rows()).collect();
    let State::Waiting(mut login) = waits(3, 2, Some(words::WRONG_NUMBER)) else { unreachable!("it waits") };
    (login.name, login.source, login.client, login.target) = (LONG.into(), LONG.into(), LONG.into(), LONG.into());
    let mut mine = factors();
    mine.frame = around(Place::Factors);
    mine.passkeys = mine.passkeys.into_iter().map(|passkey| Passkey { name: LONG.into(), ..passkey }).collect();
    mine.passkeys[1].counts = false;
    let mut again = prove_again();
    again.passkeys.clone_from(&mine.passkeys);
    vec![
        ("long-sign-in", draw(SignIn { frame: at_broker(), ..sign_in(LONG, Some(words::WRONG_SIGN_IN)) })),
        ("long-second", draw(Second { name: LONG.into(), ..second(true, true, None) })),
        ("long-home", draw(Home { frame: around(Place::Reach), rows: all })),
        ("long-sessions", draw(busy())),
        ("long-factors", draw(mine)),
        ("long-factors-prove", draw(again)),
        (
            "long-totp",
            draw({
                let mut page = totp(true, None);
                page.frame = around(Place::Factors);
                page
            }),
        ),
        ("long-recovery", draw(Recovery { name: LONG.into(), ..recovery() })),
        ("long-invitation", draw(Invitation { name: LONG.into(), by: LONG.into(), ..invitation(true) })),
        ("long-confirm", draw(confirm(State::Waiting(login)))),
        ("long-notice", draw(Notice::not_found(at_broker()))),
    ]
}

/// A broker whose name is as long.
fn at_broker() -> Frame {
    Frame { broker: LONG.to_owned(), ..stranger() }
}

/// Around a page of somebody with such a name, for whom a login waits.
fn around(place: Place) -> Frame {
    let waiting = Waiting { path: "/c/KQ7M-1".to_owned(), text: format!("From 10.20.30.1 to {LONG}@{LONG}").into() };
    let person = Person { name: LONG.into(), waiting: vec![waiting], events: None };
    Frame { broker: LONG.to_owned(), person: Some(person), ..signed_in(place, 0) }
}

fn busy() -> Sessions {
    let mut page = sessions();
    page.frame = around(Place::Sessions);
    for session in &mut page.sessions {
        session.target = format!("{LONG}@{LONG}").into();
    }
    for lease in &mut page.leases {
        (lease.credential, lease.factor) = (LONG.into(), LONG.into());
    }
    page
}
