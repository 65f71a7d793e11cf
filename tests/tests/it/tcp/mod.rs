//! TCP services through `ssh -L`, `-W` and `-D`: what passes, and what is recorded of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use sallyport_session_recorder::{Entry, Kind};
use sallyport_tests::{Evidence, Peer, Person, Plant, Setup, Tunnel, echoed, ends, ends_within, eventually, finish};
use serde_json::Value;

mod floods;
mod limits;
mod neighbours;
mod refused;

/// The echo of `plc-1`.
const ECHO: &str = "10.10.1.37:7";
/// A stream of `plc-1` that nobody decodes.
const RAW: &str = "10.10.1.37:4000";

/// A plant with an echo on `plc-1`, and somebody in it who holds a lease.
fn plant_with_echo() -> (Plant, Peer, Person) {
    let plant = Setup::with_tcp().start();
    let peer = Peer::echo(plant.network(), ECHO);
    let alice = plant.person("alice");
    alice.ssh(["broker", "ls"]).ok();
    (plant, peer, alice)
}

fn live(plant: &Plant) -> Vec<Value> {
    plant.json(&["session", "list", "--live"]).as_array().unwrap().clone()
}

fn body(evidence: &Evidence, kind: Kind) -> Value {
    evidence.entries.iter().find(|entry| entry.kind == kind && entry.track.0 > 0).and_then(Entry::json).unwrap()
}

#[test]
fn an_echo_passes_is_listed_and_recorded() {
    let (plant, peer, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    assert_eq!(peer.accepted(), 0, "nothing is dialled before somebody connects");
    let mut stream = tunnel.connect(5007);
    assert_eq!(echoed(&mut stream, b"one"), b"one");
    assert_eq!(echoed(&mut stream, b"two"), b"two");

    let listed = live(&plant);
    assert_eq!(listed.len(), 1, "{listed:?}");
    for (key, value) in [("form", "forward"), ("asset", "plc-1"), ("service", "echo"), ("account", "-")] {
        assert_eq!(listed[0][key], value, "{listed:?}");
    }
    drop(stream);
    assert_eq!(ends(&plant), ["left"]);

    let evidence = Evidence::all(&plant).pop().unwrap();
    assert_eq!(evidence.content(Kind::Input), b"onetwo");
    assert_eq!(evidence.content(Kind::Output), b"onetwo");
    let opened = body(&evidence, Kind::Opened);
    assert_eq!(
        (&opened["channel"], &opened["service"], &opened["protocol"]),
        (&"stream".into(), &"echo".into(), &"tcp".into())
    );
    assert!(opened["originator"].as_str().unwrap().starts_with("127.0.0.1:"), "{opened}");
    let closed = body(&evidence, Kind::Closed);
    assert_eq!((&closed["input_bytes"], &closed["output_bytes"]), (&6.into(), &6.into()), "{closed}");
    plant.sallyport(&["recording", "verify", &evidence.session]).ok();
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn every_way_of_a_stock_client_leads_there_and_each_connection_is_a_session() {
    let (plant, peer, alice) = plant_with_echo();
    // By name, in any case, and by address.
    for target in ["plc-1:7", "PLC-1:7", "10.10.1.37:7"] {
        assert_eq!(alice.leased_ssh_with(b"through", ["-W", target, "broker"]).ok(), "through");
    }
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5008:10.10.1.37:7", "-D", "1080"]);
    let mut streams = [5007, 5007, 5008].map(|port| tunnel.connect(port));
    for stream in &mut streams {
        assert_eq!(echoed(stream, b"each"), b"each");
    }
    // SOCKS is a series of such connections; each is judged.
    let mut socks = tunnel.connect(1080);
    socks.write_all(b"\x05\x01\x00").unwrap();
    let mut answer = [0; 2];
    socks.read_exact(&mut answer).unwrap();
    socks.write_all(b"\x05\x01\x00\x03\x05plc-1\x00\x07").unwrap();
    let mut answer = [0; 10];
    socks.read_exact(&mut answer).unwrap();
    assert_eq!(answer[1], 0, "{}", tunnel.log());
    assert_eq!(echoed(&mut socks, b"socks"), b"socks");
    assert_eq!(live(&plant).len(), 4);
    assert_eq!(peer.accepted(), 7);
    drop((streams, socks));
    plant.quiet();
    assert_eq!(Evidence::all(&plant).len(), 7);
    plant.sallyport(&["recording", "verify", "--all"]).ok();
}

#[test]
fn either_side_may_end_its_direction_first() {
    let (plant, _peer, alice) = plant_with_echo();
    let _raw = Peer::listen(plant.network(), RAW, |mut stream| {
        // Ends its own direction at once, and counts what still comes.
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"after the end");
    });
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5020:plc-1:4000"]);
    let mut stream = tunnel.connect(5007);
    stream.write_all(b"question").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"question");
    drop(stream);
    assert_eq!(ends(&plant), ["left"]);

    let mut stream = tunnel.connect(5020);
    let mut greeting = Vec::new();
    stream.read_to_end(&mut greeting).unwrap();
    assert_eq!(greeting, b"hello");
    stream.write_all(b"after the end").unwrap();
    drop(stream);
    assert_eq!(ends(&plant), ["left", "asset-closed"]);
    let evidence = Evidence::all(&plant).pop().unwrap();
    assert_eq!(evidence.content(Kind::Input), b"after the end");
}

#[test]
fn a_hundred_mebibytes_pass_both_ways_at_once_and_are_proven() {
    const LENGTH: usize = 100 << 20;
    let (plant, _peer, alice) = plant_with_echo();
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let mut stream = tunnel.connect(5007);
    let mut sink = stream.try_clone().unwrap();
    let block = |number: usize| -> Vec<u8> { (0..65536).map(|at| ((at * 31) ^ (number * 7)) as u8).collect() };
    let writer = thread::spawn(move || {
        for number in 0..LENGTH / 65536 {
            sink.write_all(&block(number)).unwrap();
        }
        sink.shutdown(Shutdown::Write).unwrap();
    });
    let mut buffer = vec![0; 65536];
    for number in 0..LENGTH / 65536 {
        stream.read_exact(&mut buffer).unwrap();
        assert!(buffer == block(number), "block {number} is another");
    }
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
    writer.join().unwrap();
    drop(stream);
    plant.quiet();
    let evidence = Evidence::all(&plant).pop().unwrap();
    for (content, digest) in [(Kind::Input, Kind::InputDigest), (Kind::Output, Kind::OutputDigest)] {
        let digests = evidence.entries.iter().filter(|entry| entry.kind == digest).filter_map(Entry::digest);
        let proven: u64 = digests.map(|(length, _)| length).sum();
        assert_eq!(evidence.content(content).len() as u64 + proven, LENGTH as u64, "{content:?}");
        assert!(proven > 0, "a flood is recorded in full");
    }
    plant.sallyport(&["recording", "verify", &evidence.session]).ok();
}

#[test]
fn the_asset_gets_the_last_bytes_of_somebody_who_leaves_at_once() {
    let (plant, _peer, alice) = plant_with_echo();
    let (sender, received) = std::sync::mpsc::channel();
    let _raw = Peer::listen(plant.network(), RAW, move |mut stream| {
        // Talks while the person leaves, and reads late: a reset would take the person's bytes back.
        stream.write_all(&[7; 4096]).unwrap();
        thread::sleep(Duration::from_millis(700));
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        sender.send(bytes).unwrap();
    });
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5020:plc-1:4000"]);
    let mut stream = tunnel.connect(5020);
    stream.write_all(b"stop the pump").unwrap();
    drop(stream);
    assert_eq!(received.recv_timeout(Duration::from_secs(10)).unwrap(), b"stop the pump");
}

#[test]
fn a_connection_that_the_asset_breaks_off_is_over() {
    let (plant, _peer, alice) = plant_with_echo();
    let _raw = Peer::listen(plant.network(), RAW, |mut stream| {
        let mut one = [0; 1];
        stream.read_exact(&mut one).unwrap();
        stream.write_all(b"bye").unwrap();
        // Closing over unread bytes resets.
        let more = [0; 1];
        assert!(stream.peek(&mut more.clone()).unwrap() > 0);
    });
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5020:plc-1:4000"]);
    let mut stream = tunnel.connect(5020);
    stream.write_all(b"x and more").unwrap();
    assert!(ends_within(Duration::from_secs(5), &mut stream), "{}", tunnel.log());
    assert_eq!(ends(&plant), ["asset-closed"]);
    let closed = body(&Evidence::all(&plant).pop().unwrap(), Kind::Closed);
    assert_eq!(closed["end"], "asset-reset", "{closed}");
}

#[test]
fn a_connection_ends_with_the_login_it_came_through() {
    let (plant, _peer, alice) = plant_with_echo();
    let mut tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7"]);
    let mut stream = tunnel.connect(5007);
    assert_eq!(echoed(&mut stream, b"here"), b"here");
    tunnel.kill();
    eventually("its session is over", Duration::from_secs(5), || live(&plant).is_empty().then_some(()));
    assert_eq!(ends(&plant), ["left"]);
}

#[test]
fn the_lobby_and_the_configuration_say_how() {
    let (plant, _peer, alice) = plant_with_echo();
    let list = alice.leased_ssh(["broker", "ls"]).ok();
    assert!(list.contains("ssh -N -L 5020:plc-1:502 alice@broker"), "{list}");
    // With several accounts, the connection says which.
    assert!(list.contains("ssh -N -L 15900:keeper@panel-1:5900 alice@broker"), "{list}");
    let json = alice.leased_ssh(["broker", "ls", "--json"]).ok();
    let rows: Value = serde_json::from_str(&json).unwrap();
    let row =
        rows.as_array().unwrap().iter().find(|row| row["asset"] == "plc-1" && row["service"] == "modbus").unwrap();
    assert_eq!(row["forward"], "5020:plc-1:502", "{row}");
    // Nothing of that is offered to be entered from the lobby.
    let mut lobby = alice.terminal(&["broker"], 120, 40);
    lobby.expect("Number");
    lobby.send("panel-1\r");
    lobby.expect("not one of the numbers");
    lobby.send("plc-1\r");
    eventually("it is none either", Duration::from_secs(5), || {
        (lobby.shown().matches("not one of the numbers").count() == 2).then_some(())
    });
    lobby.send("help\r");
    lobby.expect("`ls` for the table once more");
    lobby.send("ls\r");
    eventually("the table once more", Duration::from_secs(5), || {
        (lobby.shown().matches("ASSET").count() == 2).then_some(())
    });
    lobby.send("q\r");
    lobby.ended();
    assert!(!lobby.shown().contains("ended:"), "{}", lobby.shown());

    // What `ssh-config` writes works as it stands.
    let _raw = Peer::echo(plant.network(), RAW);
    let told = plant.sallyport(&["ssh-config", "--broker", "gate.elsewhere.example"]);
    assert!(told.stderr.contains("`gate.elsewhere.example` is not in `[ssh] names`"), "{told}");
    let config = plant.sallyport(&["ssh-config", "--identity", "alice", "--broker", Plant::BROKER.0]);
    assert!(!config.stderr.contains("names"), "{config}");
    let config = config.ok();
    let path = alice.folder().join("printed_config");
    let known = alice.folder().join("known_hosts");
    let common = format!(
        "Host *\n    IdentityFile {}\n    IdentitiesOnly yes\n    UserKnownHostsFile {}\n    StrictHostKeyChecking yes\n",
        alice.key().display(),
        known.display()
    );
    std::fs::write(&path, format!("{config}{common}")).unwrap();
    let mut ssh = alice.leased("ssh");
    ssh.arg("-F").arg(&path).arg("plc-1-raw");
    let log = alice.folder().join("printed.log");
    let _ssh = sallyport_tests::Running::start("ssh plc-1-raw", ssh, &log);
    let mut probe = plant.network().command(sallyport_tests::Place::Office, "bash");
    probe.args(["-c", "exec 3<>/dev/tcp/127.0.0.1/14000 && echo printed >&3 && head -n 1 <&3"]);
    eventually("the printed forward works", Duration::from_secs(20), || {
        let mut again = std::process::Command::new(probe.get_program());
        again.args(probe.get_args());
        (finish(again, b"").text() == "printed\n").then_some(())
    });
}
