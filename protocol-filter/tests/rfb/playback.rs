//! A recorded connection played back shows what the tool saw, wherever the bytes were cut.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use sallyport_protocol_filter::Side;
use sallyport_protocol_filter::rfb::{Noted, PixelFormat, Playback, PlaybackError, Rules, Security, Version};

use crate::captures::{play, segments};
use crate::laws::Random;
use crate::paint::{Compressor, Picture, colour_map, compressed};
use crate::wire::{
    MAPPED, RGB8, RGB16, RGB32, Taped, Wire, rectangle, request, server_init, set_encodings, set_pixel_format, update,
};

/// Plays a tape back, its bytes in pieces of at most `cut`.
fn played(tape: &[Taped], cut: usize) -> (Playback, Result<(), PlaybackError>) {
    let mut playback = Playback::new();
    let mut play = || {
        for taped in tape {
            match taped {
                Taped::Noted(noted) => playback.note(*noted)?,
                Taped::ToClient(bytes) => bytes.chunks(cut).try_for_each(|piece| playback.receive(piece))?,
            }
        }
        Ok(())
    };
    let end = play();
    (playback, end)
}

/// Where a playback of these pieces stands, which is the same at every cut.
fn stands(tape: &[Taped]) -> String {
    let stand = |cut| {
        let (playback, end) = played(tape, cut);
        let screen = playback.screen().map(|screen| {
            let (width, height) = screen.size();
            format!(
                "{width}x{height}, {} pixels not black",
                screen.rgba().chunks(4).filter(|p| p[..3] != [0; 3]).count()
            )
        });
        let refused = playback.is_refused().then(|| "refused".to_owned());
        let screen = screen.or(refused).unwrap_or_else(|| "no screen".to_owned());
        match end {
            Ok(()) => screen,
            Err(error) => format!("{screen}; {error}"),
        }
    };
    let whole = stand(usize::MAX);
    for cut in [1, 2, 3, 5, 7, 16, 100] {
        assert_eq!(stand(cut), whole, "in pieces of {cut}");
    }
    whole
}

fn tape(script: &[(char, &[u8])]) -> Vec<Taped> {
    let mut wire = Wire::new(Rules::view_only());
    for (side, bytes) in script {
        wire.send(if *side == 'S' { Side::Server } else { Side::Client }, bytes);
    }
    assert_eq!(wire.malformed, None);
    wire.tape
}

/// Both ends of a connection through the filter, and where a playback of its record stands.
fn check(script: &[(char, &[u8])], expected: Expect) {
    expected.assert_eq(&stands(&tape(script)));
}

fn format(bytes: [u8; 16]) -> PixelFormat {
    PixelFormat::decode(&bytes).unwrap()
}

/// One white pixel on a screen of [`RGB32`].
fn dot() -> Vec<u8> {
    update(&[rectangle([1, 1, 1, 1], 0, &[255, 255, 255, 0])])
}

#[test]
fn every_handshake_leads_to_the_screen() {
    let (init, dot) = (server_init(8, 4, RGB32), dot());
    let end: [(char, &[u8]); 3] = [('C', &[1]), ('S', &init), ('S', &dot)];
    let login: [(char, &[u8]); 2] = [('S', b"challenge-16-byt"), ('C', b"response-16-byte")];
    let let_in: (char, &[u8]) = ('S', &[0; 4]);
    let script = |parts: &[&[(char, &'static [u8])]]| [parts.concat(), Vec::new()].concat();
    for (server, client, used) in [
        (b"RFB 003.008\n", b"RFB 003.008\n", "3.8"),
        (b"RFB 004.001\n", b"RFB 003.008\n", "3.8"),
        (b"RFB 003.008\n", b"RFB 003.007\n", "3.7"),
        (b"RFB 003.007\n", b"RFB 003.008\n", "3.7"),
        (b"RFB 003.008\n", b"RFB 003.003\n", "3.3"),
        (b"RFB 003.005\n", b"RFB 003.008\n", "3.3"),
    ] {
        let versions: [(char, &[u8]); 2] = [('S', server), ('C', client)];
        let (none, password) = match used {
            "3.3" => (
                script(&[&[('S', &[0, 0, 0, 1])]]),
                [script(&[&[('S', &[0, 0, 0, 2])]]), login.to_vec(), vec![let_in]].concat(),
            ),
            "3.7" => (
                script(&[&[('S', &[3, 2, 18, 1]), ('C', &[1])]]),
                [script(&[&[('S', &[3, 2, 18, 1]), ('C', &[2])]]), login.to_vec(), vec![let_in]].concat(),
            ),
            _ => (
                [script(&[&[('S', &[3, 2, 18, 1]), ('C', &[1])]]), vec![let_in]].concat(),
                [script(&[&[('S', &[3, 2, 18, 1]), ('C', &[2])]]), login.to_vec(), vec![let_in]].concat(),
            ),
        };
        for security in [none, password] {
            let script = [&versions[..], &security, &end].concat();
            assert_eq!(stands(&tape(&script)), "8x4, 1 pixels not black", "{used} of {}", server.escape_ascii());
            assert_eq!(stands(&tape(&script[..script.len() - 2])), "no screen");
        }
    }
}

#[test]
fn a_desktop_without_a_name_is_open_at_its_last_byte() {
    let init = [&server_init(8, 4, RGB32)[..20], &[0; 4]].concat();
    check(
        &[
            ('S', b"RFB 003.008\n"),
            ('C', b"RFB 003.008\n"),
            ('S', &[1, 1]),
            ('C', &[1]),
            ('S', &[0; 4]),
            ('C', &[1]),
            ('S', &init),
        ],
        expect!["8x4, 0 pixels not black"],
    );
}

#[test]
fn who_is_refused_sees_no_screen() {
    let versions: [(char, &[u8]); 2] = [('S', b"RFB 003.008\n"), ('C', b"RFB 003.008\n")];
    let login: [(char, &[u8]); 4] =
        [('S', &[1, 2]), ('C', &[2]), ('S', b"challenge-16-byt"), ('C', b"response-16-byte")];
    check(&[&versions[..], &login, &[('S', b"\0\0\0\x01\0\0\0\x05wrong")]].concat(), expect!["refused"]);
    check(&[&versions[..], &[('S', b"\0\0\0\0\x04busy")]].concat(), expect!["refused"]);
    // The filter itself refuses: it follows no such type.
    check(&[&versions[..], &[('S', &[1, 30])]].concat(), expect!["refused"]);
    let old: [(char, &[u8]); 2] = [('S', b"RFB 003.003\n"), ('C', b"RFB 003.003\n")];
    check(&[&old[..], &[('S', b"\0\0\0\0\0\0\0\x04busy")]].concat(), expect!["refused"]);
    check(&[&old[..], &[('S', &[0, 0, 0, 30])]].concat(), expect!["refused"]);
    let password: [(char, &[u8]); 3] = [('S', &[0, 0, 0, 2]), ('S', b"challenge-16-byt"), ('C', b"response-16-byte")];
    check(&[&old[..], &password, &[('S', &[0, 0, 0, 1])]].concat(), expect!["refused"]);
}

/// A record that another program wrote, or that lacks a part.
#[test]
fn what_does_not_fit_together_is_named() {
    let bytes = |bytes: &[u8]| Taped::ToClient(bytes.to_vec());
    let version = Taped::Noted(Noted::Version(Version::V3_8));
    let none = Taped::Noted(Noted::SecurityChoice(Security::None));
    let init = |width| Taped::Noted(Noted::ServerInit { width, height: 4, format: format(RGB32) });
    let (hello, types, result) = (bytes(b"RFB 003.008\n"), bytes(&[1, 1]), bytes(&[0; 4]));
    let screen = bytes(&server_init(8, 4, RGB32));
    let check = |tape: &[&Taped], expected: Expect| {
        expected.assert_eq(&stands(&tape.iter().copied().cloned().collect::<Vec<_>>()));
    };
    check(
        &[&hello, &types],
        expect!["no screen; it is not noted which version the tool chose, so that what follows cannot be read"],
    );
    check(
        &[&hello, &version, &types, &result],
        expect!["no screen; it is not noted which security type the tool chose, so that what follows cannot be read"],
    );
    check(
        &[&bytes(b"RFB 003.007\n"), &version, &types],
        expect!["no screen; the notes do not fit the bytes: a version that was not offered"],
    );
    check(
        &[&hello, &version, &bytes(&[1, 2]), &none, &result],
        expect!["no screen; the notes do not fit the bytes: a security type that was not offered"],
    );
    check(
        &[&hello, &version, &types, &none, &result, &init(9), &screen],
        expect!["no screen; the notes do not fit the bytes: a screen of another size or pixel format"],
    );
    let other = Taped::Noted(Noted::SetPixelFormat(format(RGB8)));
    check(
        &[&hello, &version, &types, &none, &other],
        expect!["no screen; the notes do not fit the bytes: a pixel format before the screen was open"],
    );
    check(
        &[&hello, &version, &types, &none, &result, &init(8), &screen, &init(8)],
        expect!["8x4, 0 pixels not black; the notes do not fit the bytes: a handshake after the screen was open"],
    );
    check(&[&bytes(b"SSH-2.0-x\r\n ")], expect!["no screen; the handshake cannot be read: no RFB version"]);
    check(
        &[&hello, &version, &types, &none, &bytes(&[0, 0, 0, 9])],
        expect!["no screen; the handshake cannot be read: an unknown security result"],
    );
    check(
        &[&hello, &version, &types, &none, &bytes(&[0, 0, 0, 1, 0, 0, 0, 0]), &result],
        expect!["refused; the handshake cannot be read: bytes behind a refusal"],
    );
    check(
        &[&hello, &version, &types, &none, &result, &screen, &bytes(&dot()), &bytes(&[77])],
        expect![
            "8x4, 1 pixels not black; the screen cannot be drawn from here on: a message that no server may send here"
        ],
    );
}

#[test]
fn after_an_error_nothing_more_is_played() {
    let mut playback = Playback::new();
    let error = playback.receive(b"HTTP/1.1 200").unwrap_err();
    assert_eq!(playback.receive(b"RFB 003.008\n"), Err(error));
    assert_eq!(playback.note(Noted::Version(Version::V3_8)), Err(error));
}

#[test]
fn captures_show_what_their_server_sent() {
    let stand = |capture, stream| {
        let segments = segments(capture, stream)?;
        let whole = stands(&play(&segments, Rules::interactive(), usize::MAX).tape);
        for cut in [1, 7] {
            assert_eq!(stands(&play(&segments, Rules::interactive(), cut).tape), whole);
        }
        Some(whole)
    };
    let check = |capture, stream, expected: Expect| {
        if let Some(whole) = stand(capture, stream) {
            expected.assert_eq(&whole);
        }
    };
    check("suriv__rfb-parser__input.pcap", 0, expect!["1280x800, 0 pixels not black"]);
    check("suriv__rfb-failure__rfb_failure_16.pcap", 0, expect!["refused"]);
    check("suriv__rfb-rules__00-vnc-openwall-3.7.pcap", 0, expect!["1280x800, 0 pixels not black"]);
    check("zeek__vncmac.pcap", 0, expect!["refused"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// The tool changes its pixel format as it likes; what is played back is what was painted last.
    #[test]
    fn it_shows_the_picture_through_changes_of_format(
        changes in proptest::collection::vec((0_usize..4, any::<bool>()), 1..6),
        seed in any::<u64>(),
        cut in 1_usize..3000,
    ) {
        const FORMATS: [[u8; 16]; 4] = [RGB32, RGB16, RGB8, MAPPED];
        let mut random = Random(seed);
        let mut wire = Wire::new(Rules::view_only());
        wire.shake_hands_noted();
        wire.client(&set_encodings(&[16, 5, 2, 1, 0])).server(&colour_map());
        let mut compressor = Compressor::new();
        let mut last = Vec::new();
        let mut bytes = RGB32;
        for (which, within) in changes {
            wire.client(&request(false));
            let picture = Picture::random(64, 48, bytes, 12, 40, &mut random);
            let (encoding, body) = match random.below(4) {
                0 => (0, picture.raw()),
                1 => (2, picture.rre()),
                2 => (5, picture.hextile(&mut random)),
                _ => (16, compressed(&compressor.compress(&picture.zrle(&mut random)))),
            };
            let painted = update(&[rectangle([0, 0, 64, 48], encoding, &body)]);
            // In force from the next update, also where this one has only begun.
            let begun = if within { painted.len() / 2 } else { painted.len() };
            wire.server(&painted[..begun]).client(&set_pixel_format(FORMATS[which])).server(&painted[begun..]);
            bytes = FORMATS[which];
            last = picture.rgba();
        }
        prop_assert_eq!(&wire.malformed, &None);
        let (playback, end) = played(&wire.tape, cut);
        prop_assert_eq!(end, Ok(()));
        prop_assert!(playback.screen().unwrap().rgba() == last);
    }

    /// Whatever a record holds, it is played back or refused, the same at every cut.
    #[test]
    fn hostile_records_do_no_harm(
        pieces in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(Taped::ToClient),
            Just(Taped::ToClient(b"RFB 003.008\n".to_vec())),
            Just(Taped::ToClient(b"RFB 003.003\n".to_vec())),
            Just(Taped::ToClient(vec![1, 1])),
            Just(Taped::ToClient(vec![0, 0, 0, 1])),
            Just(Taped::ToClient(vec![0; 4])),
            Just(Taped::ToClient(server_init(8, 4, RGB32))),
            Just(Taped::ToClient(dot())),
            Just(Taped::Noted(Noted::Version(Version::V3_3))),
            Just(Taped::Noted(Noted::Version(Version::V3_8))),
            Just(Taped::Noted(Noted::SecurityChoice(Security::None))),
            Just(Taped::Noted(Noted::SecurityChoice(Security::VncAuthentication))),
            Just(Taped::Noted(Noted::SetPixelFormat(format(RGB8)))),
        ], 0..12),
    ) {
        stands(&pieces);
    }
}
