//! The thirty-two letters of an envelope's code, chosen to survive handwriting, a bad telephone line and a shaking hand.
//!
//! They are Crockford's base 32: no `I`, `L` and `O`, which are read as `1` and `0`, and no `U`, which is read as `V`. What is
//! alike in the ear (`B`, `D`, `E`, `P`, `T`, `3`) is told apart by a word of the international spelling alphabet.

/// A letter and the word that spells it. The place of a letter is its value.
const LETTERS: [(char, &str); 32] = [
    ('0', "Zero"),
    ('1', "One"),
    ('2', "Two"),
    ('3', "Three"),
    ('4', "Four"),
    ('5', "Five"),
    ('6', "Six"),
    ('7', "Seven"),
    ('8', "Eight"),
    ('9', "Nine"),
    ('A', "Alfa"),
    ('B', "Bravo"),
    ('C', "Charlie"),
    ('D', "Delta"),
    ('E', "Echo"),
    ('F', "Foxtrot"),
    ('G', "Golf"),
    ('H', "Hotel"),
    ('J', "Juliett"),
    ('K', "Kilo"),
    ('M', "Mike"),
    ('N', "November"),
    ('P', "Papa"),
    ('Q', "Quebec"),
    ('R', "Romeo"),
    ('S', "Sierra"),
    ('T', "Tango"),
    ('V', "Victor"),
    ('W', "Whiskey"),
    ('X', "X-ray"),
    ('Y', "Yankee"),
    ('Z', "Zulu"),
];

/// The letter of a value; only its low five bits count.
pub(super) fn letter(value: u8) -> char {
    LETTERS[usize::from(value & 31)].0
}

/// The value of a letter as somebody typed it; none if it is in no code.
pub(super) fn value(typed: char) -> Option<u8> {
    let meant = match typed.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        'U' => 'V',
        other => other,
    };
    LETTERS.iter().position(|(letter, _)| *letter == meant).and_then(|place| u8::try_from(place).ok())
}

/// How a letter is said aloud.
pub(super) fn spoken(letter: char) -> &'static str {
    LETTERS.iter().find(|(known, _)| *known == letter).map_or("", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_letter_is_read_as_itself_and_has_a_word_of_its_own() {
        for at in 0..32 {
            let letter = letter(at);
            assert_eq!(value(letter), Some(at));
            assert_eq!(value(letter.to_ascii_lowercase()), Some(at));
            let word = spoken(letter);
            assert!(letter.is_ascii_digit() || word.starts_with(letter), "{letter} {word}");
        }
        let words: BTreeSet<_> = LETTERS.iter().map(|(_, word)| word).collect();
        assert_eq!(words.len(), LETTERS.len());
    }

    #[test]
    fn what_looks_like_a_letter_is_taken_for_it() {
        for (typed, meant) in [('o', '0'), ('O', '0'), ('i', '1'), ('L', '1'), ('u', 'V')] {
            assert_eq!(value(typed), value(meant), "{typed}");
        }
        for other in ['é', 'Ω', '!', ' ', '５'] {
            assert_eq!(value(other), None, "{other}");
        }
    }
}
