//! A grant that demands an approval: asked for, approved by others, used, and over to the second.

use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sallyport_tests::{Form, Person, Plant, Setup, Terminal, eventually, repository};
use serde_json::Value;

/// `vera` and `lea` may reach ews-1 when two of the leads agree, and ews-2 when one does. `lea` leads, too.
const EXTRA: &str = r#"
[role.visitor]
[[role.visitor.grant]]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
lease = "1h"
approval = { by = "lead", count = 2, max = "4h" }
terms = { on_end = "end" }
[[role.visitor.grant]]
assets = ["ews-2"]
services = ["ssh"]
accounts = ["operator"]
lease = "1h"
approval = { by = "lead" }
[role.visitor.members]
identities = ["vera", "lea"]
[role.lead]
[[role.lead.grant]]
assets = ["ews-3"]
services = ["ssh"]
accounts = ["operator"]
lease = "1h"
[role.lead.members]
identities = ["lea", "leo", "lia"]
"#;

/// From the moment that a command has returned.
const WITHIN: Duration = Duration::from_secs(1);

fn start() -> Plant {
    let standard = std::fs::read_to_string(repository().join("tests/data/plant.toml")).unwrap();
    Setup::with_plant_file(&format!("{standard}\n{EXTRA}")).start()
}

/// Asks, and gives the name of the request.
#[track_caller]
fn ask(person: &Person, words: &str) -> String {
    let said = person.leased_ssh(["broker", &format!("request {words}")]).ok();
    let (id, rest) = said.split_once(':').unwrap_or_else(|| panic!("{said}"));
    assert!(rest.contains("it waits until"), "{said}");
    id.to_owned()
}

/// By somebody whose code is not a minute old.
fn approve(person: &Person, id: &str) -> sallyport_tests::Finished {
    person.leased_ssh(["broker", &format!("approve {id}")])
}

/// A shell that has said something.
fn busy(person: &Person, host: &str) -> Terminal {
    let mut terminal = person.terminal(&[host], 80, 24);
    terminal.expect("$");
    terminal.send("echo here-$((40+2))\n");
    terminal.expect("here-42");
    terminal
}

#[track_caller]
fn ends_in_time(mut terminal: Terminal, changed: Instant) {
    while terminal.poll().is_none() {
        assert!(changed.elapsed() < WITHIN, "still open after {:?}: {}", changed.elapsed(), terminal.shown());
        thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn shown(plant: &Plant, id: &str) -> Value {
    plant.json(&["request", "show", id])
}

fn events(plant: &Plant, code: &str) -> Vec<Value> {
    plant.audit().into_iter().filter(|entry| entry["code"] == code).collect()
}

/// Lets somebody in once, so that what follows needs no code.
fn lease(person: &Person) {
    person.ssh(["broker", "ls"]).ok();
}

#[test]
fn two_others_open_it_in_both_forms_and_it_ends_to_the_second() {
    let plant = start();
    let [vera, leo, lia, lea] = ["vera", "leo", "lia", "lea"].map(|name| plant.person(name));
    [&vera, &lea, &leo, &lia].into_iter().for_each(lease);
    for form in Form::BOTH {
        let said = vera.leased_ssh([&form.host("ews-1"), "echo in"]);
        let said = said.refused();
        assert!(
            said.contains("ews-1 needs somebody's approval first. Ask for it: ssh vera@broker request ews-1"),
            "{said}"
        );
    }
    let id = ask(&vera, "ews-1 --for 1m --permit PTW-17 replace the drive of line 4");
    let listed = leo.leased_ssh(["broker", "ls"]).ok();
    let line = format!("{id}: vera asks for ews-1 (ssh) for 1m (permit PTW-17): replace the drive of line 4. 0 of 2");
    assert!(listed.contains(&line), "{listed}");
    let said = approve(&leo, &id).ok();
    assert!(said.contains("1 of 2 have approved it"), "{said}");
    assert!(approve(&leo, &id).refused().contains("You have approved it before"));
    let said = vera.leased_ssh(["ews-1", "echo in"]);
    assert!(said.refused().contains(&format!("Your request {id}: 1 of 2 have approved it")), "{said}");
    let said = approve(&lia, &id).ok();
    assert!(said.contains("Approved: vera may reach ews-1 until"), "{said}");
    let until: Timestamp = shown(&plant, &id)["until"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown(&plant, &id)["approved_by"], serde_json::json!(["leo", "lia"]));
    assert!(vera.leased_ssh(["broker", "ls"]).ok().contains("operator         yes"));
    let mut open = Form::BOTH.map(|form| busy(&vera, &form.host("ews-1")));
    for terminal in &mut open {
        while terminal.poll().is_none() {
            assert!(Timestamp::now() < until + jiff::SignedDuration::from_secs(2), "{}", terminal.shown());
            thread::sleep(Duration::from_millis(5));
        }
        let late = Timestamp::now().duration_since(until);
        assert!(late >= jiff::SignedDuration::ZERO, "ended {late:?} before its time");
    }
    for form in Form::BOTH {
        assert!(vera.leased_ssh([&form.host("ews-1"), "echo in"]).refused().contains("needs somebody's approval"));
    }
    assert_eq!(shown(&plant, &id)["state"], "over");
    assert_eq!((events(&plant, "SP-5601").len(), events(&plant, "SP-5602").len()), (1, 2));
    let used = events(&plant, "SP-5605");
    assert!(used.len() == 2 && used.iter().all(|used| used["event"]["request"] == id.as_str()), "{used:?}");
    let approved = &events(&plant, "SP-5602")[1];
    assert_eq!((&approved["actor"], &approved["identity"]), (&"lia".into(), &"vera".into()));

    // By now the code that lea gave is older than a minute: it lets her in, and does not let her approve.
    let id = ask(&vera, "ews-2 --for 1h again");
    let said = lea.leased_ssh(["broker", &format!("approve {id}")]);
    assert!(said.refused().contains("No second factor was given"), "{said}");
    assert!(said.stderr.contains("vera asks for ews-2"), "{said}");
    let said = lea.leased_ssh_with(b"000000\n", ["broker", &format!("approve {id}")]);
    said.refused();
    assert!(shown(&plant, &id)["approved_by"].as_array().unwrap().is_empty());
    let explain = || {
        let factors = ["--factor", "key", "--factor", "totp"];
        plant.json(&[&["policy", "explain", "vera", "ews-2", "operator"], &factors[..]].concat())["decision"].clone()
    };
    assert_eq!(explain()["decision"], "need-approval", "{}", explain());
    let code = format!("{}\n", lea.fresh_code());
    lea.leased_ssh_with(code.as_bytes(), ["broker", &format!("approve {id}")]).ok();
    assert_eq!(vera.leased_ssh(["ews-2", "echo in"]).ok(), "in\n");
    assert_eq!(explain()["decision"], "permit", "{}", explain());
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn nobody_approves_for_themselves_or_without_the_role_and_who_may_approve_may_deny() {
    let plant = start();
    let [lea, leo, alice] = ["lea", "leo", "alice"].map(|name| plant.person(name));
    [&lea, &leo, &alice].into_iter().for_each(lease);
    let id = ask(&lea, "ews-2 --for 2h look at line 4");
    assert!(approve(&lea, &id).refused().contains("Nobody approves or denies their own request"));
    assert!(approve(&alice, &id).refused().contains("There is no open request"));
    let denied = |person: &Person| person.leased_ssh(["broker", &format!("deny {id} not today")]);
    assert!(denied(&alice).refused().contains("There is no open request"));
    assert!(denied(&lea).refused().contains("Nobody approves or denies their own request"));
    assert!(alice.leased_ssh(["broker", &format!("withdraw {id}")]).refused().contains("There is no open request"));
    assert!(!alice.leased_ssh(["broker", "requests"]).ok().contains(&id));
    let tried: Vec<_> = events(&plant, "SP-2002");
    assert!(
        tried.iter().any(|entry| entry["identity"] == "alice" && entry["event"]["service"] == "approve"),
        "{tried:?}"
    );
    lea.leased_ssh(["ews-2", "echo in"]).refused();

    approve(&leo, &id).ok();
    let terminal = busy(&lea, "ews-2");
    // A day later it would not be known any more who had said no, were it not on record.
    denied(&leo).ok();
    ends_in_time(terminal, Instant::now());
    lea.leased_ssh(["ews-2", "echo in"]).refused();
    approve(&leo, &id).refused();
    assert_eq!(
        (&shown(&plant, &id)["state"], &shown(&plant, &id)["closed_for"]),
        (&"denied".into(), &"not today".into())
    );
    let denied = &events(&plant, "SP-5603")[0];
    assert_eq!((&denied["actor"], &denied["identity"]), (&"leo".into(), &"lea".into()));

    let id = ask(&lea, "ews-2 another try");
    lea.leased_ssh(["broker", &format!("withdraw {id}")]).ok();
    approve(&leo, &id).refused();
    let id = ask(&lea, "ews-2 another try");
    approve(&leo, &id).ok();
    assert_eq!(lea.leased_ssh(["ews-2", "echo in"]).ok(), "in\n");
    plant.sallyport(&["request", "deny", &id, "--reason", "the shift is over"]).ok();
    plant.settle();
    lea.leased_ssh(["ews-2", "echo in"]).refused();
}

#[test]
fn what_is_asked_for_is_bounded_and_acts_on_no_terminal() {
    let plant = start();
    let [vera, leo, alice] = ["vera", "leo", "alice"].map(|name| plant.person(name));
    [&vera, &leo, &alice].into_iter().for_each(lease);
    let refused =
        |person: &Person, words: &str| person.leased_ssh(["broker", &format!("request {words}")]).refused().to_owned();
    assert!(refused(&vera, "ews-1").contains("Say for which asset"));
    assert!(refused(&vera, "ews-1 --for 5h too long").contains("4h at most"));
    assert!(refused(&vera, "ews-1 --for 5s too short").contains("too short"));
    assert!(refused(&vera, "ews-1 no").contains("A reason has"));
    assert!(refused(&vera, &format!("ews-1 {}", "long ".repeat(100))).contains("A reason has"));
    assert!(refused(&vera, "ews-3 not granted").contains("You may not reach `ews-3`"));
    assert!(refused(&vera, "ews-99 not there").contains("You may not reach `ews-99`"));
    assert!(refused(&alice, "ews-1 it is mine anyway").contains("needs nobody's approval"));
    let id = ask(&vera, "ews-1 \u{1b}[2Jgone\u{7}<script>");
    let listed = leo.leased_ssh(["broker", "requests"]);
    assert!(listed.stdout.iter().all(|byte| *byte >= b' ' || *byte == b'\n'), "{listed}");
    assert!(listed.ok().contains(&id));
    for _ in 1..8 {
        ask(&vera, "ews-1 once more");
    }
    assert!(refused(&vera, "ews-1 once more").contains("As many of your requests are open as may be"));
    vera.leased_ssh(["broker", &format!("withdraw {id}")]).ok();
    ask(&vera, "ews-1 once more");
    assert_eq!(plant.json(&["request", "list"]).as_array().unwrap().len(), 8);
    assert_eq!(plant.json(&["request", "list", "--all"]).as_array().unwrap().len(), 9);
}

#[test]
fn what_was_approved_outlasts_a_restart_and_neither_its_approver_nor_its_grant() {
    let mut plant = start();
    let [vera, leo, lia] = ["vera", "leo", "lia"].map(|name| plant.person(name));
    [&vera, &leo, &lia].into_iter().for_each(lease);
    let id = ask(&vera, "ews-2 --for 2h look at line 4");
    approve(&leo, &id).ok();
    plant.broker().terminate();
    plant.serve();
    let open = busy(&vera, "ews-2");
    plant.sallyport(&["identity", "lock", "leo", "--reason", "left"]).ok();
    ends_in_time(open, Instant::now());
    assert!(vera.leased_ssh(["ews-2", "echo in"]).refused().contains("0 of 1 have approved it"));
    approve(&leo, &id).refused();
    // Another one may still approve it.
    approve(&lia, &id).ok();
    let open = busy(&vera, "ews-2");
    let standard = plant.plant_file();
    plant.apply(&standard.replace(
        "assets = [\"ews-2\"]\nservices = [\"ssh\"]\naccounts = [\"operator\"]\nlease = \"1h\"\napproval",
        "assets = [\"ews-3\"]\nservices = [\"ssh\"]\naccounts = [\"operator\"]\nlease = \"1h\"\napproval",
    ));
    ends_in_time(open, Instant::now());
    vera.leased_ssh(["ews-2", "echo in"]).refused();
    plant.apply(&standard);
    eventually("it is granted again", Duration::from_secs(5), || {
        vera.leased_ssh(["ews-2", "echo in"]).status.success().then_some(())
    });
    let open = busy(&vera, "ews-2");
    plant.apply(&standard.replace("identities = [\"lea\", \"leo\", \"lia\"]", "identities = [\"lea\", \"leo\"]"));
    ends_in_time(open, Instant::now());
    vera.leased_ssh(["ews-2", "echo in"]).refused();
}

#[test]
fn who_writes_the_database_approves_nothing() {
    let plant = start();
    let [vera, leo] = ["vera", "leo"].map(|name| plant.person(name));
    [&vera, &leo].into_iter().for_each(lease);
    let (first, second) = (ask(&vera, "ews-2 --for 1h look at line 4"), ask(&vera, "ews-1 --for 1h and here"));
    let refused = |what: &str, asset: &str| {
        let said = vera.leased_ssh([asset, "echo in"]);
        assert!(!said.status.success(), "{what}: {said}");
    };
    let now = Timestamp::now().as_microsecond();
    let forged = |id: &str, who: &str| {
        plant.sql(&format!(
            "INSERT INTO access_approvals (request, approver, identity, approved_at, factor) VALUES ('{id}', '{who}', 'vera', {now}, 'totp')"
        ));
    };
    forged(&first, "leo");
    refused("an approval without a MAC", "ews-2");
    approve(&leo, &first).ok();
    assert_eq!(vera.leased_ssh(["ews-2", "echo in"]).ok(), "in\n");
    for who in ["leo", "lia"] {
        plant.sql(&format!(
            "INSERT INTO access_approvals SELECT '{second}', '{who}', identity, approved_at, factor, event, mac
             FROM access_approvals WHERE request = '{first}'"
        ));
    }
    refused("the MACs of another request", "ews-1");
    plant.sql(&format!("UPDATE access_requests SET asset = 'ews-1', grant_number = 1 WHERE id = '{first}'"));
    refused("another asset", "ews-1");
    plant.sql(&format!("UPDATE access_requests SET asset = 'ews-2', grant_number = 2 WHERE id = '{first}'"));
    assert_eq!(vera.leased_ssh(["ews-2", "echo in"]).ok(), "in\n");
    plant.sql(&format!("UPDATE access_requests SET duration = duration + 1 WHERE id = '{first}'"));
    refused("a longer time", "ews-2");
    plant.sql(&format!("UPDATE access_requests SET duration = duration - 1 WHERE id = '{first}'"));
    assert_eq!(vera.leased_ssh(["ews-2", "echo in"]).ok(), "in\n");

    plant.sql(&format!("CREATE TABLE kept AS SELECT * FROM access_requests WHERE id = '{first}'"));
    leo.leased_ssh(["broker", &format!("deny {first} not today")]).ok();
    plant.sql(&format!("DELETE FROM access_requests WHERE id = '{first}'"));
    plant.sql("INSERT INTO access_requests SELECT * FROM kept");
    refused("a row that was put back", "ews-2");
    eventually("it is told of", Duration::from_secs(10), || {
        let told = events(&plant, "SP-7005");
        let tables = ["access_requests", "access_approvals"];
        tables.iter().all(|table| told.iter().any(|entry| entry["event"]["table"] == *table)).then_some(())
    });
}
