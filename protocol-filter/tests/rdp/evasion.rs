//! Attempts to get something past the filter, or to bring it down.

use proptest::prelude::*;
use sallyport_protocol_filter::Side;
use sallyport_protocol_filter::rdp::Require;
use sallyport_protocol_filter::rfb::Mode;

use crate::wire::{Wire, confirm, request, x224};

fn refused(bytes: &[u8], reason: &str) {
    for require in [Require::Any, Require::Tls, Require::Nla] {
        let mut wire = Wire::new(require);
        wire.client(bytes);
        assert_eq!(wire.reason(), reason, "{bytes:?}");
        assert!(wire.out.to_server.is_empty() && wire.out.to_client.is_empty());
    }
}

const NOT_RDP: &str = "no TPKT: something else than RDP";
const LENGTH: &str = "a TPKT that is shorter or longer than a connection request or confirmation can be";
const NO_REQUEST: &str = "no X.224 connection request";
const MEANS_NOTHING: &str = "bytes in the connection request that mean nothing";

#[test]
fn other_protocols_on_the_port() {
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01\0", b"RFB 003.008\n", b"SSH-2.0-x\r\n"] {
        refused(bytes, NOT_RDP);
    }
}

#[test]
fn lengths_that_lie() {
    let good = request("Cookie: mstshash=alice\r\n", Some(2));
    for (place, value, reason) in
        [(2, 0xff, LENGTH), (3, 4, LENGTH), (3, 0, LENGTH), (4, 200, NO_REQUEST), (4, 5, NO_REQUEST)]
    {
        let mut bytes = good.clone();
        bytes[place] = value;
        refused(&bytes, reason);
    }
    // A second message hidden behind the first one's X.224 header.
    let mut longer = good.clone();
    longer[3] += 1;
    longer.push(0);
    refused(&longer, NO_REQUEST);
}

#[test]
fn what_is_no_connection_request() {
    // An MCS Connect-Initial without a negotiation, and a confirmation from the client.
    refused(&[3, 0, 0, 16, 2, 0xf0, 0x80, 0x7f, 0x65, 0x82, 1, 0x94, 4, 1, 1, 4], NO_REQUEST);
    refused(&confirm(2, 2), NO_REQUEST);
    refused(&x224(0xe0, [1, 0, 0, 0], &[]), "a connection request that answers another");
    // Class 4.
    refused(&[3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0x40], NO_REQUEST);
}

#[test]
fn bytes_behind_the_negotiation_or_in_its_place() {
    let negotiation = [1, 0, 8, 0, 2, 0, 0, 0];
    let data = |more: &[u8]| x224(0xe0, [0; 4], &[&negotiation[..], more].concat());
    refused(&data(&[0]), MEANS_NOTHING);
    refused(&data(&negotiation), MEANS_NOTHING);
    refused(&data(&[&[6, 0, 36, 0][..], &[0; 32]].concat()), MEANS_NOTHING);
    refused(&x224(0xe0, [0; 4], &[1, 8, 8, 0, 2, 0, 0, 0]), MEANS_NOTHING);
    refused(&x224(0xe0, [0; 4], &[&[1, 8, 8, 0, 2, 0, 0, 0, 6, 0, 36, 0][..], &[0; 33]].concat()), MEANS_NOTHING);
    let none = "no RDP negotiation where there must be one";
    refused(&x224(0xe0, [0; 4], &[1, 0, 9, 0, 2, 0, 0, 0]), none);
    refused(&x224(0xe0, [0; 4], &[1, 0, 8]), none);
    refused(&x224(0xe0, [0; 4], b"Cookie: mstshash=a\r\n\x03\0\x08\0\x02\0\0\0"), none);
    refused(&x224(0xe0, [0; 4], b"Cookie: mstshash=a"), "a cookie without an end");
    refused(&x224(0xe0, [0; 4], b"Cookie: mstshash=a\nb\r\n"), "a cookie with control characters");
}

#[test]
fn confirmations_that_fit_no_request() {
    let refused = |asked: Option<u32>, bytes: &[u8], reason: &str| {
        let mut wire = Wire::new(Require::Any);
        wire.client(&request("", asked)).server(bytes);
        assert_eq!(wire.reason(), reason, "{bytes:?}");
        assert_eq!(wire.malformed.as_ref().map(|malformed| malformed.side), Some(Side::Server));
        assert!(wire.out.to_client.is_empty());
    };
    refused(Some(1), &confirm(2, 2), "a security protocol that was not asked for");
    refused(Some(3), &confirm(2, 3), "a security protocol that was not asked for");
    refused(None, &confirm(2, 0), "an answer to a negotiation that was not asked for");
    refused(None, &confirm(3, 5), "an answer to a negotiation that was not asked for");
    refused(Some(1), &confirm(4, 1), "no RDP negotiation where there must be one");
    refused(Some(1), &request("", Some(1)), "no X.224 connection confirmation");
    refused(Some(1), b"HTTP/1.1 400", NOT_RDP);
    let longer = x224(0xd0, [0; 4], &[2, 0, 8, 0, 1, 0, 0, 0, 0]);
    refused(Some(1), &longer, "bytes in the connection confirmation that mean nothing");
}

proptest! {
    /// Any bytes in any order: no panic, and never more out than came in, but for one failure.
    #[test]
    fn bytes_that_mean_nothing_do_no_harm(
        pieces in proptest::collection::vec((any::<bool>(), piece()), 0..12),
        require in prop_oneof![Just(Require::Any), Just(Require::Tls), Just(Require::Nla)],
    ) {
        let mut wire = Wire::new(require);
        let mut sent = 0;
        for (client, bytes) in pieces {
            sent += bytes.len();
            wire.send(if client { Side::Client } else { Side::Server }, &bytes);
            let held = format!("{:?}", wire.filter).len();
            prop_assert!(held <= 2048, "{}", held);
        }
        prop_assert!(wire.out.to_client.len() + wire.out.to_server.len() <= sent + 19);
    }

    /// Output, notes and the end do not depend on how the streams are cut.
    #[test]
    fn cuts_make_no_difference(
        asks in piece(), gets in piece(), cut in 1_usize..20,
        require in prop_oneof![Just(Require::Any), Just(Require::Tls), Just(Require::Nla)],
    ) {
        let run = |cut| {
            let mut wire = Wire::cut(require, Mode::Enforce, cut);
            wire.client(&asks).server(&gets).client(b"and on").server(b"and on");
            (wire.out.to_client, wire.out.to_server, wire.notes, wire.malformed)
        };
        prop_assert_eq!(run(usize::MAX), run(cut));
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let protocols = || prop_oneof![Just(0), Just(1), Just(2), Just(3), Just(8), Just(11), any::<u32>()];
    let messages = prop_oneof![
        protocols().prop_map(|protocols| request("Cookie: mstshash=alice\r\n", Some(protocols))),
        Just(request("", None)),
        protocols().prop_map(|protocol| confirm(2, protocol)),
        protocols().prop_map(|code| confirm(3, code)),
    ];
    prop_oneof![
        messages.clone(),
        (messages, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, place, value)| {
            let place = place.index(bytes.len());
            bytes[place] = value;
            bytes
        }),
        proptest::collection::vec(any::<u8>(), 0..300),
    ]
}
