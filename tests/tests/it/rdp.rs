//! RDP through `ssh -L`: the negotiation in the clear is judged and on record, the rest passes unread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use sallyport_tests::{Evidence, Peer, Plant, Setup, Tunnel, echoed, ended};
use serde_json::Value;

const DESK: &str = "10.10.1.36:3389";
const PORT: u16 = 3389;
const TLS: u8 = 1;
const CREDSSP: u8 = 2;

/// A request for these protocols (MS-RDPBCGR 2.2.1.1).
fn request(protocols: u8) -> Vec<u8> {
    let cookie = b"Cookie: mstshash=operator\r\n";
    let length = 11 + cookie.len() + 8;
    let head = [3, 0, 0, length as u8, (length - 5) as u8, 0xE0, 0, 0, 0, 0, 0];
    [&head[..], cookie, &[1, 0, 8, 0, protocols, 0, 0, 0]].concat()
}

/// The asset's choice, or (3) its failure (MS-RDPBCGR 2.2.1.2).
fn confirm(kind: u8, value: u8) -> Vec<u8> {
    vec![3, 0, 0, 19, 14, 0xD0, 0, 0, 0x12, 0x34, 0, kind, 0, 8, 0, value, 0, 0, 0]
}

/// A desktop that selects what `selected` says and then sends back whatever comes; and how many requests have reached it.
fn desk(plant: &Plant, selected: &Arc<AtomicU8>) -> (Peer, Arc<AtomicUsize>) {
    let (selected, asked) = (Arc::clone(selected), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let peer = Peer::listen(plant.network(), DESK, move |mut stream| {
        let mut head = [0; 4];
        if stream.read_exact(&mut head).is_err() {
            return;
        }
        count.fetch_add(1, Ordering::SeqCst);
        let mut rest = vec![0; usize::from(head[3]) - 4];
        stream.read_exact(&mut rest).unwrap();
        stream.write_all(&confirm(2, selected.load(Ordering::SeqCst))).unwrap();
        let mut copy = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut copy).ok();
    });
    (peer, asked)
}

#[track_caller]
fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 19];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn tunnel(plant: &Plant, name: &str) -> Tunnel {
    Tunnel::open_with_code(plant, &plant.person(name), &["-L", &format!("{PORT}:desk-1:3389")])
}

/// How the sessions ended, in order, and what is on record of each.
fn ends(plant: &Plant) -> Vec<(String, Vec<Value>)> {
    let (ended, all) = (ended(plant), Evidence::all(plant));
    let of = |session: &str| all.iter().find(|evidence| evidence.session == session).unwrap().operations();
    ended.into_iter().map(|(session, end)| (end, of(&session))).collect()
}

#[test]
fn what_is_negotiated_is_on_record_and_the_rest_passes_unread() {
    let plant = Setup::with_tcp().start();
    let (_peer, _) = desk(&plant, &Arc::new(AtomicU8::new(TLS)));
    let tunnel = tunnel(&plant, "vera");
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&request(TLS | CREDSSP)).unwrap();
    assert_eq!(answer(&mut stream), confirm(2, TLS));
    let opaque: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(echoed(&mut stream, &opaque), opaque);
    drop(stream);
    let ended = ends(&plant);
    assert_eq!((ended.len(), ended[0].0.as_str()), (1, "left"));
    let [asked, answered] = ended[0].1.as_slice() else { panic!("{ended:?}") };
    assert_eq!((&asked["operation"], &asked["name"]), (&"rdp".into(), &"connection-request".into()), "{asked}");
    assert_eq!((&asked["user"], &asked["requested"]), (&"operator".into(), &"tls, credssp".into()), "{asked}");
    assert_eq!((&answered["name"], &answered["selected"]), (&"connection-confirm".into(), &"tls".into()), "{answered}");
}

#[test]
fn an_asset_that_writes_before_it_reads_does_not_stand_still() {
    const MUCH: usize = 32 << 20;
    let plant = Setup::with_tcp().start();
    let _peer = Peer::listen(plant.network(), DESK, |mut stream| {
        stream.read_exact(&mut vec![0; request(TLS).len()]).unwrap();
        stream.write_all(&confirm(2, TLS)).unwrap();
        // By then what the person sends is stuck on the way. A server with blocking writes: it hears nothing until all of this is taken.
        std::thread::sleep(std::time::Duration::from_secs(2));
        stream.write_all(&vec![7; MUCH]).unwrap();
        stream.read_exact(&mut vec![0; MUCH]).unwrap();
        stream.write_all(b"done").unwrap();
    });
    let tunnel = tunnel(&plant, "vera");
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&request(TLS)).unwrap();
    assert_eq!(answer(&mut stream), confirm(2, TLS));
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || sending.write_all(&vec![9; MUCH]));
    let mut seen = vec![0; MUCH + 4];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen[MUCH..], b"done");
    sender.join().unwrap().unwrap();
}

#[test]
fn network_level_authentication_can_be_demanded() {
    let plant = Setup::with_tcp().start();
    let selected = Arc::new(AtomicU8::new(TLS));
    let (_peer, asked) = desk(&plant, &selected);
    let tunnel = tunnel(&plant, "paul");
    let required = confirm(3, 5);
    // Not offered: the asset hears nothing of it.
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&request(TLS)).unwrap();
    assert_eq!(answer(&mut stream)[11..], required[11..], "HYBRID_REQUIRED_BY_SERVER");
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "and the connection is over");
    plant.quiet();
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // Offered, and the asset selects less: its answer does not reach the tool.
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&request(TLS | CREDSSP)).unwrap();
    assert_eq!(answer(&mut stream)[11..], required[11..]);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    plant.quiet();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    selected.store(CREDSSP, Ordering::SeqCst);
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&request(TLS | CREDSSP)).unwrap();
    assert_eq!(answer(&mut stream), confirm(2, CREDSSP));
    assert_eq!(echoed(&mut stream, b"the rest"), b"the rest");
    drop(stream);
    let ended = ends(&plant);
    let words: Vec<_> = ended.iter().map(|(end, _)| end.as_str()).collect();
    assert_eq!(words, ["denied", "denied", "left"]);
    let verdicts: Vec<Vec<_>> =
        ended.iter().map(|(_, all)| all.iter().map(|each| each["verdict"].as_str().unwrap()).collect()).collect();
    assert_eq!(verdicts, [vec!["deny"], vec!["pass", "deny"], vec!["pass", "pass"]]);
    assert_eq!(ended[0].1[0]["rule"], "require-nla");
}
