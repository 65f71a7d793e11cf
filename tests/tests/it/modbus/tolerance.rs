//! A gateway before a real controller, that does not keep to the specification: refused, and put right where its plant tolerates it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use sallyport_tests::{Evidence, Peer, Place, Plant, Setup, Tunnel, ends, finish};

use super::{CONTROLLER, Client, Controller, PORT, next_frame, reading, tunnel_of};

/// Where the gateway listens.
const GATEWAY: &str = "10.10.1.40:1502";

/// What a gateway makes of an answer: transaction, and what follows the length.
type Quirk = fn(u16, Vec<u8>) -> Vec<u8>;

fn framed(transaction: u16, length: usize, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(length).unwrap();
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), rest].concat()
}

/// By the word for what tolerates it.
const QUIRKS: [(&str, Quirk); 4] = [
    ("unit", |transaction, mut rest| {
        rest[0] = 0;
        framed(transaction, rest.len(), &rest)
    }),
    ("transaction", |transaction, rest| framed(transaction.wrapping_add(0x4000), rest.len(), &rest)),
    ("length", |transaction, rest| framed(transaction, rest.len() + 6, &rest)),
    ("surplus", |transaction, rest| {
        let rest = [rest, vec![0xA1, 0xB2]].concat();
        framed(transaction, rest.len(), &rest)
    }),
];

/// A plant whose `plc-3` stands behind a gateway with a quirk; its service has `keys` too.
fn plant_behind(quirk: Quirk, keys: &str) -> (Plant, Controller, Peer, Tunnel) {
    let plant = Setup::with_modbus().start();
    let controller = Controller::start(&plant);
    let network = Arc::clone(plant.network());
    let gateway = Peer::listen(plant.network(), GATEWAY, move |mut from| {
        network.enter(Place::Plant);
        let mut to = TcpStream::connect(CONTROLLER).unwrap();
        let (mut asked, mut passed) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            std::io::copy(&mut asked, &mut passed).ok();
            passed.shutdown(Shutdown::Write).ok();
        });
        while let Some((transaction, pdu)) = next_frame(&mut to) {
            if from.write_all(&quirk(transaction, [vec![1], pdu].concat())).is_err() {
                return;
            }
        }
    });
    let text = plant.plant_file();
    let there = "services.modbus = { port = 502, tag_list = \"plc-3.csv\" }";
    assert_eq!(text.matches(there).count(), 1);
    plant.apply(&text.replace(there, &format!("services.modbus = {{ port = 1502, tag_list = \"plc-3.csv\"{keys} }}")));
    plant.settle();
    let tunnel = tunnel_of(&plant, &plant.person("mona"));
    (plant, controller, gateway, tunnel)
}

/// A client of libmodbus as it comes, which waits half a second for an answer and takes a late one for the next: on one connection an answer is
/// lost, and what is asked then is denied. What it says of each, and how long the denials took.
const LIBMODBUS: &str = r#"
import ctypes, sys, time
modbus = ctypes.CDLL("libmodbus.so.5", use_errno=True)
modbus.modbus_new_tcp.restype = modbus.modbus_strerror.restype = ctypes.c_void_p
connection = ctypes.c_void_p(modbus.modbus_new_tcp(b"127.0.0.1", int(sys.argv[1])))
modbus.modbus_set_slave(connection, 1)
assert modbus.modbus_connect(connection) == 0
def say(done):
    failed = lambda: ctypes.string_at(modbus.modbus_strerror(ctypes.get_errno())).decode()
    print("done" if done >= 0 else failed())
value = (ctypes.c_uint16 * 1)()
read = lambda: say(modbus.modbus_read_registers(connection, 100, 1, value))
write = lambda register: say(modbus.modbus_write_register(connection, register, 1))
read()
read()
started = time.monotonic()
for _ in range(3):
    write(205)
print(f"{(time.monotonic() - started) * 1000 / 3:.1f} ms for each denial", file=sys.stderr)
write(200)
read()
"#;

#[test]
fn an_answer_that_is_lost_holds_up_no_denial() {
    let lost = |transaction, rest: Vec<u8>| match transaction {
        2 => Vec::new(),
        other => framed(other, rest.len(), &rest),
    };
    let (plant, controller, _gateway, _tunnel) = plant_behind(lost, "");
    let mut python = plant.network().command(Place::Office, "/usr/bin/python3");
    python.args(["-c", LIBMODBUS, &PORT.to_string()]);
    let said = finish(python, b"");
    let denied = "Illegal data address";
    let expected = ["done", "Connection timed out", denied, denied, denied, "done", "done"];
    assert_eq!(said.ok().lines().collect::<Vec<_>>(), expected, "{said}");
    assert_eq!(controller.register(200), 1);
}

fn mbpoll(plant: &Plant, arguments: &[&str]) -> Command {
    let mut command = plant.network().command(Place::Office, "mbpoll");
    command.args(["-m", "tcp", "-0", "-1", "-q", "-o", "5", "-p", &PORT.to_string(), "-t", "4"]);
    command.arg("127.0.0.1").args(arguments);
    command
}

#[test]
fn a_gateway_with_a_quirk_is_refused_where_nothing_is_said_of_it() {
    for (word, quirk) in QUIRKS {
        let (mut plant, _controller, _gateway, tunnel) = plant_behind(quirk, "");
        let mut stream = tunnel.connect(PORT);
        // Some would wait for more bytes, which then are those of the next answer.
        for transaction in 1..8 {
            stream.write_all(&super::frame(transaction, &reading(100, 2))).ok();
        }
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).ok();
        assert_eq!(heard, b"", "{word}");
        assert_eq!(ends(&plant), ["malformed"], "{word}");
        let log = plant.broker().log();
        let line = log.lines().find(|line| line.contains("A stream was ended")).unwrap();
        assert!(line.contains("session=") && line.contains("asset=plc-3"), "{line}");
    }
}

#[test]
fn a_gateway_with_a_quirk_serves_a_stock_client_where_that_is_tolerated_and_it_is_counted() {
    for (word, quirk) in QUIRKS {
        let (plant, controller, _gateway, tunnel) = plant_behind(quirk, &format!(", tolerate = [\"{word}\"]"));
        let read = finish(mbpoll(&plant, &["-r", "100", "-c", "2"]), b"").ok();
        assert!(read.contains("[100]: \t0") && read.contains("[101]: \t0"), "{word}: {read}");
        finish(mbpoll(&plant, &["-r", "200", "--", "1", "2"]), b"").ok();
        assert_eq!((controller.register(200), controller.register(201)), (1, 2), "{word}");
        // Denied as ever; and no last value is known from what was put right.
        let mut client = Client::connect(&tunnel);
        assert_eq!(client.read(100, 1), Ok(vec![0]), "{word}");
        assert_eq!(client.write(100, 1), Err(3), "{word}");
        assert_eq!(client.write(205, 1), Err(2), "{word}");
        assert_eq!(controller.register(100), 0, "{word}");
        drop(client);
        plant.quiet();
        let counted = |counts: &serde_json::Value| {
            let counts = counts.as_array().map(Vec::as_slice).unwrap_or_default();
            counts.iter().any(|count| count.as_str().is_some_and(|count| count.starts_with(word)))
        };
        let evidence = Evidence::all(&plant);
        assert!(evidence.iter().all(|evidence| counted(&evidence.closed()["tolerated"])), "{word}");
        let ended = plant.audit().into_iter().filter(|event| event["code"] == "SP-3002");
        assert!(ended.into_iter().all(|event| counted(&event["event"]["tolerated"])), "{word}");
    }
}

#[test]
fn what_is_tolerated_is_said_by_explain() {
    let plant = Setup::with_modbus().start();
    let there = "services.modbus = { port = 502, tag_list = \"plc-3.csv\" }";
    let text = plant.plant_file().replace(there, &there.replace(" }", ", tolerate = [\"unit\", \"length\"] }"));
    plant.apply(&text);
    let asked = "policy explain mona plc-3 --service modbus --factor key --factor totp --operation";
    let arguments: Vec<&str> = asked.split(' ').chain(["read 40101"]).collect();
    let explained = plant.sallyport(&arguments);
    let said = explained.ok();
    assert!(said.contains("of its answers is put right: unit, length"), "{said}");
}
