//! What every answer says to the browser, whatever it is.

use sallyport_tests::Answer;

use super::plant;

#[track_caller]
fn dressed(answer: &Answer) {
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("no {name} in {answer}"));
    let policy = header("content-security-policy");
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    // What is written into a page is neither script nor style.
    assert!(!policy.contains("-inline") && !policy.contains("-eval"), "{policy}");
    assert_eq!(header("strict-transport-security"), "max-age=31536000");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "same-origin");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(header("cross-origin-resource-policy"), "same-origin");
    assert!(header("permissions-policy").contains("camera=()"));
    assert!(answer.header("server").is_none());
}

#[test]
fn every_answer_carries_them_also_one_that_refuses() {
    let plant = plant();
    let portal = plant.portal();
    let answers = [
        (200, portal.ask("GET", "/sign-in", &[], "")),
        (303, portal.ask("GET", "/", &[], "")),
        (404, portal.ask("GET", "/nothing", &[], "")),
        (404, portal.ask("GET", "/%2e%2e/nothing", &[], "")),
        (405, portal.ask("DELETE", "/sign-in", &[], "")),
        (404, portal.ask("POST", "/", &["Origin: https://gate.plant.example:8443"], "")),
        (403, portal.ask("POST", "/sign-in", &[], "")),
        (421, portal.raw(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n").unwrap()),
        (400, portal.ask("GET", "/", &["Transfer-Encoding: chunked"], "0\r\n\r\n")),
    ];
    for (status, answer) in &answers[..5] {
        assert_eq!(answer.status, *status, "{answer}");
    }
    for (status, answer) in &answers[6..] {
        assert_eq!(answer.status, *status, "{answer}");
    }
    for (_, answer) in &answers {
        dressed(answer);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
    }
}

#[test]
fn what_a_page_loads_is_there_by_its_hash_and_may_be_kept() {
    let plant = plant();
    let portal = plant.portal();
    let page = portal.ask("GET", "/sign-in", &[], "");
    let paths: Vec<&str> = page.body.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{}", page.body);
    for path in paths {
        let asset = portal.ask("GET", path, &[], "");
        assert_eq!(asset.status, 200, "{path}");
        dressed(&asset);
        assert!(asset.header("cache-control").unwrap().contains("immutable"), "{asset}");
        let other = path.replacen("/assets/", "/assets/0", 1);
        assert_eq!(portal.ask("GET", &other, &[], "").status, 404);
    }
    // Nothing inline, and nothing from elsewhere.
    assert!(!page.body.contains("<style") && !page.body.contains("onclick"), "{}", page.body);
    assert!(!page.body.contains("src=\"http") && !page.body.contains("href=\"http"), "{}", page.body);
}
