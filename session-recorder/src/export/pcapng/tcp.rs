//! One TCP connection, packet by packet: sequence numbers, acknowledgements and checksums as two hosts would make them.
use crate::entry::TrackId;
use std::net::{IpAddr, SocketAddr};

/// Who sends a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

impl Sender {
    pub(super) fn peer(self) -> Sender {
        match self {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        }
    }
}

/// After so many segments the receiver acknowledges: well inside the window.
pub(super) const SEGMENTS_PER_ACK: usize = 16;
const WINDOW: u16 = 65_535;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const TCP: u8 = 6;
const HOPS: u8 = 64;
const TCP_HEADER: usize = 20;

pub(super) struct Connection {
    client: End,
    server: End,
    packet: Vec<u8>,
}

struct End {
    address: SocketAddr,
    /// The sequence number of the next byte that it sends.
    next: u32,
    /// The identification of its next IPv4 packet.
    identification: u16,
}

impl Connection {
    /// Initial sequence numbers are drawn from the track's number: the same export twice is the same file, and a port
    /// that is used again begins elsewhere.
    pub(super) fn new(client: SocketAddr, server: SocketAddr, track: TrackId) -> Self {
        // Odd factors, so that no two tracks begin alike.
        let next = |factor: u32| track.0.wrapping_add(1).wrapping_mul(factor);
        let end = |address, next| End { address, next, identification: 1 };
        Self { client: end(client, next(0x9e37_79b1)), server: end(server, next(0x85eb_ca77)), packet: Vec::new() }
    }

    /// Both ends, whichever way round.
    pub(super) fn ordered(&self) -> (SocketAddr, SocketAddr) {
        let (one, other) = (self.client.address, self.server.address);
        (one.min(other), one.max(other))
    }

    /// The most bytes that fit into one packet of an Ethernet.
    pub(super) fn segment(&self) -> usize {
        if self.client.address.is_ipv4() { 1460 } else { 1440 }
    }

    pub(super) fn syn(&mut self) -> &[u8] {
        self.send(Sender::Client, SYN, b"")
    }

    pub(super) fn syn_ack(&mut self) -> &[u8] {
        self.send(Sender::Server, SYN | ACK, b"")
    }

    pub(super) fn ack(&mut self, from: Sender) -> &[u8] {
        self.send(from, ACK, b"")
    }

    /// At most [`Connection::segment`] bytes.
    pub(super) fn data(&mut self, from: Sender, bytes: &[u8], last: bool) -> &[u8] {
        self.send(from, if last { ACK | PSH } else { ACK }, bytes)
    }

    pub(super) fn fin(&mut self, from: Sender) -> &[u8] {
        self.send(from, FIN | ACK, b"")
    }

    /// So many bytes went that are not there to be sent.
    pub(super) fn skip(&mut self, from: Sender, bytes: u64) {
        let end = match from {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        end.advance(bytes);
    }

    fn send(&mut self, from: Sender, flags: u8, payload: &[u8]) -> &[u8] {
        let Self { client, server, packet } = self;
        let (source, target) = match from {
            Sender::Client => (client, server),
            Sender::Server => (server, client),
        };
        packet.clear();
        let options: &[u8] = match (flags & SYN, source.address) {
            (0, _) => &[],
            (_, SocketAddr::V4(_)) => &[2, 4, 0x05, 0xb4],
            (_, SocketAddr::V6(_)) => &[2, 4, 0x05, 0xa0],
        };
        let length = TCP_HEADER + options.len() + payload.len();
        let pseudo = ip_header(packet, source, target, length);
        let begin = packet.len();
        packet.extend(source.address.port().to_be_bytes());
        packet.extend(target.address.port().to_be_bytes());
        packet.extend(source.next.to_be_bytes());
        packet.extend(if flags & ACK == 0 { 0 } else { target.next }.to_be_bytes());
        // The header's length in words of four bytes: 5, or 6 with the option.
        packet.push(if options.is_empty() { 5 << 4 } else { 6 << 4 });
        packet.push(flags);
        packet.extend(WINDOW.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(options);
        packet.extend(payload);
        let checksum = checksum(pseudo, &packet[begin..]);
        packet[begin + 16..begin + 18].copy_from_slice(&checksum.to_be_bytes());
        let marks = if flags & (SYN | FIN) == 0 { 0 } else { 1 };
        source.advance(payload.len() as u64 + marks);
        packet
    }
}

impl End {
    fn advance(&mut self, bytes: u64) {
        // Sequence numbers count modulo 2^32.
        let [_, _, _, _, low @ ..] = bytes.to_be_bytes();
        self.next = self.next.wrapping_add(u32::from_be_bytes(low));
    }
}

/// Writes the IP header for `length` bytes of TCP, and returns the sum over what TCP's checksum takes from it.
fn ip_header(packet: &mut Vec<u8>, source: &mut End, target: &End, length: usize) -> u32 {
    // A segment and its headers are far below 64 KiB.
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    match (source.address.ip(), target.address.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            packet.extend([0x45, 0]);
            packet.extend(length.saturating_add(20).to_be_bytes());
            packet.extend(source.identification.to_be_bytes());
            // Do not fragment.
            packet.extend([0x40, 0, HOPS, TCP, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let checksum = checksum(0, packet);
            packet[10..12].copy_from_slice(&checksum.to_be_bytes());
            source.identification = source.identification.wrapping_add(1);
            sum(&packet[12..20]) + u32::from(TCP) + u32::from(length)
        }
        (from, to) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([TCP, HOPS]);
            packet.extend(v6(from));
            packet.extend(v6(to));
            sum(&packet[8..40]) + u32::from(TCP) + u32::from(length)
        }
    }
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The sum of 16-bit words (RFC 1071), not yet folded. A packet is short enough not to overflow it.
fn sum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    whole + rest.first().map_or(0, |last| u32::from(*last) << 8)
}

fn checksum(begin: u32, bytes: &[u8]) -> u16 {
    let mut total = begin + sum(bytes);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !u16::try_from(total).unwrap_or(0)
}
