//! When the time of a session is over it is for looking on only: nothing that a person does reaches the asset, what the asset says
//! reaches them, and it goes on where their time is extended.

use std::time::Duration;

use sallyport_session_recorder::Kind;
use sallyport_tests::{Evidence, Plant, Setup, Tunnel, eventually};

use super::modbus::{Client, Controller, tunnel_of};
use super::vnc::{Viewer, key, panel, pointer, until_look};

/// The plant with this longest duration and grace for everybody of this test.
fn lasting(standard: &str, longest: &str, grace: &str) -> String {
    let times = format!("max_duration = \"{longest}\", grace = \"{grace}\"");
    let mut file = standard.replacen("file_transfer = \"both\" }", &format!("file_transfer = \"both\", {times} }}"), 1);
    for grant in ["filter = \"setpoints\"\nlease = \"1h\"\n", "filter = \"panel\"\nlease = \"1h\"\n"] {
        assert!(file.contains(grant));
        file = file.replacen(grant, &format!("{grant}terms = {{ {times} }}\n"), 1);
    }
    file
}

fn events(plant: &Plant, code: &str) -> usize {
    plant.audit().iter().filter(|event| event["code"] == code).count()
}

#[test]
fn whose_time_is_over_looks_on_until_it_is_extended_or_the_grace_is_over() {
    let plant = Setup::with_modbus().start();
    let _controller = Controller::start(&plant);
    let (_panel, heard) = panel(&plant);
    let standard = plant.plant_file();
    plant.apply(&lasting(&standard, "8h", "2m"));
    let alice = plant.person("alice");
    alice.take_lease("ews-1");
    let mut terminal = alice.terminal(&["ews-1"], 100, 24);
    terminal.expect("$");
    let setter = tunnel_of(&plant, &plant.person("mona"));
    let mut client = Client::connect(&setter);
    let viewing = Tunnel::open_with_code(&plant, &plant.person("paul"), &["-L", "5900:panel-1:5900"]);
    let mut viewer = Viewer::connect(&viewing);
    assert_eq!(heard.recv().unwrap(), [0]);

    // Before: everything passes, and a key is down.
    terminal.send("(n=0; while sleep 0.1; do n=$((n+1)); echo tick-$n.; done) & echo typed-$((40+2))\n");
    terminal.expect("typed-42");
    let value = client.read(100, 1).unwrap()[0];
    client.write(100, value + 1).unwrap();
    viewer.send(&key(true, b'x'));
    viewer.look(false);
    assert_eq!(until_look(&heard), [key(true, b'x').to_vec()]);

    plant.apply(&lasting(&standard, "1s", "2m"));
    terminal.expect("its longest duration is over: what you type is refused");
    eventually("each is for looking on", Duration::from_secs(5), || (events(&plant, "SP-3012") == 3).then_some(()));
    let seen = terminal.shown().matches("tick-").count();
    terminal.send("echo held-$((40+3))\n");
    assert_eq!(client.read(100, 1), Ok(vec![value + 1]), "reads go on");
    assert_eq!(client.write(100, value + 2), Err(1), "a write is refused in the protocol's words");
    viewer.send(&pointer(1));
    viewer.look(false);
    // What was down was let go, and nothing was pressed.
    assert_eq!(until_look(&heard), [key(false, b'x').to_vec()]);
    eventually("output goes on", Duration::from_secs(5), || {
        (terminal.shown().matches("tick-").count() > seen + 2).then_some(())
    });

    plant.apply(&lasting(&standard, "8h", "2m"));
    terminal.expect("what you type is passed on again");
    eventually("each is back", Duration::from_secs(5), || (events(&plant, "SP-3013") == 3).then_some(()));
    terminal.send("echo back-$((40+4))\n");
    terminal.expect("back-44");
    assert!(!terminal.shown().contains("held-43"), "what was typed meanwhile is not kept: {}", terminal.shown());
    client.write(100, value + 2).unwrap();
    viewer.send(&pointer(1));
    viewer.look(false);
    assert_eq!(until_look(&heard), [pointer(1).to_vec()]);

    plant.apply(&lasting(&standard, "1s", "1s"));
    terminal.ended();
    assert_eq!(terminal.shown().matches("this session is for looking on only").count(), 2, "{}", terminal.shown());
    let expired = || plant.audit().iter().filter(|entry| entry["event"]["end"] == "expired").count();
    eventually("each has ended", Duration::from_secs(10), || (expired() == 3).then_some(()));
    plant.quiet();
    let typed: Vec<u8> = Evidence::all(&plant).iter().flat_map(|evidence| evidence.content(Kind::Input)).collect();
    assert!(!String::from_utf8_lossy(&typed).contains("held-"), "it is not recorded as if it had passed");
}
