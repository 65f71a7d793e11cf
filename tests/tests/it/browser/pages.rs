//! Every page in every state: at a desk and on a phone, in light and in dark, by keyboard.

use std::sync::Arc;

use sallyport_tests::{Browser, Network, keys};
use serde_json::json;

use super::samples::pages;
use super::site::Site;

/// Whatever can be pressed is at least this large, in CSS pixels (WCAG 2.2, 2.5.8 asks for 24).
const LARGE_ENOUGH: &str = r#"
    const small = [...document.querySelectorAll("button, summary, select, input:not([type=hidden]), nav a, .button")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 44);
    return small.map((each) => each.outerHTML);
"#;

/// What a program that reads the page aloud needs: names for all that can be used, headings in order, one main part.
const READABLE: &str = r#"
    const faults = [];
    for (const field of document.querySelectorAll("input:not([type=hidden]):not([hidden]), select")) {
        if (field.labels.length !== 1) faults.push(`no label: ${field.outerHTML}`);
    }
    for (const each of document.querySelectorAll("button, a, summary")) {
        if (each.textContent.trim() === "") faults.push(`no words: ${each.outerHTML}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((each) => each.id);
    if (new Set(ids).size !== ids.length) faults.push(`an id twice: ${ids}`);
    for (const each of document.querySelectorAll("[aria-describedby], [aria-labelledby]")) {
        for (const id of (each.getAttribute("aria-describedby") ?? each.getAttribute("aria-labelledby")).split(" ")) {
            if (!document.getElementById(id)) faults.push(`${id} is nowhere`);
        }
    }
    let level = 0;
    for (const heading of document.querySelectorAll("main h1, main h2, main h3")) {
        if (heading.closest("[hidden]") || heading.closest("[data-waiting]")) continue;
        const next = Number(heading.tagName[1]);
        if (next > level + 1) faults.push(`h${level} and then h${next}`);
        level = next;
    }
    if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
    if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
    return faults;
"#;

#[test]
fn every_page_fits_desk_and_phone_and_obeys_its_own_policy() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    for (name, html) in pages() {
        site.page(&format!("/{name}"), &html);
        browser.open(&format!("{}/{name}", site.origin));
        assert!(browser.title().ends_with(" · gate.plant.example"), "{}", browser.title());
        browser.keep_pictures_and_judge(name);
        assert_eq!(browser.script(READABLE, &[]), json!([]), "{name}");
        assert_eq!(browser.script(LARGE_ENOUGH, &[]), json!([]), "{name}");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_person_without_a_mouse_confirms_and_refuses() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    let confirm = pages().into_iter().find(|(name, _)| *name == "confirm").expect("the page").1;
    site.page("/confirm", &confirm);
    site.page("/c/KQ7M-XW2P/refuse", "<!doctype html><title>Refused</title>");
    browser.open(&format!("{}/confirm", site.origin));

    // The number is where the keyboard is at once.
    browser.press("417");
    assert_eq!(browser.script("return document.querySelector('#number').value", &[]), json!("417"));
    browser.tab_to("button.main");
    let outline = browser.script("return getComputedStyle(document.activeElement).outlineStyle", &[]);
    assert_eq!(outline, json!("solid"), "what has the focus shows it");
    browser.press(keys::ENTER);
    let asked = site.asked();
    assert_eq!((asked.path.as_str(), asked.body["number"].as_str()), ("/c/KQ7M-XW2P/options", Some("417")));

    browser.tab_to("button.bad");
    browser.press(keys::ENTER);
    browser.wait_for_url("/c/KQ7M-XW2P/refuse");
    assert_eq!(site.asked().path, "/c/KQ7M-XW2P/refuse");
}

#[test]
fn a_page_without_scripts_says_what_needs_them_and_takes_a_code() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    let second = pages().into_iter().find(|(name, _)| *name == "second").expect("the page").1;
    site.page("/second", &second);
    browser.run_scripts(false);
    browser.open(&format!("{}/second", site.origin));
    let heard = browser.heard();
    for wanted in [
        "heading Your second factor",
        "button Use a security key or passkey disabled",
        "StaticText Passkeys and security keys need JavaScript, which is off in this browser.",
        "textbox Code",
        "button Sign in",
    ] {
        assert!(heard.iter().any(|each| each == wanted), "not heard: {wanted}\n{}", heard.join("\n"));
    }

    browser.run_scripts(true);
    browser.open(&format!("{}/second", site.origin));
    let heard = browser.heard();
    assert!(heard.iter().any(|each| each == "button Use a security key or passkey"), "{}", heard.join("\n"));
    assert!(!heard.iter().any(|each| each.contains("JavaScript")), "{}", heard.join("\n"));
}

#[test]
fn the_first_stop_of_the_tabulator_leads_to_the_content() {
    let network = Arc::new(Network::new());
    let site = Site::start(&network);
    let browser = Browser::start(&network);
    let home = pages().into_iter().find(|(name, _)| *name == "home").expect("the page").1;
    site.page("/home", &home);
    browser.open(&format!("{}/home", site.origin));
    browser.press(keys::TAB);
    assert_eq!(browser.script("return document.activeElement.className", &[]), json!("skip"));
    browser.press(keys::ENTER);
    browser.press(keys::TAB);
    let stands_in = browser.script("return document.activeElement.closest('main') !== null", &[]);
    assert_eq!(stands_in, json!(true), "the next stop lies in the content");
}
