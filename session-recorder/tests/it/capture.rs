//! Reads a pcapng file and the TCP in it back, strictly, from the formats' own texts and not from the writer.
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) micros: u64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) comment: Option<String>,
}

/// The packets of a file, each block, header and checksum checked. The section's comment comes first.
pub(crate) fn packets(file: &[u8]) -> (String, Vec<Packet>) {
    let (mut about, mut packets, mut rest) = (String::new(), Vec::new(), file);
    for number in 0.. {
        if rest.is_empty() {
            break;
        }
        let length = little(&rest[4..8]) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(little(&rest[length - 4..length]) as usize, length, "block {number} ends otherwise than it begins");
        let body = &rest[8..length - 4];
        match (number, little(&rest[..4])) {
            (0, 0x0a0d_0d0a) => {
                assert_eq!(body[..8], [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
                about = options(&body[16..]).remove(&1).unwrap();
            }
            (1, 1) => {
                assert_eq!(body[..2], [101, 0], "LINKTYPE_RAW");
                assert_eq!(options(&body[8..])[&9], "\u{6}", "microseconds");
            }
            (2.., 6) => packets.push(packet(body)),
            (_, other) => panic!("block {number} is of type {other}"),
        }
        rest = &rest[length..];
    }
    (about, packets)
}

fn packet(body: &[u8]) -> Packet {
    let length = little(&body[12..16]) as usize;
    assert_eq!(length, little(&body[16..20]) as usize);
    let mut options = options(&body[20 + length.next_multiple_of(4)..]);
    let data = &body[20..20 + length];
    let (from, to, pseudo, tcp): (IpAddr, IpAddr, Vec<u8>, &[u8]) = match data[0] >> 4 {
        4 => {
            assert_eq!(usize::from(big16(&data[2..])), length);
            assert_eq!(sum(&data[..20]), 0xffff, "the IP header's checksum");
            assert_eq!((data[0], data[9]), (0x45, 6));
            let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&data[at..at + 4]).unwrap());
            (address(12).into(), address(16).into(), data[12..20].to_vec(), &data[20..])
        }
        6 => {
            assert_eq!((usize::from(big16(&data[4..])), data[6]), (length - 40, 6));
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&data[at..at + 16]).unwrap());
            (address(8).into(), address(24).into(), data[8..40].to_vec(), &data[40..])
        }
        other => panic!("IP version {other}"),
    };
    let length = u16::try_from(tcp.len()).unwrap().to_be_bytes();
    assert_eq!(sum(&[&pseudo, &[0, 6][..], &length, tcp].concat()), 0xffff, "the TCP checksum");
    let header = usize::from(tcp[12] >> 4) * 4;
    Packet {
        micros: u64::from(little(&body[4..8])) << 32 | u64::from(little(&body[8..12])),
        from: SocketAddr::new(from, big16(tcp)),
        to: SocketAddr::new(to, big16(&tcp[2..])),
        flags: tcp[13],
        sequence: u32::from_be_bytes(tcp[4..8].try_into().unwrap()),
        acknowledged: u32::from_be_bytes(tcp[8..12].try_into().unwrap()),
        payload: tcp[header..].to_vec(),
        comment: options.remove(&1),
    }
}

fn options(mut rest: &[u8]) -> HashMap<u16, String> {
    let mut options = HashMap::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_le_bytes([rest[2], rest[3]]));
        let code = u16::from_le_bytes([rest[0], rest[1]]);
        if code == 0 {
            assert_eq!((length, rest.len()), (0, 4), "the options' end");
            return options;
        }
        options.insert(code, String::from_utf8(rest[4..4 + length].to_vec()).unwrap());
        rest = &rest[4 + length.next_multiple_of(4)..];
    }
    options
}

fn little(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[..4].try_into().unwrap())
}

fn big16(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// Adds up to 0xffff where a checksum is right.
fn sum(bytes: &[u8]) -> u32 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from_be_bytes([0, 0, pair[0], *pair.get(1).unwrap_or(&0)])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

/// One connection as a receiver on both sides would have understood it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// What each side sent, in order.
    pub(crate) pieces: Vec<(Side, Piece)>,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Hole(u32),
}

struct Tracking {
    stream: Stream,
    /// Next sequence numbers, and what the other side has acknowledged.
    next: [u32; 2],
    acknowledged: [u32; 2],
    finished: [bool; 2],
}

/// Follows every connection and holds both sides to TCP: three packets to begin, no gap but where a comment says so,
/// never more than a window in flight, nothing acknowledged that was not sent.
pub(crate) fn streams(packets: &[Packet]) -> Vec<Stream> {
    let mut done = Vec::new();
    let mut open: HashMap<(SocketAddr, SocketAddr), Tracking> = HashMap::new();
    for packet in packets {
        if packet.flags == SYN {
            let stream = Stream { client: packet.from, server: packet.to, pieces: Vec::new(), closed: false };
            let next = packet.sequence.wrapping_add(1);
            let tracking = Tracking { stream, next: [next, 0], acknowledged: [next, 0], finished: [false; 2] };
            assert!(open.insert((packet.from, packet.to), tracking).is_none(), "opened twice: {packet:?}");
            continue;
        }
        let side = if open.contains_key(&(packet.from, packet.to)) { Side::Client } else { Side::Server };
        let key = if side == Side::Client { (packet.from, packet.to) } else { (packet.to, packet.from) };
        let tracking = open.get_mut(&key).unwrap_or_else(|| panic!("no such connection: {packet:?}"));
        tracking.take(side, packet);
        if tracking.finished == [true; 2] && tracking.acknowledged == tracking.next {
            let mut tracking = open.remove(&key).unwrap();
            tracking.stream.closed = true;
            done.push(tracking.stream);
        }
    }
    done.extend(open.into_values().map(|tracking| tracking.stream));
    done
}

impl Tracking {
    fn take(&mut self, side: Side, packet: &Packet) {
        let (me, you) = if side == Side::Client { (0, 1) } else { (1, 0) };
        assert_ne!(packet.flags & ACK, 0, "{packet:?}");
        if packet.flags & SYN != 0 {
            assert_eq!(side, Side::Server);
            self.next[me] = packet.sequence.wrapping_add(1);
            self.acknowledged[me] = packet.sequence.wrapping_add(1);
            return;
        }
        assert!(!self.finished[me] || packet.payload.is_empty(), "data after FIN: {packet:?}");
        assert_eq!(packet.sequence, self.next[me], "sequence: {packet:?}");
        let hole = packet.acknowledged.wrapping_sub(self.next[you]);
        if hole != 0 {
            let comment = packet.comment.as_ref().expect("a hole without a comment");
            assert!(comment.contains("SHA-256"), "{comment}");
            self.next[you] = packet.acknowledged;
            let other = if side == Side::Client { Side::Server } else { Side::Client };
            self.stream.pieces.push((other, Piece::Hole(hole)));
        }
        self.acknowledged[you] = packet.acknowledged;
        let length = u32::try_from(packet.payload.len()).unwrap();
        self.next[me] = self.next[me].wrapping_add(length).wrapping_add(u32::from(packet.flags & FIN));
        assert!(self.next[me].wrapping_sub(self.acknowledged[me]) <= 65_535, "more than a window: {packet:?}");
        self.finished[me] |= packet.flags & FIN != 0;
        if length == 0 {
            return;
        }
        match self.stream.pieces.last_mut() {
            Some((last, Piece::Bytes(bytes))) if *last == side => bytes.extend(&packet.payload),
            _ => self.stream.pieces.push((side, Piece::Bytes(packet.payload.clone()))),
        }
    }
}
