//! `plan` and `apply`: what they say of people and sessions, held against what then happens.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use sallyport_tests::{Finished, Form, Plant, Setup, Terminal, eventually};

fn changed(plant: &Plant, text: &str) -> PathBuf {
    let path = plant.folder().join("changed.toml");
    fs::write(&path, text).unwrap();
    path
}

fn run(plant: &Plant, command: &str, text: &str, more: &[&str]) -> Finished {
    let path = changed(plant, text);
    let mut arguments = vec![command, "-f", path.to_str().unwrap()];
    let lists = fs::read_dir(plant.folder()).unwrap().map(|entry| entry.unwrap().path());
    let lists: Vec<String> = lists
        .filter(|path| path.extension().is_some_and(|end| end == "csv"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    lists.iter().for_each(|list| arguments.extend(["-f", list]));
    plant.sallyport(&[&arguments[..], more].concat())
}

#[track_caller]
fn plan(plant: &Plant, text: &str) -> Value {
    let planned = run(plant, "plan", text, &["--json"]);
    assert_eq!(planned.code(), 2, "{planned}");
    serde_json::from_str(&planned.text()).unwrap()
}

fn names(list: &Value) -> Vec<String> {
    let name = |each: &Value| format!("{} {}", each["identity"].as_str().unwrap(), each["asset"].as_str().unwrap());
    list.as_array().unwrap().iter().map(name).collect()
}

fn busy(person: &sallyport_tests::Person, asset: &str) -> Terminal {
    let terminal = person.terminal(&[&Form::Jump.host(asset)], 80, 24);
    terminal.expect("$");
    terminal
}

#[test]
fn a_plan_says_who_gains_and_loses_and_which_sessions_end_and_so_it_happens() {
    let plant = Plant::start();
    let (alice, ada, greta) = (plant.person("alice"), plant.person("ada"), plant.person("greta"));
    [&alice, &ada, &greta].into_iter().for_each(|person| person.take_lease("ews-1"));
    let (mut hers, mut others) = (busy(&alice, "ews-1"), busy(&ada, "ews-2"));
    // Alice keeps what she has in the safety zone; Greta has nothing any more; Bob is named and not enrolled.
    let text = plant.plant_file();
    let text = text.replace(
        "identities = [\"alice\", \"alan\", \"ada\", \"victor\"]",
        "identities = [\"alan\", \"ada\", \"victor\"]",
    );
    let text = text.replace("identities = [\"greta\"]", "identities = [\"bob\"]");
    let text = text.replace("terms = { idle = \"3s\" }", "terms = { idle = \"4s\" }");
    let said = plan(&plant, &text);
    let consequences = &said["consequences"];
    let loses = names(&consequences["loses"]);
    assert!(loses.contains(&"alice ews-1".to_owned()) && loses.contains(&"greta ews-1".to_owned()), "{loses:?}");
    assert!(!loses.iter().any(|each| each.starts_with("ada") || each == "alice sis-1"), "{loses:?}");
    assert_eq!(names(&consequences["gains"]), ["bob ews-1"]);
    let otherwise = consequences["keeps_otherwise"].as_array().unwrap();
    assert_eq!((otherwise.len(), &otherwise[0]["what"]), (1, &serde_json::json!(["idle"])), "{otherwise:?}");
    assert_eq!(names(&consequences["sessions"]), ["alice ews-1"]);
    assert_eq!(consequences["sessions"][0]["certain"], true);
    let leases: Vec<&Value> = consequences["leases"].as_array().unwrap().iter().map(|each| &each["identity"]).collect();
    assert_eq!(leases, ["greta"]);
    assert_eq!((&said["summary"]["sessions"], &said["summary"]["leases"]), (&1.into(), &1.into()));
    let shown = run(&plant, "plan", &text, &[]).text();
    for line in
        ["People gain:\n  + bob ews-1 ssh as operator by role brief, grant 1", "- alice ews-1 ssh as operator by role"]
    {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    assert!(shown.contains("1 person gains 1 way in, ") && shown.contains(", 1 live session ends, "), "{shown}");

    run(&plant, "apply", &text, &["--yes"]).ok();
    eventually("her session ends", Duration::from_secs(3), || hers.poll());
    plant.settle();
    others.send("echo still-$((40+2))\n");
    others.expect("still-42");
    greta.leased_ssh(["ews-1", "true"]).refused();
    // The same again changes nothing.
    let again = run(&plant, "plan", &text, &[]);
    assert_eq!(again.code(), 0, "{again}");
    assert!(again.text().contains("Nothing changes."), "{again}");
}

#[test]
fn a_plan_tells_a_session_that_hangs_on_the_factor_that_was_proven() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut open = busy(&alice, "ews-1");
    let text = plant.plant_file().replacen("lease = \"1h\"", "lease = \"1h\"\nfactors = [\"webauthn\"]", 1);
    let said = plan(&plant, &text);
    assert_eq!(names(&said["consequences"]["sessions"]), ["alice ews-1"], "she has no passkey: {said}");
    assert_eq!(said["consequences"]["sessions"][0]["certain"], true);
    let with_password = plant.plant_file().replacen("lease = \"1h\"", "lease = \"1h\"\nfactors = [\"password\"]", 1);
    plant.set_password("alice", "correct horse battery");
    let said = plan(&plant, &with_password);
    assert_eq!(said["consequences"]["sessions"][0]["certain"], false, "key or password? {said}");
    run(&plant, "apply", &with_password, &["--yes"]).ok();
    eventually("it was the key", Duration::from_secs(3), || open.poll());
}

#[test]
fn a_plan_tells_the_write_windows_that_would_shut() {
    let plant = Setup::with_modbus().lay_out();
    plant.sallyport(&["identity", "add", "rita"]).ok();
    plant.sallyport(&["identity", "add", "otto"]).ok();
    let opened = "window open --identity rita --asset plc-3 --by otto --for 5 --points 40101";
    plant.sallyport(&opened.split(' ').collect::<Vec<_>>()).ok();
    let text = plant.plant_file();
    assert_eq!(plan(&plant, &format!("{text}\n# said\n"))["summary"]["windows"], 0);
    let said = plan(&plant, &text.replace("max = \"10m\"", "max = \"4m\""));
    assert_eq!(names(&said["consequences"]["windows"]), ["rita plc-3"], "{said}");
}

#[test]
fn a_plan_for_another_version_is_refused() {
    let plant = Setup::standard().lay_out();
    let text = format!("{}\n# said\n", plant.plant_file());
    for command in ["plan", "apply"] {
        let refused = run(&plant, command, &text, &["--expect-version", "2"]);
        assert_eq!(refused.code(), 1, "{refused}");
        assert!(refused.stderr.contains("version 1 of the plant is in force, and not 2"), "{refused}");
    }
    assert_eq!(run(&plant, "plan", &text, &["--expect-version", "1"]).code(), 2);
    run(&plant, "apply", &text, &["--expect-version", "1"]).ok();
    run(&plant, "apply", &text, &["--expect-version", "1"]).refused();
}

#[test]
fn an_empty_plant_is_not_applied_by_a_slip() {
    let plant = Setup::standard().lay_out();
    let standard = plant.plant_file();
    let zones = &standard[..standard.find("[asset.").unwrap()];
    let no_members = standard.split("[role.").next().unwrap();
    for (text, why) in [
        (zones, "this plant has no assets"),
        (no_members, "no grant and no break-glass section of this plant lets anybody into anything"),
    ] {
        let planned = run(&plant, "plan", text, &[]);
        assert_eq!(planned.code(), 2, "{planned}");
        assert!(planned.text().contains(&format!("warning: {why}; `apply` needs `--empty`")), "{planned}");
        let refused = run(&plant, "apply", text, &["--yes"]);
        assert!(refused.refused().contains(why) && refused.stderr.contains("`--empty`"), "{refused}");
    }
    assert_eq!(plant.sallyport(&["plant", "export"]).ok(), standard);

    // At a terminal it is asked twice; whoever says yes by habit has not said it twice.
    let path = changed(&plant, zones);
    let apply = plant.command(&["apply", "--empty", "-f", path.to_str().unwrap()]);
    let mut once = Terminal::start(&apply, 200, 60);
    once.expect("Apply? [y/N]");
    once.send("y\n");
    once.expect("Really? [y/N]");
    once.send("\n");
    assert_eq!(once.ended().code(), Some(1), "{}", once.shown());
    assert_eq!(plant.sallyport(&["plant", "export"]).ok(), standard);
    let mut twice = Terminal::start(&apply, 200, 60);
    twice.expect("Apply? [y/N]");
    twice.send("y\n");
    twice.expect("Really? [y/N]");
    twice.send("y\n");
    assert_eq!(twice.ended().code(), Some(0), "{}", twice.shown());
    assert_eq!(plant.sallyport(&["plant", "export"]).ok(), zones);
    run(&plant, "apply", &standard, &["--yes"]).ok();
    run(&plant, "apply", zones, &["--yes", "--empty"]).ok();
}
