//! Modbus through `ssh -L`: a real controller, stock clients, and what the filter lets pass between them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sallyport_tests::{Network, Person, Place, Plant, Running, Setup, Tunnel, eventually, finish, repository};

mod hostile;
mod record;
mod rules;
mod stock;
mod streams;
mod tolerance;
mod windows;

/// `plc-3`.
const ADDRESS: &str = "10.10.1.40";
const CONTROLLER: &str = "10.10.1.40:502";
/// The person's end of the tunnel to it.
const PORT: u16 = 5020;
/// Something that an administrator changed counts from then on.
const WITHIN: Duration = Duration::from_secs(1);

/// A plant with a controller, and somebody with a tunnel to it.
fn plant_with_tunnel(name: &str) -> (Plant, Controller, Tunnel) {
    let plant = Setup::with_modbus().start();
    let controller = Controller::start(&plant);
    let tunnel = tunnel_of(&plant, &plant.person(name));
    (plant, controller, tunnel)
}

pub(super) fn tunnel_of(plant: &Plant, person: &Person) -> Tunnel {
    Tunnel::open_with_code(plant, person, &["-L", &format!("{PORT}:plc-3:502")])
}

/// A Modbus server of pymodbus on `plc-3`.
pub(super) struct Controller {
    process: Running,
    network: Arc<Network>,
}

impl Controller {
    pub(super) fn start(plant: &Plant) -> Controller {
        let network = Arc::clone(plant.network());
        let mut python = network.command(Place::Plant, "/usr/bin/python3");
        python.arg(repository().join("tests/data/modbus_asset.py")).arg(CONTROLLER);
        let mut process = Running::start("pymodbus", python, &plant.folder().join("controller.log"));
        eventually("the controller answers", Duration::from_secs(20), || {
            assert!(process.ended().is_none(), "{}", process.log());
            poll(&network, "4", 0)
        });
        Controller { process, network }
    }

    /// What a register holds, read past the broker.
    #[track_caller]
    fn register(&self, address: u16) -> u16 {
        poll(&self.network, "4", address).expect("the controller answers")
    }

    /// What a coil holds, read past the broker.
    #[track_caller]
    fn coil(&self, address: u16) -> u16 {
        poll(&self.network, "0", address).expect("the controller answers")
    }
}

fn poll(network: &Network, table: &str, address: u16) -> Option<u16> {
    let mut mbpoll = network.command(Place::Plant, "mbpoll");
    mbpoll.args(["-m", "tcp", "-0", "-1", "-q", "-o", "5", "-t", table, "-r", &address.to_string(), ADDRESS]);
    let text = finish(mbpoll, b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("[{address}]:")))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A client that makes its frames itself. A refusal is the exception's code.
pub(super) struct Client {
    stream: TcpStream,
    transaction: u16,
}

impl Client {
    #[track_caller]
    pub(super) fn connect(tunnel: &Tunnel) -> Client {
        Client { stream: tunnel.connect(PORT), transaction: 0 }
    }

    #[track_caller]
    pub(super) fn ask(&mut self, pdu: &[u8]) -> Result<Vec<u8>, u8> {
        self.transaction += 1;
        self.stream.write_all(&frame(self.transaction, pdu)).expect("the tunnel takes it");
        let (transaction, answer) = next_frame(&mut self.stream).expect("an answer");
        assert_eq!(transaction, self.transaction);
        match answer[0] {
            function if function == pdu[0] => Ok(answer),
            function => {
                assert_eq!((function, answer.len()), (pdu[0] | 0x80, 2), "{answer:?}");
                Err(answer[1])
            }
        }
    }

    #[track_caller]
    pub(super) fn read(&mut self, first: u16, count: u16) -> Result<Vec<u16>, u8> {
        let answer = self.ask(&reading(first, count))?;
        assert_eq!(usize::from(answer[1]), answer.len() - 2);
        Ok(answer[2..].chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
    }

    #[track_caller]
    pub(super) fn write(&mut self, address: u16, value: u16) -> Result<(), u8> {
        self.ask(&writing(address, value)).map(drop)
    }

    #[track_caller]
    pub(super) fn set_coil(&mut self, address: u16, on: bool) -> Result<(), u8> {
        let [high, low] = address.to_be_bytes();
        self.ask(&[5, high, low, if on { 0xFF } else { 0 }, 0]).map(drop)
    }
}

/// A request to read registers.
pub(super) fn reading(first: u16, count: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (first.to_be_bytes(), count.to_be_bytes());
    [3, a, b, c, d]
}

/// A request to write a register.
fn writing(address: u16, value: u16) -> [u8; 5] {
    let ([a, b], [c, d]) = (address.to_be_bytes(), value.to_be_bytes());
    [6, a, b, c, d]
}

/// A frame to or from unit 1.
pub(super) fn frame(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).unwrap();
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[1], pdu].concat()
}

/// The next frame of a stream: its transaction and PDU; none at its end.
pub(super) fn next_frame(stream: &mut TcpStream) -> Option<(u16, Vec<u8>)> {
    let mut header = [0; 7];
    match stream.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return None,
        Err(error) => panic!("{error}"),
    }
    let mut pdu = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
    stream.read_exact(&mut pdu).unwrap();
    Some((u16::from_be_bytes([header[0], header[1]]), pdu))
}

fn live(plant: &Plant) -> usize {
    plant.json(&["session", "list", "--live"]).as_array().unwrap().len()
}

fn data(name: &str) -> std::path::PathBuf {
    repository().join(Path::new("tests/data")).join(name)
}
