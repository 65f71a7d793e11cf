//! Keys, pointer and clipboard: who may, what passes, what is noted.

use expect_test::expect;
use sallyport_protocol_filter::rfb::{Mode, Rules};
use sallyport_protocol_filter::{Now, ProtocolFilter, Side};

use crate::wire::{Wire, cut_text, key, pointer, request, update};

/// A message of every extension whose length can be told.
fn extensions() -> Vec<Vec<u8>> {
    vec![
        vec![150, 1, 0, 0, 0, 0, 0, 64, 0, 48],
        [&[248, 0, 0, 0, 0x80, 0, 0, 0, 3][..], b"abc"].concat(),
        vec![250, 0, 1, 2],
        [&[251, 0, 4, 0, 3, 0, 2, 0][..], &[7; 32]].concat(),
        [&[253, 0x81, 0, 5][..], b"12345"].concat(),
        [&[253, 0x01, 5, 0][..], b"12345"].concat(),
        vec![255, 0, 0, 1, 0, 0, 0, 0x41, 0, 0, 0, 30],
        vec![255, 1, 0, 0],
        vec![255, 1, 0, 2, 3, 2, 0, 0, 0xac, 0x44],
        [&[11, 0, 0, 0, 0, 0, 0, 2][..], b"hi"].concat(),
        vec![11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        vec![8, 2, 0, 0],
    ]
}

#[test]
fn view_only_drops_every_way_to_act_and_stays_in_sync() {
    let mut wire = Wire::open(Rules::view_only());
    let acts = [&[key(true, 0x41), key(false, 0x41), pointer(1, 5, 6), cut_text(6, b"start pump")][..], &extensions()];
    for act in acts.concat() {
        wire.client(&act).client(&request(true));
        assert_eq!(wire.to_server, request(true), "after {act:?}");
        wire.to_server.clear();
    }
    wire.server(&cut_text(3, b"recipe")).server(&update(&[]));
    assert_eq!(wire.to_client, update(&[]));
    assert_eq!(wire.malformed, None);
}

#[test]
fn interactive_passes_keys_and_pointer_but_no_clipboard_and_no_extension() {
    let mut wire = Wire::open(Rules::interactive());
    let input = [key(true, 0xff0d), pointer(1, 5, 6), pointer(1, 6, 6), pointer(0, 6, 6), key(false, 0xff0d)].concat();
    wire.client(&input).client(&cut_text(6, b"start pump")).client(&extensions().concat());
    assert_eq!(wire.to_server, input);
    wire.server(&cut_text(3, b"recipe"));
    assert!(wire.to_client.is_empty());
    expect![[r#"
        client control: key 0xff0d down: pass
        client control: buttons 0b00000001 (was 0b00000000) at 5, 6: pass
        client control: pointer-moves 1: pass
        client control: buttons 0b00000000 (was 0b00000001) at 6, 6: pass
        client control: key 0xff0d up: pass
        client write: dropped-cut-text-to-asset 1: deny
        client control: dropped-extensions 1: deny
        server read: dropped-cut-text-from-asset 1: deny"#]]
    .assert_eq(&wire.notes.join("\n"));
}

#[test]
fn the_clipboard_is_a_right_for_each_direction() {
    for (to_asset, from_asset) in [(false, false), (false, true), (true, false), (true, true)] {
        let rules = Rules { clipboard_to_asset: to_asset, clipboard_from_asset: from_asset, ..Rules::view_only() };
        let mut wire = Wire::open(rules);
        wire.client(&cut_text(6, b"up")).server(&cut_text(3, b"down"));
        assert_eq!(wire.to_server, if to_asset { cut_text(6, b"up") } else { vec![] });
        assert_eq!(wire.to_client, if from_asset { cut_text(3, b"down") } else { vec![] });
    }
}

#[test]
fn observing_passes_and_says_what_enforcing_would_deny() {
    let mut wire = Wire::open(Rules { mode: Mode::Observe, ..Rules::view_only() });
    let acts = [key(true, 0x41), pointer(1, 5, 6), pointer(1, 6, 6), cut_text(6, b"up")].concat();
    wire.client(&acts).server(&cut_text(3, b"down"));
    assert_eq!(wire.to_server, acts);
    assert_eq!(wire.to_client, cut_text(3, b"down"));
    assert!(wire.notes.iter().all(|note| note.ends_with(" would-deny")), "{:?}", wire.notes);
    // An extension's message is legal in no mode: the server was never told of it.
    wire.to_server.clear();
    wire.client(&extensions().concat());
    assert!(wire.to_server.is_empty());
    assert!(wire.notes.last().is_some_and(|note| note.ends_with(" deny")));
}

#[test]
fn the_client_may_ask_only_for_what_can_be_drawn_again() {
    let mut wire = Wire::open(Rules::interactive());
    let asked = [7, 16, -258, 5, -305, -309, -308, -312, -313, 0xC0A1_E5CE_u32 as i32, -259, 16, -223, 1, -32, -247];
    wire.client(&crate::wire::set_encodings(&asked));
    assert_eq!(wire.to_server, crate::wire::set_encodings(&[16, 5, -223, 1]));
    expect!["client session: set-encodings zrle hextile desktop-size copy-rect; 11 left out: 7 -258 -305 -309 -308 -312 -313 -1063131698 -259 -32 -247: pass"].assert_eq(&wire.notes.join("\n"));
}

#[test]
fn dropped_events_are_noted_once_a_second_and_settled_at_the_end() {
    let mut wire = Wire::open(Rules::view_only());
    for _ in 0..10 {
        wire.client(&key(true, 0x41));
    }
    assert_eq!(wire.filter.deadline(), Some(1000));
    wire.now_ms = 999;
    wire.tick();
    assert_eq!(wire.notes.len(), 1);
    wire.now_ms = 1000;
    wire.tick().client(&key(true, 0x41)).client(&key(true, 0x41));
    assert_eq!(wire.filter.deadline(), Some(2000));
    assert_eq!(wire.finish(Side::Client), Ok(()));
    assert_eq!(wire.filter.deadline(), Some(0), "the counts are due at once");
    wire.tick();
    expect![[r#"
        client control: dropped-keys 1: deny
        client control: dropped-keys 9: deny
        client control: dropped-keys 2: deny"#]]
    .assert_eq(&wire.notes.join("\n"));
    assert_eq!(wire.filter.deadline(), None);
}

#[test]
fn what_is_down_is_let_go_when_the_right_to_press_it_ends() {
    let mut wire = Wire::open(Rules::interactive());
    wire.client(&[key(true, 0xffe3), key(true, 0x41), key(false, 0x41), pointer(4, 30, 20)].concat());
    wire.forget();
    wire.filter.replace_rules(Rules::view_only());
    assert_eq!(wire.filter.deadline(), Some(0));
    wire.tick();
    assert_eq!(wire.to_server, [key(false, 0xffe3), pointer(0, 30, 20)].concat());
    expect!["client control: released 1 keys, buttons 0b00000100: pass"].assert_eq(&wire.notes.join("\n"));
    // The person lets go as well: that is dropped like all input.
    wire.client(&[key(false, 0xffe3), pointer(0, 31, 20), request(true)].concat());
    assert_eq!(wire.to_server, [key(false, 0xffe3), pointer(0, 30, 20), request(true)].concat());
}

#[test]
fn who_only_looks_on_keeps_what_came_from_the_screen_and_no_way_to_it() {
    let whole = Rules { clipboard_to_asset: true, clipboard_from_asset: true, ..Rules::interactive() };
    assert_eq!(whole.viewing(), Rules { clipboard_from_asset: true, ..Rules::view_only() });
    assert_eq!(Rules::interactive().viewing(), Rules::view_only());
    // What observes has let everything pass: now it holds.
    let observing = Rules { mode: Mode::Observe, ..Rules::view_only() };
    assert_eq!(observing.viewing(), Rules { clipboard_from_asset: true, ..Rules::view_only() });
}

#[test]
fn nothing_is_let_go_in_the_middle_of_a_cut_text() {
    let mut wire = Wire::open(Rules { clipboard_to_asset: true, ..Rules::interactive() });
    let text = cut_text(6, b"0123456789");
    wire.client(&key(true, 0x41)).client(&text[..12]);
    wire.filter.replace_rules(Rules::view_only());
    assert_eq!(wire.filter.deadline(), None);
    wire.tick().client(&text[12..]);
    assert_eq!(wire.to_server, [key(true, 0x41), text, key(false, 0x41)].concat());
}

#[test]
fn what_is_down_is_let_go_right_behind_the_text_however_the_stream_is_cut() {
    let text = cut_text(6, b"0123456789");
    for cut in [usize::MAX, 1, 5] {
        let mut wire = Wire::open(Rules { clipboard_to_asset: true, ..Rules::interactive() });
        wire.cut = Box::new(move || cut);
        wire.client(&[key(true, 0x41), text[..12].to_vec()].concat());
        wire.filter.replace_rules(Rules::view_only());
        wire.client(&[&text[12..], &request(true)].concat());
        assert_eq!(wire.to_server, [key(true, 0x41), text.clone(), key(false, 0x41), request(true)].concat(), "{cut}");
    }
}

#[test]
fn the_journal_hears_of_a_message_before_a_byte_of_it_is_out() {
    use sallyport_protocol_filter::rfb::{Filter, Operation};
    use sallyport_protocol_filter::{Journal, Outbound};
    use std::cell::Cell;
    struct First<'a>(&'a Cell<usize>);
    impl Journal<Filter> for First<'_> {
        fn note(&mut self, _: &Operation<'_>) {
            self.0.set(self.0.get() + 1);
        }
    }
    // The first byte of a cut text says nothing yet: no note, and nothing out, until the header is whole.
    let mut wire = Wire::open(Rules { clipboard_to_asset: true, ..Rules::view_only() });
    let (heard, mut out) = (Cell::new(0), Outbound::default());
    let now = Now { unix_ms: 0, monotonic_ms: 0 };
    for (place, byte) in cut_text(6, b"x").iter().enumerate() {
        wire.filter.receive(Side::Client, &[*byte], now, &mut out, &mut First(&heard)).unwrap();
        assert_eq!(heard.get(), usize::from(place >= 7), "byte {place}");
        assert_eq!(out.to_server.is_empty(), place < 7, "byte {place}");
    }
}
