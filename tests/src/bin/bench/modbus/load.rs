//! The controller and the tool: both as cheap as they can be, so that what stands between them is what is measured.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A request: read one register.
const REQUEST: usize = 12;
/// Its answer.
const ANSWER: usize = 11;
/// The registers that are read, in turn. The tag list names some of them.
const FIRST: u16 = 100;
const REGISTERS: u16 = 10;

/// A connection to the controller, straight or through something.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// Answers reads on this port, in a thread of its own, for as long as the process lives.
pub(crate) fn serve(address: (Ipv4Addr, u16), core: usize) {
    let listener = TcpListener::bind(address).expect("the controller's port is free");
    listener.set_nonblocking(true).expect("a socket of tokio's");
    thread::spawn(move || {
        stay_on(core);
        runtime().block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            loop {
                let (socket, _) = listener.accept().await.expect("a connection");
                tokio::spawn(answer(socket));
            }
        });
    });
}

async fn answer(mut socket: tokio::net::TcpStream) {
    socket.set_nodelay(true).expect("small answers");
    let mut request = [0; REQUEST];
    let mut held = 0;
    loop {
        match socket.read(&mut request[held..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => held += count,
        }
        if held == REQUEST {
            held = 0;
            let [t1, t2, _, _, _, _, unit, function, a1, a2, ..] = request;
            let [v1, v2] = value(u16::from_be_bytes([a1, a2])).to_be_bytes();
            if socket.write_all(&[t1, t2, 0, 0, 0, 5, unit, function, 2, v1, v2]).await.is_err() {
                return;
            }
        }
    }
}

fn value(address: u16) -> u16 {
    address.wrapping_mul(7)
}

/// What a while of reading gave.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) requests: u64,
    pub(crate) lasting: Duration,
    /// Of each request.
    pub(crate) round_trips: Vec<Duration>,
}

/// One request after the other on each stream, for so long; each answer is looked at. Gives the streams back.
pub(crate) async fn read_for<S: Stream>(streams: Vec<S>, lasting: Duration) -> (Vec<S>, Taken) {
    let started = Instant::now();
    let until = started + lasting;
    let tools: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(read_until(stream, until))).collect();
    let (mut streams, mut taken) = (Vec::new(), Taken::default());
    for tool in tools {
        let (stream, round_trips) = tool.await.expect("a tool that gets its answers");
        streams.push(stream);
        taken.requests += round_trips.len() as u64;
        taken.round_trips.extend(round_trips);
    }
    taken.lasting = started.elapsed();
    (streams, taken)
}

async fn read_until<S: Stream>(mut stream: S, until: Instant) -> (S, Vec<Duration>) {
    let mut round_trips = Vec::with_capacity(1 << 17);
    let mut asked = Instant::now();
    let mut transaction = 0_u16;
    while asked < until {
        transaction = transaction.wrapping_add(1);
        let address = FIRST + transaction % REGISTERS;
        let ([t1, t2], [a1, a2], [v1, v2]) =
            (transaction.to_be_bytes(), address.to_be_bytes(), value(address).to_be_bytes());
        stream.write_all(&[t1, t2, 0, 0, 0, 6, 1, 3, a1, a2, 0, 1]).await.expect("a request is taken");
        let mut answer = [0; ANSWER];
        stream.read_exact(&mut answer).await.expect("an answer comes");
        assert_eq!(answer, [t1, t2, 0, 0, 0, 5, 1, 3, 2, v1, v2]);
        let answered = Instant::now();
        round_trips.push(answered - asked);
        asked = answered;
    }
    (stream, round_trips)
}

/// Connections over plain TCP.
pub(crate) async fn connect(to: SocketAddr, count: usize) -> Vec<tokio::net::TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let stream = tokio::net::TcpStream::connect(to).await.expect("a connection");
        stream.set_nodelay(true).expect("small requests");
        streams.push(stream);
    }
    streams
}

/// One thread that does all there is to do.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Keeps this thread on one core.
pub(crate) fn stay_on(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("a core of its own");
}
