//! Requests for an approval in the portal: asked for and approved in browsers, and by whatever else could be sent.

use std::time::Duration;

use sallyport_tests::{Browser, Finished, Person, Plant, Setup, Token, eventually, repository};

use super::passkeys::{browser, enrol_and_sign_in};
use super::{PASSWORD, with_password};

const EXTRA: &str = r#"
[role.visitor]
[[role.visitor.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
lease = "1h"
approval = { by = "lead", count = 2, max = "4h" }
[role.visitor.members]
identities = ["vera", "lea"]
[role.lead]
[role.lead.members]
identities = ["lea", "leo", "lia"]
"#;

/// What somebody would write into a reason to act on whoever reads it.
const HOSTILE: &str =
    "\u{202e}\"><script>document.title='owned'</script><img src=x onerror=document.title='owned'>{{7*7}}";

fn start() -> Plant {
    let standard = std::fs::read_to_string(repository().join("tests/data/plant.toml")).unwrap();
    Setup::with_plant_file(&format!("{standard}\n{EXTRA}")).portal().start()
}

fn page(path: &str) -> String {
    format!("https://{}{path}", Plant::PORTAL_HOST)
}

/// Somebody with a passkey in a browser of their own, who looks at the requests.
fn looks(plant: &Plant, name: &str) -> Browser {
    plant.person_without_second_factor(name);
    let link = plant.json(&["identity", "invite", name])["link"].as_str().unwrap().to_owned();
    let browser = browser(plant);
    // The token lives as long as the browser: it is dropped with it.
    std::mem::forget(browser.authenticator(Token::Passkey));
    enrol_and_sign_in(&browser, &link);
    browser
}

const APPROVE: &str = "form[data-webauthn=get] button";

fn enters(person: &Person) -> Finished {
    person.leased_ssh(["ews-1", "echo in"])
}

/// A script of the page, as whoever sits there could run it.
fn posted(browser: &Browser, path: &str) -> u64 {
    let script = "const [path, done] = arguments;
        fetch(path, { method: 'POST', credentials: 'same-origin', body: JSON.stringify({ seen: '0' }), headers: {
            'content-type': 'application/json', 'x-csrf': document.querySelector('meta[name=csrf]').content,
        } }).then((answer) => done(answer.status));";
    browser.script_that_calls_back(script, &[path.into()]).as_u64().unwrap()
}

#[test]
fn two_browsers_approve_what_a_third_asks_for_and_nobody_approves_what_they_have_not_seen() {
    let plant = start();
    let vera = with_password(&plant, "vera");
    vera.ssh(["broker", "ls"]).ok();
    let (leo, lia) = (looks(&plant, "leo"), looks(&plant, "lia"));
    let portal = plant.portal();
    let mut hers = portal.visitor();
    hers.sign_in(&vera, PASSWORD);
    assert!(hers.get("/requests").body.contains("You ask for nothing now."));
    let asked =
        |lasting| [("asset", "ews-1"), ("lasting", lasting), ("reason", HOSTILE), ("permit", "\"><script>1</script>")];
    let refused = hers.post("/requests", &asked("8h"));
    assert!(refused.status == 403 && refused.body.contains("for 4h at most"), "{refused}");
    assert!(!refused.body.contains("<script>document") && !refused.body.contains("<img"), "{refused}");
    assert_eq!(hers.post("/requests", &asked("2h")).leads_to(), "/requests");
    let drawn = hers.get("/requests").body;
    assert!(!drawn.contains("<script>document") && !drawn.contains("<img") && !drawn.contains('\u{202e}'), "{drawn}");
    let id = plant.json(&["request", "list"])[0]["request"].as_str().unwrap().to_owned();

    for browser in [&leo, &lia] {
        browser.open(&page("/requests"));
        browser.wait_for_text("Others ask you");
        assert!(browser.text().contains("0 of 2") && browser.text().contains("vera"), "{}", browser.text());
        assert_ne!(browser.title(), "owned");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
    leo.keep_pictures("real-requests");
    leo.click(APPROVE);
    leo.wait_for_text("You have approved it. It takes somebody else now.");
    assert!(!enters(&vera).status.success());
    // lia has looked at it before leo approved it.
    lia.click(APPROVE);
    lia.wait_for_text("This page is out of date.");
    assert_eq!(plant.json(&["request", "show", &id])["approved_by"], serde_json::json!(["leo"]));
    lia.open(&page("/requests"));
    lia.wait_for_text("1 of 2");
    lia.click(APPROVE);
    lia.wait_for_text("Approved until");
    assert_eq!(enters(&vera).ok(), "in\n");
    assert!(hers.get("/requests").body.contains("Approved"));
    assert!(hers.get("/").body.contains("state good"));
    let verified = plant.sallyport(&["audit", "verify"]).ok();
    assert!(verified.contains("assertions of passkeys"), "{verified}");

    // Whoever may approve may deny, in a form of the page.
    leo.open(&page("/requests"));
    leo.click("details.ask summary");
    leo.fill("input[name=reason]", "line 4 runs again");
    leo.click("details.ask button");
    eventually("it is denied", Duration::from_secs(5), || (!enters(&vera).status.success()).then_some(()));
    assert_eq!(plant.json(&["request", "show", &id])["state"], "denied");
}

#[test]
fn nobody_approves_for_themselves_in_the_portal_and_a_cookie_that_is_over_approves_nothing() {
    let plant = start();
    let vera = with_password(&plant, "vera");
    vera.ssh(["broker", "ls"]).ok();
    let lea = looks(&plant, "lea");
    lea.open(&page("/requests"));
    lea.fill("#reason", "look at line 4");
    lea.click("form[action='/requests'] button");
    lea.wait_for_text("0 of 2");
    assert!(!lea.shows(APPROVE), "{}", lea.text());
    let id = plant.json(&["request", "list"])[0]["request"].as_str().unwrap().to_owned();
    assert_eq!(posted(&lea, &format!("/requests/{id}/approve/options")), 403);
    let unsigned = posted(&lea, &format!("/requests/{id}/approve/finish"));
    assert!((400..500).contains(&unsigned), "nothing that an authenticator has signed: {unsigned}");
    lea.open(&page("/requests"));

    // leo's browser was left open at vera's desk: his cookie alone approves nothing, and once he has signed out it is nobody's.
    let leo = with_password(&plant, "leo");
    let portal = plant.portal();
    let (mut hers, mut his) = (portal.visitor(), portal.visitor());
    hers.sign_in(&vera, PASSWORD);
    his.sign_in(&leo, PASSWORD);
    assert_eq!(
        hers.post("/requests", &[("asset", "ews-1"), ("lasting", "1h"), ("reason", "mine too")]).leads_to(),
        "/requests"
    );
    let requests = plant.json(&["request", "list"]);
    let own = requests.as_array().unwrap().iter().find(|request| request["identity"] == "vera").unwrap();
    let own = own["request"].as_str().unwrap();
    his.get("/requests");
    let script = |visitor: &sallyport_tests::Visitor<'_>, path: &str| {
        let mut lines = visitor.cookie_line();
        lines.push(format!("Origin: https://{}", portal.authority()));
        lines.push("Content-Type: application/json".to_owned());
        lines.push(format!("X-Csrf: {}", visitor.csrf));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        portal.ask("POST", path, &lines, "{\"seen\":\"0\"}").status
    };
    let options = format!("/requests/{own}/approve/options");
    assert_eq!(script(&hers, &options), 403, "her own");
    assert_eq!(script(&his, &options), 403, "he has no passkey to sign with");
    let mut stolen = portal.visitor();
    (stolen.cookie, stolen.csrf) = (his.cookie.clone(), his.csrf.clone());
    assert_eq!(his.post("/sign-out", &[]).status, 200);
    assert_eq!(script(&stolen, &options), 401, "signed out");
    assert_eq!(stolen.post(&format!("/requests/{own}/deny"), &[("reason", "not today")]).leads_to(), "/sign-in");
    let mut again = portal.visitor();
    again.sign_in(&leo, PASSWORD);
    again.get("/requests");
    plant.sallyport(&["identity", "lock", "leo", "--reason", "left"]).ok();
    assert_eq!(script(&again, &options), 401, "locked");
    assert_eq!(plant.json(&["request", "show", own])["approved_by"], serde_json::json!([]));

    // Of another's request nobody learns anything, and nobody withdraws it.
    let mut other = portal.visitor();
    other.sign_in(&with_password(&plant, "alice"), PASSWORD);
    let seen = other.get("/requests").body;
    assert!(!seen.contains(own) && !seen.contains("Others ask you") && !seen.contains("Ask for an approval"), "{seen}");
    other.post(&format!("/requests/{own}/withdraw"), &[]);
    assert_eq!(other.post(&format!("/requests/{own}/deny"), &[("reason", "not today")]).status, 404);
    assert_eq!(other.post("/requests", &[("asset", "ews-1"), ("lasting", "1h"), ("reason", "it is mine")]).status, 403);
    assert_eq!(plant.json(&["request", "list"]).as_array().unwrap().len(), 2);
    hers.get("/requests");
    hers.post(&format!("/requests/{own}/withdraw"), &[]);
    assert_eq!(plant.json(&["request", "show", own])["state"], "withdrawn");
}
