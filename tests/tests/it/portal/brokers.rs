//! A login that waits at one broker, confirmed at another of the installation; and how long ssh takes to go on after the touch.

use std::time::{Duration, Instant};

use sallyport_tests::{Browser, Form, Person, Plant, Second, Terminal, Token};

use super::passkeys::{browser, enrol_and_sign_in, invited, shown};
use crate::brokers::{Pair, second_config};

/// How often is measured: `SALLYPORT_MEASURE=20` asks for a figure to be believed. What nobody asked for is not judged: machines differ.
pub(super) fn rounds() -> Option<usize> {
    std::env::var("SALLYPORT_MEASURE").ok().map(|rounds| rounds.parse().expect("SALLYPORT_MEASURE is a number"))
}

/// Logs in, confirms, and gives the time from before the click, which the virtual key answers at once, to the asset's first word.
pub(super) fn confirmed_within(plant: &Plant, browser: &Browser, mut terminal: Terminal) -> Duration {
    let (link, number) = shown(&terminal);
    browser.open(&link);
    browser.fill("#number", &number);
    let touched = Instant::now();
    browser.click("form[data-webauthn=get] button");
    terminal.expect("through");
    let took = touched.elapsed();
    assert!(terminal.ended().success());
    browser.wait_for_text("Confirmed");
    for lease in plant.json(&["lease", "list"]).as_array().unwrap() {
        plant.sallyport(&["lease", "revoke", lease["id"].as_str().unwrap()]).ok();
    }
    took
}

/// Says what was measured. Where that was asked for, it is judged too.
pub(super) fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{what}: {} times, median {median:?}, longest {longest:?}", took.len());
    assert!(rounds().is_none() || longest < Duration::from_secs(1), "{what}: {took:?}");
}

fn login(person: &Person, second: bool) -> Terminal {
    let config = if second { second_config(person) } else { person.config() };
    let mut command = person.leased("ssh");
    command.arg("-F").arg(config).args([&Form::Direct.host("ews-1"), "echo through"]).env("TERM", "xterm-256color");
    Terminal::start(&command, 120, 30)
}

#[test]
fn a_login_that_waits_at_one_broker_is_confirmed_at_the_other() {
    let pair = Pair::with_portal();
    let (alice, link) = invited(&pair.plant, "alice");
    Second::config(&alice);
    let browser = browser(&pair.plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    for (second, what) in [(false, "at the same broker"), (true, "at the other broker")] {
        let once = || confirmed_within(&pair.plant, &browser, login(&alice, second));
        tell(what, (0..rounds().unwrap_or(1)).map(|_| once()).collect());
    }
    let asked: Vec<_> = pair.plant.audit().into_iter().filter(|entry| entry["code"] == "SP-1013").collect();
    assert!(asked.iter().any(|entry| entry["broker"] == "gate-2"), "{asked:?}");
    pair.plant.sallyport(&["audit", "verify"]).ok();
}
