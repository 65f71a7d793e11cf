//! TCP peers in the plant, and the tunnels of stock OpenSSH that lead to them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::process::{Running, eventually, finish};
use crate::{Network, Person, Place, Plant};

/// How long a test waits for bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Something that listens in the plant, until the test ends.
pub struct Peer {
    accepted: Arc<AtomicUsize>,
}

impl Peer {
    /// Serves each connection to `address` with `serve`, in a thread of its own.
    pub fn listen(network: &Arc<Network>, address: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Peer {
        let address: SocketAddr = address.parse().expect("an address and port");
        let listener = within(network, Place::Plant, move || TcpListener::bind(address)).expect("a peer listens");
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&accepted), Arc::new(serve));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Peer { accepted }
    }

    /// Sends back whatever comes, and ends when it ends.
    pub fn echo(network: &Arc<Network>, address: &str) -> Peer {
        Self::listen(network, address, |mut stream| {
            let mut copy = stream.try_clone().expect("a second handle");
            // A broken connection is the test's own doing.
            std::io::copy(&mut stream, &mut copy).ok();
            copy.shutdown(Shutdown::Write).ok();
        })
    }

    /// How many connections it has seen.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// `ssh -N` with forwards, as a person keeps it open.
pub struct Tunnel {
    network: Arc<Network>,
    process: Running,
    log: PathBuf,
}

impl Tunnel {
    /// Under a lease. `forwards` are arguments of ssh, as `-L 5020:plc-1:502`.
    pub fn open(plant: &Plant, person: &Person, forwards: &[&str]) -> Tunnel {
        Self::run(plant, person, person.leased("ssh"), forwards)
    }

    /// With a fresh code.
    pub fn open_with_code(plant: &Plant, person: &Person, forwards: &[&str]) -> Tunnel {
        Self::run(plant, person, person.command("ssh"), forwards)
    }

    fn run(plant: &Plant, person: &Person, mut command: std::process::Command, forwards: &[&str]) -> Tunnel {
        let log = tempfile::Builder::new().prefix("tunnel-").tempfile_in(person.folder()).expect("a log");
        let log = log.into_temp_path().keep().expect("a log");
        command.arg("-F").arg(person.config()).args(["-v", "-N", "-o", "ExitOnForwardFailure=yes"]);
        command.args(forwards).arg("broker");
        let mut process = Running::start("ssh -N", command, &log);
        eventually("the tunnel is open", Duration::from_secs(40), || {
            assert!(process.ended().is_none(), "ssh ended: {}", process.log());
            process.log().contains("Entering interactive session").then_some(())
        });
        Tunnel { network: Arc::clone(plant.network()), process, log }
    }

    /// A connection to a local port of it.
    #[track_caller]
    pub fn connect(&self, port: u16) -> TcpStream {
        let stream = within(&self.network, Place::Office, move || TcpStream::connect(("127.0.0.1", port)));
        let stream = stream.expect("ssh listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// Connects, is refused, and gives what ssh said about it.
    #[track_caller]
    pub fn refused(&self, port: u16) -> String {
        let seen = self.refusals().len();
        let mut stream = self.connect(port);
        let mut bytes = Vec::new();
        // ssh closes or resets what it could not forward.
        stream.read_to_end(&mut bytes).ok();
        assert!(bytes.is_empty(), "it was let through: {bytes:?}");
        eventually("ssh says why", Duration::from_secs(20), || self.refusals().get(seen).cloned())
    }

    /// What the broker said of the channels that it did not open.
    pub fn refusals(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter_map(|line| line.split_once("open failed: ")).map(|(_, why)| why.trim().to_owned()).collect()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Whether ssh still runs.
    pub fn lives(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// What ssh logged, for messages.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Whether the other side has ended the connection within this time; what it still sends is dropped.
pub fn ends_within(limit: Duration, stream: &mut TcpStream) -> bool {
    let started = std::time::Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a limit");
    let mut buffer = [0; 65536];
    while started.elapsed() < limit {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return true,
        }
    }
    false
}

/// Sends bytes and reads as many back.
#[track_caller]
pub fn echoed(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).expect("sending");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("the echo");
    back
}

/// How many TCP connections a namespace has tried to open since it was made, and how many UDP datagrams it has sent.
pub fn sockets_opened(network: &Network, place: Place) -> (u64, u64) {
    let mut cat = network.command(place, "cat");
    cat.arg("/proc/net/snmp");
    let text = finish(cat, b"").ok();
    let value = |protocol: &str, name: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(&format!("{protocol}: ")));
        let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
        let at = names.split(' ').position(|each| each == name).expect("a counter");
        values.split(' ').nth(at).expect("its value").parse().expect("a number")
    };
    (value("Tcp", "ActiveOpens"), value("Udp", "OutDatagrams"))
}

/// Does something in a thread inside a namespace: the sockets that it opens stay there.
pub(crate) fn within<T: Send + 'static>(
    network: &Arc<Network>,
    place: Place,
    act: impl FnOnce() -> T + Send + 'static,
) -> T {
    let network = Arc::clone(network);
    let inside = thread::spawn(move || {
        network.enter(place);
        act()
    });
    inside.join().expect("a thread in a namespace")
}
