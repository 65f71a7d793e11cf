//! Attempts to get something past the filter, or to bring it down.

use sallyport_protocol_filter::Side;
use sallyport_protocol_filter::rfb::{Mode, Rules};

use crate::wire::{RGB32, Wire, cut_text, key, rectangle, request, server_init, set_encodings, update};

const EVERYTHING: Rules =
    Rules { input: true, clipboard_to_asset: true, clipboard_from_asset: true, mode: Mode::Enforce };

/// Is refused under every rule, with nothing of it on its way.
fn refused(side: Side, bytes: &[u8], reason: &str) {
    for rules in [EVERYTHING, Rules::view_only(), Rules { mode: Mode::Observe, ..Rules::view_only() }] {
        let mut wire = Wire::open(rules);
        wire.send(side, bytes);
        assert_eq!(wire.reason(), reason, "{bytes:?}");
        assert!(wire.to_server.is_empty());
        assert_eq!(wire.malformed.as_ref().map(|malformed| malformed.side), Some(side));
        let evidence = &wire.malformed.as_ref().unwrap().bytes;
        assert!(bytes.starts_with(evidence) && !evidence.is_empty());
        // It is final.
        wire.malformed = None;
        wire.send(side, &request(true));
        assert_eq!(wire.reason(), reason);
        assert!(wire.to_server.is_empty());
    }
}

const CUT_TEXT: &str = "a cut text that is longer than 1 MiB, or of negative length";
const UNKNOWN: &str = "a message of unknown type, and so of unknown length";

#[test]
fn cut_texts_of_negative_length_or_2_gib() {
    for length in [-1_i32, -20, i32::MIN, i32::MAX, (1 << 20) + 1] {
        for (side, kind) in [(Side::Client, 6), (Side::Server, 3)] {
            refused(side, &[&[kind, 0, 0, 0][..], &length.to_be_bytes()].concat(), CUT_TEXT);
        }
    }
}

#[test]
fn a_cut_text_of_1_mib_passes_piece_by_piece() {
    let mut wire = Wire::open(EVERYTHING);
    let text = cut_text(6, &vec![b'x'; 1 << 20]);
    wire.client(&text[..100]);
    assert_eq!(wire.to_server.len(), 100);
    wire.client(&text[100..]);
    assert_eq!(wire.to_server, text);
}

#[test]
fn messages_of_unknown_type() {
    for kind in (0..=255).filter(|kind| ![0, 2, 3, 4, 5, 6, 8, 11, 150, 248, 250, 251, 253, 255].contains(kind)) {
        refused(Side::Client, &[kind; 64], UNKNOWN);
    }
    for kind in 4..=255 {
        refused(Side::Server, &[kind; 64], "a message that no server may send here");
    }
}

#[test]
fn extensions_that_lie_about_their_length() {
    refused(Side::Client, &[248, 0, 0, 0, 0, 0, 0, 0, 65], "a fence of more than 64 bytes");
    refused(Side::Client, &[255, 2], "a QEMU message of unknown type, and so of unknown length");
    refused(Side::Client, &[255, 1, 0, 3], "a QEMU audio message of unknown type, and so of unknown length");
    for length in [-4, i32::MIN, 4097, i32::MAX] {
        let chat = [&[11, 0, 0, 0][..], &i32::to_be_bytes(length)].concat();
        refused(Side::Client, &chat, "a chat text that is longer than 4096 bytes, or of negative length");
    }
}

#[test]
fn keys_hidden_in_an_extension_or_a_dropped_text_are_not_sent() {
    let mut wire = Wire::open(Rules::view_only());
    let hidden = [
        cut_text(6, &key(true, 0x41)),
        [vec![253, 0x81, 0, 8], key(true, 0x41)].concat(),
        vec![255, 0, 0, 1, 0, 0, 0, 0x41, 0, 0, 0, 30],
    ];
    wire.client(&hidden.concat()).client(&request(false));
    assert_eq!(wire.to_server, request(false));
}

#[test]
fn other_protocols_on_the_port() {
    let tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0][..], &[9; 32]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n"[..], &tls, b"SSH-2.0-OpenSSH_9.2\r\n", b"RFB 003,008\n"] {
        let mut wire = Wire::new(EVERYTHING);
        wire.server(bytes);
        assert_eq!(wire.reason(), "no RFB version: something else answers on this port");
        assert!(wire.to_client.is_empty());
        let mut wire = Wire::new(EVERYTHING);
        wire.server(b"RFB 003.008\n").client(bytes);
        assert_eq!(wire.reason(), "no RFB version: the tool speaks something else");
        assert!(wire.to_server.is_empty());
    }
    let mut wire = Wire::new(EVERYTHING);
    wire.server(b"RFB 003.002\n");
    assert_eq!(wire.reason(), "an RFB version before 3.3");
}

#[test]
fn rectangles_that_are_not_on_the_screen() {
    let outside = "a rectangle that is not on the screen";
    for area in [[60, 0, 5, 1], [0, 48, 1, 1], [65535, 65535, 65535, 65535], [0, 0, 65, 1]] {
        for encoding in [0, 1, 2, 5, 16] {
            refused(Side::Server, &update(&[rectangle(area, encoding, &[0; 32])]), outside);
        }
    }
    let copy = rectangle([0, 0, 10, 10], 1, &[0, 60, 0, 0]);
    refused(Side::Server, &update(&[copy]), "a copy of what is not on the screen");
    let rre = rectangle([0, 0, 4, 4], 2, &[0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 2, 0, 0, 0, 3, 0, 1]);
    refused(Side::Server, &update(&[rre]), "a rectangle of one colour that is not in its rectangle");
    let hextile = rectangle([0, 0, 10, 10], 5, &[8, 1, 0x55, 0x55]);
    refused(Side::Server, &update(&[hextile]), "a rectangle of one colour that is not in its tile");
}

#[test]
fn lengths_that_no_rectangle_can_need() {
    let zrle = rectangle([0, 0, 4, 4], 16, &u32::MAX.to_be_bytes());
    refused(Side::Server, &update(&[zrle]), "more compressed bytes than the rectangle can need");
    let rre = rectangle([0, 0, 4, 4], 2, &[0, 0, 0, 17, 0, 0, 0, 0]);
    refused(Side::Server, &update(&[rre]), "more rectangles of one colour than the rectangle has pixels");
    let name = rectangle([0; 4], -307, &4097_u32.to_be_bytes());
    refused(Side::Server, &update(&[name]), "a desktop's name that is longer than 4096 bytes");
    let cursor = rectangle([0, 0, 1025, 1], -239, &[]);
    refused(Side::Server, &update(&[cursor]), "a pointer's shape that is larger than 1024 by 1024");
    let hextile = rectangle([0, 0, 4, 4], 5, &[32]);
    refused(Side::Server, &update(&[hextile]), "a Hextile tile of unknown kind");
    refused(Side::Server, &[1, 0, 255, 255, 0, 2], "colour map entries past 65535");
    let huge = rectangle([0, 0, 16384, 4096], -223, &[]);
    refused(Side::Server, &update(&[huge]), "a screen that is larger than can be drawn from a recording");
}

#[test]
fn encodings_that_were_not_asked_for() {
    let reason = "a rectangle in an encoding that was not asked for";
    for encoding in [7, 6, 8, 9, 15, 21, 50, -258, -308, -312, -313, -314, i32::MIN] {
        refused(Side::Server, &update(&[rectangle([0; 4], encoding, &[0; 64])]), reason);
    }
    // What may pass must have been asked for as well.
    let mut wire = Wire::new(EVERYTHING);
    wire.server(b"RFB 003.003\n").client(b"RFB 003.003\n").server(&[0, 0, 0, 1]).client(&[1]);
    wire.server(&server_init(64, 48, RGB32)).client(&set_encodings(&[5, 7])).client(&request(false));
    wire.server(&update(&[rectangle([0, 0, 1, 1], 5, &[0])]));
    assert_eq!(wire.malformed, None);
    wire.server(&update(&[rectangle([0, 0, 1, 1], 2, &[0; 8])]));
    assert_eq!(wire.reason(), reason);
}

#[test]
fn names_and_reasons_that_are_too_long() {
    let versions = |wire: &mut Wire| {
        wire.server(b"RFB 003.008\n").client(b"RFB 003.008\n");
    };
    let mut wire = Wire::new(EVERYTHING);
    versions(&mut wire);
    wire.server(&[0, 0, 0, 0x10, 1]);
    assert_eq!(wire.reason(), "a reason that is longer than 4096 bytes");
    let mut wire = Wire::new(EVERYTHING);
    versions(&mut wire);
    wire.server(&[1, 1]).client(&[1]).server(&[0; 4]).client(&[1]);
    let mut init = server_init(64, 48, RGB32);
    init[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
    wire.server(&init);
    assert_eq!(wire.reason(), "a desktop's name that is longer than 4096 bytes");
}
