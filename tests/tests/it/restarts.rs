//! A restart refuses nobody where a service manager keeps the sockets, and a new name needs none.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sallyport_tests::{Place, Plant, Running, eventually, finish, repository, sallyport};

fn pid(file: &std::path::Path) -> i32 {
    fs::read_to_string(file).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn behind_sockets_that_are_kept_open_a_restart_refuses_nobody() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    plant.broker().terminate();
    let pidfile = plant.folder().join("broker.pid");
    let mut keeper = plant.network().command(Place::Gate, "/usr/bin/python3");
    keeper.arg(repository().join("tests/data/keeps_sockets.py")).args(["10.0.0.2", "2222", "ssh"]).arg(&pidfile);
    keeper.arg(sallyport()).arg("--config").arg(plant.config()).arg("serve");
    let mut keeper = Running::start("keeper", keeper, &plant.folder().join("keeper.log"));
    plant.await_listening(&mut keeper, 2222);
    assert!(keeper.log().contains("Listening on an inherited socket"), "{}", keeper.log());
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");

    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    let before = pid(&pidfile);
    kill_process(Pid::from_raw(before).unwrap(), Signal::TERM).unwrap();
    // Nobody runs there for a second and more; the kernel takes whoever comes, and the next broker serves them.
    eventually("the broker has ended", Duration::from_secs(20), || {
        (!std::path::Path::new(&format!("/proc/{before}/fd/3")).exists()).then_some(())
    });
    let asked = Instant::now();
    assert_eq!(alice.leased_ssh(["ews-1", "echo in"]).ok(), "in\n");
    println!("served {:?} after it came to no broker", asked.elapsed());
    assert_ne!(pid(&pidfile), before);
    assert_ne!(terminal.ended().code(), Some(0), "what lived is ended, and on record");
    keeper.terminate();
    let ends: Vec<String> = plant.audit().iter().map(|entry| entry["event"]["end"].to_string()).collect();
    assert!(ends.contains(&"\"broker-stopping\"".to_owned()), "{ends:?}");
}

#[test]
fn what_is_inherited_and_is_no_socket_for_anything_here_is_refused_and_what_is_not_meant_for_it_left_alone() {
    let mut plant = Plant::start();
    plant.broker().terminate();
    let serve = |line: &str| -> Command {
        let mut command = plant.network().command(Place::Gate, "sh");
        command.args(["-c", line]).arg(sallyport()).arg("--config").arg(plant.config()).arg("serve");
        command
    };
    let not_a_socket = finish(serve("exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""), b"");
    assert!(not_a_socket.refused().contains("inherited socket 0"), "{not_a_socket}");
    let many = finish(serve("LISTEN_PID=$$ LISTEN_FDS=99999999 exec \"$0\" \"$@\""), b"");
    assert!(many.refused().contains("`LISTEN_FDS`"), "{many}");
    // A port that is nothing's, and a name that is not configured.
    let keeper = |port: &str, name: &str| {
        let mut python = plant.network().command(Place::Gate, "/usr/bin/python3");
        python.arg("-c").arg(
            "import os,socket,sys\ns=socket.create_server((sys.argv[1],int(sys.argv[2])))\nos.dup2(s.fileno(),3)\nos.set_inheritable(3,True)\n\
             os.environ.update(LISTEN_PID=str(os.getpid()),LISTEN_FDS='1',LISTEN_FDNAMES=sys.argv[3])\n\
             os.execv(sys.argv[4],sys.argv[4:])",
        );
        python.args(["10.0.0.2", port, name]).arg(sallyport()).arg("--config").arg(plant.config()).arg("serve");
        finish(python, b"")
    };
    for (port, name) in [("2999", "sallyport.socket"), ("8443", "portal")] {
        let refused = keeper(port, name);
        assert!(refused.refused().contains(&format!("inherited socket `{name}` at 10.0.0.2:{port}")), "{refused}");
    }
    let command = serve("LISTEN_PID=1 LISTEN_FDS=1 exec \"$0\" \"$@\"");
    let mut others = Running::start("broker", command, &plant.folder().join("others.log"));
    plant.await_listening(&mut others, 2222);
    others.terminate();
}

#[test]
fn a_new_name_and_a_revoked_key_count_from_a_signal_on_and_nobody_is_cut_off() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut terminal = alice.terminal(&["ews-1"], 80, 24);
    terminal.expect("$");
    let by_name = |name: &str| {
        // As a workstation with the broker's authority in its known_hosts, and no key of the host.
        alice.leased_ssh(["-o", &format!("HostKeyAlias={name}"), "-o", "StrictHostKeyChecking=yes", "broker", "ls"])
    };
    let known = fs::read_to_string(alice.folder().join("known_hosts")).unwrap();
    let authority = known.lines().find(|line| line.starts_with("@cert-authority")).unwrap();
    let key = authority.split_once(' ').unwrap().1.split_once(' ').unwrap().1;
    fs::write(alice.folder().join("known_hosts"), format!("{known}@cert-authority gate-new {key}\n")).unwrap();
    by_name("gate-new").refused();
    let renew = |plant: &mut Plant, from: &str, to: &str| {
        let text = fs::read_to_string(plant.config()).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(plant.config(), text.replacen(from, to, 1)).unwrap();
        plant.broker().signal(Signal::HUP);
    };
    let renewed = |plant: &Plant| plant.audit().iter().filter(|entry| entry["code"] == "SP-6009").count();
    renew(&mut plant, "names = [\"broker\"", "names = [\"gate-new\", \"broker\"");
    eventually("it is renewed", Duration::from_secs(10), || (renewed(&plant) == 1).then_some(()));
    by_name("gate-new").ok();
    by_name("broker").ok();
    // What does not hold changes nothing, and ends nothing.
    renew(&mut plant, "names = [\"gate-new\"", "names = [7, \"gate-new\"");
    eventually("it is told", Duration::from_secs(10), || {
        plant.broker().log().contains("everything stays as it is").then_some(())
    });
    by_name("gate-new").ok();
    let damaged = fs::read_to_string(plant.config()).unwrap();
    fs::write(plant.config(), damaged.replacen("names = [7, ", "names = [", 1)).unwrap();
    assert_eq!(renewed(&plant), 1);
    // A key that is revoked lets nobody in from then on; whoever is in stays.
    let mut fingerprint = alice.command("ssh-keygen");
    fingerprint.arg("-lf").arg(alice.folder().join("key.pub"));
    let fingerprint = finish(fingerprint, b"").ok().split_whitespace().nth(1).unwrap().to_owned();
    renew(&mut plant, "names = [", &format!("revoked = [\"key:{fingerprint}\"]\nnames = ["));
    eventually("it is renewed", Duration::from_secs(10), || (renewed(&plant) == 2).then_some(()));
    alice.leased_ssh(["ews-1", "echo let through"]).refused();
    terminal.send("echo still-$((40+2))\n");
    terminal.expect("still-42");
}
