//! Breaking the glass: sealed codes that open what a section of the plant file says, for as long as it says, once, on the record, with the
//! database or without.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sallyport_tests::{Finished, Person, Plant, Postgres, Second, Setup, eventually, finish};
use serde_json::Value;

const SECTION: &str = r#"
[break_glass.control-room]
assets = ["ews-1", "ews-2"]
services = ["ssh"]
accounts = ["operator"]
max_duration = "1h"
review_within = "24h"

[break_glass.two-keys]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
max_duration = "10m"
review_within = "24h"
envelopes = 2

[break_glass.island]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
max_duration = "1h"
review_within = "24h"
in_isolation = true

[break_glass.moment]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
max_duration = "1m"
review_within = "1h"
"#;

/// Goes on until somebody ends it.
const STAY: &str = "echo in; sleep 3600";

struct Glass {
    plant: Plant,
    /// The plant file without emergencies.
    without: String,
    person: Person,
}

impl Glass {
    fn on(setup: Setup) -> Glass {
        let plant = setup.start();
        let without = plant.plant_file();
        plant.apply(&format!("{without}\n{SECTION}"));
        plant.settle();
        let person = plant.stranger("nobody");
        Glass { plant, without, person }
    }

    fn seal(&self, arguments: &[&str]) -> Vec<(i64, String)> {
        let sealed = self.plant.json(&[&["break-glass", "seal", "--print"], arguments].concat());
        let envelope = |value: &Value| (value["number"].as_i64().unwrap(), value["code"].as_str().unwrap().to_owned());
        sealed.as_array().unwrap().iter().map(envelope).collect()
    }

    fn one(&self, rule: &str) -> String {
        self.seal(&["--rule", rule]).remove(0).1
    }

    fn ssh(&self, answers: &[&str], arguments: &[&str]) -> Finished {
        finish(self.command(answers, arguments), b"")
    }

    fn command(&self, answers: &[&str], arguments: &[&str]) -> Command {
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let mut command = self.person.command_answering("ssh", &answers);
        command.arg("-F").arg(self.person.config()).args(arguments);
        command
    }

    /// `ssh glass:operator@ASSET@broker`
    fn direct(&self, code: &str, asset: &str, line: &str) -> Finished {
        self.ssh(&[code, "line 4 does not stop"], &["-l", &format!("glass:operator@{asset}"), "broker", line])
    }

    /// `ssh -J glass@broker operator@ASSET`
    fn jump(&self, code: &str, asset: &str, line: &str) -> Finished {
        let target = format!("operator@{asset}");
        self.ssh(&[code, "line 4 does not stop"], &["-o", "ProxyJump=glass@broker", &target, line])
    }

    fn events(&self, code: &str) -> Vec<Value> {
        self.plant.audit().into_iter().filter(|entry| entry["code"] == code).collect()
    }

    /// What the broker says of the envelope.
    fn state(&self, number: i64) -> String {
        let rows = self.plant.json(&["break-glass", "list"]);
        let row = rows.as_array().unwrap().iter().find(|row| row["number"] == number).unwrap();
        row["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn one_code_and_a_reason_open_what_the_section_says_in_every_form() {
    let glass = Glass::on(Setup::standard());
    let (number, code) = glass.seal(&["--rule", "control-room", "--holder", "shift desk"]).remove(0);
    // Whoever else is at work sees at once that the glass was broken.
    let alice = glass.plant.person("alice");
    alice.take_lease("ews-3");
    let terminal = alice.terminal(&["ews-3.direct"], 80, 24);
    terminal.expect("$");
    assert_eq!(glass.direct(&code.to_lowercase().replace('-', " "), "ews-1", "echo in").ok(), "in\n");
    terminal.expect("ALARM: an envelope was opened");
    drop(terminal);
    let opened = glass.events("SP-8001");
    assert_eq!(opened.len(), 1);
    let event = &opened[0]["event"];
    assert_eq!((&event["rule"], &event["reason"]), (&"control-room".into(), &"line 4 does not stop".into()));
    assert_eq!((&event["database"], &event["clock_trusted"]), (&true.into(), &true.into()));
    assert!(glass.state(number).starts_with("opened "), "{}", glass.state(number));
    // A line that drops costs no other envelope: from the same place the same code leads back in, and asks for nothing more.
    assert_eq!(glass.jump(&code, "ews-2", "echo in").ok(), "in\n");
    assert_eq!(glass.events("SP-8001").len(), 1);
    assert_eq!(glass.events("SP-8002").len(), 1);
    let list = glass.ssh(&[&code], &["-l", "glass", "broker", "ls"]).ok();
    assert!(list.contains("ews-1") && list.contains("ews-2") && !list.contains("ews-3"), "{list}");
    // Whatever else there is, is not.
    glass.direct(&code, "ews-3", "echo in").refused();
    glass.jump(&code, "ews-3", "echo in").refused();
    glass.ssh(&[&code], &["-l", "glass:root@ews-1", "broker", "echo in"]).refused();
    // On the record like any other.
    glass.plant.quiet();
    let sessions = glass.plant.json(&["session", "list"]);
    assert_eq!(sessions.as_array().unwrap().iter().filter(|session| session["identity"] == "glass").count(), 2);
    glass.plant.sallyport(&["recording", "verify", "--all"]).ok();
    glass.plant.sallyport(&["audit", "verify"]).ok();
    // It stays due until somebody else has looked at it.
    let opening = event["opening"].as_str().unwrap();
    let due = glass.plant.sallyport(&["break-glass", "openings"]).ok();
    assert!(due.contains(opening) && due.contains("due by"), "{due}");
    let review = ["break-glass", "review", opening, "--verdict", "justified", "--note", "line 4 was stopped"];
    glass.plant.sallyport(&review).ok();
    assert!(glass.plant.sallyport(&["break-glass", "openings"]).ok().contains("justified by"));
}

#[test]
fn what_is_wrong_is_said_and_opens_nothing() {
    let glass = Glass::on(Setup::standard());
    let sealed = glass.seal(&["--rule", "control-room", "--count", "4"]);
    let [(_, right), (revoked, code_revoked), (expired, code_expired), (_, other)] = sealed.as_slice() else {
        unreachable!("{sealed:?}")
    };
    let said = |code: &str| glass.ssh(&[code, "a reason"], &["-l", "glass:operator@ews-1", "broker", "echo in"]);
    // A group that is mistyped, or stands in another's place, is found before anything is compared, and is no guess.
    let mut swapped: Vec<&str> = right.split('-').collect();
    swapped.swap(1, 3);
    let swapped = swapped.join("-");
    let turned = glass.ssh(&[&swapped, right, "a reason"], &["-l", "glass:operator@ews-1", "broker", "echo in"]);
    assert_eq!(turned.ok(), "in\n", "a mistyped code is asked for again");
    assert_eq!(glass.events("SP-8003").len(), 0);
    glass.plant.sallyport(&["break-glass", "revoke", &revoked.to_string(), "--reason", "lost"]).ok();
    glass.plant.sallyport(&["break-glass", "expire", &expired.to_string(), "--at", "2026-01-01T00:00:00Z"]).ok();
    glass.plant.settle();
    for (code, word) in [(code_revoked, "was withdrawn"), (code_expired, "is too old")] {
        let refused = said(code);
        refused.refused();
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
    // What nobody sealed, in the right form: another plant's.
    let foreign = Glass::on(Setup::standard()).one("control-room");
    said(&foreign).refused();
    let reasons: Vec<String> =
        glass.events("SP-8003").iter().map(|entry| entry["event"]["reason"].as_str().unwrap().to_owned()).collect();
    for word in ["was revoked", "has expired", "not the code of an envelope"] {
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{word}: {reasons:?}");
    }
    // A section that leaves the plant file takes its envelopes with it, and what goes on by them.
    let mut running =
        finish_later(glass.command(&[other, "a reason"], &["-l", "glass:operator@ews-1", "broker", STAY]));
    until("the session", || !live(&glass.plant).is_empty());
    glass.plant.apply(&glass.without);
    until("its end", || live(&glass.plant).is_empty());
    running.wait().unwrap();
    said(other).refused();
}

/// Nobody who guesses keeps the right code waiting, and no guess is heard of again.
#[test]
fn ten_who_guess_do_not_keep_the_right_code_out() {
    let glass = Glass::on(Setup::standard());
    let codes: Vec<String> = (0..3).map(|_| Glass::on(Setup::standard()).one("control-room")).collect();
    let right = glass.one("control-room");
    let over = AtomicBool::new(false);
    let guesses = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let answers: Vec<&str> = codes.iter().map(String::as_str).collect();
                    glass.ssh(&answers, &["-l", "glass:operator@ews-1", "broker", "echo in"]).refused();
                    guesses.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("guesses", || guesses.load(Ordering::Relaxed) > 10);
        let begun = Instant::now();
        let opened = glass.direct(&right, "ews-1", "echo in");
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        assert_eq!(opened.ok(), "in\n");
        println!("in after {took:?}, beside {} connections of three guesses", guesses.load(Ordering::Relaxed));
    });
    assert_eq!(glass.events("SP-8001").len(), 1);
    // What comes in floods is counted: fewer entries than guesses.
    glass.plant.settle();
    let entered = u32::try_from(glass.events("SP-8003").len()).unwrap();
    assert!(entered > 0 && entered < 3 * guesses.load(Ordering::Relaxed), "{entered}");
}

/// Somebody who writes the database opens nothing by it.
#[test]
fn rows_that_somebody_wrote_open_nothing() {
    let mut glass = Glass::on(Setup::standard());
    let sealed = glass.seal(&["--rule", "control-room", "--count", "2"]);
    let [(used, code_used), (revoked, code_revoked)] = sealed.as_slice() else { unreachable!("{sealed:?}") };
    glass.plant.sql("CREATE TABLE before AS SELECT * FROM envelopes");
    assert_eq!(glass.direct(code_used, "ews-1", "echo in").ok(), "in\n");
    glass.plant.sallyport(&["break-glass", "revoke", &revoked.to_string(), "--reason", "lost"]).ok();
    // The rows as they were, with their MACs; and one with the code that was revoked.
    glass.plant.broker().terminate();
    let ledger = find(glass.plant.folder(), "emergency.opened");
    std::fs::remove_file(ledger).unwrap();
    glass.plant.sql("DELETE FROM envelopes");
    glass.plant.sql("INSERT INTO envelopes SELECT * FROM before");
    glass.plant.serve();
    for code in [code_used, code_revoked] {
        assert!(glass.direct(code, "ews-1", "echo in").refused().contains("That is not the code of an envelope"));
    }
    for number in [used, revoked] {
        assert_eq!(glass.state(*number), "NOT GENUINE");
    }
    let forged = format!("UPDATE envelopes SET number = '99', event = NULL, mac = NULL WHERE number = '{revoked}'");
    glass.plant.sql(&forged);
    glass.plant.settle();
    assert!(glass.direct(code_revoked, "ews-1", "echo in").refused().contains("That is not the code of an envelope"));
    assert_eq!(glass.events("SP-8001").len(), 1);
    assert!(glass.plant.sallyport(&["check"]).text().contains("envelopes"), "the rows are named");
}

#[test]
fn two_envelopes_of_two_holders_are_opened_together() {
    let glass = Glass::on(Setup::standard());
    let first = glass.seal(&["--rule", "two-keys", "--count", "2", "--holder", "shift lead"]);
    let second = glass.seal(&["--rule", "two-keys", "--holder", "plant manager"]).remove(0).1;
    let line = ["-l", "glass:operator@ews-1", "broker", "echo in"];
    glass.ssh(&[&first[0].1, &first[1].1, "a reason"], &line).refused();
    glass.ssh(&[&first[0].1, &first[0].1, "a reason"], &line).refused();
    assert_eq!(glass.events("SP-8001").len(), 0);
    assert_eq!(glass.ssh(&[&first[0].1, &second, "a reason"], &line).ok(), "in\n");
    assert_eq!(glass.events("SP-8001")[0]["event"]["envelopes"].as_array().unwrap().len(), 2);
}

#[test]
fn it_ends_by_the_time_that_has_passed_and_another_envelope_extends_it() {
    let glass = Glass::on(Setup::standard());
    let (one, other) = (glass.one("moment"), glass.one("moment"));
    let begun = Instant::now();
    let mut running = finish_later(glass.command(&[&one, "a reason"], &["-l", "glass:operator@ews-1", "broker", STAY]));
    until("the session", || !live(&glass.plant).is_empty());
    std::thread::sleep(Duration::from_secs(25));
    assert_eq!(glass.direct(&other, "ews-1", "echo in").ok(), "in\n");
    running.wait().unwrap();
    let lasted = begun.elapsed();
    assert!(lasted > Duration::from_secs(75) && lasted < Duration::from_secs(110), "{lasted:?}");
    // Both are over now.
    glass.direct(&one, "ews-1", "echo in").refused();
}

/// A zone that was isolated is shut for an emergency, too, unless its section speaks of it.
#[test]
fn an_isolated_zone_opens_to_the_section_that_says_so_alone_with_the_database_or_without() {
    let postgres = Arc::new(Postgres::start());
    let mut glass = Glass::on(Setup::standard().on(&postgres));
    let members = "[break_glass.control-room.members]\nidentities = [\"alice\"]\n[break_glass.island.members]\nidentities = [\"alice\"]\n";
    glass.plant.apply(&format!("{}\n{SECTION}\n{members}", glass.without));
    let sealed = |rule: &str| glass.seal(&["--rule", rule, "--count", "4"]);
    let (shut, open) = (sealed("control-room"), sealed("island"));
    let alice = glass.plant.person("alice");
    alice.take_lease("ews-1");
    let stays = ["-l", "glass:operator@ews-1", "broker", STAY];
    let mut ends = finish_later(glass.command(&[&shut[2].1, "a reason"], &stays));
    let mut goes_on = finish_later(glass.command(&[&open[2].1, "a reason"], &stays));
    until("two sessions", || live(&glass.plant).len() == 2);
    glass.plant.sallyport(&["zone", "isolate", "cell-1", "--reason", "a leak"]).ok();
    until("one of them ends", || live(&glass.plant).len() == 1);
    ends.wait().unwrap();
    fn asks(glass: &Glass, envelopes: &[(i64, String)], at: usize) -> Finished {
        glass.direct(&envelopes[at].1, "ews-1", "echo in")
    }
    // Whoever looks sees it: the check, and the list of whoever could reach it.
    let check = glass.plant.sallyport(&["check"]).text();
    assert!(check.contains("`cell-1` is isolated since"), "{check}");
    let listed = alice.leased_ssh(["broker", "ls"]).ok();
    let line = |asset: &str| listed.lines().find(|line| line.contains(asset)).unwrap().to_owned();
    assert!(line("ews-2").contains("zone isolated") && line("sis-1").contains("yes"), "{listed}");
    // Her own grant does not lead into it, and comes before no section that does.
    assert!(alice.leased_ssh(["ews-1.direct", "echo in"]).refused().contains("cell-1 is isolated: a leak"));
    let said = alice.leased_ssh(["broker", "break-glass ews-1 the valve is stuck"]).ok();
    assert!(said.contains("The glass is broken: island"), "{said}");
    assert_eq!(alice.leased_ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
    assert!(alice.leased_ssh(["ews-2.direct", "echo in"]).refused().contains("cell-1 is isolated: a leak"));
    assert!(asks(&glass, &shut, 0).refused().contains("cell-1 is isolated: a leak"));
    assert_eq!(asks(&glass, &open, 0).ok(), "in\n");
    // As the broker saw it last.
    glass.plant.settle();
    postgres.crash();
    assert!(asks(&glass, &shut, 1).refused().contains("cell-1 is isolated: a leak"));
    assert_eq!(asks(&glass, &open, 1).ok(), "in\n");
    assert!(goes_on.try_wait().unwrap().is_none(), "what the section opens goes on");
    goes_on.kill().unwrap();
    goes_on.wait().unwrap();
    // And as its snapshot holds it, where it starts without the database.
    glass.plant.broker().terminate();
    glass.plant.serve();
    assert!(asks(&glass, &shut, 3).refused().contains("cell-1 is isolated: a leak"));
    assert_eq!(asks(&glass, &open, 3).ok(), "in\n");
    postgres.start_again();
}

#[test]
fn without_the_database_it_opens_and_everything_enters_when_it_is_back() {
    let postgres = Arc::new(Postgres::start());
    let glass = Glass::on(Setup::standard().on(&postgres));
    let sealed = glass.seal(&["--rule", "control-room", "--count", "2"]);
    let alice = glass.plant.person("alice");
    alice.take_lease("ews-1");
    glass.plant.settle();
    postgres.crash();
    until("whoever comes is told", || {
        let refused = alice.leased_ssh(["ews-1.direct", "echo in"]);
        let refused = refused.refused();
        refused.contains("The broker does not reach its database") && refused.contains("ssh glass@")
    });
    let begun = Instant::now();
    assert_eq!(glass.jump(&sealed[0].1, "ews-1", "echo in").ok(), "in\n");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(glass.direct(&sealed[1].1, "ews-2", "echo in").ok(), "in\n");
    postgres.start_again();
    until("the chain", || glass.events("SP-8001").len() == 2 && glass.events("SP-3002").len() >= 3);
    let events = glass.events("SP-8001");
    assert!(events.iter().all(|entry| entry["event"]["database"] == false), "{events:?}");
    until("the envelopes", || sealed.iter().all(|(number, _)| glass.state(*number).starts_with("opened ")));
    until("the sessions", || {
        let sessions = glass.plant.json(&["session", "list"]);
        sessions.as_array().unwrap().iter().filter(|session| session["identity"] == "glass").count() == 2
            && live(&glass.plant).is_empty()
    });
    until("the catalogue", || glass.plant.sallyport(&["recording", "verify", "--all"]).status.success());
    glass.plant.sallyport(&["audit", "verify"]).ok();
    // Used up, on whichever day.
    glass.direct(&sealed[0].1, "ews-1", "echo in").ok();
    assert_eq!(glass.events("SP-8001").len(), 2);
    assert_eq!(alice.leased_ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
}

#[test]
fn a_broker_that_starts_without_the_database_serves_emergencies_alone_until_it_is_back() {
    let postgres = Arc::new(Postgres::start());
    let mut glass = Glass::on(Setup::standard().on(&postgres));
    let sealed = glass.seal(&["--rule", "control-room", "--count", "2"]);
    let alice = glass.plant.person("alice");
    alice.take_lease("ews-1");
    // The second one is spent before.
    assert_eq!(glass.direct(&sealed[1].1, "ews-1", "echo in").ok(), "in\n");
    glass.plant.settle();
    let snapshot = find(glass.plant.folder(), "emergency.snapshot");
    let text = String::from_utf8_lossy(&std::fs::read(&snapshot).unwrap()).into_owned();
    assert!(!text.contains("control-room") && !text.contains(&sealed[0].1), "what is in it is sealed");
    // Under a new master key, too.
    let written = || std::fs::metadata(&snapshot).unwrap().modified().unwrap();
    let before = written();
    glass.plant.sallyport(&["secrets", "rekey"]).ok();
    until("a snapshot under the new key", || written() > before);
    glass.plant.broker().terminate();
    postgres.crash();
    glass.plant.serve();
    alice.leased_ssh(["ews-1.direct", "echo in"]).refused();
    glass.direct(&sealed[1].1, "ews-1", "echo in").refused();
    assert_eq!(glass.direct(&sealed[0].1, "ews-1", "echo in").ok(), "in\n");
    assert_eq!(glass.jump(&sealed[0].1, "ews-2", "echo in").ok(), "in\n");
    glass.plant.broker().terminate();
    postgres.start_again();
    glass.plant.serve();
    assert_eq!(alice.ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
    until("the chain", || glass.events("SP-8001").len() == 2 && glass.events("SP-6007").len() == 1);
    until("the envelope", || glass.state(sealed[0].0).starts_with("opened "));
    glass.plant.sallyport(&["audit", "verify"]).ok();
}

/// One sheet that two people have seen, each at a broker that cannot see the other.
#[test]
fn one_code_on_two_parted_brokers_is_found_when_they_meet() {
    let postgres = Arc::new(Postgres::start());
    let glass = Glass::on(Setup::standard().on(&postgres));
    let mut second = Second::beside(&glass.plant, "");
    let (number, code) = glass.seal(&["--rule", "control-room"]).remove(0);
    // Both keep it before the database goes.
    let kept = |folder: &std::path::Path| {
        std::fs::metadata(find(folder, "emergency.snapshot")).and_then(|file| file.modified()).ok()
    };
    let before = kept(second.folder());
    until("the second broker's snapshot", || {
        kept(second.folder()) > before
            || kept(second.folder()).is_some_and(|at| at.elapsed().unwrap() > Duration::from_secs(2))
    });
    glass.plant.settle();
    postgres.crash();
    assert_eq!(glass.direct(&code, "ews-1", "echo in").ok(), "in\n");
    assert_eq!(direct_at_second(&glass, &code, "echo in").ok(), "in\n");
    postgres.start_again();
    until("the double use", || glass.events("SP-8004").len() == 1);
    let event = &glass.events("SP-8004")[0]["event"];
    assert_eq!(event["envelope"], number);
    assert_ne!(event["first"], event["second"]);
    until("both openings", || glass.events("SP-8001").len() == 2);
    glass.plant.sallyport(&["audit", "verify"]).ok();
    second.broker.terminate();
}

/// An envelope at the second broker.
fn direct_at_second(glass: &Glass, code: &str, line: &str) -> Finished {
    let unknown = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
    let target = ["-p", "2223", "-l", "glass:operator@ews-1", "broker", line];
    glass.ssh(&[code, "a reason"], &[unknown.as_slice(), target.as_slice()].concat())
}

#[test]
fn somebody_known_breaks_the_glass_with_their_own_factors_and_it_lifts_their_hours_alone() {
    let glass = Glass::on(Setup::standard());
    let extra = r#"
[role.nights]
[[role.nights.grant]]
assets = ["ews-1", "ews-2"]
services = ["ssh"]
accounts = ["operator"]
approval = { by = "nights", count = 1 }
[role.nights.members]
identities = ["nina", "noel"]
[break_glass.nights]
assets = ["ews-1"]
services = ["ssh"]
accounts = ["operator"]
max_duration = "1h"
review_within = "24h"
[break_glass.nights.members]
identities = ["nina"]
"#;
    glass.plant.apply(&format!("{}\n{extra}", glass.without));
    let (nina, noel) = (glass.plant.person("nina"), glass.plant.person("noel"));
    nina.ssh(["broker", "ls"]).ok();
    noel.ssh(["broker", "ls"]).ok();
    assert!(nina.leased_ssh(["ews-1.direct", "echo in"]).refused().contains("ssh nina@broker break-glass ews-1 WHY"));
    assert!(!noel.leased_ssh(["ews-1.direct", "echo in"]).refused().contains("break-glass"));
    // Whom no section names learns nothing, and without a reason nothing is broken.
    assert!(
        noel.leased_ssh(["broker", "break-glass ews-1 line 4 does not stop"]).refused().contains("You may not reach")
    );
    assert!(nina.leased_ssh(["broker", "break-glass ews-1"]).refused().contains("Say for which asset, and why"));
    assert!(
        nina.leased_ssh(["broker", "break-glass ews-2 line 4 does not stop"]).refused().contains("You may not reach")
    );
    assert_eq!(glass.events("SP-8001").len(), 0);
    let said = nina.leased_ssh(["broker", "break-glass ews-1 line 4 does not stop"]).ok();
    assert!(said.contains("The glass is broken: nights"), "{said}");
    assert_eq!(glass.events("SP-8001")[0]["event"]["identity"], "nina");
    assert_eq!(nina.leased_ssh(["ews-1.direct", "echo in"]).ok(), "in\n");
    assert_eq!(nina.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    nina.leased_ssh(["ews-2.direct", "echo in"]).refused();
    noel.leased_ssh(["ews-1.direct", "echo in"]).refused();
    let explained = glass
        .plant
        .sallyport(&["policy", "explain", "nina", "ews-1", "operator", "--factor", "key", "--factor", "totp"])
        .ok();
    assert!(
        explained.contains("break-glass nights") && explained.contains("with their own factors: permit"),
        "{explained}"
    );
    // A locked person is out, whatever they have broken.
    let mut running = finish_later({
        let mut command = nina.leased("ssh");
        command.arg("-F").arg(nina.config()).args(["ews-1.direct", STAY]);
        command
    });
    until("the session", || !live(&glass.plant).is_empty());
    glass.plant.sallyport(&["identity", "lock", "nina", "--reason", "left"]).ok();
    until("its end", || live(&glass.plant).is_empty());
    running.wait().unwrap();
    nina.leased_ssh(["ews-1.direct", "echo in"]).refused();
}

fn live(plant: &Plant) -> Vec<Value> {
    plant.json(&["session", "list", "--live"]).as_array().unwrap().clone()
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(60), || is().then_some(()));
}

fn finish_later(mut command: Command) -> std::process::Child {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn find(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut command = Command::new("find");
    command.arg(folder).args(["-name", name]);
    finish(command, b"").ok().trim().into()
}

/// A disk of 64 MiB, of which eight are kept for emergencies.
const SMALL_DISK: &str =
    "[recording]\nwarn_below = \"0\"\nlow_below = \"0\"\ncritical_below = \"0\"\nreserve = \"8MiB\"";

#[test]
fn on_a_full_disk_an_emergency_is_recorded_and_nothing_else_is() {
    let mut glass = Glass::on(Setup::standard().setting(SMALL_DISK).recordings_disk("64M"));
    let alice = glass.plant.person("alice");
    alice.take_lease("ews-1");
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    let code = glass.one("control-room");
    let folder = glass.plant.recordings_folder();
    let disk = glass.plant.as_the_broker_sees(&folder);
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", disk.join("ballast").display()));
    finish(dd, b"").refused();
    alice.leased_ssh(["ews-1", "echo in"]).refused();

    assert_eq!(glass.direct(&code, "ews-1", "echo in").ok(), "in\n");
    // What was given back for it is for nobody else.
    alice.leased_ssh(["ews-1", "echo in"]).refused();
    assert_eq!(glass.direct(&code, "ews-1", "echo still").ok(), "still\n");
    eventually("the reserve is told of", Duration::from_secs(30), || {
        (glass.events("SP-6008").len() == 1).then_some(())
    });
    std::fs::remove_file(disk.join("ballast")).unwrap();
    eventually("others get in again", Duration::from_secs(30), || {
        alice.leased_ssh(["ews-1", "echo in"]).status.success().then_some(())
    });
    glass.plant.quiet();
}
