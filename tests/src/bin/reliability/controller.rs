//! A Modbus/TCP controller that keeps what was written to it, and a client that polls it.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use sallyport_tests::{Network, Peer};

/// What the controller got.
#[derive(Default)]
struct Heard {
    /// The values written to each register, in order.
    writes: BTreeMap<u16, Vec<u16>>,
    last: Option<Instant>,
}

/// `plc-1`.
pub(crate) struct Controller {
    heard: Arc<Mutex<Heard>>,
    _peer: Peer,
}

impl Controller {
    /// Serves everybody who connects.
    pub(crate) fn start(network: &Arc<Network>) -> Controller {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let into = Arc::clone(&heard);
        // A connection that breaks is the measurement's own doing.
        let peer = Peer::listen(network, "10.10.1.37:502", move |mut stream| drop(serve(&mut stream, &into)));
        Controller { heard, _peer: peer }
    }

    /// What was written to a register, in order.
    pub(crate) fn written(&self, register: u16) -> Vec<u16> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).writes.get(&register).cloned().unwrap_or_default()
    }

    /// When it heard anything last.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}

fn serve(stream: &mut TcpStream, heard: &Mutex<Heard>) -> Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let (transaction, pdu) = frame(stream)?;
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.last = Some(Instant::now());
        let answer = match pdu[..] {
            [3, _, _, _, count] => [&[3, 2 * count][..], &vec![0; 2 * usize::from(count)]].concat(),
            [6, a, b, c, d] => {
                heard.writes.entry(u16::from_be_bytes([a, b])).or_default().push(u16::from_be_bytes([c, d]));
                pdu
            }
            _ => vec![pdu.first().copied().unwrap_or_default() | 0x80, 1],
        };
        drop(heard);
        stream.write_all(&framed(transaction, &answer))?;
    }
}

/// Reads ten registers.
pub(crate) fn read(stream: &mut TcpStream, transaction: u16) -> Result<()> {
    ask(stream, transaction, &[3, 0, 0, 0, 10]).map(drop)
}

/// Writes a register; false when the answer is an exception.
pub(crate) fn write(stream: &mut TcpStream, transaction: u16, register: u16, value: u16) -> Result<bool> {
    let ([a, b], [c, d]) = (register.to_be_bytes(), value.to_be_bytes());
    Ok(ask(stream, transaction, &[6, a, b, c, d])?.first() == Some(&6))
}

fn ask(stream: &mut TcpStream, transaction: u16, pdu: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(&framed(transaction, pdu))?;
    let (answered, answer) = frame(stream)?;
    if answered == transaction { Ok(answer) } else { Err(Error::new(ErrorKind::InvalidData, "another's answer")) }
}

fn framed(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let length = u16::try_from(pdu.len() + 1).expect("a short PDU");
    [&transaction.to_be_bytes()[..], &[0, 0], &length.to_be_bytes(), &[1], pdu].concat()
}

fn frame(stream: &mut TcpStream) -> Result<(u16, Vec<u8>)> {
    let mut header = [0; 7];
    stream.read_exact(&mut header)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut pdu = vec![0; length.saturating_sub(1)];
    stream.read_exact(&mut pdu)?;
    Ok((u16::from_be_bytes([header[0], header[1]]), pdu))
}
