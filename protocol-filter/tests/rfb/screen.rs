//! A screen drawn again is the screen that was.

use proptest::prelude::*;
use sallyport_protocol_filter::rfb::{PixelFormat, Screen};

use crate::laws::Random;
use crate::paint::{Compressor, Picture, colour_map, compressed};
use crate::wire::{MAPPED, RGB8, RGB16, RGB32, cut_text, rectangle, update};

/// 32 bits, big-endian, colours in the upper three bytes.
const HIGH_BIG_ENDIAN: [u8; 16] = [32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 8, 16, 24, 0, 0, 0];
/// 32 bits, little-endian, colours in the upper three bytes.
const HIGH_LITTLE_ENDIAN: [u8; 16] = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 8, 16, 24, 0, 0, 0];
/// 32 bits, big-endian, colours in the lower three bytes.
const LOW_BIG_ENDIAN: [u8; 16] = [32, 24, 1, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0];
/// 32 bits, little-endian, ten bits a colour: ZRLE leaves out no byte.
const TEN_BITS: [u8; 16] = [32, 30, 0, 1, 3, 255, 3, 255, 3, 255, 20, 10, 0, 0, 0, 0];

const FORMATS: [[u8; 16]; 8] =
    [RGB32, RGB16, RGB8, MAPPED, HIGH_BIG_ENDIAN, HIGH_LITTLE_ENDIAN, LOW_BIG_ENDIAN, TEN_BITS];

fn format(bytes: [u8; 16]) -> PixelFormat {
    PixelFormat::decode(&bytes).unwrap()
}

fn screen(width: u16, height: u16, bytes: [u8; 16]) -> Screen {
    Screen::new(width, height, format(bytes)).unwrap()
}

/// A small picture: four by four, a colour for each row.
fn rows(colours: [u32; 4]) -> Picture {
    let values = colours.iter().flat_map(|colour| [*colour; 4]).collect();
    Picture { width: 4, height: 4, format: RGB32, values }
}

const RED: u32 = 0x00ff_0000;
const GREEN: u32 = 0x0000_ff00;
const BLUE: u32 = 0x0000_00ff;

#[test]
fn it_begins_black() {
    let screen = screen(3, 2, RGB32);
    assert_eq!(screen.size(), (3, 2));
    assert_eq!(screen.rgba(), [0, 0, 0, 255].repeat(6));
}

#[test]
fn copies_may_overlap_and_go_either_way() {
    let mut screen = screen(4, 4, RGB32);
    screen.receive(&update(&[rectangle([0, 0, 4, 4], 0, &rows([RED, GREEN, BLUE, 0]).raw())])).unwrap();
    screen.receive(&update(&[rectangle([0, 1, 4, 3], 1, &[0, 0, 0, 0])])).unwrap();
    assert_eq!(screen.rgba(), rows([RED, RED, GREEN, BLUE]).rgba());
    screen.receive(&update(&[rectangle([0, 0, 4, 3], 1, &[0, 0, 0, 1])])).unwrap();
    assert_eq!(screen.rgba(), rows([RED, GREEN, BLUE, BLUE]).rgba());
}

#[test]
fn another_size_keeps_what_lies_in_both() {
    let mut screen = screen(4, 4, RGB32);
    screen.receive(&update(&[rectangle([0, 0, 4, 4], 0, &rows([RED, GREEN, BLUE, 0]).raw())])).unwrap();
    screen.receive(&update(&[rectangle([0, 0, 2, 2], -223, &[])])).unwrap();
    screen.receive(&update(&[rectangle([0, 0, 2, 3], -223, &[])])).unwrap();
    assert_eq!(screen.size(), (2, 3));
    assert_eq!(
        screen.rgba(),
        [[255, 0, 0, 255].repeat(2), [0, 255, 0, 255].repeat(2), [0, 0, 0, 255].repeat(2)].concat()
    );
}

#[test]
fn another_format_begins_behind_the_update_that_is_under_way() {
    let mut screen = screen(4, 4, RGB32);
    let picture = rectangle([0, 0, 4, 4], 0, &rows([RED, GREEN, BLUE, 0]).raw());
    let old = update(&[picture.clone(), picture]);
    screen.receive(&old[..30]).unwrap();
    screen.set_pixel_format(format(RGB8));
    screen.receive(&old[30..]).unwrap();
    assert_eq!(screen.rgba(), rows([RED, GREEN, BLUE, 0]).rgba());
    screen.receive(&update(&[rectangle([0, 0, 4, 1], 0, &[0b00_00_11; 4])])).unwrap();
    assert_eq!(screen.rgba(), rows([BLUE, GREEN, BLUE, 0]).rgba());
}

#[test]
fn what_is_not_of_the_screen_leaves_it_alone() {
    let mut screen = screen(4, 4, RGB32);
    let shape = rectangle([1, 1, 2, 2], -239, &[255; 18]);
    let two_colours = rectangle([1, 1, 2, 2], -240, &[255; 10]);
    let name = rectangle([0; 4], -307, &[0, 0, 0, 1, b'x']);
    screen.receive(&update(&[shape, two_colours, name])).unwrap();
    screen.receive(&[cut_text(3, b"recipe"), vec![2]].concat()).unwrap();
    assert_eq!(screen.rgba(), [0, 0, 0, 255].repeat(16));
}

#[test]
fn a_zip_bomb_bursts_at_its_rectangles_edge() {
    let mut bomb = Compressor::new();
    let bomb = bomb.compress(&vec![0; 1 << 22]);
    // Raw tiles of zeros: as many as there are pixels, then too much.
    let most = 2 * 64 * 64 * 4 + 2048;
    assert!(bomb.len() < most);
    let mut screen = screen(64, 64, RGB32);
    let error = screen.receive(&update(&[rectangle([0, 0, 64, 64], 16, &compressed(&bomb))])).unwrap_err();
    assert!(error.to_string().contains("more than their rectangle"), "{error}");
    assert_eq!(screen.receive(&[2]), Err(error), "nothing is drawn any more");
}

#[test]
fn compressed_bytes_must_hold_their_rectangle() {
    let short = |body: &[u8]| {
        let mut compressor = Compressor::new();
        let body = compressor.compress(body);
        screen(4, 4, RGB32)
            .receive(&update(&[rectangle([0, 0, 4, 4], 16, &compressed(&body))]))
            .unwrap_err()
            .to_string()
    };
    assert!(short(&[1, 2, 3]).contains("less than their rectangle"));
    assert!(short(&[1, 2, 3, 4, 5]).contains("more than their rectangle"));
    assert!(short(&[17]).contains("unknown kind"));
    assert!(short(&[129]).contains("unknown kind"));
    assert!(short(&[130, 0, 0, 0, 0, 0, 0, 2]).contains("not in its tile's palette"));
    assert!(short(&[128, 0, 0, 0, 16]).contains("longer than its tile"));
    assert!(short(&[128, 0, 0, 0, 255, 255, 255]).contains("longer than its tile"));
    let garbage = update(&[rectangle([0, 0, 4, 4], 16, &compressed(&[0xff; 40]))]);
    assert!(screen(4, 4, RGB32).receive(&garbage).unwrap_err().to_string().contains("cannot be read"));
    let empty = update(&[rectangle([0, 0, 4, 4], 16, &[0; 4])]);
    assert!(screen(4, 4, RGB32).receive(&empty).is_err());
}

#[test]
fn a_run_may_fill_its_tile_to_the_last_pixel() {
    let mut compressor = Compressor::new();
    let body = compressor.compress(&[128, 255, 0, 0, 255, 0]);
    let mut screen = screen(16, 16, RGB32);
    screen.receive(&update(&[rectangle([0, 0, 16, 16], 16, &compressed(&body))])).unwrap();
    assert_eq!(screen.rgba(), [0, 0, 255, 255].repeat(256));
}

#[test]
fn a_screen_beyond_the_limit_is_refused() {
    for (width, height, fits) in [(4096, 4096, true), (16384, 1024, true), (4097, 4096, false), (16385, 1, false)] {
        assert_eq!(Screen::new(width, height, format(RGB32)).is_ok(), fits, "{width} by {height}");
    }
    let mut screen = screen(4, 4, RGB32);
    assert!(screen.receive(&update(&[rectangle([0, 0, 65535, 65535], -223, &[])])).is_err());
    assert_eq!(screen.size(), (4, 4));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is painted, in whatever encoding and format, is what is seen; the zlib stream goes on from one to the next.
    #[test]
    fn every_encoding_shows_the_picture(
        which in 0..FORMATS.len(),
        (width, height) in (1_u16..150, 1_u16..90),
        colours in prop_oneof![1_u16..4, 1_u16..20, 1_u16..200],
        run in prop_oneof![Just(1_u16), Just(20), Just(5000)],
        seed in any::<u64>(),
        cut in 1_usize..2000,
    ) {
        let mut random = Random(seed);
        let bytes = FORMATS[which];
        let mut screen = screen(width, height, bytes);
        screen.receive(&colour_map()).unwrap();
        let mut compressor = Compressor::new();
        for encoding in [16, 0, 2, 5, 16, 5, 16] {
            let picture = Picture::random(width, height, bytes, colours, run, &mut random);
            let body = match encoding {
                0 => picture.raw(),
                2 => picture.rre(),
                5 => picture.hextile(&mut random),
                _ => compressed(&compressor.compress(&picture.zrle(&mut random))),
            };
            for piece in update(&[rectangle([0, 0, width, height], encoding, &body)]).chunks(cut) {
                prop_assert_eq!(screen.receive(piece), Ok(()));
            }
            prop_assert!(screen.rgba() == picture.rgba(), "encoding {}", encoding);
        }
    }

    /// Hostile bytes end in an error or in some picture; the picture has the size of the screen.
    #[test]
    fn hostile_bytes_do_no_harm(
        which in 0..FORMATS.len(),
        encoding in prop_oneof![Just(0), Just(1), Just(2), Just(5), Just(16), Just(-223), Just(-239), Just(-240)],
        area in any::<[u8; 4]>(),
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..32], 0..400),
        length in proptest::option::of(0_u32..400),
        squeeze in any::<bool>(),
    ) {
        let mut screen = screen(100, 70, FORMATS[which]);
        let body = if squeeze { Compressor::new().compress(&body) } else { body };
        let body = match length {
            Some(length) => [&length.to_be_bytes()[..], &body].concat(),
            None => compressed(&body),
        };
        let hostile = update(&[rectangle(area.map(|number| u16::from(number) % 80), encoding, &body)]);
        if let Err(error) = screen.receive(&hostile) {
            prop_assert_eq!(screen.receive(&[2]), Err(error), "nothing is drawn any more");
        }
        let (width, height) = screen.size();
        prop_assert_eq!(screen.rgba().len(), usize::from(width) * usize::from(height) * 4);
    }
}

/// A few bytes that paint all of a screen of 4096 by 4096, for each encoding that can.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let side = 4096_u16;
    let whole = [0, 0, side, side];
    let subrectangle = [[0; 4].as_slice(), &[0, 0, 0, 0], &side.to_be_bytes(), &side.to_be_bytes()].concat();
    let rre = [1000_u32.to_be_bytes().as_slice(), &[0; 4], &subrectangle.repeat(1000)].concat();
    vec![
        ("rre", update(&[rectangle(whole, 2, &rre)])),
        ("backgrounds", update(&vec![rectangle(whole, 2, &[0; 8]); 1000])),
        ("copies", update(&vec![rectangle(whole, 1, &[0; 4]); 1000])),
        ("sizes", update(&vec![rectangle(whole, -223, &[]); 1000])),
    ]
}

#[test]
fn what_paints_more_than_any_screen_shows_is_not_drawn_to_its_end() {
    for (name, bomb) in bombs() {
        let mut screen = screen(4096, 4096, RGB32);
        let error = screen.receive(&bomb).expect_err(name).to_string();
        assert_eq!(
            error, "the screen cannot be drawn from here on: more is painted here than any screen shows",
            "{name}"
        );
    }
    let mut screen = screen(4096, 4096, RGB32);
    let mut compressor = Compressor::new();
    // Tiles of one colour, 4096 of them.
    let mut paint = || {
        let body = compressed(&compressor.compress(&[1, 0, 0, 0].repeat(4096)));
        screen.receive(&update(&[rectangle([0, 0, 4096, 4096], 16, &body)]))
    };
    assert!((0..1000).any(|_| paint().is_err()), "ZRLE");
}

#[test]
fn a_session_that_goes_on_may_paint_on() {
    let mut screen = screen(1920, 1080, RGB32);
    let whole = update(&[rectangle([0, 0, 1920, 1080], 2, &[0; 8])]);
    // A minute of it, sixty times a second all of the screen, in one colour.
    for _ in 0..300 {
        screen.elapsed(1_000_000 / 60);
        screen.receive(&whole).unwrap();
    }
    // Without the time it is too much.
    assert!((0..300).any(|_| screen.receive(&whole).is_err()));
}
