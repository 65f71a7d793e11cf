//! What holds for every connection.

use proptest::prelude::*;
use sallyport_protocol_filter::Side;
use sallyport_protocol_filter::rfb::{Mode, Rules};

use crate::wire::{Wire, cut_text, key, pointer, rectangle, request, update};

/// One legal message.
#[derive(Debug, Clone)]
struct Act {
    side: Side,
    bytes: Vec<u8>,
    needs: Right,
}

#[derive(Debug, Clone, Copy)]
enum Right {
    View,
    Input,
    CutTextToAsset,
    CutTextFromAsset,
    /// Never passes.
    Extension,
}

impl Act {
    fn passes(&self, rules: Rules) -> bool {
        let observing = rules.mode == Mode::Observe;
        match self.needs {
            Right::View => true,
            Right::Input => rules.input || observing,
            Right::CutTextToAsset => rules.clipboard_to_asset || observing,
            Right::CutTextFromAsset => rules.clipboard_from_asset || observing,
            Right::Extension => false,
        }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    (any::<[bool; 3]>(), any::<bool>()).prop_map(|([input, clipboard_to_asset, clipboard_from_asset], observe)| {
        let mode = if observe { Mode::Observe } else { Mode::Enforce };
        Rules { input, clipboard_to_asset, clipboard_from_asset, mode }
    })
}

fn act() -> impl Strategy<Value = Act> {
    let client = |needs| move |bytes| Act { side: Side::Client, bytes, needs };
    let server = |needs| move |bytes| Act { side: Side::Server, bytes, needs };
    let text = || proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        any::<(bool, u32)>().prop_map(|(down, keysym)| key(down, keysym)).prop_map(client(Right::Input)),
        any::<(u8, u16, u16)>().prop_map(|(mask, x, y)| pointer(mask, x, y)).prop_map(client(Right::Input)),
        text().prop_map(|text| cut_text(6, &text)).prop_map(client(Right::CutTextToAsset)),
        any::<bool>().prop_map(request).prop_map(client(Right::View)),
        extension().prop_map(client(Right::Extension)),
        text().prop_map(|text| cut_text(3, &text)).prop_map(server(Right::CutTextFromAsset)),
        Just(vec![2]).prop_map(server(Right::View)),
        proptest::collection::vec(any::<[u8; 6]>(), 0..9).prop_map(colours).prop_map(server(Right::View)),
        proptest::collection::vec(a_rectangle(), 0..6).prop_map(|all| update(&all)).prop_map(server(Right::View)),
        proptest::collection::vec(a_rectangle(), 0..6).prop_map(endless).prop_map(server(Right::View)),
    ]
}

fn extension() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |length: usize| proptest::collection::vec(any::<u8>(), length);
    prop_oneof![
        bytes(9).prop_map(|rest| [vec![150], rest].concat()),
        (bytes(7), (0_usize..=64).prop_flat_map(bytes)).prop_map(|(head, rest)| [
            vec![248],
            head,
            vec![rest.len() as u8],
            rest
        ]
        .concat()),
        bytes(3).prop_map(|rest| [vec![250], rest].concat()),
        (0_usize..9).prop_flat_map(move |n| bytes(16 * n)).prop_map(|rest| [
            vec![251, 0, 4, 0, 3, 0, (rest.len() / 16) as u8, 0],
            rest
        ]
        .concat()),
        (0_usize..300)
            .prop_flat_map(bytes)
            .prop_map(|rest| { [&[253, 0x80][..], &(rest.len() as u16).to_be_bytes(), &rest].concat() }),
        bytes(10).prop_map(|rest| [vec![255, 0], rest].concat()),
        bytes(6).prop_map(|rest| [vec![255, 1, 0, 2], rest].concat()),
        (0_usize..300).prop_flat_map(bytes).prop_map(|rest| cut_text(11, &rest)),
    ]
}

fn colours(entries: Vec<[u8; 6]>) -> Vec<u8> {
    [vec![1, 0, 0, 7], (entries.len() as u16).to_be_bytes().to_vec(), entries.concat()].concat()
}

/// An update that does not say how many rectangles it has.
fn endless(rectangles: Vec<Vec<u8>>) -> Vec<u8> {
    [vec![0, 0, 255, 255], rectangles.concat(), rectangle([0; 4], -224, &[])].concat()
}

/// On a screen of 64 by 48, 4 bytes a pixel.
fn a_rectangle() -> impl Strategy<Value = Vec<u8>> {
    let encoding = prop_oneof![Just(0), Just(1), Just(2), Just(5), Just(16), Just(-239), Just(-240), Just(-307)];
    (0_u16..=64, 0_u16..=48, any::<u64>(), encoding).prop_map(|(width, height, seed, encoding)| {
        let mut random = Random(seed);
        let (x, y) = (random.below(65 - width), random.below(49 - height));
        let pixels = usize::from(width) * usize::from(height);
        let mask = usize::from(width).div_ceil(8) * usize::from(height);
        let body = match encoding {
            0 => random.bytes(4 * pixels),
            1 => {
                let (from_x, from_y) = (random.below(65 - width), random.below(49 - height));
                [from_x.to_be_bytes(), from_y.to_be_bytes()].concat()
            }
            2 => rre(width, height, &mut random),
            5 => hextile(width, height, &mut random),
            16 => {
                let length = random.below(300);
                [u32::from(length).to_be_bytes().to_vec(), random.bytes(usize::from(length))].concat()
            }
            -239 => random.bytes(4 * pixels + mask),
            -240 if pixels == 0 => vec![],
            -240 => random.bytes(6 + 2 * mask),
            _ => {
                let length = random.below(100);
                [u32::from(length).to_be_bytes().to_vec(), random.bytes(usize::from(length))].concat()
            }
        };
        rectangle([x, y, width, height], encoding, &body)
    })
}

fn rre(width: u16, height: u16, random: &mut Random) -> Vec<u8> {
    let count = if width == 0 || height == 0 { 0 } else { random.below(width * height).min(20) };
    let mut body = [u32::from(count).to_be_bytes().to_vec(), random.bytes(4)].concat();
    for _ in 0..count {
        let (w, h) = (random.below(width + 1), random.below(height + 1));
        let (x, y) = (random.below(width + 1 - w), random.below(height + 1 - h));
        body.extend(random.bytes(4));
        body.extend([x, y, w, h].iter().flat_map(|number| number.to_be_bytes()));
    }
    body
}

fn hextile(width: u16, height: u16, random: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    for y in (0..height).step_by(16) {
        for x in (0..width).step_by(16) {
            let (w, h) = ((width - x).min(16), (height - y).min(16));
            let flags = if random.below(4) == 0 { 1 } else { random.below(16) as u8 * 2 };
            body.push(flags);
            if flags == 1 {
                body.extend(random.bytes(4 * usize::from(w * h)));
                continue;
            }
            body.extend(random.bytes(if flags & 2 != 0 { 4 } else { 0 }));
            body.extend(random.bytes(if flags & 4 != 0 { 4 } else { 0 }));
            if flags & 8 == 0 {
                continue;
            }
            let count = random.below(256) as u8;
            body.push(count);
            for _ in 0..count {
                body.extend(random.bytes(if flags & 16 != 0 { 4 } else { 0 }));
                let (x, y) = (random.below(w), random.below(h));
                let (w, h) = (random.below(w - x), random.below(h - y));
                body.extend([(x << 4 | y) as u8, (w << 4 | h) as u8]);
            }
        }
    }
    body
}

/// Small and repeatable.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub(crate) fn below(&mut self, limit: u16) -> u16 {
        (self.next() % u64::from(limit.max(1))) as u16
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// The streams stay in sync whatever is dropped, and what passes is what was sent, byte for byte.
    #[test]
    fn what_passes_is_what_was_sent_without_what_may_not(
        rules in rules(),
        acts in proptest::collection::vec(act(), 0..24),
    ) {
        let mut wire = Wire::open(rules);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        for act in &acts {
            wire.send(act.side, &act.bytes);
            prop_assert_eq!(&wire.malformed, &None);
            if act.passes(rules) {
                match act.side {
                    Side::Client => to_server.extend_from_slice(&act.bytes),
                    Side::Server => to_client.extend_from_slice(&act.bytes),
                }
            }
        }
        prop_assert_eq!(wire.to_server, to_server);
        prop_assert_eq!(wire.to_client, to_client);
    }

    /// Output, notes and the end do not depend on how the streams are cut.
    #[test]
    fn cuts_make_no_difference(
        rules in rules(),
        acts in proptest::collection::vec(act(), 0..16),
        tail in (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..100)),
        seed in any::<u64>(),
    ) {
        let run = |cut: Box<dyn FnMut() -> usize>| {
            let mut wire = Wire::new(rules);
            wire.cut = cut;
            wire.shake_hands_noted();
            for act in &acts {
                wire.send(act.side, &act.bytes);
            }
            wire.send(if tail.0 { Side::Client } else { Side::Server }, &tail.1);
            wire.tick();
            (wire.to_client, wire.to_server, wire.notes, wire.malformed)
        };
        let whole = run(Box::new(|| usize::MAX));
        let mut random = Random(seed);
        let cut = run(Box::new(move || usize::from(random.below(20)) + 1));
        let bytewise = run(Box::new(|| 1));
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(&whole, &bytewise);
    }

    /// Any bytes at any time: no panic, no growth, and never more out than came in.
    #[test]
    fn bytes_that_mean_nothing_do_no_harm(
        open in any::<bool>(),
        pieces in proptest::collection::vec((any::<bool>(), likely_bytes()), 0..20),
    ) {
        let mut wire = Wire::new(Rules { mode: Mode::Observe, ..Rules::view_only() });
        if open {
            wire.shake_hands();
        }
        let mut sent = 0;
        for (client, bytes) in pieces {
            wire.send(if client { Side::Client } else { Side::Server }, &bytes);
            sent += bytes.len();
            // What the filter holds is what its description shows.
            let held = format!("{:?}", wire.filter).len();
            prop_assert!(held < 1 << 15, "{}", held);
        }
        wire.tick();
        prop_assert!(wire.to_client.len() + wire.to_server.len() <= sent + 128);
    }
}

/// Bytes that get further than random ones: the beginnings of messages, and lengths.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(255), 0_u8..17], 0..64),
        act().prop_map(|act| act.bytes),
        (act(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(act, place, value)| {
            let mut bytes = act.bytes;
            let place = place.index(bytes.len());
            bytes[place] = value;
            bytes
        }),
        Just(b"RFB 003.008\n".to_vec()),
    ]
}
