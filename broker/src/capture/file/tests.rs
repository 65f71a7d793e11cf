#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Cursor;
use std::path::Path;

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader, VlanId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::Capture;
use crate::capture::packet::Segment;

fn pcap_header(link: u32, magic: u32) -> Vec<u8> {
    let words = [magic, 0x0004_0002, 0, 0, 65_535, link];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn pcap_packet(seconds: u32, fraction: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap();
    let head: Vec<u8> = [seconds, fraction, length, length].iter().flat_map(|word| word.to_le_bytes()).collect();
    [head, data.to_vec()].concat()
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = [body, &vec![0; body.len().next_multiple_of(4) - body.len()]].concat();
    let length = u32::try_from(padded.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &padded, &length].concat()
}

/// A section and one interface.
fn pcapng_header(link: u16, options: &[u8]) -> Vec<u8> {
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [&link.to_le_bytes()[..], &[0, 0, 0, 0, 0, 0], options].concat();
    [block(0x0a0d_0d0a, &section), block(1, &interface)].concat()
}

fn pcapng_packet(ticks: u64, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_le_bytes();
    let [high, low] = [(ticks >> 32) as u32, ticks as u32].map(u32::to_le_bytes);
    block(6, &[&[0; 4][..], &high, &low, &length, &length, data].concat())
}

fn tcp() -> TcpHeader {
    TcpHeader { acknowledgment_number: 7, ack: true, ..TcpHeader::new(40_000, 502, 100, 1000) }
}

fn built(builder: PacketBuilderStep<TcpHeader>) -> Vec<u8> {
    let mut packet = Vec::new();
    builder.write(&mut packet, &[1, 2, 3]).unwrap();
    packet
}

fn ip() -> Vec<u8> {
    built(PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp_header(tcp()))
}

/// Every segment of a file, and how it ends.
fn read(file: Vec<u8>) -> String {
    let mut capture = match Capture::read(Path::new("a.pcap"), Cursor::new(file)) {
        Ok(capture) => capture,
        Err(error) => return error.to_string(),
    };
    let mut lines = Vec::new();
    let fault = loop {
        match capture.next() {
            Ok(Some(Segment { micros, from, to, sequence, acknowledged, payload, cut, .. })) => {
                lines.push(format!("{micros} {from} {to} {sequence} {acknowledged:?} {payload:?} {cut}"));
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    lines.extend(
        [(capture.fragments(), "fragments"), (capture.foreign(), "foreign")]
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}")),
    );
    lines.extend(fault);
    lines.join("\n")
}

const SAME: &str = "10.0.0.1:40000 10.0.0.2:502 100 Some(7) [1, 2, 3] 0";

#[test]
fn both_formats_are_read_with_their_times() {
    let pcap = |magic| [pcap_header(101, magic), pcap_packet(1_700_000_000, 123_456, &ip())].concat();
    assert_eq!(read(pcap(0xa1b2_c3d4)), format!("1700000000123456 {SAME}"));
    assert_eq!(read(pcap(0xa1b2_3c4d)), format!("1700000000000123 {SAME}"), "nanoseconds");
    let ticks = 1_700_000_000_123_456;
    assert_eq!(read([pcapng_header(101, &[]), pcapng_packet(ticks, &ip())].concat()), format!("{ticks} {SAME}"));
    // if_tsresol: nanoseconds; then 1024 to the second.
    let nano = [pcapng_header(101, &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]), pcapng_packet(ticks * 1000, &ip())].concat();
    assert_eq!(read(nano), format!("{ticks} {SAME}"));
    let binary = [pcapng_header(101, &[9, 0, 1, 0, 0x8a, 0, 0, 0, 0, 0, 0, 0]), pcapng_packet(1536, &ip())].concat();
    assert_eq!(read(binary), format!("1500000 {SAME}"));
}

#[test]
fn packets_are_found_below_what_carries_them() {
    let pcap = |link, packet: &[u8]| read([pcap_header(link, 0xa1b2_c3d4), pcap_packet(0, 0, packet)].concat());
    let ethernet = || PacketBuilder::ethernet2([1; 6], [2; 6]);
    let padded = [built(ethernet().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp_header(tcp())), vec![0; 9]].concat();
    assert_eq!(pcap(1, &padded), format!("0 {SAME}"));
    let tagged =
        ethernet().single_vlan(VlanId::try_new(5).unwrap()).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp_header(tcp());
    assert_eq!(pcap(1, &built(tagged)), format!("0 {SAME}"));
    assert_eq!(pcap(0, &[&[2, 0, 0, 0][..], &ip()].concat()), format!("0 {SAME}"));
    assert_eq!(pcap(113, &[&[0; 14][..], &[8, 0], &ip()].concat()), format!("0 {SAME}"));
    assert_eq!(pcap(276, &[&[8, 0][..], &[0; 18], &ip()].concat()), format!("0 {SAME}"));
    let six = built(PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp_header(tcp()));
    assert_eq!(
        pcap(101, &six),
        "0 [101:101:101:101:101:101:101:101]:40000 [202:202:202:202:202:202:202:202]:502 100 Some(7) [1, 2, 3] 0"
    );
    assert_eq!(pcap(105, &ip()), "1 foreign");
    // A part of a packet, and a packet of which the last two bytes were not captured.
    let mut part = ip();
    part[6] |= 0x20;
    assert_eq!(pcap(101, &part), "1 fragments");
    assert_eq!(pcap(101, &ip()[..41]), "0 10.0.0.1:40000 10.0.0.2:502 100 Some(7) [1] 2");
}

#[test]
fn a_file_that_is_damaged_is_read_up_to_there() {
    let whole = [pcap_header(101, 0xa1b2_c3d4), pcap_packet(0, 0, &ip()), pcap_packet(1, 0, &ip())].concat();
    assert_eq!(
        read(whole[..whole.len() - 5].to_vec()),
        format!("0 {SAME}\n`a.pcap` ends within a packet: it was cut off; what came before was read")
    );
    let broken = [pcapng_header(101, &[]), pcapng_packet(0, &ip()), block(6, &[0xff; 20])].concat();
    assert!(read(broken.clone()).starts_with(&format!("0 {SAME}\n`a.pcap` is damaged")), "{}", read(broken));
    assert_eq!(read(b"[filter.x]\nmodbus = []\n".to_vec()), "`a.pcap` is no capture: neither pcap nor pcapng");
    assert_eq!(read(Vec::new()), "`a.pcap` is no capture: neither pcap nor pcapng");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(head in 0_usize..4, bytes in vec(any::<u8>(), 0..400)) {
        let beginnings: [&[u8]; 4] = [&[], &pcap_header(101, 0xa1b2_c3d4), &pcapng_header(1, &[]), &pcap_header(1, 0xa1b2_3c4d)];
        let file = [beginnings[head], &bytes].concat();
        if let Ok(mut capture) = Capture::read(Path::new("any.pcap"), Cursor::new(file)) {
            while let Ok(Some(_)) = capture.next() {}
        }
    }
}
