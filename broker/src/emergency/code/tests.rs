#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn typed(code: &EnvelopeCode) -> String {
    code.groups().expose().join("-")
}

/// The letters of a code, as values, and back.
fn letters_of(code: &EnvelopeCode) -> Letters {
    *split(&typed(code)).unwrap().expose()
}

fn written(groups: &Letters) -> String {
    groups.map(|group| group.map(letters::letter).iter().collect::<String>()).join(" ")
}

fn fault(groups: &Letters) -> CodeFault {
    EnvelopeCode::parse(&written(groups)).unwrap_err()
}

fn wrong(groups: &[u8]) -> CodeFault {
    CodeFault::Wrong(WrongGroups(std::array::from_fn(|at| groups.contains(&place(at)))))
}

/// Every one of the 2^20 groups, once as it is printed in each place.
fn every_group() -> impl Iterator<Item = [u8; DATA]> {
    let byte = |number: u32, at: u32| u8::try_from(number >> (5 * at) & 31).unwrap();
    (0..1 << 20).map(move |number| [byte(number, 0), byte(number, 1), byte(number, 2), byte(number, 3)])
}

#[test]
fn a_code_is_read_as_it_is_printed() {
    let codes: Vec<_> = std::iter::repeat_with(EnvelopeCode::generate).take(200).collect();
    let mut verifiers = BTreeSet::new();
    for code in &codes {
        let groups = code.groups();
        assert!(groups.expose().iter().all(|group| group.len() == LETTERS));
        assert!(EnvelopeCode::parse(&typed(code)).unwrap().verifier() == code.verifier());
        verifiers.insert(code.verifier().to_hex());
    }
    assert_eq!(verifiers.len(), codes.len());
}

#[test]
fn however_a_code_is_typed_it_is_the_same() {
    let code = EnvelopeCode::generate();
    let printed = typed(&code);
    let together = printed.replace('-', "");
    let forms = [
        together.clone(),
        printed.to_lowercase(),
        format!("  {}\r\n", printed.replace('-', "  ")),
        printed.replace('-', " – "),
        together.chars().flat_map(|letter| [letter, '.']).collect(),
        together.replace('0', "O").replace('1', "l").replace('V', "u"),
        together.replace('0', "o").replace('1', "I"),
    ];
    for form in forms {
        assert!(EnvelopeCode::parse(&form).unwrap().verifier() == code.verifier(), "{form}");
    }
}

#[test]
fn a_verifier_is_kept_in_hex_and_only_the_whole_of_it_is_one() {
    let verifier = EnvelopeCode::generate().verifier();
    let hex = verifier.to_hex();
    assert!(Verifier::from_hex(&hex).unwrap() == verifier);
    for not_one in ["", "00", &hex[..62], &format!("{hex}00"), &hex.to_uppercase().replace('0', "G")] {
        assert!(Verifier::from_hex(not_one).is_none(), "{not_one}");
    }
    let code = EnvelopeCode(Secret::new([[1, 2, 3, 4]; GROUPS]));
    let expected = "7f4e5a7a37b0242f8f5f2cb71ccd1205b3a26caa1112c78a78261a38b6530603";
    assert_eq!(code.verifier().to_hex(), expected, "envelopes in drawers must open for ever");
    assert_eq!(typed(&code), "12341-1234E-1234B-1234G-1234N", "and so must what is printed in them");
}

#[test]
fn a_code_does_not_show_itself() {
    assert_eq!(format!("{:?}", EnvelopeCode::generate()), "EnvelopeCode(Secret(…))");
}

/// Whether a group fits is linear in its letters, so this holds for every group in every place if it holds for the difference.
/// It is tried on all 2^20 of them all the same where that is quick.
#[test]
fn in_every_group_each_wrong_letter_and_each_swap_of_two_letters_shows() {
    for data in every_group() {
        let mut group = [data[0], data[1], data[2], data[3], check(1, data)];
        assert!(fits(1, &group));
        for at in 0..LETTERS {
            let right = group[at];
            // One bit at a time here; every letter below.
            for bit in 0..5 {
                group[at] = right ^ (1 << bit);
                assert!(!fits(1, &group), "{group:?}");
            }
            group[at] = right;
            for other in at + 1..LETTERS {
                group.swap(at, other);
                assert!(group[at] == group[other] || !fits(1, &group), "{group:?}");
                group.swap(at, other);
            }
        }
        for place in 2..=5 {
            assert!(!fits(place, &group), "{group:?} fits place {place} too");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_wrong_letter_is_found_with_its_group(bits: [[u8; DATA]; GROUPS]) {
        let right = letters_of(&EnvelopeCode(Secret::new(bits.map(|group| group.map(|byte| byte & 31)))));
        for at in 0..GROUPS {
            for letter in 0..LETTERS {
                for other in (0..32).filter(|other| *other != right[at][letter]) {
                    let mut groups = right;
                    groups[at][letter] = other;
                    prop_assert_eq!(fault(&groups), wrong(&[place(at)]));
                }
            }
        }
    }

    #[test]
    fn every_swap_of_two_letters_of_a_group_is_found_with_it(bits: [[u8; DATA]; GROUPS]) {
        let right = letters_of(&EnvelopeCode(Secret::new(bits.map(|group| group.map(|byte| byte & 31)))));
        for at in 0..GROUPS {
            for (first, second) in (0..LETTERS).flat_map(|first| (0..first).map(move |second| (first, second))) {
                let mut groups = right;
                groups[at].swap(first, second);
                if groups != right {
                    prop_assert_eq!(fault(&groups), wrong(&[place(at)]));
                }
            }
        }
    }

    #[test]
    fn neighbours_swapped_over_the_end_of_a_group_are_found_in_both(bits: [[u8; DATA]; GROUPS]) {
        let right = letters_of(&EnvelopeCode(Secret::new(bits.map(|group| group.map(|byte| byte & 31)))));
        for at in 1..GROUPS {
            let mut groups = right;
            groups.as_flattened_mut().swap(at * LETTERS - 1, at * LETTERS);
            let found = groups == right || match fault(&groups) {
                CodeFault::Swapped(first, second) => (first, second) == (place(at - 1), place(at)),
                other => other == wrong(&[place(at - 1), place(at)]),
            };
            prop_assert!(found);
        }
    }

    #[test]
    fn every_swap_of_two_groups_is_found_with_both(bits: [[u8; DATA]; GROUPS]) {
        let right = letters_of(&EnvelopeCode(Secret::new(bits.map(|group| group.map(|byte| byte & 31)))));
        for (second, first) in (0..GROUPS).flat_map(|second| (0..second).map(move |first| (second, first))) {
            let mut groups = right;
            groups.swap(first, second);
            prop_assert_eq!(fault(&groups), CodeFault::Swapped(place(first), place(second)));
        }
        let mut turned = right;
        turned.rotate_left(1);
        prop_assert_eq!(fault(&turned), wrong(&[1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_letter_left_out_or_typed_twice_is_told(bits: [[u8; DATA]; GROUPS], at in 0..25_usize, twice: bool) {
        let printed = typed(&EnvelopeCode(Secret::new(bits.map(|group| group.map(|byte| byte & 31)))));
        let place_in = |at: usize| at + at / LETTERS;
        let mut grouped = printed.clone();
        if twice {
            grouped.insert(place_in(at), '7');
        } else {
            grouped.remove(place_in(at));
        }
        let letters = if twice { LETTERS + 1 } else { LETTERS - 1 };
        let found = EnvelopeCode::parse(&grouped).unwrap_err();
        prop_assert_eq!(found, CodeFault::Length { group: place(at / LETTERS), letters });
        let found = EnvelopeCode::parse(&grouped.replace('-', "")).unwrap_err();
        let counted = matches!(found, CodeFault::Count { letters: 24 | 26, .. });
        prop_assert!(counted);
    }

    /// Whatever is typed is answered, and nothing of it is repeated.
    #[test]
    fn anything_may_be_typed(text in "\\PC{0,80}") {
        if let Err(fault) = EnvelopeCode::parse(&text) {
            prop_assert!(fault.to_string().is_ascii());
        }
    }
}

/// What the module's head says of two and more wrong letters.
#[test]
fn of_two_wrong_letters_in_a_group_one_case_in_31_is_not_found() {
    let group = [7, 8, 9, 10, check(1, [7, 8, 9, 10])];
    for (first, second) in (0..LETTERS).flat_map(|first| (0..first).map(move |second| (first, second))) {
        let mut missed = 0;
        for (one, other) in (1..32).flat_map(|one| (1..32).map(move |other| (one, other))) {
            let mut group = group;
            group[first] ^= one;
            group[second] ^= other;
            missed += u32::from(fits(1, &group));
        }
        assert_eq!(missed, 31, "of 961");
    }
    let random = every_group().filter(|data| fits(1, &[data[0], data[1], data[2], data[3], 5])).count();
    assert_eq!(random, (1 << 20) / 32);
}

#[test]
fn a_fault_is_a_sentence_for_a_person_in_a_hurry() {
    let said = |typed: &str| EnvelopeCode::parse(typed).unwrap_err().to_string();
    let right =
        EnvelopeCode(Secret::new([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20]]));
    let groups = letters_of(&right);
    let mut two = groups;
    two[1][0] ^= 1;
    two[3][2] ^= 3;
    let mut swapped = groups;
    swapped.swap(0, 4);
    let all = [
        said(" - "),
        said(&"A".repeat(201)),
        said(&written(&groups).replacen('6', "ß", 1)),
        said(&written(&groups)[1..]),
        said(&written(&groups).replace(' ', "")[1..]),
        said(&written(&two)),
        said(&written(&swapped)),
    ];
    let expected = expect_test::expect![[r#"
        nothing was typed; type the 25 letters of the sheet
        that is too long; a code is five groups of five letters
        group 2 has a sign that is in no code; look at group 2 of the sheet again
        group 1 has 4 letters instead of five; look at group 1 of the sheet again
        24 letters were typed instead of 25; look at group 1 of the sheet first
        groups 2 and 4 are not as they are printed; compare them letter by letter
        groups 1 and 5 stand in each other's place; type them the other way round"#]];
    expected.assert_eq(&all.join("\n"));
}
