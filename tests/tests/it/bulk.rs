//! Gigabytes: both ways at once, and against a side that does not read.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Form, Person, Plant, Running, Setup, eventually, finish, finish_within};

const GIB: u64 = 1 << 30;

/// How much the broker may grow while somebody does not read.
const GROWTH_KIB: u64 = 64 * 1024;

#[test]
fn a_gibibyte_goes_both_ways_at_once() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let line =
            format!("head -c 1G /dev/zero | ssh -F {} {} cat | wc -c", alice.config().display(), form.host("ews-1"));
        let counted = finish_within(Duration::from_secs(200), shell(&alice, &line), b"");
        assert_eq!(counted.ok().trim(), GIB.to_string(), "{form:?}");
        println!("{form:?}: 1 GiB through cat in {:?}", counted.took);
    }
}

/// PuTTY's `plink`, by itself and through another one. That one is behind a pipe, and whoever writes into it reads nothing meanwhile.
#[test]
fn plink_passes_bulk_both_ways_in_both_forms() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        alice.leased_ssh([form.host("ews-1").as_str(), "true"]).ok();
    }
    let line = format!(
        r#"
        cd {folder} && puttygen {key} -o key.ppk -O private
        of() {{ ssh -F {config} -G broker | sed -n "s/^$1 //p"; }}
        host=$(of hostname) port=$(of port)
        known=$(ssh-keyscan -p "$port" -t ed25519 "$host" 2>/dev/null | ssh-keygen -lf - | cut -d' ' -f2)
        plink="plink -batch -i key.ppk -hostkey $known -P $port"
        both_ways() {{ head -c 256M /dev/zero | timeout 60 "$@" cat | wc -c; }}
        both_ways $plink -l alice:operator@ews-1 "$host"
        both_ways $plink -proxycmd "$plink -l alice -nc %host:22 $host" -l operator ews-1
        "#,
        folder = alice.folder().display(),
        key = alice.key().display(),
        config = alice.config().display(),
    );
    let counted = finish_within(Duration::from_secs(150), shell(&alice, &line), b"").text();
    let counted: Vec<_> = counted.lines().filter_map(|line| line.trim().parse::<u64>().ok()).collect();
    assert_eq!(counted, [256 << 20; 2]);
}

#[test]
fn an_asset_that_does_not_read_costs_no_memory_and_nobody_else() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let line = format!(
            "head -c 3G /dev/zero | ssh -F {} {} 'head -c 1000000 >/dev/null; sleep 60'",
            alice.config().display(),
            form.host("ews-1")
        );
        stays_flat(&mut plant, &alice, &line);
    }
}

#[test]
fn a_person_who_does_not_read_costs_no_memory_and_nobody_else() {
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let line = format!("ssh -F {} {} 'cat /dev/zero' | sleep 60", alice.config().display(), form.host("ews-1"));
        stays_flat(&mut plant, &alice, &line);
    }
}

/// Somebody has paused their output: neither dead nor gone, however often they would have been asked meanwhile.
#[test]
fn a_person_who_does_not_read_for_longer_than_any_keepalive_keeps_their_session() {
    let plant = Setup::standard().setting("[ssh]\nkeepalive = \"1s\"").start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let line = format!(
            "ssh -F {} {} 'head -c 64M /dev/zero' | (sleep 8; wc -c)",
            alice.config().display(),
            form.host("ews-1")
        );
        let counted = finish_within(Duration::from_secs(60), shell(&alice, &line), b"");
        assert_eq!(counted.ok().trim(), (64 << 20).to_string(), "{form:?}");
    }
}

#[test]
fn an_asset_that_pauses_is_waited_for_and_holds_nobody() {
    let plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    for form in Form::BOTH {
        let (_master, socket) = master(&alice, form, 0);
        let (host, config) = (form.host("ews-1"), alice.config());
        // Longer than any channel was waited for once.
        let line = format!("head -c 64M /dev/zero | ssh -F {} -o {socket} {host} 'sleep 12; wc -c'", config.display());
        let paused = thread::scope(|scope| {
            let paused = scope.spawn(|| finish_within(Duration::from_secs(60), shell(&alice, &line), b""));
            thread::sleep(Duration::from_secs(2));
            for _ in 0..5 {
                let started = Instant::now();
                assert_eq!(alice.leased_ssh(["-o", &socket, &host, "echo neighbour"]).ok(), "neighbour\n");
                println!("{form:?}: a neighbour waited {:?}", started.elapsed());
                assert!(started.elapsed() < Duration::from_secs(2));
            }
            paused.join().unwrap()
        });
        assert_eq!(paused.ok().trim(), (64 << 20).to_string(), "{form:?}");
    }
}

/// The bound that ARCHITECTURE.md states: 32 MiB for a connection, and 1 MiB for each of its channels.
#[test]
fn assets_that_do_not_read_cost_what_is_stated_and_no_more() {
    const CHANNELS: usize = 9;
    let mut plant = Plant::start();
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let masters: Vec<_> = Form::BOTH.map(|form| (form, master(&alice, form, 1))).into_iter().collect();
    let before = resident_kib(&mut plant);
    let mut stands = Vec::new();
    for (form, (_, socket)) in &masters {
        let (host, config) = (form.host("ews-1"), alice.config());
        let line = format!("head -c 1G /dev/zero | ssh -F {} -o {socket} {host} 'sleep 60'", config.display());
        stands.extend((0..CHANNELS).map(|_| spawn(&alice, &line)));
    }
    let most = masters.len() * (32 + CHANNELS) * 1024;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(500));
        let grown = resident_kib(&mut plant).saturating_sub(before);
        assert!(grown < most as u64, "the broker grew by {grown} KiB, and may by {most}");
    }
    println!("{} channels: {} KiB", 2 * CHANNELS, resident_kib(&mut plant).saturating_sub(before));
    stands.iter_mut().for_each(end);
}

/// A connection that others share, and the option by which they do.
fn master(alice: &Person, form: Form, number: u32) -> (Running, String) {
    let host = form.host("ews-1");
    let socket = format!("ControlPath={}/master-{form:?}-{number}", alice.folder().display());
    let mut master = alice.leased("ssh");
    master.arg("-F").arg(alice.config()).args(["-N", "-M", "-o", &socket, &host]);
    let running = Running::start("the master", master, &alice.folder().join(format!("master-{form:?}.log")));
    eventually("the master is up", Duration::from_secs(20), || {
        alice.leased_ssh(["-o", &socket, "-O", "check", &host]).status.success().then_some(())
    });
    (running, socket)
}

/// Runs `line` for ten seconds; the broker's memory stays where it is, and another login works.
fn stays_flat(plant: &mut Plant, alice: &Person, line: &str) {
    let mut stalled = spawn(alice, line);
    // Let the pipes fill.
    thread::sleep(Duration::from_secs(2));
    let start = resident_kib(plant);
    let mut most = start;
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        let asked = Instant::now();
        assert_eq!(alice.leased_ssh(["ews-2", "echo on"]).ok(), "on\n");
        assert!(asked.elapsed() < Duration::from_secs(5), "another session took {:?}", asked.elapsed());
        most = most.max(resident_kib(plant));
    }
    end(&mut stalled);
    println!("{} MiB, then at most {} MiB", start / 1024, most / 1024);
    assert!(most < start + GROWTH_KIB, "the broker grew from {start} to {most} KiB");
    assert!(most < 256 * 1024, "the broker takes {most} KiB");
}

fn resident_kib(plant: &mut Plant) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", plant.broker().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn shell(person: &Person, line: &str) -> Command {
    let mut command = person.leased("bash");
    command.args(["-o", "pipefail", "-c", line]);
    command
}

fn spawn(person: &Person, line: &str) -> Child {
    let mut command = shell(person, line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Ends the pipeline's shell and its members, by pid.
fn end(shell: &mut Child) {
    let mut members = Command::new("pgrep");
    members.args(["-P", &shell.id().to_string()]);
    for pid in finish(members, b"").text().split_whitespace() {
        let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
    shell.kill().ok();
    shell.wait().unwrap();
}
