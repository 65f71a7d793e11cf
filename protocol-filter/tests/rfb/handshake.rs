//! From the versions to the screen, and the ways it may end before.

use expect_test::{Expect, expect};
use sallyport_protocol_filter::rfb::{Ended, Rules};
use sallyport_protocol_filter::{ProtocolFilter, Side};

use crate::wire::{RGB32, Wire, server_init};

/// Plays both ends (`S`, `C`, and hexadecimal or text in quotes); shows what each end got and what was noted.
fn check(rules: Rules, script: &[(char, &[u8])], expected: Expect) {
    let mut wire = Wire::new(rules);
    for (side, bytes) in script {
        wire.send(if *side == 'S' { Side::Server } else { Side::Client }, bytes);
    }
    let mut shown = wire.notes.join("\n");
    shown += &format!("\nto the client: {}", wire.to_client.escape_ascii());
    shown += &format!("\nto the server: {}\n", wire.to_server.escape_ascii());
    if let Some(ended) = wire.filter.ended() {
        shown += &format!("ended: {ended:?}\n");
    }
    if let Some(malformed) = wire.malformed {
        shown += &format!("{malformed}: {}\n", malformed.bytes.escape_ascii());
    }
    expected.assert_eq(&shown);
}

#[test]
fn version_3_8_without_authentication() {
    check(
        Rules::interactive(),
        &[
            ('S', b"RFB 003.008\n"),
            ('C', b"RFB 003.008\n"),
            ('S', b"\x02\x01\x02"),
            ('C', b"\x01"),
            ('S', b"\0\0\0\0"),
            ('C', b"\0"),
            ('S', &server_init(800, 600, RGB32)),
        ],
        expect![[r#"
            server session: version 3.8, goes on as 3.8: pass
            client session: version 3.8, goes on as 3.8: pass
            server session: security-types [1, 2], of which pass [1, 2]: pass
            client session: security-choice none: pass
            server session: let-in: pass
            client session: client-init not shared: pass
            server session: server-init 800x600 32 bits true colour `tank1`: pass
            to the client: RFB 003.008\n\x02\x01\x02\x00\x00\x00\x00\x03 \x02X \x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00\x00\x00\x00\x05tank1
            to the server: RFB 003.008\n\x01\x00
        "#]],
    );
}

#[test]
fn version_3_8_with_a_password() {
    check(
        Rules::view_only(),
        &[
            ('S', b"RFB 003.008\n"),
            ('C', b"RFB 003.008\n"),
            ('S', b"\x01\x02"),
            ('C', b"\x02"),
            ('S', b"challenge-16-byt"),
            ('C', b"response-16-byte"),
            ('S', b"\0\0\0\0"),
            ('C', b"\x01"),
            ('S', &server_init(800, 600, RGB32)),
        ],
        expect![[r#"
            server session: version 3.8, goes on as 3.8: pass
            client session: version 3.8, goes on as 3.8: pass
            server session: security-types [2], of which pass [2]: pass
            client session: security-choice vnc-authentication: pass
            server session: let-in: pass
            client session: client-init shared: pass
            server session: server-init 800x600 32 bits true colour `tank1`: pass
            to the client: RFB 003.008\n\x01\x02challenge-16-byt\x00\x00\x00\x00\x03 \x02X \x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00\x00\x00\x00\x00\x00\x00\x05tank1
            to the server: RFB 003.008\n\x02response-16-byte\x01
        "#]],
    );
}

#[test]
fn a_wrong_password_has_a_reason_in_3_8_and_none_in_3_7() {
    let login: [(char, &[u8]); 4] =
        [('S', b"\x01\x02"), ('C', b"\x02"), ('S', b"challenge-16-byt"), ('C', b"response-16-byte")];
    let script = |version: &'static [u8], result: &'static [u8]| {
        [&[('S', version), ('C', version)][..], &login, &[('S', result)]].concat()
    };
    check(
        Rules::view_only(),
        &script(b"RFB 003.008\n", b"\0\0\0\x01\0\0\0\x05wrong"),
        expect![[r#"
            server session: version 3.8, goes on as 3.8: pass
            client session: version 3.8, goes on as 3.8: pass
            server session: security-types [2], of which pass [2]: pass
            client session: security-choice vnc-authentication: pass
            server session: refused `wrong`: pass
            to the client: RFB 003.008\n\x01\x02challenge-16-byt\x00\x00\x00\x01\x00\x00\x00\x05wrong
            to the server: RFB 003.008\n\x02response-16-byte
            ended: Refused
        "#]],
    );
    check(
        Rules::view_only(),
        &script(b"RFB 003.007\n", b"\0\0\0\x01"),
        expect![[r#"
            server session: version 3.7, goes on as 3.7: pass
            client session: version 3.7, goes on as 3.7: pass
            server session: security-types [2], of which pass [2]: pass
            client session: security-choice vnc-authentication: pass
            server session: refused ``: pass
            to the client: RFB 003.007\n\x01\x02challenge-16-byt\x00\x00\x00\x01
            to the server: RFB 003.007\n\x02response-16-byte
            ended: Refused
        "#]],
    );
}

#[test]
fn version_3_3_lets_the_server_decide() {
    let versions: [(char, &[u8]); 2] = [('S', b"RFB 003.003\n"), ('C', b"RFB 003.003\n")];
    let script = |rest: &[(char, &'static [u8])]| [&versions[..], rest].concat();
    check(
        Rules::view_only(),
        &script(&[('S', b"\0\0\0\x01"), ('C', b"\x01")]),
        expect![[r#"
            server session: version 3.3, goes on as 3.3: pass
            client session: version 3.3, goes on as 3.3: pass
            server session: security-types [1], of which pass [1]: pass
            client session: client-init shared: pass
            to the client: RFB 003.003\n\x00\x00\x00\x01
            to the server: RFB 003.003\n\x01
        "#]],
    );
    check(
        Rules::view_only(),
        &script(&[('S', b"\0\0\0\x02challenge-16-byt"), ('C', b"response-16-byte"), ('S', b"\0\0\0\0")]),
        expect![[r#"
            server session: version 3.3, goes on as 3.3: pass
            client session: version 3.3, goes on as 3.3: pass
            server session: security-types [2], of which pass [2]: pass
            server session: let-in: pass
            to the client: RFB 003.003\n\x00\x00\x00\x02challenge-16-byt\x00\x00\x00\x00
            to the server: RFB 003.003\nresponse-16-byte
        "#]],
    );
    check(
        Rules::view_only(),
        &script(&[('S', b"\0\0\0\0\0\0\0\x04busy")]),
        expect![[r#"
            server session: version 3.3, goes on as 3.3: pass
            client session: version 3.3, goes on as 3.3: pass
            server session: refused `busy`: pass
            to the client: RFB 003.003\n\x00\x00\x00\x00\x00\x00\x00\x04busy
            to the server: RFB 003.003\n
            ended: Refused
        "#]],
    );
    check(
        Rules::view_only(),
        &script(&[('S', b"\0\0\0\x11")]),
        expect![[r#"
            server session: version 3.3, goes on as 3.3: pass
            client session: version 3.3, goes on as 3.3: pass
            server session: security-types [17], of which pass []: deny
            to the client: RFB 003.003\n\x00\x00\x00\x00\x00\x00\x00ESallyport cannot follow any security type that this VNC server offers
            to the server: RFB 003.003\n
            ended: Denied
        "#]],
    );
}

#[test]
fn security_types_that_cannot_be_followed_are_left_out() {
    check(
        Rules::view_only(),
        &[('S', b"RFB 003.008\n"), ('C', b"RFB 003.008\n"), ('S', b"\x04\x13\x02\x10\x05")],
        expect![[r#"
            server session: version 3.8, goes on as 3.8: pass
            client session: version 3.8, goes on as 3.8: pass
            server session: security-types [19, 2, 16, 5], of which pass [2]: pass
            to the client: RFB 003.008\n\x01\x02
            to the server: RFB 003.008\n
        "#]],
    );
}

#[test]
fn without_a_security_type_the_client_hears_why_and_the_session_ends() {
    for version in [&b"RFB 003.007\n"[..], b"RFB 003.008\n"] {
        let mut wire = Wire::new(Rules::interactive());
        wire.server(version).client(version).server(b"\x02\x13\x1e");
        assert_eq!(wire.to_server, version, "nothing was chosen in the client's place");
        let answer = &wire.to_client[12..];
        assert_eq!(answer[0], 0);
        let length = u32::from_be_bytes(answer[1..5].try_into().unwrap()) as usize;
        assert_eq!(answer[5..].len(), length);
        assert_eq!(wire.filter.ended(), Some(Ended::Denied));
        assert_eq!(wire.malformed, None);
        assert_eq!(
            wire.notes.last().map(String::as_str),
            Some("server session: security-types [19, 30], of which pass []: deny")
        );
        // Nothing passes any more.
        wire.client(b"\x13").server(b"\0\0\0\0");
        assert_eq!(wire.to_server, version);
        assert_eq!(wire.to_client.len(), 12 + 5 + length);
    }
}

#[test]
fn versions_are_negotiated_down() {
    for (server, client, to_client, to_server) in [
        ("003.889", "003.889", "003.008", "003.008"),
        ("004.001", "003.008", "003.008", "003.008"),
        ("003.005", "003.005", "003.003", "003.003"),
        ("003.008", "003.003", "003.008", "003.003"),
        ("003.007", "003.008", "003.007", "003.007"),
    ] {
        let mut wire = Wire::new(Rules::view_only());
        wire.server(format!("RFB {server}\n").as_bytes()).client(format!("RFB {client}\n").as_bytes());
        assert_eq!(wire.to_client, format!("RFB {to_client}\n").as_bytes(), "{server} {client}");
        assert_eq!(wire.to_server, format!("RFB {to_server}\n").as_bytes(), "{server} {client}");
    }
}

#[test]
fn a_choice_that_was_not_offered_is_refused() {
    // 19 was left out of the list; 1 (None) was never on it.
    for choice in [19, 1, 0, 255] {
        let mut wire = Wire::new(Rules::interactive());
        wire.server(b"RFB 003.008\n").client(b"RFB 003.008\n").server(b"\x03\x02\x12\x13").client(&[choice]);
        assert_eq!(wire.reason(), "a security type that was not offered");
        assert_eq!(wire.to_server, b"RFB 003.008\n");
    }
}

#[test]
fn who_speaks_early_waits() {
    let mut wire = Wire::new(Rules::interactive());
    wire.client(b"RFB 003.008\n\x01\x01");
    assert!(wire.to_server.is_empty());
    wire.server(b"RFB 003.008\n");
    assert_eq!(wire.to_server, b"RFB 003.008\n");
    wire.server(b"\x01\x01");
    assert_eq!(wire.to_server, b"RFB 003.008\n\x01");
    wire.server(b"\0\0\0\0");
    assert_eq!(wire.to_server, b"RFB 003.008\n\x01\x01");
}

#[test]
fn who_only_looks_ends_nobody_elses_connection() {
    for (rules, flag) in [(Rules::view_only(), 1), (Rules::interactive(), 0)] {
        let mut wire = Wire::new(rules);
        wire.server(b"RFB 003.003\n").client(b"RFB 003.003\n").server(&[0, 0, 0, 1]).client(&[0]);
        assert_eq!(wire.to_server.last(), Some(&flag));
    }
    // Other bits than "not zero" mean something to some servers.
    let mut wire = Wire::new(Rules::interactive());
    wire.server(b"RFB 003.003\n").client(b"RFB 003.003\n").server(&[0, 0, 0, 1]).client(&[0xc1]);
    assert_eq!(wire.to_server.last(), Some(&1));
}

#[test]
fn a_stream_may_end_between_messages_only() {
    let mut wire = Wire::new(Rules::view_only());
    wire.server(b"RFB 003.0");
    assert!(wire.finish(Side::Server).is_err());
    let mut wire = Wire::new(Rules::view_only());
    wire.server(b"RFB 003.008\n").client(b"RFB 003.008\n").server(b"\x02");
    assert!(wire.finish(Side::Server).is_err());
    let mut wire = Wire::open(Rules::view_only());
    wire.client(b"\x04\x01");
    assert_eq!(wire.finish(Side::Server), Ok(()));
    assert!(wire.finish(Side::Client).is_err());
    let mut wire = Wire::open(Rules::view_only());
    assert_eq!(wire.finish(Side::Client), Ok(()));
}
