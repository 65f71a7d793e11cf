//! When another pixel format comes into force, and which are refused.

use sallyport_protocol_filter::rfb::{PixelFormat, Rules};

use crate::wire::{MAPPED, RGB8, RGB16, RGB32, Wire, rectangle, request, set_pixel_format, update};

/// One row of 64 raw pixels, so many bytes each.
fn row(bytes: usize) -> Vec<u8> {
    update(&[rectangle([0, 0, 64, 1], 0, &vec![9; 64 * bytes])])
}

#[test]
fn before_the_first_request_it_is_in_force_at_once() {
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&set_pixel_format(RGB8)).client(&request(false)).server(&row(1)).server(&[2]);
    assert_eq!(wire.malformed, None);
    assert_eq!(wire.to_client, [row(1), vec![2]].concat());
    assert_eq!(wire.to_server, [set_pixel_format(RGB8), request(false)].concat());
}

#[test]
fn while_an_update_comes_in_it_waits_for_its_end() {
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&request(false));
    // The second rectangle's length is told by the old format too.
    let first = rectangle([0, 0, 64, 1], 0, &[9; 64 * 4]);
    let old = update(&[first.clone(), first]);
    wire.server(&old[..50]);
    // Two at once: the last counts.
    wire.client(&set_pixel_format(RGB16)).client(&set_pixel_format(RGB8)).client(&request(true));
    wire.server(&old[50..]).server(&row(1)).server(&[2]);
    assert_eq!(wire.malformed, None);
    assert_eq!(wire.to_client, [old, row(1), vec![2]].concat());
}

#[test]
fn while_an_update_is_owed_it_is_refused() {
    // The client, or who plays it, could have a text that is to be dropped read as pixels: an update of 64 bytes in the old
    // format is 256 in the new one.
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&set_pixel_format(RGB8)).client(&request(false)).client(&set_pixel_format(RGB32));
    assert_eq!(wire.reason(), "the pixel format was changed while an update was owed");
    assert_eq!(wire.to_server, [set_pixel_format(RGB8), request(false)].concat());
}

/// libvncclient's viewers send it before each change of encodings, on a screen that stands still too.
#[test]
fn the_same_format_again_changes_nothing_while_an_update_is_owed() {
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&request(true))
        .client(&set_pixel_format(RGB32))
        .client(&request(false))
        .server(&row(4))
        .server(&row(4));
    assert_eq!(wire.malformed, None);
    assert_eq!(wire.to_server, [request(true), set_pixel_format(RGB32), request(false)].concat());
    assert_eq!(wire.to_client, [row(4), row(4)].concat());

    // What comes next is in the format that waits for the end of an update, not in that of the update.
    let mut wire = Wire::open(Rules::view_only());
    let old = row(4);
    wire.client(&request(false)).server(&old[..50]).client(&set_pixel_format(RGB8)).client(&request(true));
    wire.client(&set_pixel_format(RGB8)).server(&old[50..]).server(&row(1));
    assert_eq!(wire.malformed, None);
    wire.client(&request(true)).client(&set_pixel_format(RGB32));
    assert_eq!(wire.reason(), "the pixel format was changed while an update was owed");
}

#[test]
fn each_request_may_be_answered_on_its_own() {
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&request(false)).client(&request(true)).server(&row(4)).client(&set_pixel_format(RGB8));
    assert_eq!(wire.reason(), "the pixel format was changed while an update was owed");
    let mut wire = Wire::open(Rules::view_only());
    wire.client(&request(false)).client(&request(true)).server(&row(4)).server(&row(4));
    wire.client(&set_pixel_format(RGB8)).server(&row(1));
    assert_eq!(wire.malformed, None);
}

#[test]
fn formats_that_pixels_cannot_be_told_from() {
    let change = |changes: &[(usize, u8)]| {
        let mut format = RGB32;
        changes.iter().for_each(|(place, value)| format[*place] = *value);
        format
    };
    let bad = [
        change(&[(0, 0)]),
        change(&[(0, 24)]),
        change(&[(0, 64)]),
        change(&[(1, 0)]),
        change(&[(1, 33)]),
        change(&[(5, 0)]),
        change(&[(5, 254)]),
        change(&[(10, 25)]),
        change(&[(10, 32)]),
        change(&[(10, 255)]),
        change(&[(10, 8)]),
        change(&[(3, 0)]),
        change(&[(0, 16), (1, 16)]),
    ];
    for format in bad {
        assert!(PixelFormat::decode(&format).is_err(), "{format:?}");
        let mut wire = Wire::open(Rules::view_only());
        wire.client(&set_pixel_format(format));
        assert!(wire.malformed.is_some(), "{format:?}");
        assert!(wire.to_server.is_empty());
    }
    for format in [RGB32, RGB16, RGB8, MAPPED] {
        assert_eq!(PixelFormat::decode(&format).map(|decoded| decoded.encode()), Ok(format));
    }
}
