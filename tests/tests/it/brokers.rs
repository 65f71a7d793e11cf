//! Two brokers beside one PostgreSQL: stateless, of one mind, and each enough by itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sallyport_tests::{Finished, Person, Plant, Postgres, Running, Second, Setup, eventually, finish, sallyport};

pub(crate) struct Pair {
    pub(crate) plant: Plant,
    second: Second,
}

impl Pair {
    pub(crate) fn start() -> Pair {
        let plant = Setup::standard().on(&Arc::new(Postgres::start())).start();
        let second = Second::beside(&plant, "");
        Pair { plant, second }
    }

    /// Both with a portal under one name, at which the first of them answers.
    pub(crate) fn with_portal() -> Pair {
        let plant = Setup::standard().portal().on(&Arc::new(Postgres::start())).start();
        let (name, host) = (Plant::PORTAL_NAME, Plant::PORTAL_HOST);
        let portal = format!(
            "[portal]\nlisten = [\"10.0.0.2:8444\"]\nname = \"{name}\"\norigin = \"https://{host}\"\n\
             certificate = \"../broker/portal.crt\"\nkey = \"../broker/portal.key\""
        );
        let second = Second::beside(&plant, &portal);
        Pair { plant, second }
    }

    /// A person whose ssh_config names the second broker too.
    pub(crate) fn person(&self, name: &str) -> Person {
        let person = self.plant.person(name);
        Second::config(&person);
        person
    }
}

pub(crate) fn second_config(person: &Person) -> PathBuf {
    person.folder().join("ssh_config.second")
}

fn ssh(person: &Person, config: PathBuf, answers: &[&str], arguments: &[&str]) -> Finished {
    let answers: Vec<_> = answers.iter().map(|each| (*each).to_owned()).collect();
    let mut command = person.command_answering("ssh", &answers);
    command.arg("-F").arg(config).args(arguments);
    finish(command, b"")
}

#[test]
fn a_code_used_on_one_broker_is_used_up_on_the_other() {
    let pair = Pair::start();
    let erin = pair.person("erin");
    let code = erin.fresh_code();
    assert_eq!(ssh(&erin, erin.config(), &[&code], &["ews-1.direct", "echo in"]).ok(), "in\n");
    for host in ["ews-1.direct", "ews-1"] {
        ssh(&erin, second_config(&erin), &[&code], &[host, "echo let through"]).refused();
    }
    let next = erin.fresh_code();
    assert_eq!(ssh(&erin, second_config(&erin), &[&next], &["ews-1.direct", "echo in"]).ok(), "in\n");
}

#[test]
fn a_lease_and_a_lock_hold_on_both_and_one_goes_on_without_the_other() {
    let mut pair = Pair::start();
    let alice = pair.person("alice");
    let ada = pair.person("ada");
    alice.take_lease("ews-1");
    ada.take_lease("ews-1");
    assert_eq!(ssh(&alice, second_config(&alice), &[], &["ews-1", "echo in"]).ok(), "in\n");

    // The first broker's administrator locks alice: her session on the second ends.
    let config = second_config(&alice);
    let mut command = alice.leased("ssh");
    command.arg("-F").arg(&config).arg("ews-1.direct");
    let mut terminal = sallyport_tests::Terminal::start(&command, 80, 24);
    terminal.expect("$");
    pair.plant.sallyport(&["identity", "lock", "alice", "--reason", "test"]).ok();
    let locked = Instant::now();
    while terminal.poll().is_none() {
        assert!(locked.elapsed() < Duration::from_secs(1), "still open: {}", terminal.shown());
        std::thread::sleep(Duration::from_millis(5));
    }
    ssh(&alice, config, &[], &["ews-1", "echo let through"]).refused();

    // Ada's session on the second outlives the first broker; new ones start.
    let mut command = ada.leased("ssh");
    command.arg("-F").arg(second_config(&ada)).arg("ews-1");
    let mut terminal = sallyport_tests::Terminal::start(&command, 80, 24);
    terminal.expect("$");
    pair.plant.broker().kill();
    terminal.send("echo still-$((40+2))\n");
    terminal.expect("still-42");
    assert_eq!(ssh(&ada, second_config(&ada), &[], &["ews-1", "echo in"]).ok(), "in\n");
    assert!(pair.second.broker.ended().is_none());

    // The first comes back and does not take the second's live session for a remnant of its own.
    pair.plant.serve();
    terminal.send("echo again-$((40+2))\n");
    terminal.expect("again-42");
    // The command before is over for its person a moment before its end is on the record.
    eventually("hers alone lives", Duration::from_secs(10), || {
        let live = pair.plant.json(&["session", "list", "--live"]);
        (live.as_array().unwrap().len() == 1).then_some(())
    });
    pair.plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn a_second_broker_of_the_same_name_does_not_start_and_cuts_nothing() {
    let plant = Setup::standard().start();
    let ada = plant.person("ada");
    ada.take_lease("ews-1");
    let mut terminal = ada.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");

    // What a copied machine has: the same configuration, in another place.
    let copy = plant.folder().join("copy");
    fs::create_dir(&copy).unwrap();
    let mut config: toml::Table = fs::read_to_string(plant.config()).unwrap().parse().unwrap();
    let folder = plant.folder().join("broker");
    config["secrets"]["master_key"] = toml::Value::String(folder.join("master.key").display().to_string());
    if plant.database_url().is_none() {
        config["database"]["url"] = toml::Value::String(format!("sqlite:{}", folder.join("sallyport.db").display()));
    }
    config["listen"]["ssh"] = toml::Value::Array(vec![format!("10.0.0.2:{}", Second::PORT).into()]);
    fs::write(copy.join("broker.toml"), toml::to_string(&config).unwrap()).unwrap();
    let mut second = plant.start_broker(&copy.join("broker.toml"), &copy.join("log"));
    let status = eventually("the second to refuse", Duration::from_secs(20), || second.ended());
    assert!(!status.success());
    assert!(second.log().contains("another broker named `gate-1` is alive"), "{}", second.log());
    terminal.send("echo still-$((40+2))\n");
    terminal.expect("still-42");
    let live = plant.json(&["session", "list", "--live"]);
    assert_eq!(live.as_array().unwrap().len(), 1, "{live}");
    assert!(plant.audit().iter().all(|entry| entry["code"] != "SP-3004" && entry["code"] != "SP-4008"));

    let refused: Vec<_> = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-6006").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    let told = &refused[0]["event"];
    assert!(told["broker_seen_at"].is_string() && told["reason"].as_str().unwrap().contains("is alive"), "{told}");
    plant.sallyport(&["audit", "verify"]).ok();

    // The administrator's word: the first loses its name, and stops.
    let mut command = plant.network().command(sallyport_tests::Place::Gate, sallyport().to_str().unwrap());
    command.arg("--config").arg(copy.join("broker.toml")).args(["serve", "--takeover"]);
    let mut third = Running::start("third", command, &copy.join("log.third"));
    plant.await_listening(&mut third, Second::PORT);
    assert!(plant.audit().iter().any(|entry| entry["code"] == "SP-6005"));
    eventually("the first to stop", Duration::from_secs(20), || terminal.poll());
}

#[test]
fn a_broker_that_joins_is_offered_no_plant() {
    let pair = Pair::start();
    assert!(!pair.plant.folder().join("second/plant.toml").exists());
    let mut init = Command::new(sallyport());
    init.args(["init", "--name", "gate-3", "--dir"]).arg(pair.plant.folder().join("third"));
    init.args(["--database", pair.plant.database_url().unwrap()]);
    init.arg("--master-key").arg(pair.plant.folder().join("broker/master.key"));
    let said = finish(init, b"").ok();
    assert!(said.contains("joins it") && !said.contains("apply -f"), "{said}");
}

#[test]
fn a_recording_of_the_other_broker_is_elsewhere_and_one_of_its_own_is_not() {
    let pair = Pair::start();
    let ada = pair.person("ada");
    ada.take_lease("ews-1");
    assert_eq!(ssh(&ada, second_config(&ada), &[], &["ews-1", "echo in"]).ok(), "in\n");
    pair.plant.quiet();
    let verify = || pair.plant.sallyport(&["recording", "verify", "--all"]);
    let verified = verify();
    assert!(verified.ok().contains(": elsewhere (gate-2)\n"), "{verified}");
    assert_eq!(verified.text().matches(": sealed\n").count(), 1, "{verified}");
    assert!(verified.stderr.contains("1 recordings lie with other brokers"), "{verified}");

    // Nor does it help to say of a recording that was deleted here that the other broker has it.
    for path in sallyport_tests::recordings(&pair.plant.recordings_folder()) {
        fs::remove_file(path).unwrap();
    }
    pair.plant.sql("UPDATE recordings SET broker = 'gate-2'");
    let verified = verify();
    verified.refused();
    assert!(verified.text().contains("the catalogue has broker `gate-2`, the audit chain `gate-1`"), "{verified}");
    assert!(verified.text().contains("cannot read"), "{verified}");
}
