//! Many streams through one connection: their number, and that none stops the others.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use sallyport_tests::{Peer, Plant, Tunnel, echoed, ends};

use super::{RAW, live, plant_with_echo};

/// A peer that reads a little, then nothing until its test ends.
fn deaf(plant: &Plant) -> Peer {
    Peer::listen(plant.network(), RAW, |mut stream| {
        stream.read_exact(&mut [0; 16]).unwrap();
        thread::sleep(Duration::from_secs(300));
    })
}

/// Writes until nothing is taken for a while; gives how much was.
fn fill(stream: &mut TcpStream) -> usize {
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut taken = 0;
    loop {
        match stream.write(&[0; 65536]) {
            Ok(count) => taken += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return taken,
            Err(_) => return taken,
        }
        assert!(taken < 512 << 20, "an asset that does not read takes {taken} bytes");
    }
}

#[test]
fn an_asset_that_does_not_read_is_waited_for_and_holds_nobody() {
    let (mut plant, _echo, alice) = plant_with_echo();
    let _deaf = deaf(&plant);
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5020:plc-1:4000"]);
    let mut neighbour = tunnel.connect(5007);
    assert_eq!(echoed(&mut neighbour, b"before"), b"before");
    let before = resident_kib(&mut plant);
    let stands = tunnel.connect(5020);
    let mut written = stands.try_clone().unwrap();
    let filler = thread::spawn(move || fill(&mut written));
    // Longer than any stream was waited for once.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(12) {
        let asked = Instant::now();
        assert_eq!(echoed(&mut neighbour, b"after"), b"after");
        assert!(asked.elapsed() < Duration::from_millis(300), "a neighbour waited {:?}", asked.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    filler.join().unwrap();
    let grown = resident_kib(&mut plant).saturating_sub(before);
    assert!(grown < 32 * 1024, "the broker grew by {grown} KiB");
    assert_eq!(live(&plant).len(), 2);
    // What it still holds for the asset keeps the client from closing the one channel by itself.
    drop((stands, neighbour, tunnel));
    sallyport_tests::eventually("both are over", Duration::from_secs(40), || live(&plant).is_empty().then_some(()));
    assert_eq!(ends(&plant), ["left", "left"]);
}

#[test]
fn a_person_who_does_not_read_holds_nobody() {
    let (mut plant, _echo, alice) = plant_with_echo();
    let _talker = Peer::listen(plant.network(), RAW, |mut stream| while stream.write_all(&[1; 65536]).is_ok() {});
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5020:plc-1:4000"]);
    let mut neighbour = tunnel.connect(5007);
    assert_eq!(echoed(&mut neighbour, b"before"), b"before");
    let before = resident_kib(&mut plant);
    let _unread = tunnel.connect(5020);
    thread::sleep(Duration::from_secs(3));
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(echoed(&mut neighbour, b"after"), b"after");
        assert!(asked.elapsed() < Duration::from_secs(2), "a neighbour waited {:?}", asked.elapsed());
    }
    let grown = resident_kib(&mut plant).saturating_sub(before);
    assert!(grown < 64 * 1024, "the broker grew by {grown} KiB");
    assert_eq!(live(&plant).len(), 2);
}

#[test]
fn sixty_four_streams_go_through_one_connection_and_no_more() {
    let (plant, echo, alice) = plant_with_echo();
    let raw = Peer::echo(plant.network(), RAW);
    let tunnel = Tunnel::open(&plant, &alice, &["-L", "5007:plc-1:7", "-L", "5020:plc-1:4000"]);
    // 48 to one service, and 16 to another.
    let mut streams: Vec<_> = (0..64).map(|n| tunnel.connect(if n < 48 { 5007 } else { 5020 })).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let words = format!("stream {number}");
        assert_eq!(echoed(stream, words.as_bytes()), words.as_bytes());
    }
    let said = tunnel.refused(5020);
    assert!(said.contains("More than 64 connections through one login are not allowed."), "{said}");
    let said = tunnel.refused(5007);
    assert!(said.contains("More than 48 connections to one service through one login are not allowed."), "{said}");
    assert_eq!((echo.accepted(), raw.accepted()), (48, 16));
    streams.remove(0);
    sallyport_tests::eventually("one is over", Duration::from_secs(10), || (live(&plant).len() == 63).then_some(()));
    assert_eq!(echoed(&mut tunnel.connect(5007), b"in its place"), b"in its place");
}

fn resident_kib(plant: &mut Plant) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", plant.broker().pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
