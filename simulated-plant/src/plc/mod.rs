//! `plc-1`: a simulated controller. A Modbus/TCP server on a loopback port that reads and writes the one tank.
//!
//! Written by hand: what a server crate would add here is a dependency, and what it leaves out (limits of connections and
//! lengths, the order of exceptions) is most of what a controller should show to a filter before it.

mod exception;
mod message;
mod points;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::process::Process;
use exception::Exception;

/// The controller, ready to serve.
#[derive(Debug)]
pub(super) struct Controller {
    listener: TcpListener,
    process: Process,
}

impl Controller {
    /// Binds the port it had before (`0`: any), or another.
    pub(super) async fn bind(port: u16, process: Process) -> io::Result<Self> {
        Ok(Self { listener: connections::bind(ADDRESS, port).await?, process })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let process = self.process;
        connections::serve(self.listener, "plc-1", MOST_CONNECTIONS, stop, |socket| {
            connection(socket, process.clone())
        })
        .await;
    }
}

/// One connection: a request, its answer, the next. What is no Modbus closes it.
async fn connection(mut socket: TcpStream, process: Process) -> io::Result<()> {
    let mut buffer = [0_u8; HEADER + message::LONGEST];
    loop {
        let request = match timeout(IDLE, request(&mut socket, &mut buffer)).await {
            Ok(Ok(Some(length))) => &buffer[HEADER..HEADER + length],
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        };
        let unit = buffer[HEADER - 1];
        let function = request.first().copied().unwrap_or_default();
        let mut answer = Exception::DeviceFailure.answer(function);
        if OWN_UNITS.contains(&unit) {
            process.change(|tank| answer = message::answer(tank, request));
        } else {
            answer = Exception::TargetFailedToRespond.answer(function);
        }
        let length = u16::try_from(answer.len() + 1).map_err(io::Error::other)?;
        let mut whole = Vec::with_capacity(HEADER + answer.len());
        whole.extend(&buffer[..4]);
        whole.extend(length.to_be_bytes());
        whole.push(unit);
        whole.extend(answer);
        socket.write_all(&whole).await?;
    }
}

/// Reads one request into `buffer`, header first; gives the length of what follows the header.
async fn request(socket: &mut TcpStream, buffer: &mut [u8; HEADER + message::LONGEST]) -> io::Result<Option<usize>> {
    if socket.read(&mut buffer[..1]).await? == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut buffer[1..HEADER]).await?;
    let protocol = u16::from_be_bytes([buffer[2], buffer[3]]);
    // The length counts the unit, which belongs to the header here.
    let length = usize::from(u16::from_be_bytes([buffer[4], buffer[5]])).saturating_sub(1);
    if protocol != 0 || !(1..=message::LONGEST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    socket.read_exact(&mut buffer[HEADER..HEADER + length]).await?;
    Ok(Some(length))
}

/// The tags of the controller, for the plant file's `tag_list`.
pub const TAGS: &str = include_str!("tags.csv");

const ADDRESS: [u8; 4] = [127, 0, 0, 2];
/// Transaction (2), protocol (2), length (2), unit (1).
const HEADER: usize = 7;
/// Unit identifiers that mean the device itself.
const OWN_UNITS: [u8; 3] = [0, 1, 255];
const MOST_CONNECTIONS: usize = 16;
/// How long a connection may stay silent, or take for one request.
const IDLE: Duration = Duration::from_secs(3600);
