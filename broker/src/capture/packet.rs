//! One captured packet: what of it is TCP.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, ip_number};

/// A TCP segment as it was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// When, in microseconds since the Unix epoch.
    pub(super) micros: i64,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sequence: u32,
    pub(super) acknowledged: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: Vec<u8>,
    /// How many bytes more the packet had than the capture has of it.
    pub(super) cut: usize,
}

/// What a packet is.
pub(super) enum Sliced {
    Tcp(Segment),
    /// A part of an IP packet that may hold TCP.
    Fragment,
    /// Something below IP that is not known.
    Foreign,
    /// Another protocol.
    Other,
}

// Link types, as the registry of the pcap formats numbers them.
const NULL: i32 = 0;
const ETHERNET: i32 = 1;
const RAW: [i32; 5] = [12, 14, 101, 228, 229];
const LOOP: i32 = 108;
const LINUX_SLL: i32 = 113;
const LINUX_SLL2: i32 = 276;

/// Takes a packet apart, down to TCP.
pub(super) fn slice(link: i32, micros: i64, data: &[u8]) -> Sliced {
    let typed = |at: usize, header: usize| {
        let [high, low] = *data.get(at..)?.first_chunk()?;
        Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes([high, low])), data.get(header..)?))
    };
    let packet = match link {
        ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        link if RAW.contains(&link) => LaxSlicedPacket::from_ip(data).ok(),
        NULL | LOOP => data.get(4..).and_then(|data| LaxSlicedPacket::from_ip(data).ok()),
        LINUX_SLL => typed(14, 16),
        LINUX_SLL2 => typed(0, 20),
        _ => return Sliced::Foreign,
    };
    packet.map_or(Sliced::Other, |packet| tcp(&packet, micros))
}

fn tcp(packet: &LaxSlicedPacket<'_>, micros: i64) -> Sliced {
    let (source, destination, length, payload): (IpAddr, IpAddr, usize, _) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let length = usize::from(header.total_len()).saturating_sub(header.slice().len());
            (header.source_addr().into(), header.destination_addr().into(), length, ip.payload())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let extensions = ip.extensions().slice().len();
            let length = usize::from(ip.header().payload_length()).saturating_sub(extensions);
            (ip.header().source_addr().into(), ip.header().destination_addr().into(), length, ip.payload())
        }
        Some(LaxNetSlice::Arp(_)) | None => return Sliced::Other,
    };
    if payload.fragmented {
        return if payload.ip_number == ip_number::TCP { Sliced::Fragment } else { Sliced::Other };
    }
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return Sliced::Other };
    let cut = if payload.incomplete { length.saturating_sub(payload.payload.len()) } else { 0 };
    let (from, to) = (SocketAddr::new(source, tcp.source_port()), SocketAddr::new(destination, tcp.destination_port()));
    Sliced::Tcp(segment(tcp, from, to, micros, cut))
}

fn segment(tcp: &TcpSlice<'_>, from: SocketAddr, to: SocketAddr, micros: i64, cut: usize) -> Segment {
    Segment {
        micros,
        from,
        to,
        sequence: tcp.sequence_number(),
        acknowledged: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload().to_vec(),
        cut,
    }
}
