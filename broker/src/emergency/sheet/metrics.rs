//! How wide letters are on paper, and which bytes stand for them: Helvetica and Courier, which every reader of PDF has.

/// How wide a text is in Helvetica, bold or not, in points: never less than it is.
pub(super) fn width(text: &str, size: f32) -> f32 {
    let thousandths: u32 = text.chars().map(|letter| u32::from(advance(letter))).sum();
    size * thousandths_of(thousandths)
}

/// The same in Courier, in which all letters are as wide.
pub(super) fn fixed_width(text: &str, size: f32) -> f32 {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    size * thousandths_of(letters.saturating_mul(FIXED))
}

/// The bytes of a text in `WinAnsiEncoding`, and whether every letter has one; a `?` stands for one that has not.
pub(super) fn encoded(text: &str) -> (Vec<u8>, bool) {
    let mut whole = true;
    let byte = |letter: char| {
        byte(letter).unwrap_or_else(|| {
            whole = false;
            b'?'
        })
    };
    let bytes = text.chars().map(byte).collect();
    (bytes, whole)
}

fn byte(letter: char) -> Option<u8> {
    match letter {
        ' '..='~' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(letter)).ok(),
        other => BEYOND_LATIN_1.iter().find(|(known, _)| *known == other).map(|(_, byte)| *byte),
    }
}

fn advance(letter: char) -> u16 {
    let printable = u32::from(letter).checked_sub(u32::from(' ')).and_then(|at| usize::try_from(at).ok());
    printable.and_then(|at| ADVANCES.get(at)).copied().unwrap_or(WIDEST)
}

fn thousandths_of(sum: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a line has thousands of letters at most")]
    let sum = sum as f32;
    sum / 1000.0
}

/// Of the letters from space to tilde, in thousandths of the size: the wider of Helvetica and Helvetica-Bold.
#[rustfmt::skip]
const ADVANCES: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611, 1015, 722, 722, 722, 722, 667,
    611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556,
    278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584,
];
/// No letter beyond them is wider.
const WIDEST: u16 = 1000;
const FIXED: u32 = 600;

const BEYOND_LATIN_1: [(char, u8); 17] = [
    ('€', 0x80),
    ('‚', 0x82),
    ('„', 0x84),
    ('…', 0x85),
    ('Š', 0x8a),
    ('Œ', 0x8c),
    ('Ž', 0x8e),
    ('‘', 0x91),
    ('’', 0x92),
    ('“', 0x93),
    ('”', 0x94),
    ('–', 0x96),
    ('—', 0x97),
    ('š', 0x9a),
    ('œ', 0x9c),
    ('ž', 0x9e),
    ('Ÿ', 0x9f),
];
