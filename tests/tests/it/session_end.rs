//! Sessions that an administrator ends: by what they reach, with a reason, on whichever broker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_tests::{Person, Plant, Postgres, Second, Setup, Terminal};

use crate::brokers::{Pair, second_config};

fn shell(person: &Person, config: &std::path::Path, asset: &str) -> Terminal {
    let mut ssh = person.leased("ssh");
    ssh.arg("-F").arg(config).arg(asset).env("TERM", "xterm-256color");
    let terminal = Terminal::start(&ssh, 100, 24);
    terminal.expect("$");
    terminal
}

#[test]
fn all_sessions_into_a_zone_end_on_two_brokers_and_their_people_read_why() {
    let pair = Pair::start();
    let (alice, ada) = (pair.person("alice"), pair.person("ada"));
    alice.take_lease("ews-1");
    ada.take_lease("ews-1");
    let mut into_the_zone = [shell(&alice, &alice.config(), "ews-1"), shell(&ada, &second_config(&ada), "ews-2")];
    let mut elsewhere = shell(&alice, &second_config(&alice), "sis-1");
    let listed = pair.plant.sallyport(&["session", "list", "--live", "--broker", "gate-2", "--zone", "cell-1"]).ok();
    assert!(listed.lines().next().unwrap().contains("ASSET") && listed.lines().count() == 2, "{listed}");
    assert!(listed.contains("ews-2") && listed.contains("gate-2") && listed.contains("ssh"), "{listed}");
    let end = ["session", "end", "--zone", "cell-1", "--reason", "smoke in the hall"];
    // Nobody is there to be asked.
    let asked = pair.plant.sallyport(&end);
    assert_eq!(asked.code(), 64, "{asked}");
    assert!(asked.stderr.contains("ada to ews-2/ssh by gate-2") && asked.stderr.contains("End 2 sessions?"), "{asked}");
    let ended = pair.plant.json(&[&end[..], &["--yes"]].concat());
    let ended = ended.as_array().unwrap();
    assert!(ended.len() == 2 && ended.iter().all(|session| session["ended"] == true), "{ended:?}");
    for (terminal, asset) in into_the_zone.iter_mut().zip(["ews-1", "ews-2"]) {
        terminal.expect(&format!("The session to {asset} was ended by an administrator: smoke in the hall"));
        assert_ne!(terminal.ended().code(), Some(0));
    }
    elsewhere.send("echo still-$((40+2))\n");
    elsewhere.expect("still-42");

    let told = pair.plant.audit();
    let asked: Vec<_> = told.iter().filter(|entry| entry["code"] == "SP-3003").collect();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|entry| entry["event"]["reason"] == "smoke in the hall"), "{asked:?}");
    let ends: Vec<_> = told.iter().filter(|entry| entry["event"]["end"] == "ended-by").collect();
    assert!(ends.len() == 2 && ends.iter().all(|entry| entry.to_string().contains(": smoke in the hall")), "{ends:?}");
    pair.plant.sallyport(&["audit", "verify"]).ok();

    // What is left, by the person and by everything.
    pair.plant.sallyport(&["session", "end", "--identity", "alice", "--reason", "shift is over", "--yes"]).ok();
    elsewhere.expect("was ended by an administrator: shift is over");
    let all = ["session", "end", "--all", "--reason", "test", "--yes"];
    assert_eq!(pair.plant.sallyport(&all).ok(), "No such session is live.\n");
    let _again = shell(&alice, &alice.config(), "ews-1");
    assert!(pair.plant.sallyport(&all).ok().contains("1 of 1 session ended."));
}

#[test]
fn a_session_whose_broker_is_gone_is_named_and_the_command_fails() {
    let plant = Setup::standard().on(&Arc::new(Postgres::start())).start();
    let mut second = Second::beside(&plant, "");
    let ada = plant.person("ada");
    let config = Second::config(&ada);
    ada.take_lease("ews-1");
    let _lost = shell(&ada, &config, "ews-1");
    let mut lives = shell(&ada, &ada.config(), "ews-1");
    second.broker.kill();
    let end = plant.sallyport(&["session", "end", "--asset", "ews-1", "--reason", "maintenance", "--yes"]);
    assert_eq!(end.code(), 1, "{end}");
    assert!(end.text().contains("1 of 2 sessions ended."), "{end}");
    assert!(end.stderr.contains("not ended: gate-2 was last heard of") && end.stderr.contains(" s ago"), "{end}");
    lives.expect("was ended by an administrator: maintenance");
    assert_ne!(lives.ended().code(), Some(0));
    // Asked for before, it stays so; and nobody waits for a broker that was silent for long enough.
    plant.sql("UPDATE brokers SET seen_at = seen_at - 60000000 WHERE name = 'gate-2'");
    let begun = Instant::now();
    let again = plant.sallyport(&["session", "end", "--all", "--reason", "again", "--yes"]);
    assert_eq!(again.code(), 1, "{again}");
    assert!(begun.elapsed() < Duration::from_secs(5), "after {:?}", begun.elapsed());
    let asked = plant.audit().iter().filter(|entry| entry["code"] == "SP-3003").count();
    assert_eq!(asked, 2);
}

#[test]
fn one_thing_says_which_sessions_end_and_a_mistyped_one_ends_none() {
    let plant = Plant::start();
    let code = |arguments: &[&str]| plant.sallyport(&[&["session", "end"], arguments].concat()).code();
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&["--all"]), 64);
    assert_eq!(code(&["--all", "--asset", "ews-1", "--reason", "x"]), 64);
    assert_eq!(code(&["01jd", "--all", "--reason", "x"]), 64);
    assert_eq!(code(&["--all", "--yes", "--reason", " "]), 64);
    assert_eq!(code(&["--all", "--yes", "--reason", &"x".repeat(501)]), 64);
    assert_eq!(code(&["--all", "--yes", "--reason", "x"]), 0);
    for (option, name) in [("--asset", "ews-99"), ("--zone", "cell-9"), ("--identity", "nobody")] {
        let refused = plant.sallyport(&["session", "end", option, name, "--reason", "x", "--yes"]);
        assert!(refused.refused().contains(&format!("`{name}`")), "{refused}");
    }
    assert_eq!(code(&["--asset", "ews-1", "--reason", "x", "--yes"]), 0);
}
