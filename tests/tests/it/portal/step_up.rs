//! Targets that ask for a passkey, and tools that open many sessions at once.

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use sallyport_tests::{Peer, Plant, Running, Setup, Token, Tunnel, eventually, finish_within};

use super::passkeys::{browser, confirm, enrol_and_sign_in, invited};

#[test]
fn fourteen_hosts_of_ansible_begin_at_once_and_one_confirmation_lets_them_all_in() {
    let plant = super::plant();
    let (alice, link) = invited(&plant, "alice");
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    let inventory: String = (1..=14).map(|number| format!("ews-{number}\n")).collect();
    fs::write(alice.folder().join("hosts"), inventory).unwrap();
    let mut ansible = alice.leased("ansible");
    ansible
        .args(["all", "-i", "hosts", "-m", "ping", "-f", "14", "-e", "ansible_python_interpreter=/usr/bin/python3"])
        .current_dir(alice.folder())
        .env(
            "ANSIBLE_SSH_ARGS",
            format!("-F {} -C -o ControlMaster=auto -o ControlPersist=5s", alice.config().display()),
        )
        .env("ANSIBLE_TIMEOUT", "110")
        .env("ANSIBLE_LOCALHOST_WARNING", "false");
    thread::scope(|scope| {
        let running = scope.spawn(|| finish_within(Duration::from_secs(120), ansible, b""));
        // The page says it by itself to whoever has the portal open; the number is on the terminal of whoever began.
        let (path, number) = eventually("a login waits", Duration::from_secs(60), || {
            let row = plant.sql("SELECT code || ' ' || number FROM confirmations WHERE state = 'waiting'");
            row.trim().split_once(' ').map(|(code, number)| (format!("/c/{code}"), number.to_owned()))
        });
        confirm(&browser, &format!("https://gate.plant.example:8443{path}"), &number);
        let answer = running.join().unwrap();
        let pongs = answer.ok().matches("\"ping\": \"pong\"").count();
        assert_eq!(pongs, 14, "{answer}");
    });
    let confirmations = plant.audit().into_iter().filter(|entry| entry["code"] == "SP-1013").count();
    assert_eq!(confirmations, 1);
}

/// Whoever has these roles proves a passkey for each target.
fn ask_for_a_passkey(plant: &Plant, roles: &[&str]) {
    let asks = "factors = [\"webauthn\"]\n";
    let mut text = plant.plant_file();
    for role in roles {
        let grant = format!("[[role.{role}.grant]]\n");
        text = text.replace(&grant, &format!("{grant}{asks}"));
    }
    plant.apply(&text);
}

/// Nothing is left of it but the connection around it, which says that nothing more comes.
#[test]
fn an_ssh_that_is_killed_leaves_no_inner_login_waiting() {
    let plant = super::plant();
    ask_for_a_passkey(&plant, &["engineer"]);
    let alice = plant.person("alice");
    let link = plant.json(&["identity", "invite", "alice"])["link"].as_str().unwrap().to_owned();
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);
    alice.ssh(["broker", "ls"]).ok();
    let mut ssh = alice.leased("ssh");
    ssh.arg("-F").arg(alice.config()).args(["ews-1", "echo through"]);
    let mut ssh = Running::start("ssh", ssh, &alice.folder().join("killed.log"));
    let waits = || plant.sql("SELECT COUNT(*) FROM confirmations WHERE state = 'waiting'").trim() == "1";
    eventually("the inner login waits", Duration::from_secs(20), || waits().then_some(()));
    assert!(ssh.log().contains("ews-1 asks for a fresh confirmation."), "{}", ssh.log());
    ssh.kill();
    eventually("nothing waits any more", Duration::from_secs(5), || (!waits()).then_some(()));
}

#[test]
fn a_target_that_asks_for_a_passkey_gets_it_at_the_inner_login_and_for_a_stream() {
    let plant = Setup::with_tcp().portal().start();
    ask_for_a_passkey(&plant, &["engineer", "integrator"]);
    let alice = plant.person("alice");
    let link = plant.json(&["identity", "invite", "alice"])["link"].as_str().unwrap().to_owned();
    let browser = browser(&plant);
    let _key = browser.authenticator(Token::KeyWithPin);
    enrol_and_sign_in(&browser, &link);

    // The login itself is by a code: it is not enough for the target.
    let mut command = alice.command("ssh");
    command.arg("-F").arg(alice.config()).args(["ews-1", "echo through"]).env("TERM", "xterm-256color");
    let mut terminal = sallyport_tests::Terminal::start(&command, 120, 30);
    terminal.expect("ews-1 asks for a fresh confirmation.");
    let text = terminal.shown();
    let inner = text.split_once("ews-1 asks for a fresh confirmation.").unwrap().1;
    let link = inner.split_once("browser: ").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let number = inner.split_once("The number is ").unwrap().1.split('.').next().unwrap().to_owned();
    confirm(&browser, &link, &number);
    terminal.expect("through");
    assert!(terminal.ended().success());

    let _echo = Peer::echo(plant.network(), "10.10.1.37:7");
    let tunnel = Tunnel::open_with_code(&plant, &alice, &["-L", "5007:plc-1:7"]);
    // Nothing can be said to a tool: whoever has the portal open sees it there at once.
    browser.open("https://gate.plant.example:8443/");
    assert!(!browser.text().contains("Waiting for your confirmation"), "{}", browser.text());
    let mut stream = tunnel.connect(5007);
    browser.wait_for_text("Waiting for your confirmation");
    let row = eventually("the stream waits", Duration::from_secs(20), || {
        let row = plant.sql("SELECT code || ' ' || number FROM confirmations WHERE state = 'waiting'");
        row.trim().split_once(' ').map(|(code, number)| (code.to_owned(), number.to_owned()))
    });
    confirm(&browser, &format!("https://gate.plant.example:8443/c/{}", row.0), &row.1);
    stream.write_all(b"over").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"over");
}
