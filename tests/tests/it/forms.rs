//! The ways in: jump, direct and lobby, with stock OpenSSH.

use std::time::Duration;

use sallyport_tests::{Accounts, Form, Person, Plant};

#[test]
fn every_form_runs_a_command_as_the_account() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let implied = "User=alice:ews-1";
    let ways: [&[&str]; 5] = [
        &["ews-1"],
        &["ews-1.direct"],
        &["-J", "alice@broker", "operator@ews-1"],
        &["alice:operator@ews-1@broker"],
        &["-o", implied, "broker"],
    ];
    for way in ways {
        let finished = alice.leased_ssh([way, &["id -un; exit 7"]].concat());
        assert_eq!((finished.text().as_str(), finished.code()), ("operator\n", 7), "{way:?}: {finished}");
    }
    let forms: Vec<_> = plant.recordings().iter().map(|each| each["form"].as_str().unwrap().to_owned()).collect();
    assert_eq!(forms.iter().filter(|form| *form == "jump").count(), 3, "{forms:?}");
    assert_eq!(forms.iter().filter(|form| *form == "direct").count(), 3, "{forms:?}");
}

#[test]
fn an_asset_may_be_named_by_its_address() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    // The name of the host certificate is the person's own choice then.
    let by_address = ["-J", "broker", "-o", "HostKeyAlias=ews-1", "operator@10.10.1.20", "echo here"];
    assert_eq!(alice.leased_ssh(by_address).ok(), "here\n");
    assert_eq!(alice.leased_ssh(["-o", "User=alice:operator@10.10.1.20", "broker", "echo here"]).ok(), "here\n");
}

#[test]
fn the_first_login_asks_for_a_code_once_and_the_lease_covers_the_rest() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let mut first = alice.command("ssh");
    first.arg("-F").arg(alice.config()).args(["ews-1", "true"]);
    let answers = first.get_envs().find(|(name, _)| *name == "ANSWERS").unwrap().1.unwrap().to_owned();
    sallyport_tests::finish(first, b"").ok();
    let asked = std::fs::read_to_string(std::path::Path::new(&answers).join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "asked: {asked}");
    for form in Form::BOTH {
        alice.leased_ssh([&form.host("ews-2"), "true"]).ok();
    }
    // The lease is for this address: from another, a code is due.
    let elsewhere = alice.leased_ssh(["-b", "10.0.0.11", "ews-1.direct", "true"]);
    elsewhere.refused();
}

#[test]
fn exit_status_signals_and_stderr_come_through() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let host = form.host("ews-1");
        let apart = alice.leased_ssh([&host, "echo out; echo err >&2; exit 42"]);
        assert_eq!((apart.text().as_str(), apart.code()), ("out\n", 42), "{apart}");
        assert!(apart.stderr.contains("err\n") && !apart.text().contains("err"), "{apart}");

        // OpenSSH reports a remote signal as 255.
        let signalled = alice.leased_ssh([&host, "kill -TERM $$"]);
        assert_eq!(signalled.code(), 255, "{signalled}");

        let echoed = alice.leased_ssh_with(b"one\ntwo\n", [&host, "cat; echo end"]);
        assert_eq!(echoed.ok(), "one\ntwo\nend\n");

        // Output that ends before the program does must not cost its exit status.
        let silent = alice.leased_ssh_with(b"", [&host, "exec >&- 2>&-; sleep 0.4; exit 7"]);
        assert_eq!(silent.code(), 7, "{silent}");

        // A reader that closes early ends its writer.
        let early = alice.leased_ssh_with(b"", [&host, "yes | head -n 3; echo done"]);
        assert_eq!(early.ok(), "y\ny\ny\ndone\n");
    }
}

#[test]
fn a_terminal_has_a_size_that_changes_and_a_ctrl_c() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let mut terminal = alice.terminal(&[&form.host("ews-1")], 91, 33);
        terminal.expect("$");
        terminal.send("stty size; echo term=$TERM\n");
        terminal.expect("33 91");
        terminal.expect("term=xterm-256color");
        terminal.resize(120, 50);
        terminal.send("sleep 0.3; stty size\n");
        terminal.expect("50 120");
        terminal.send("sleep 60; echo not interrupted\n");
        std::thread::sleep(Duration::from_millis(500));
        terminal.send("\x03");
        terminal.send("echo after-$((40+2))\n");
        terminal.expect("after-42");
        terminal.send("exit 3\n");
        assert_eq!(terminal.ended().code(), Some(3), "{}", terminal.shown());
    }
}

#[test]
fn the_lobby_lists_what_may_be_reached_and_leads_there() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let list = alice.leased_ssh(["broker", "ls"]).ok();
    assert!(list.contains("ews-1") && list.contains("ews-14") && list.contains("operator"), "{list}");
    assert!(!list.contains("10.10.1."), "the lobby gives addresses away: {list}");
    let help = alice.leased_ssh(["broker", "help"]).ok();
    assert!(help.contains("ls"), "{help}");

    let mut lobby = alice.terminal(&["broker"], 100, 40);
    lobby.expect("ews-1");
    lobby.send("ews-1\r");
    lobby.expect("operator@");
    lobby.send("echo in-$((40+2))\n");
    lobby.expect("in-42");
    lobby.send("exit\n");
    lobby.ended();
    let recordings = plant.recordings();
    assert!(recordings.iter().any(|each| each["form"] == "lobby"), "{recordings:?}");

    let unknown = alice.leased_ssh(["broker", "rm -rf /"]);
    assert!(unknown.refused().contains("help"), "{unknown}");
}

#[test]
fn only_the_listed_environment_is_passed_on() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let sent = ["-o", "SetEnv=LC_TIME=C LC_PAPER=A4 SITE_SECRET=x", &form.host("ews-1"), "env"];
        let seen = alice.leased_ssh(sent).ok();
        assert!(seen.contains("LC_PAPER=A4") || seen.contains("LC_TIME=C"), "{seen}");
        assert!(!seen.contains("SITE_SECRET"), "{seen}");
    }
}

#[test]
fn agent_x11_and_remote_forwards_are_refused() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let host = form.host("ews-1");
        let agent = alice.leased_ssh(["-A", &host, "echo \"[$SSH_AUTH_SOCK]\""]);
        assert_eq!(agent.text(), "[]\n", "{agent}");
        let x11 = alice.leased_ssh(["-X", &host, "echo \"[$DISPLAY]\""]);
        assert_eq!(x11.text(), "[]\n", "{x11}");
        let remote = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:9", &host, "echo let through"];
        let remote = alice.leased_ssh(remote);
        assert_eq!(remote.text(), "", "{remote}");
        remote.refused();
    }
}

#[test]
fn the_assets_log_names_identity_and_session() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let session = plant.recordings()[0]["session"].as_str().unwrap().to_owned();
    let log = plant.sshd().log();
    let line = log.lines().find(|line| line.contains("Accepted publickey for operator")).unwrap();
    assert!(line.contains("alice") && line.contains(&session), "{line}");
}

#[test]
fn accounts_are_entered_with_what_the_vault_holds_and_what_the_person_types() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    let vault = |account: &str, arguments: &[&str], secret: &[u8]| {
        let set = [&["account", "set", "hmi-1", account], arguments].concat();
        sallyport_tests::finish(plant.command(&set), secret).ok();
    };
    vault(Accounts::KEEPER, &["--password-file", "-"], format!("{}\n", Accounts::PASSWORD).as_bytes());
    let key = sallyport_tests::Sshd::account_key(&plant.folder().join("sshd"));
    vault(Accounts::FITTER, &["--key", key.to_str().unwrap()], b"");
    alice.take_lease("ews-1");
    let name = |way: &[&str]| alice.leased_ssh([way, &["id -un"]].concat()).ok();
    assert_eq!(name(&["-J", "broker", "keeper@hmi-1"]), "keeper\n");
    assert_eq!(name(&["-o", "User=alice:fitter@hmi-1", "broker"]), "fitter\n");

    for way in [&["-J", "broker", "keeper@hmi-2"][..], &["-o", "User=alice:keeper@hmi-2", "broker"]] {
        let typed = answering(&alice, &[Accounts::PASSWORD], way);
        assert_eq!(typed.ok(), "keeper\n");
        answering(&alice, &["wrong"], way).refused();
    }
}

#[test]
fn what_is_down_is_said_in_one_sentence() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let host = match form {
            Form::Jump => vec!["-J", "broker", "operator@down-1"],
            Form::Direct => vec!["-o", "User=alice:operator@down-1", "broker"],
        };
        let down = alice.leased_ssh([&host[..], &["true"]].concat());
        assert!(down.refused().contains("down-1"), "{down}");
    }
}

fn answering(person: &Person, answers: &[&str], way: &[&str]) -> sallyport_tests::Finished {
    let answers: Vec<_> = answers.iter().map(|each| (*each).to_owned()).collect();
    let mut command = person.command_answering("ssh", &answers);
    command.arg("-F").arg(person.config()).args(way).arg("id -un");
    sallyport_tests::finish(command, b"")
}
