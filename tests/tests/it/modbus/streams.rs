//! Connections that are no plain question and answer: pipelines, half of a connection, a controller that is gone.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Peer, Setup, ends_within, eventually, the_end};

use super::{CONTROLLER, Client, PORT, frame, live, next_frame, plant_with_tunnel, reading, tunnel_of, writing};

#[test]
fn requests_of_one_transaction_are_answered_each_and_in_order() {
    let (plant, controller, tunnel) = plant_with_tunnel("mona");
    let mut stream = tunnel.connect(PORT);
    let requests: [&[u8]; 6] =
        [&reading(100, 1), &writing(110, 1), &reading(100, 2), &writing(100, 20), &writing(100, 71), &reading(99, 2)];
    let answers: [&[u8]; 6] =
        [&[3, 2, 0, 0], &[0x86, 2], &[3, 4, 0, 0, 0, 0], &writing(100, 20), &[0x86, 3], &[3, 4, 0, 0, 0, 20]];
    // A step can only be judged from a value that is known.
    stream.write_all(&frame(7, &reading(100, 1))).unwrap();
    next_frame(&mut stream).unwrap();
    // In one piece, which ends within a frame.
    let bytes: Vec<u8> = requests.iter().flat_map(|request| frame(7, request)).collect();
    let (first, rest) = bytes.split_at(bytes.len() - 4);
    stream.write_all(first).unwrap();
    let answered: Vec<_> = (0..5).map(|_| next_frame(&mut stream).unwrap()).collect();
    stream.write_all(rest).unwrap();
    let last = next_frame(&mut stream).unwrap();
    for (number, (answered, answer)) in answered.iter().chain([&last]).zip(answers).enumerate() {
        assert_eq!((answered.0, answered.1.as_slice()), (7, answer), "answer {number}");
    }
    assert_eq!((controller.register(100), controller.register(110)), (20, 0));
    drop(stream);
    let (_, evidence) = the_end(&plant);
    assert_eq!(evidence.closed()["denied"], 2);
    let answers = evidence.operations().into_iter().filter(|operation| operation["phase"] == "response");
    let numbers: Vec<_> = answers.map(|answer| answer["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 4, 5, 7]);
}

#[test]
fn more_requests_than_may_be_in_flight_wait_their_turn() {
    const MANY: u16 = 200;
    let plant = Setup::with_modbus().start();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let peer = Peer::listen(plant.network(), CONTROLLER, move |mut stream| {
        gone.lock().unwrap().recv().unwrap();
        while let Some((transaction, pdu)) = next_frame(&mut stream) {
            stream.write_all(&frame(transaction, &[3, 2, pdu[1], pdu[2]])).unwrap();
        }
    });
    let tunnel = tunnel_of(&plant, &plant.person("rita"));
    let mut stream = tunnel.connect(PORT);
    for number in 0..MANY {
        stream.write_all(&frame(number, &reading(number, 1))).unwrap();
    }
    eventually("the controller is reached", Duration::from_secs(5), || (peer.accepted() == 1).then_some(()));
    // The controller stands still, and the broker must not turn in circles over it: then it would hear no answer either.
    plant.settle();
    go.send(()).unwrap();
    for number in 0..MANY {
        let [high, low] = number.to_be_bytes();
        assert_eq!(next_frame(&mut stream).unwrap(), (number, vec![3, 2, high, low]));
    }
    drop(stream);
    assert_eq!(the_end(&plant).0, "left");
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answers() {
    let plant = Setup::with_modbus().start();
    let _peer = Peer::listen(plant.network(), CONTROLLER, |mut stream| {
        let mut requests = Vec::new();
        while let Some(request) = next_frame(&mut stream) {
            requests.push(request);
        }
        // Only now, when nothing more can be asked.
        for (transaction, _) in requests {
            stream.write_all(&frame(transaction, &[3, 2, 0, 9])).unwrap();
        }
    });
    let tunnel = tunnel_of(&plant, &plant.person("rita"));
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&[frame(1, &reading(0, 1)), frame(2, &writing(0, 1)), frame(3, &reading(0, 1))].concat()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    // The denial waits for nobody: no other request has its transaction identifier.
    let expected = [frame(2, &[0x86, 1]), frame(1, &[3, 2, 0, 9]), frame(3, &[3, 2, 0, 9])].concat();
    assert_eq!(heard, expected);
    drop(stream);
    let (end, evidence) = the_end(&plant);
    assert_eq!(end, "left");
    assert_eq!(evidence.content(Kind::Output), expected);
}

#[test]
fn a_controller_that_goes_away_ends_the_session() {
    let (plant, mut controller, tunnel) = plant_with_tunnel("rita");
    let mut client = Client::connect(&tunnel);
    client.read(0, 1).unwrap();
    controller.process.kill();
    assert!(ends_within(Duration::from_secs(5), &mut client.stream), "{}", tunnel.log());
    drop(client);
    let (end, evidence) = the_end(&plant);
    assert_eq!((end.as_str(), &evidence.closed()["end"]), ("asset-closed", &"asset-closed".into()));
    // It comes back, and so does the service.
    let _controller = super::Controller::start(&plant);
    Client::connect(&tunnel).read(0, 1).unwrap();
}

#[test]
fn a_controller_that_breaks_off_ends_the_session_as_it_did() {
    let plant = Setup::with_modbus().start();
    let _peer = Peer::listen(plant.network(), CONTROLLER, |stream| {
        // Closing over unread bytes resets.
        while stream.peek(&mut [0; 12]).unwrap() < 12 {}
    });
    let tunnel = tunnel_of(&plant, &plant.person("rita"));
    let mut stream = tunnel.connect(PORT);
    stream.write_all(&frame(1, &reading(0, 1))).unwrap();
    assert!(ends_within(Duration::from_secs(5), &mut stream), "{}", tunnel.log());
    let (end, evidence) = the_end(&plant);
    assert_eq!((end.as_str(), &evidence.closed()["end"]), ("asset-closed", &"asset-reset".into()));
    assert_eq!(live(&plant), 0);
}
