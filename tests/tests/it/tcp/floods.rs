//! A tool that misbehaves on one forwarded port costs nobody else on the same login.

use std::io::Read;
use std::time::{Duration, Instant};

use sallyport_tests::{Peer, Person, Plant, Terminal, Tunnel, echoed, eventually};

use super::{RAW, plant_with_echo};

/// A login that others go through (`ssh -M`), and a terminal on an asset through it.
fn login(plant: &Plant, alice: &Person, forwards: &[&str]) -> (Tunnel, Terminal, String) {
    let socket = alice.folder().join("master").display().to_string();
    let tunnel = Tunnel::open(plant, alice, &[&["-M", "-S", socket.as_str()][..], forwards].concat());
    let through = format!("ProxyCommand=ssh -F {} -S {socket} -W ews-1:22 broker", alice.config().display());
    let terminal = alice.terminal(&["-o", &through, "ews-1"], 80, 24);
    terminal.expect("$");
    (tunnel, terminal, socket)
}

#[track_caller]
fn answers(terminal: &mut Terminal, number: u32) {
    terminal.send(&format!("echo $(({number} + 1000))\n"));
    terminal.expect(&(number + 1000).to_string());
}

#[test]
fn two_hundred_connections_through_one_forward_take_nothing_from_the_rest_of_their_login() {
    let (plant, echo, alice) = plant_with_echo();
    let _raw = Peer::echo(plant.network(), RAW);
    let (mut tunnel, mut terminal, _) = login(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5020:plc-1:4000"]);
    answers(&mut terminal, 1);
    let held: Vec<_> = (0..200).map(|_| tunnel.connect(5007)).collect();
    eventually("what is too much is refused", Duration::from_secs(30), || {
        (tunnel.refusals().len() == 200 - 48).then_some(())
    });
    let said = tunnel.refusals();
    // Some hear why, and the others that they are too fast.
    let many = said.iter().filter(|said| said.contains("More than 48 connections to one service through one login"));
    let fast = said.iter().filter(|said| said.contains("tried again and again faster than it is answered"));
    let (many, fast) = (many.count(), fast.count());
    assert!(many >= 20 && many + fast == said.len(), "{said:?}");
    answers(&mut terminal, 2);
    assert_eq!(echoed(&mut tunnel.connect(5020), b"another service"), b"another service");
    assert!(tunnel.lives());
    assert_eq!(echo.accepted(), 48);
    drop(held);
    eventually("there is room again", Duration::from_secs(30), || {
        let mut stream = tunnel.connect(5007);
        std::io::Write::write_all(&mut stream, b"again").ok()?;
        stream.read_exact(&mut [0; 5]).ok()
    });
    answers(&mut terminal, 3);
    // What was refused is on record, and counted instead of told one by one.
    let audit = plant.audit();
    let refused =
        audit.iter().filter(|event| event.to_string().contains("more channels through one connection")).count();
    assert!((20..100).contains(&refused), "{refused} entries");
    assert!(audit.iter().any(|event| event["code"] == "SP-3015" && event["event"]["kind"] == "decision.denied"));
}

#[test]
fn a_tool_that_tries_a_refused_target_without_end_is_slowed_and_costs_nobody_else() {
    let (plant, _echo, alice) = plant_with_echo();
    let (mut tunnel, mut terminal, socket) = login(&plant, &alice, &["-L", "5099:plc-2:502", "-L", "5007:plc-1:7"]);
    let lobby = alice.terminal(&["-t", "-S", &socket, "broker"], 100, 30);
    lobby.expect("Number (or q)");
    // As soon as it is refused it tries again. Unslowed, that is hundreds of times.
    let (begun, mut tries) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(12) {
        let mut stream = tunnel.connect(5099);
        stream.read_to_end(&mut Vec::new()).ok();
        tries += 1;
    }
    assert!((21..60).contains(&tries), "{tries} tries");
    lobby.expect("connections through this login to `plc-2` are refused again and again, and from now on more slowly");
    answers(&mut terminal, 1);
    assert_eq!(echoed(&mut tunnel.connect(5007), b"not slowed"), b"not slowed");
    assert!(tunnel.lives());
    let said = tunnel.refusals();
    assert!(said.iter().all(|said| said.contains("You may not reach `plc-2` now, or it does not exist.")), "{said:?}");
}
