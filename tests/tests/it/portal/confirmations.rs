//! A login that waits: nobody but its person decides it, and not from a page of before.

use std::time::Duration;

use sallyport_tests::{Answer, Plant, Running, Token, eventually};

use super::passkeys::{browser, enrol_and_sign_in, invited};
use super::{PASSWORD, plant, with_password};

/// What no key has signed. It is read whole: a body that does not parse would be refused for that alone.
pub(super) const FORGED: &str = r#"{"credential":{"id":"AAAA","rawId":"AAAA","type":"public-key","extensions":{},
    "response":{"authenticatorData":"AAAA","clientDataJSON":"AAAA","signature":"AAAA"}}}"#;

/// Sends what a script of ours would, under this cookie.
pub(super) fn script(plant: &Plant, cookie: Option<&str>, csrf: &str, path: &str, body: &str) -> Answer {
    let mut lines = vec![
        "Origin: https://gate.plant.example:8443".to_owned(),
        "Sec-Fetch-Site: same-origin".to_owned(),
        "Content-Type: application/json".to_owned(),
        format!("X-Csrf: {csrf}"),
    ];
    lines.extend(cookie.map(|cookie| format!("Cookie: {cookie}")));
    plant.portal().ask("POST", path, &lines.iter().map(String::as_str).collect::<Vec<_>>(), body)
}

/// The code of the login that waits, its number, and the wrong ones that were tried.
fn waiting(plant: &Plant) -> (String, String, String) {
    eventually("a login waits", Duration::from_secs(20), || {
        let row = plant.sql("SELECT code || ' ' || number || ' ' || tries FROM confirmations WHERE state = 'waiting'");
        let mut words = row.split_whitespace().map(str::to_owned);
        Some((words.next()?, words.next()?, words.next()?))
    })
}

#[test]
fn nobody_else_decides_a_login_and_a_tab_of_before_a_lock_neither() {
    let plant = plant();
    let (alice, link) = invited(&plant, "alice");
    let bob = with_password(&plant, "bob");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let mut ssh = alice.leased("ssh");
    ssh.arg("-F").arg(alice.config()).args(["ews-1.direct", "echo through"]);
    let mut ssh = Running::start("ssh", ssh, &alice.folder().join("ssh.log"));
    let (code, number, _) = waiting(&plant);

    // Whoever has the link and the number, and is not she: with no cookie, with a stranger's, with another person's.
    let portal = plant.portal();
    let (mut stranger, mut other) = (portal.visitor(), portal.visitor());
    stranger.get("/sign-in");
    other.sign_in(&bob, PASSWORD);
    let right = format!("{{\"number\":\"{number}\"}}");
    for (who, cookie, csrf) in [
        ("nobody", None, ""),
        ("a stranger", stranger.cookie.as_deref(), stranger.csrf.as_str()),
        ("bob", other.cookie.as_deref(), other.csrf.as_str()),
    ] {
        for (path, body) in [("options", right.as_str()), ("finish", FORGED)] {
            let answer = script(&plant, cookie, csrf, &format!("/c/{code}/{path}"), body);
            assert!(
                [401, 403].contains(&answer.status) && !answer.body.contains("challenge"),
                "{who} {path}: {answer}"
            );
        }
    }
    for visitor in [&mut stranger, &mut other] {
        let answer = visitor.post(&format!("/c/{code}/refuse"), &[]);
        assert!([303, 404].contains(&answer.status), "{answer}");
    }
    assert_eq!(waiting(&plant), (code.clone(), number.clone(), "0".to_owned()), "it waits as before");

    // Her own tab, open since before she was locked.
    browser.open(&format!("https://gate.plant.example:8443/c/{code}"));
    browser.fill("#number", &number);
    plant.sallyport(&["identity", "lock", "alice", "--reason", "left"]).ok();
    browser.click("form[data-webauthn=get] button");
    browser.wait_for_text("You are signed out by now");
    browser.open(&format!("https://gate.plant.example:8443/c/{code}"));
    assert!(browser.url().contains("/sign-in"), "{}", browser.url());
    assert_eq!(plant.sql("SELECT COUNT(*) FROM confirmations WHERE state IN ('confirmed', 'spent')").trim(), "0");
    assert!(!ssh.log().contains("through"), "{}", ssh.log());
    ssh.kill();
    assert!(plant.recordings().is_empty(), "nobody was let in");
}
