//! The administrator's command line: exit codes, where the configuration comes from, `--json` everywhere.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::docs::{help_of, subcommands};
use sallyport_tests::{Place, Plant, Setup, finish, finish_within, sallyport};

#[test]
fn exit_codes_say_whose_fault_it_is() {
    let plant = Setup::standard().lay_out();
    let code = |arguments: &[&str]| {
        let mut command = Command::new(sallyport());
        command.args(arguments).env_remove("SALLYPORT_CONFIG");
        finish(command, b"").code()
    };
    let config = plant.config();
    let config = config.to_str().unwrap();
    assert_eq!(code(&["--help"]), 0);
    assert_eq!(code(&["--version"]), 0);
    assert_eq!(code(&[]), 64);
    assert_eq!(code(&["no-such-command"]), 64);
    assert_eq!(code(&["session", "list", "--no-such-option"]), 64);
    assert_eq!(code(&["--config", "/nonexistent/broker.toml", "session", "list"]), 78);
    assert_eq!(code(&["--config", config, "session", "list"]), 0);
    // Its addresses are those of the gate.
    let mut check = plant.network().command(Place::Gate, sallyport().to_str().unwrap());
    check.args(["--config", config, "check"]);
    finish(check, b"").ok();
    assert_eq!(code(&["--config", config, "identity", "lock", "nobody", "--reason", "x"]), 1);
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, format!("colour = \"red\"\n{text}")).unwrap();
    assert_eq!(code(&["--config", config, "session", "list"]), 78);
    let mut serve = Command::new(sallyport());
    serve.args(["--config", config, "serve"]);
    let refused = finish(serve, b"");
    assert_eq!(refused.code(), 78);
    assert!(refused.stderr.contains("colour"), "{refused}");
}

#[test]
fn a_self_test_is_on_record_with_what_it_proves_and_leaves_nothing() {
    let plant = Setup::standard().lay_out();
    plant.person("alice");
    let temporary = plant.folder().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let mut check = plant.command(&["check", "--live", "--json"]);
    check.env("TMPDIR", &temporary);
    let checked = finish_within(Duration::from_secs(120), check, b"").ok();
    let tried: Vec<serde_json::Value> = serde_json::from_str(&checked).unwrap();
    assert!(tried.len() >= 19 && tried.iter().all(|tried| tried["held"] == true), "{checked}");
    assert!(tried.iter().any(|tried| tried["must"] == "fail" && tried["serves"] == "1.1 RE 2"), "{checked}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
    let told: Vec<_> = plant.audit().into_iter().filter(|entry| entry["event"]["event"] == "check.held").collect();
    assert_eq!((told.len(), &told[0]["code"]), (1, &"SP-6101".into()));
    assert_eq!(told[0]["event"]["results"].as_array().unwrap().len(), tried.len());
    // Nothing of the canary is in the plant's own chain, and the chain is whole.
    assert!(!plant.audit().iter().any(|entry| entry["identity"] == "canary"));
    plant.sallyport(&["audit", "verify"]).ok();
    // What cannot be put on record is not tried.
    std::fs::remove_file(plant.folder().join("broker/master.key")).unwrap();
    plant.sallyport(&["check", "--live"]).refused();
}

#[test]
fn the_configuration_is_found_by_argument_then_by_environment() {
    let plant = Setup::standard().lay_out();
    let mut by_environment = Command::new(sallyport());
    by_environment.args(["session", "list"]).env("SALLYPORT_CONFIG", plant.config());
    finish(by_environment, b"").ok();
    let mut argument_first = Command::new(sallyport());
    argument_first
        .arg("--config")
        .arg(plant.config())
        .args(["session", "list"])
        .env("SALLYPORT_CONFIG", "/nonexistent");
    finish(argument_first, b"").ok();
}

#[test]
fn every_list_has_json() {
    let plant = Plant::start();
    plant.person("alice").take_lease("ews-1");
    for noun in ["session", "identity", "lease", "account", "recording", "audit"] {
        let listed = plant.json(&[noun, "list"]);
        assert!(listed.is_array(), "{noun}: {listed}");
        if noun != "account" {
            assert!(!listed.as_array().unwrap().is_empty(), "{noun}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(&plant.sallyport(&[noun, "list"]).ok()).is_err(), "{noun}");
    }
}

#[test]
fn a_plan_says_what_would_change_and_an_export_is_what_was_applied() {
    let plant = Setup::standard().lay_out();
    let applied = plant.plant_file();
    assert_eq!(plant.sallyport(&["plant", "export"]).ok(), applied);
    let changed = plant.folder().join("changed.toml");
    std::fs::write(&changed, applied.replace("identities = [\"carol\"]", "identities = [\"carol\", \"bob\"]")).unwrap();
    let plan = plant.sallyport(&["plan", "-f", changed.to_str().unwrap()]);
    assert_eq!(plan.code(), 2, "{plan}");
    assert!(plan.text().contains("bob"), "{plan}");
    // A plan changes nothing.
    assert_eq!(plant.sallyport(&["plant", "export"]).ok(), applied);
}

#[test]
fn a_rotated_master_key_keeps_everything_readable() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    plant.broker().terminate();
    let key = plant.folder().join("broker/master.key");
    let old = std::fs::read(&key).unwrap();
    plant.sallyport(&["secrets", "rekey"]).ok();
    assert_ne!(std::fs::read(&key).unwrap(), old);
    plant.serve();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    let ada = plant.person("ada");
    assert_eq!(ada.ssh(["ews-1", "echo in"]).ok(), "in\n");
}

/// Walks down the commands; each has its page, with everything that its help names.
fn has_its_page(path: &[&str], folder: &Path, count: &mut usize) {
    let help = help_of(path).unwrap();
    let name = [&["sallyport"], path].concat().join("-");
    let page =
        std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    let page = page.replace("\\-", "-");
    assert!(page.contains(&format!(".TH {name} 1")), "{page}");
    // Deeper than six blanks is what the help says of an option.
    let options = help.lines().filter(|line| line.find('-').is_some_and(|at| at <= 6 && line[..at].trim().is_empty()));
    for line in options {
        let option = line.split([' ', ',', '=']).find(|word| word.starts_with("--")).unwrap_or(line);
        assert!(page.contains(option), "{name}: no {option}");
    }
    *count += 1;
    for command in subcommands(&help).into_iter().filter(|command| *command != "help") {
        has_its_page(&[path, &[command]].concat(), folder, count);
    }
}

#[test]
fn every_command_has_a_page_of_the_manual_and_completes() {
    let folder = tempfile::tempdir().unwrap();
    let mut man = Command::new(sallyport());
    man.args(["man", "--dir"]).arg(folder.path().join("man1"));
    finish(man, b"").ok();
    let mut count = 0;
    has_its_page(&[], &folder.path().join("man1"), &mut count);
    assert!(count > 60, "{count}");
    assert_eq!(std::fs::read_dir(folder.path().join("man1")).unwrap().count(), count);
    for shell in ["bash", "zsh", "fish"] {
        let mut completions = Command::new(sallyport());
        completions.args(["completions", shell]);
        let script = finish(completions, b"").ok();
        let help = help_of(&[]).unwrap();
        for command in subcommands(&help) {
            assert!(script.contains(command), "{shell}: no {command}");
        }
    }
}

#[test]
fn an_init_that_fails_leaves_nothing_in_the_way_and_one_that_succeeds_prints_the_evidence_key() {
    let folder = tempfile::tempdir().unwrap();
    let init = |more: &[&str]| {
        let mut init = Command::new(sallyport());
        init.args(["init", "--dir"]).arg(folder.path().join("gate")).args(more);
        finish(init, b"")
    };
    let refused = init(&["--database", "postgres://sallyport@127.0.0.1:1/x"]);
    assert!(refused.refused().contains("PostgreSQL at 127.0.0.1 port 1: Connection refused"), "{refused}");
    let made = init(&[]).ok();
    let config = folder.path().join("gate/broker.toml");
    let mut show = Command::new(sallyport());
    show.arg("--config").arg(&config).args(["secrets", "show", "evidence"]);
    let key = finish(show, b"").ok();
    assert!(made.contains(key.trim()) && made.contains(" check\n"), "{made}");
    // What the host is called today is not what the broker is called tomorrow.
    let config: toml::Table = std::fs::read_to_string(config).unwrap().parse().unwrap();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(config["broker"]["name"].as_str(), Some(host.trim()));
    let mut add = Command::new(sallyport());
    add.arg("--config").arg(folder.path().join("gate/broker.toml")).args(["identity", "add", "anna"]);
    finish(add, b"").ok();
    let mut again = Command::new(sallyport());
    again.arg("--config").arg(folder.path().join("gate/broker.toml")).args(["identity", "add", "anna"]);
    let again = finish(again, b"");
    assert!(again.refused().contains("a name is never given again") && !again.stderr.contains("UNIQUE"), "{again}");
}
