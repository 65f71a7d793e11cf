//! Bytes that are no Modbus, from either side.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Peer, Plant, Setup, Tunnel, ends, ends_within, eventually, the_end};

use super::{CONTROLLER, PORT, WITHIN, frame, next_frame, reading, tunnel_of};

/// What a controller got of each connection, once that was over.
type Tape = Arc<Mutex<Vec<Vec<u8>>>>;

fn plant_with_tape() -> (Plant, Tape, Peer, Tunnel) {
    let plant = Setup::with_modbus().start();
    let tape = Tape::default();
    let held = Arc::clone(&tape);
    let peer = Peer::listen(plant.network(), CONTROLLER, move |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        held.lock().unwrap().push(bytes);
    });
    let tunnel = tunnel_of(&plant, &plant.person("mona"));
    (plant, tape, peer, tunnel)
}

#[test]
fn what_is_no_modbus_ends_the_session_and_nothing_of_it_arrives() {
    let (plant, tape, _peer, tunnel) = plant_with_tape();
    let mut longer = frame(2, &reading(0, 1));
    longer[5] += 1;
    longer.extend(frame(3, &reading(0, 1)));
    let mut other_protocol = frame(2, &reading(0, 1));
    other_protocol[3] = 1;
    let length = |length: u16| [&[0, 2, 0, 0][..], &length.to_be_bytes(), &[1, 3, 0, 0, 0, 1]].concat();
    let cases: [(&str, Vec<u8>); 11] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: 10.10.1.40\r\n\r\n".to_vec()),
        ("TLS", [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[7; 500]].concat()),
        ("protocol 1", other_protocol),
        ("length 0", length(0)),
        ("length 1", length(1)),
        ("length 255", length(255)),
        ("a frame that reaches into the next", longer),
        ("a byte count that lies", frame(2, &[16, 0, 100, 0, 2, 5, 0, 1, 0, 2])),
        ("a byte too many", frame(2, &[6, 0, 100, 0, 1, 0])),
        ("function 0", frame(2, &[0, 0])),
        ("an answer", frame(2, &[0x83, 2])),
    ];
    let good = frame(1, &reading(100, 2));
    for (number, (name, bad)) in cases.iter().enumerate() {
        let mut stream = tunnel.connect(PORT);
        let sent = [&good[..], bad].concat();
        stream.write_all(&sent).unwrap();
        assert!(ends_within(Duration::from_secs(5), &mut stream), "{name}: it goes on");
        drop(stream);
        plant.quiet();
        assert_eq!(ends(&plant).last().unwrap(), "malformed", "{name}");
        let got = eventually("the controller is done", WITHIN, || tape.lock().unwrap().get(number).cloned());
        assert_eq!(got, good, "{name}: the controller got something else");
        let evidence = Evidence::all(&plant).pop().unwrap();
        assert_eq!(evidence.content(Kind::Input), sent, "{name}");
        assert_eq!(evidence.content(Kind::Output), b"", "{name}");
        let operations = evidence.operations();
        assert_eq!(operations.len(), 2, "{name}: {operations:?}");
        let malformed = &operations[1];
        assert_eq!((&malformed["phase"], &malformed["side"]), (&"malformed".into(), &"client".into()), "{malformed}");
        let bytes = data_encoding::HEXLOWER.encode(&bad[..bad.len().min(64)]);
        let shown = malformed["bytes"].as_str().unwrap();
        assert!(!shown.is_empty() && bytes.starts_with(shown), "{name}: {malformed}");
        assert_eq!(evidence.closed()["end"], "malformed", "{name}");
        assert!(evidence.closed()["reason"].as_str().unwrap().contains("malformed bytes from the client"), "{name}");
    }
    plant.sallyport(&["recording", "verify", "--all"]).ok();
}

#[test]
fn a_frame_that_is_never_finished_does_not_arrive() {
    let (plant, tape, _peer, tunnel) = plant_with_tape();
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&frame(1, &reading(0, 1))[..9]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(ends_within(Duration::from_secs(5), &mut stream));
    let (end, _) = the_end(&plant);
    assert_eq!(end, "malformed");
    let got = eventually("the controller is done", WITHIN, || tape.lock().unwrap().pop());
    assert_eq!(got, b"");
}

#[test]
fn frames_before_a_bad_one_arrive_even_at_a_slow_controller() {
    let plant = Setup::with_modbus().start();
    let (sender, received) = std::sync::mpsc::channel();
    let _peer = Peer::listen(plant.network(), CONTROLLER, move |mut stream| {
        let (transaction, pdu) = next_frame(&mut stream).unwrap();
        // Answers one while the other waits unread: a reset could take that back.
        thread::sleep(Duration::from_millis(300));
        stream.write_all(&frame(transaction, &[3, 2, 0, 0])).ok();
        thread::sleep(Duration::from_millis(300));
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest).map_err(|error| error.kind());
        sender.send((pdu, rest, ended.map(drop))).unwrap();
    });
    let tunnel = tunnel_of(&plant, &plant.person("mona"));
    let mut stream = tunnel.connect(PORT);
    let second = frame(2, &[5, 0, 3, 0xFF, 0]);
    stream.write_all(&[&frame(1, &reading(0, 1))[..], &second, b"GET / HTTP/1.1\r\n"].concat()).unwrap();
    let got = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(got, (reading(0, 1).to_vec(), second, Ok(())));
    drop(stream);
    assert_eq!(the_end(&plant).0, "malformed");
}

#[test]
fn a_controller_that_says_what_was_not_asked_is_cut_off() {
    // An answer to nothing; one that carries more than was asked for; what is no frame.
    let bad = [frame(9, &[3, 2, 0, 8]), frame(1, &[3, 4, 0, 8, 0, 8]), b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()];
    // Also where the person has said all that they will say.
    let cases: Vec<(Vec<u8>, bool)> = bad.into_iter().flat_map(|bad| [(bad.clone(), false), (bad, true)]).collect();
    let plant = Setup::with_modbus().start();
    let (lies, next) = (cases.clone(), AtomicUsize::new(0));
    let _peer = Peer::listen(plant.network(), CONTROLLER, move |mut stream| {
        let (bad, late) = &lies[next.fetch_add(1, Ordering::SeqCst)];
        let (transaction, _) = next_frame(&mut stream).unwrap();
        if *late {
            stream.read_to_end(&mut Vec::new()).ok();
        }
        stream.write_all(&[&frame(transaction, &[3, 2, 0, 7])[..], bad].concat()).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let tunnel = tunnel_of(&plant, &plant.person("rita"));
    for (bad, late) in cases {
        let mut stream = tunnel.connect(PORT);
        stream.write_all(&frame(1, &reading(0, 1))).unwrap();
        if late {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, frame(1, &[3, 2, 0, 7]));
        drop(stream);
        plant.quiet();
        assert_eq!(ends(&plant).last().unwrap(), "malformed", "{bad:?}, late: {late}");
        let operations = Evidence::all(&plant).pop().unwrap().operations();
        let malformed: Vec<_> = operations.iter().filter(|operation| operation["phase"] == "malformed").collect();
        assert_eq!(malformed.len(), 1, "{malformed:?}");
        let malformed = malformed[0];
        assert_eq!(malformed["side"], "server", "{malformed}");
        assert_eq!(malformed["bytes"], data_encoding::HEXLOWER.encode(&bad));
    }
}
