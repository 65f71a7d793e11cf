//! What is asked for, what is chosen, and what is required.

use expect_test::expect;
use sallyport_protocol_filter::rdp::{Ended, Require};
use sallyport_protocol_filter::rfb::Mode;
use sallyport_protocol_filter::{ProtocolFilter, Side};

use crate::wire::{Wire, confirm, request, x224};

const MSTSHASH: &str = "Cookie: mstshash=alice\r\n";

#[test]
fn what_is_good_enough_passes_and_the_rest_is_opaque() {
    let mut wire = Wire::new(Require::Nla);
    let (asks, gets) = (request(MSTSHASH, Some(3)), confirm(2, 2));
    wire.client(&asks).server(&gets).client(b"anything\x03\0").server(b"\0whatever");
    assert_eq!(wire.out.to_server, [&asks[..], b"anything\x03\0"].concat());
    assert_eq!(wire.out.to_client, [&gets[..], b"\0whatever"].concat());
    expect![[r#"
        client: request for tls, credssp (user `alice`): pass
        server: selected credssp flags 0x00: pass"#]]
    .assert_eq(&wire.notes.join("\n"));
}

/// Protocols asked for; selected (`None`: the request goes no further); what becomes of it.
#[test]
fn requirements() {
    use Require::{Any, Nla, Tls};
    let cases = [
        (Any, None, Some(0), Ok(())),
        (Any, Some(0), Some(0), Ok(())),
        (Any, Some(1), Some(1), Ok(())),
        (Tls, None, None, Err(1)),
        (Tls, Some(0), None, Err(1)),
        (Tls, Some(1), Some(1), Ok(())),
        (Tls, Some(1), Some(0), Err(1)),
        (Tls, Some(3), Some(2), Ok(())),
        (Tls, Some(16), Some(16), Ok(())),
        (Tls, Some(0x40), None, Err(1)),
        (Nla, None, None, Err(5)),
        (Nla, Some(1), None, Err(5)),
        (Nla, Some(4), None, Err(5)),
        (Nla, Some(3), Some(2), Ok(())),
        (Nla, Some(3), Some(1), Err(5)),
        (Nla, Some(3), Some(0), Err(5)),
        (Nla, Some(11), Some(8), Ok(())),
        (Nla, Some(0x1b), Some(16), Err(5)),
    ];
    for (require, asked, selected, expected) in cases {
        let mut wire = Wire::new(require);
        let asks = request(MSTSHASH, asked);
        wire.client(&asks);
        let case = format!("{require:?} {asked:?} {selected:?}");
        let mut gets = Vec::new();
        if let Some(selected) = selected {
            assert_eq!(wire.out.to_server, asks, "{case}");
            gets = if asked.is_some() { confirm(2, selected) } else { x224(0xd0, [0, 0, 0x12, 0x34], &[]) };
            wire.server(&gets);
        } else {
            assert!(wire.out.to_server.is_empty(), "{case}");
        }
        assert_eq!(wire.malformed, None, "{case}");
        match expected {
            Ok(()) => assert_eq!((&wire.out.to_client, wire.filter.ended()), (&gets, None), "{case}"),
            Err(code) => {
                let failure = [3, 0, 0, 0x13, 0xe, 0xd0, 0, 0, 0x12, 0x34, 0, 3, 0, 8, 0, code as u8, 0, 0, 0];
                assert_eq!(wire.out.to_client, failure, "{case}");
                assert_eq!(wire.filter.ended(), Some(Ended::Denied), "{case}");
                let before = wire.out.to_server.clone();
                wire.client(&asks).server(&confirm(2, 2));
                assert_eq!(wire.out.to_server, before, "{case}: nothing passes any more");
                assert_eq!(wire.out.to_client, failure, "{case}");
            }
        }
    }
}

#[test]
fn observing_passes_and_says_what_enforcing_would_deny() {
    let mut wire = Wire::cut(Require::Nla, Mode::Observe, usize::MAX);
    wire.client(&request("", Some(1))).server(&confirm(2, 1)).client(b"x");
    assert_eq!(wire.out.to_server, [request("", Some(1)), b"x".to_vec()].concat());
    assert_eq!(wire.out.to_client, confirm(2, 1));
    assert!(wire.notes.iter().all(|note| note.ends_with(" would-deny")), "{:?}", wire.notes);
}

#[test]
fn a_failure_of_the_asset_is_passed_on_and_ends_the_session() {
    let mut wire = Wire::new(Require::Any);
    wire.client(&request(MSTSHASH, Some(1))).server(&confirm(3, 2));
    assert_eq!(wire.out.to_client, confirm(3, 2));
    assert_eq!(wire.filter.ended(), Some(Ended::Refused));
    expect![[r#"
        client: request for tls (user `alice`): pass
        server: failure 2 (SSL_NOT_ALLOWED_BY_SERVER): pass"#]]
    .assert_eq(&wire.notes.join("\n"));
}

#[test]
fn tokens_flags_references_and_correlation_are_kept() {
    let correlation = [&[6, 0, 36, 0][..], &[7; 16], &[0; 16]].concat();
    let data = [b"Cookie: msts=3640205228.15629.0000\r\n", &[1, 0x0b, 8, 0, 3, 0, 0, 0][..], &correlation].concat();
    let asks = x224(0xe0, [0, 0, 0xab, 0xcd], &data);
    let mut wire = Wire::new(Require::Nla);
    wire.client(&asks);
    assert_eq!(wire.out.to_server, asks);
    expect!["client: request for tls, credssp flags 0x0b (token `Cookie: msts=3640205228.15629.0000`) correlation 07070707070707070707070707070707: pass"].assert_eq(&wire.notes.join("\n"));
}

#[test]
fn who_speaks_early_waits() {
    let mut wire = Wire::new(Require::Any);
    wire.server(&confirm(2, 2));
    assert!(wire.out.to_client.is_empty());
    let hello = b"\x16\x03\x01";
    wire.client(&[&request("", Some(2))[..], hello].concat());
    assert_eq!(wire.out.to_client, confirm(2, 2));
    assert_eq!(wire.out.to_server, [&request("", Some(2))[..], hello].concat());
}

#[test]
fn rules_that_come_later_leave_what_is_negotiated() {
    let mut wire = Wire::new(Require::Any);
    wire.client(&request("", Some(0))).server(&confirm(2, 0));
    wire.filter.replace_rules(sallyport_protocol_filter::rdp::Rules { require: Require::Nla, mode: Mode::Enforce });
    wire.client(b"on");
    assert!(wire.out.to_server.ends_with(b"on"));
}

#[test]
fn a_stream_may_end_between_messages_only() {
    let mut wire = Wire::new(Require::Any);
    assert_eq!(wire.filter.finish(Side::Client), Ok(()));
    wire.client(&request("", Some(0))[..7]);
    assert_eq!(wire.filter.finish(Side::Server), Ok(()));
    assert!(wire.filter.finish(Side::Client).is_err());
}
