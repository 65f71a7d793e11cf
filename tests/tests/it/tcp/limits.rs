//! Limits and revocation of streams: to the second, and within one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Peer, Setup, Tunnel, echoed, ends, ends_within, finish, recordings, repository};

use super::{ECHO, live, plant_with_echo};

/// From the moment that the administrator's command has returned.
const WITHIN: Duration = Duration::from_secs(1);

#[test]
fn an_administrator_ends_one_stream_and_the_others_go_on() {
    let (plant, _echo, alice) = plant_with_echo();
    let mut tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let mut first = tunnel.connect(5007);
    assert_eq!(echoed(&mut first, b"first"), b"first");
    let id = live(&plant)[0]["id"].as_str().unwrap().to_owned();
    let mut second = tunnel.connect(5007);
    assert_eq!(echoed(&mut second, b"second"), b"second");
    plant.sallyport(&["session", "end", &id]).ok();
    assert!(ends_within(WITHIN, &mut first), "still open");
    assert_eq!(echoed(&mut second, b"still"), b"still");
    assert!(tunnel.lives());
    drop(second);
    let mut ends = ends(&plant);
    // The channel closes before the seal: the order of the two is anybody's.
    ends.sort();
    assert_eq!(ends, ["ended-by", "left"]);
}

#[test]
fn what_is_taken_away_ends_within_a_second() {
    let (plant, _echo, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let with = plant.plant_file();
    let without =
        with.replacen("services = [\"modbus\", \"echo\", \"raw\"]\nlease", "services = [\"modbus\"]\nlease", 1);
    assert_ne!(with, without);
    let take_away: [&dyn Fn(); 3] = [
        &|| plant.apply(&without),
        &|| {
            plant.apply(&with.replacen(
                "services = [\"modbus\", \"echo\", \"raw\", \"vnc\", \"rdp\"]",
                "services = [\"modbus\"]",
                1,
            ))
        },
        &|| drop(plant.sallyport(&["identity", "lock", "alice", "--reason", "left"]).ok()),
    ];
    for act in take_away {
        let mut stream = tunnel.connect(5007);
        assert_eq!(echoed(&mut stream, b"here"), b"here");
        act();
        assert!(ends_within(WITHIN, &mut stream), "still open");
        let said = tunnel.refused(5007);
        assert!(said.contains("You may not reach `plc-1` now, or it does not exist."), "{said}");
        plant.apply(&with);
        plant.settle();
    }
    assert_eq!(ends(&plant), ["revoked", "revoked", "revoked"]);
}

#[test]
fn idleness_duration_and_number_are_limited() {
    let (plant, _echo, _) = plant_with_echo();
    let greta = plant.person("greta");
    let tunnel = Tunnel::open_with_code(&plant, &greta, &["-L", "5007:plc-1:7"]);
    let started = Instant::now();
    let mut stream = tunnel.connect(5007);
    let lasted = talk_until_it_ends(&mut stream, started);
    assert!((3.5..6.0).contains(&lasted), "a session of 4 s lasted {lasted} s");

    let ida = plant.person("ida");
    let tunnel = Tunnel::open_with_code(&plant, &ida, &["-L", "5008:plc-1:7"]);
    let mut stream = tunnel.connect(5008);
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(echoed(&mut stream, b"work"), b"work", "work is not idleness");
        std::thread::sleep(Duration::from_millis(200));
    }
    let quiet = Instant::now();
    assert!(ends_within(Duration::from_secs(6), &mut stream));
    assert!((2.5..4.5).contains(&quiet.elapsed().as_secs_f64()), "an idle limit of 3 s took {:?}", quiet.elapsed());

    let conrad = plant.person("conrad");
    let tunnel = Tunnel::open_with_code(&plant, &conrad, &["-L", "5009:plc-1:7"]);
    let mut only = tunnel.connect(5009);
    assert_eq!(echoed(&mut only, b"mine"), b"mine");
    let said = tunnel.refused(5009);
    assert!(said.contains("You have 1 session there already, and your role allows no more. End it first."), "{said}");
    drop(only);
    plant.quiet();
    assert_eq!(echoed(&mut tunnel.connect(5009), b"again"), b"again");
    let ends = ends(&plant);
    assert_eq!(ends[..2], ["expired", "idle"]);
}

#[test]
fn a_connection_that_nobody_goes_through_ends_after_the_time_that_is_configured_and_says_so() {
    let setting = "[ssh]\nidle = \"1h\"\nidle_with_lease = \"3s\"";
    let plant = Setup::with_tcp().setting(setting).start();
    let _echo = Peer::echo(plant.network(), ECHO);
    let alice = plant.person("alice");
    let list = alice.ssh(["broker", "ls"]).ok().to_owned();
    assert!(list.contains("A connection through which nothing is open for 3s is ended."), "{list}");
    let mut tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let mut stream = tunnel.connect(5007);
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(echoed(&mut stream, b"in use"), b"in use");
    drop(stream);
    sallyport_tests::eventually("it ends", Duration::from_secs(20), || (!tunnel.lives()).then_some(()));
    assert!(tunnel.log().contains("nothing was open through this connection for 3s"), "{}", tunnel.log());
}

/// A second apart would not notice a late cut: sends all the time.
fn talk_until_it_ends(stream: &mut TcpStream, started: Instant) -> f64 {
    let mut buffer = [0; 4];
    while stream.write_all(b"tick").is_ok() && stream.read_exact(&mut buffer).is_ok() {
        std::thread::sleep(Duration::from_millis(20));
    }
    started.elapsed().as_secs_f64()
}

#[test]
fn a_fresh_code_is_given_beside_the_connection_that_asks_for_one() {
    let (plant, echo, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let mut stream = tunnel.connect(5007);
    assert_eq!(echoed(&mut stream, b"leased"), b"leased");
    let leases = plant.json(&["lease", "list"]);
    plant.sallyport(&["lease", "revoke", leases[0]["id"].as_str().unwrap()]).ok();
    assert!(ends_within(WITHIN, &mut stream), "still open");
    let said = tunnel.refused(5007);
    assert!(
        said.contains("plc-1 asks for a fresh code. Give one with: ssh alice@broker code, then connect again."),
        "{said}"
    );
    assert_eq!(echo.accepted(), 1);
    // The login asks, since there is no lease: one code is enough.
    let code = |mut ssh: Command, input: &str| {
        ssh.arg("-F").arg(alice.config()).args(["broker", "code"]);
        finish(ssh, input.as_bytes())
    };
    let given = code(alice.command("ssh"), "");
    given.ok();
    assert!(given.stderr.contains("the code counts for as long as your role allows"), "{given}");
    assert_eq!(echoed(&mut tunnel.connect(5007), b"again"), b"again");
    // A code that was just given is enough; one of some time ago is not, and what is no code does not count.
    let Some(database) = plant.sqlite() else { return };
    let mut python = Command::new("/usr/bin/python3");
    python
        .arg(repository().join("tests/data/age-leases.py"))
        .arg(database)
        .arg(plant.folder().join("broker/master.key"));
    python.arg("120");
    finish(python, b"").ok();
    for wrong in ["000000\n", "\n", ""] {
        code(alice.leased("ssh"), wrong).refused();
    }
    let leases = || plant.json(&["lease", "list"]).as_array().unwrap().len();
    assert_eq!(leases(), 1);
    code(alice.leased("ssh"), &format!("{}\n", alice.fresh_code())).ok();
    assert_eq!(leases(), 2);
}

#[test]
fn a_window_opens_nothing_before_and_cuts_at_its_end() {
    let (plant, echo, alice) = plant_with_echo();
    let standard = plant.plant_file();
    let grant = "services = [\"modbus\", \"echo\", \"raw\"]\nlease = \"1h\"\n";
    assert!(standard.contains(grant));
    let with =
        |when: &str| standard.replacen(grant, &format!("{grant}when = {when}\nterms = {{ on_end = \"end\" }}\n"), 1);
    let clock = |seconds: i64| {
        let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
        then.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M:%S").to_string()
    };
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    plant.apply(&with(&format!("{{ from = \"{}\", to = \"{}\", timezone = \"UTC\" }}", clock(3600), clock(7200))));
    plant.settle();
    let said = tunnel.refused(5007);
    assert!(said.contains("You may not reach `plc-1` now, or it does not exist."), "{said}");
    assert_eq!(echo.accepted(), 0);

    let end = jiff::Timestamp::now().as_second() + 6;
    plant.apply(&with(&format!("{{ from = \"{}\", to = \"{}\", timezone = \"UTC\" }}", clock(-60), clock(6))));
    plant.settle();
    let mut stream = tunnel.connect(5007);
    talk_until_it_ends(&mut stream, Instant::now());
    let late = jiff::Timestamp::now().as_millisecond() - end * 1000;
    assert!((-1000..1500).contains(&late), "cut {late} ms after the window closed");
    tunnel.refused(5007);
    assert_eq!(ends(&plant), ["window-closed"]);
}

#[test]
fn what_an_asset_has_not_taken_of_a_session_that_was_ended_never_reaches_it() {
    let plant = Setup::with_tcp().start();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (sender, received) = std::sync::mpsc::channel();
    let gone = std::sync::Mutex::new(gone);
    let _peer = Peer::listen(plant.network(), ECHO, move |mut stream| {
        gone.lock().unwrap().recv().unwrap();
        let mut bytes = Vec::new();
        let ended = stream.read_to_end(&mut bytes).map_err(|error| error.kind());
        sender.send((bytes.len(), ended)).unwrap();
    });
    let tunnel = Tunnel::open_with_code(&plant, &plant.person("alice"), &["-L", "5007:plc-1:7"]);
    let mut stream = tunnel.connect(5007);
    // As much as there is room for on the way.
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut sent = 0;
    while stream.write_all(&[7; 65536]).is_ok() {
        sent += 65536;
    }
    let session = plant.json(&["session", "list", "--live"])[0]["id"].as_str().unwrap().to_owned();
    plant.sallyport(&["session", "end", &session]).ok();
    assert_eq!(ends(&plant), ["ended-by"]);
    go.send(()).unwrap();
    let (arrived, ended) = received.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(ended, Err(std::io::ErrorKind::ConnectionReset));
    assert!(arrived < sent, "{arrived} of {sent}");
}

#[test]
fn a_full_disk_lets_no_unrecorded_byte_through() {
    for trouble in ["view-only", "end"] {
        let setup = Setup::with_tcp();
        let mut plant = setup
            .setting("[recording]\nwarn_below = \"0\"\nlow_below = \"0\"\ncritical_below = \"0\"")
            .recordings_disk("2M")
            .start();
        let file = plant.plant_file();
        let grant = "services = [\"modbus\", \"echo\", \"raw\"]\nlease = \"1h\"\n";
        plant.apply(&file.replacen(grant, &format!("{grant}terms = {{ recorder_trouble = \"{trouble}\" }}\n"), 1));
        plant.settle();
        let (sender, received) = std::sync::mpsc::channel();
        let _peer = Peer::listen(plant.network(), ECHO, move |mut stream| {
            stream.write_all(b"ready").unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).ok();
            sender.send(bytes).unwrap();
        });
        let alice = plant.person("alice");
        let tunnel = Tunnel::open_with_code(&plant, &alice, &["-L", "5007:plc-1:7"]);
        let mut stream = tunnel.connect(5007);
        stream.write_all(b"first").unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
        let disk = plant.recordings_folder();
        let disk = plant.as_the_broker_sees(&disk);
        let mut dd = Command::new("dd");
        dd.args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={}", disk.join("ballast").display()));
        finish(dd, b"").refused();
        // Numbered, so that a gap would show, and written until the session has ended.
        let started = Instant::now();
        for number in 0.. {
            assert!(started.elapsed() < Duration::from_secs(30), "it goes on unrecorded");
            if stream.write_all(format!("{number:08}").repeat(8).as_bytes()).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let received = received.recv_timeout(Duration::from_secs(20)).unwrap();
        let path = recordings(&disk).pop().unwrap();
        let recorded = Evidence::read(&path, &plant.auditor_key()).content(Kind::Input);
        assert!(
            recorded.starts_with(&received),
            "{trouble}: the asset has {} bytes, the recording {}",
            received.len(),
            recorded.len()
        );
        assert!(received.starts_with(b"first"));
        fs::remove_file(disk.join("ballast")).unwrap();
        plant.quiet();
        assert!(plant.audit().iter().any(|event| event["code"] == "SP-3010"), "no event of recorder trouble");
        assert_eq!(ends(&plant), ["recording-failed"]);
    }
}
