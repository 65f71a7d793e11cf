//! Windows: when a rule applies, and what somebody opens for somebody else for a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use sallyport_tests::{Plant, Postgres, Setup, eventually};
use serde_json::Value;

use super::{Client, Controller, WITHIN, live, plant_with_tunnel, tunnel_of};

/// Writes again and again until it is refused, around the end of a window: what passes was asked before that moment, and what
/// is refused was answered after it. Gives the exception, and how many passed.
#[track_caller]
fn write_until_refused(end: Timestamp, mut write: impl FnMut(u16) -> Result<(), u8>) -> (u8, u16) {
    for number in 1.. {
        let asked = Timestamp::now();
        match write(number) {
            Ok(()) => assert!(asked < end, "passed {:?} after its end", asked.duration_since(end)),
            Err(code) => {
                let answered = Timestamp::now();
                assert!(answered >= end, "refused {:?} before its end", end.duration_since(answered));
                return (code, number - 1);
            }
        }
    }
    unreachable!("numbers do not end")
}

/// A whole second, some seconds ahead.
fn ahead(seconds: i64) -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second() + seconds).unwrap()
}

#[test]
fn a_rules_window_shuts_in_mid_connection() {
    let (plant, controller, tunnel) = plant_with_tunnel("mona");
    let mut client = Client::connect(&tunnel);
    client.set_coil(0, true).unwrap();
    let (begin, end) = (ahead(-60), ahead(6));
    let clock = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M:%S").to_string();
    let when = format!("when = {{ from = \"{}\", to = \"{}\", timezone = \"UTC\" }}", clock(begin), clock(end));
    let standard = plant.plant_file();
    assert!(standard.contains("when = { timezone = \"UTC\" }"));
    plant.apply(&standard.replace("when = { timezone = \"UTC\" }", &when));
    plant.settle();
    let (code, passed) = write_until_refused(end, |number| client.set_coil(0, number % 2 == 1));
    assert_eq!(code, 6, "a rule that comes again is a busy device");
    assert!(passed > 0);
    assert_eq!(controller.coil(0), passed % 2, "not the last that passed, but the one that was refused");
    client.read(100, 1).expect("reads go on");
    assert_eq!(live(&plant), 1);
}

/// `sallyport window open`, for rita by otto.
fn opening<'a>(points: &'a str, how_long: [&'a str; 2]) -> Vec<&'a str> {
    let common = ["window", "open", "--identity", "rita", "--asset", "plc-3", "--by", "otto", "--points", points];
    [&common[..], &how_long].concat()
}

fn open(plant: &Plant, points: &str, how_long: [&str; 2]) -> String {
    let opened = plant.json(&opening(points, how_long));
    assert_eq!(opened[0]["state"], "open", "{opened}");
    opened[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_write_window_opens_and_shuts_in_mid_connection() {
    let (plant, controller, tunnel) = plant_with_tunnel("rita");
    plant.person_without_second_factor("otto");
    let mut client = Client::connect(&tunnel);
    assert_eq!(client.write(100, 1), Err(1));
    let end = ahead(6);
    let id = open(&plant, "40101, tag tank-level-setpoint, coil 7", ["--until", &end.to_string()]);
    eventually("it is open", WITHIN, || client.write(100, 1).ok());
    client.write(120, 333).expect("the tag is open");
    client.set_coil(7, true).expect("the coil is open");
    for elsewhere in [99, 101, 119, 121] {
        assert_eq!(client.write(elsewhere, 1), Err(2), "{elsewhere}");
    }
    assert_eq!(client.set_coil(8, true), Err(2));
    // Nothing but writing: function 8/1 restarts.
    assert_eq!(client.ask(&[8, 0, 1, 0, 0]), Err(1));
    let (code, passed) = write_until_refused(end, |number| client.write(100, number));
    // Until it is taken out of the rules it is a rule out of its time.
    assert!([1, 6].contains(&code), "{code}");
    eventually("it is as if it had never been", WITHIN, || (client.write(100, 9999) == Err(1)).then_some(()));
    assert_eq!(client.read(100, 1), Ok(vec![passed]));
    assert_eq!((controller.register(100), controller.register(120), controller.coil(7)), (passed, 333, 1));
    assert_eq!(live(&plant), 1);
    let listed = plant.json(&["window", "list", "--all"]);
    assert_eq!((&listed[0]["id"], &listed[0]["state"]), (&id.as_str().into(), &"over".into()));
    assert_eq!(plant.json(&["window", "list"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_write_window_that_is_closed_or_loses_its_ground_shuts_in_mid_connection() {
    let (plant, controller, tunnel) = plant_with_tunnel("rita");
    plant.person_without_second_factor("otto");
    let mut client = Client::connect(&tunnel);
    let id = open(&plant, "register 100-101", ["--for", "5"]);
    eventually("it is open", WITHIN, || client.write(100, 1).ok());
    plant.sallyport(&["window", "close", &id]).ok();
    eventually("it is closed", WITHIN, || (client.write(100, 2) == Err(1)).then_some(()));
    let said = plant.sallyport(&["window", "close", &id]);
    assert!(said.refused().contains("that is open"), "{said}");
    assert_eq!(plant.json(&["window", "list", "--all"])[0]["state"], "closed");

    // A window of an opener who may open none any more gives nothing.
    open(&plant, "register 100-101", ["--for", "5"]);
    eventually("it is open", WITHIN, || client.write(100, 3).ok());
    let standard = plant.plant_file();
    plant.apply(&standard.replace("max = \"10m\"", "max = \"4m\""));
    eventually("it is longer than may be", WITHIN, || (client.write(100, 4) == Err(1)).then_some(()));
    plant.apply(&standard);
    eventually("it may be again", WITHIN, || client.write(100, 5).ok());
    plant.sallyport(&["identity", "lock", "otto", "--reason", "left"]).ok();
    eventually("its opener is locked", WITHIN, || (client.write(100, 5) == Err(1)).then_some(()));
    assert_eq!(client.read(100, 1), Ok(vec![5]));
    assert_eq!(controller.register(100), 5);
    assert_eq!(live(&plant), 1, "it is the same connection all the time");
    let audit = plant.audit();
    for (code, times) in [("SP-5401", 2), ("SP-5402", 1)] {
        assert_eq!(audit.iter().filter(|event| event["code"] == code).count(), times, "{code}");
    }
    plant.sallyport(&["audit", "verify"]).ok();
}

#[test]
fn whoever_leaves_the_group_that_a_window_is_for_loses_it_in_mid_connection() {
    let (plant, controller, tunnel) = plant_with_tunnel("rita");
    plant.person_without_second_factor("otto");
    let standard = plant.plant_file();
    assert!(standard.contains("for = [\"role:plc-reader\"]"));
    plant.apply(&standard.replace("for = [\"role:plc-reader\"]", "for = [\"group:shift\"]"));
    plant.sallyport(&["identity", "groups", "rita", "shift"]).ok();
    let mut client = Client::connect(&tunnel);
    open(&plant, "register 100", ["--for", "5"]);
    eventually("it is open", WITHIN, || client.write(100, 1).ok());
    plant.sallyport(&["identity", "groups", "rita"]).ok();
    eventually("it is not hers any more", WITHIN, || (client.write(100, 1) == Err(1)).then_some(()));
    assert_eq!(controller.register(100), 1);
    assert_eq!(live(&plant), 1, "her role lets her read on");
}

#[test]
fn a_window_on_one_unit_is_on_no_other() {
    let (plant, _controller, tunnel) = plant_with_tunnel("rita");
    plant.person_without_second_factor("otto");
    let mut client = Client::connect(&tunnel);
    let arguments = [&opening("register 100", ["--for", "1"])[..], &["--unit", "2"]].concat();
    plant.json(&arguments);
    eventually("it is there", WITHIN, || (client.write(100, 1) == Err(2)).then_some(()));
}

#[test]
fn nobody_opens_more_than_their_role_lets_them() {
    let plant = Setup::with_modbus().start();
    for name in ["rita", "otto", "mona", "alice"] {
        plant.person_without_second_factor(name);
    }
    let cases = [
        ("otto", "otto", "register 100", "1", "nobody opens a window for themselves"),
        ("rita", "rita", "register 100", "1", "nobody opens a window for themselves"),
        ("otto", "rita", "register 100", "1", "no role lets rita open such a window"),
        ("rita", "mona", "register 100", "1", "no role lets mona open such a window"),
        ("mona", "otto", "register 100", "1", "no role lets otto open such a window"),
        ("alice", "otto", "register 100", "1", "no grant gives alice `modbus` of asset `plc-3`"),
        ("rita", "otto", "register 100", "11", "lets windows be opened for 10m at most"),
        ("rita", "otto", "tag nowhere", "1", "asset `plc-3` has no tag `nowhere` that can be written"),
        ("rita", "nobody", "register 100", "1", "no identity `nobody`"),
        ("rita", "otto", "input-register 5", "1", "can only be read"),
        ("rita", "otto", "everything", "1", "`everything` is neither"),
        ("rita", "otto", "register 100", "0", "0 is not in"),
        ("rita", "otto", "register 100", "4294967295", "the window would end after the year 9999"),
    ];
    let try_all = |cases: &[(&str, &str, &str, &str, &str)]| {
        for (person, by, points, minutes, sentence) in cases {
            let tried = plant.sallyport(&[
                "window",
                "open",
                "--identity",
                person,
                "--asset",
                "plc-3",
                "--by",
                by,
                "--points",
                points,
                "--for",
                minutes,
            ]);
            assert!(tried.refused().contains(sentence), "{person} by {by}: {tried}");
        }
    };
    try_all(&cases);
    let over = plant.sallyport(&opening("register 100", ["--until", &ahead(-5).to_string()]));
    assert!(over.refused().contains("is over by now"), "{over}");
    plant.sallyport(&["identity", "lock", "otto", "--reason", "left"]).ok();
    try_all(&[("rita", "otto", "register 100", "1", "`otto` is locked, removed or expired")]);
    assert_eq!(plant.json(&["window", "list", "--all"]), Value::Array(Vec::new()));
}

#[test]
fn a_window_that_was_open_before_the_connection_counts_from_its_first_request() {
    let plant = Setup::with_modbus().start();
    let controller = Controller::start(&plant);
    plant.person_without_second_factor("otto");
    let rita = plant.person("rita");
    open(&plant, "register 100", ["--for", "1"]);
    let tunnel = tunnel_of(&plant, &rita);
    let mut client = Client::connect(&tunnel);
    client.write(100, 77).unwrap();
    assert_eq!(controller.register(100), 77);
    let id = plant.json(&["window", "list"])[0]["id"].as_str().unwrap().to_owned();
    plant.sallyport(&["window", "close", &id]).ok();
    plant.settle();
    let mut another = Client::connect(&tunnel);
    assert_eq!(another.write(100, 78), Err(1));
}

/// Not an answer that says no, but none at all: whoever waits for it must not leave a window open meanwhile.
#[test]
fn a_database_that_hangs_leaves_no_window_open_and_ends_no_connection() {
    let postgres = Arc::new(Postgres::start());
    let plant = Setup::with_modbus().on(&postgres).start();
    let controller = Controller::start(&plant);
    plant.person_without_second_factor("otto");
    let tunnel = tunnel_of(&plant, &plant.person("rita"));
    let mut client = Client::connect(&tunnel);
    open(&plant, "register 100", ["--for", "5"]);
    eventually("it is open", WITHIN, || client.write(100, 1).ok());

    let database = Postgres::name(plant.database_url().unwrap());
    let hangs = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            let lock = "BEGIN; LOCK TABLE write_windows IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(15); COMMIT";
            postgres.sql(database, lock);
            hangs.store(false, Ordering::SeqCst);
        });
        // Looked up at least every five seconds, and waited for at most two.
        let refused = || (client.write(100, 2) == Err(1)).then_some(());
        eventually("it counts no more", Duration::from_secs(9), refused);
        client.read(100, 1).expect("reads go on");
        assert!(hangs.load(Ordering::SeqCst), "the database answered before the window was shut");
    });
    eventually("it counts again", Duration::from_secs(9), || client.write(100, 3).ok());
    assert_eq!(controller.register(100), 3);
    assert_eq!(live(&plant), 1, "it is the same connection all the time");
}
