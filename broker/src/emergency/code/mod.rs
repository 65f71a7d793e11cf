//! The code of an envelope: 100 random bits in five groups of five letters, and what is kept of it.
//!
//! Four letters of a group carry five bits each; the fifth checks the group and its place. What a hand, an eye or a telephone
//! does to a code is found before anything is compared, so that a stressed person is told which group to look at: any one
//! wrong letter of a group, any two of its letters swapped, any two groups swapped. Not found in one case of 31 are two wrong
//! letters in one group, in one of 32 more than two: such a code is refused like any other that opens nothing.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

use super::letters;
use crate::vault::Secret;

/// The code of an envelope. It shows itself only in [`EnvelopeCode::groups`].
#[derive(Debug)]
pub(crate) struct EnvelopeCode(Secret<Bits>);

/// What is kept of a code: enough to know it again, and nothing to find it by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verifier([u8; 32]);

/// Why what was typed cannot be the code of any envelope. It repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodeFault {
    /// Nothing but spaces.
    #[error("nothing was typed; type the 25 letters of the sheet")]
    Empty,
    /// More than anybody types.
    #[error("that is too long; a code is five groups of five letters")]
    TooLong,
    /// A sign that no code has.
    #[error("group {0} has a sign that is in no code; look at group {0} of the sheet again")]
    Sign(u8),
    /// Five groups, and one of them with letters missing or too many.
    #[error("group {group} has {letters} letters instead of five; look at group {group} of the sheet again")]
    Length {
        /// Which, from 1.
        group: u8,
        /// How many it has.
        letters: usize,
    },
    /// Too few letters, or too many, in groups of the person's own.
    #[error("{letters} letters were typed instead of 25; look at group {group} of the sheet first")]
    Count {
        /// How many there are.
        letters: usize,
        /// The first group that does not fit.
        group: u8,
    },
    /// Two groups are each other's.
    #[error("groups {0} and {1} stand in each other's place; type them the other way round")]
    Swapped(u8, u8),
    /// Groups that do not fit.
    #[error("{0}")]
    Wrong(WrongGroups),
}

/// The groups that do not fit their check letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongGroups([bool; GROUPS]);

impl EnvelopeCode {
    /// A new one.
    #[must_use]
    pub(crate) fn generate() -> Self {
        let mut bits = Secret::new([[0_u8; DATA]; GROUPS]);
        rand::fill(bits.expose_mut().as_flattened_mut());
        // Thirty-two letters: the low five bits of a byte are evenly spread.
        bits.expose_mut().as_flattened_mut().iter_mut().for_each(|byte| *byte &= 31);
        Self(bits)
    }

    /// Reads what somebody typed, in any case and with whatever between the letters.
    ///
    /// # Errors
    /// When it cannot be a code; it says where to look.
    pub(crate) fn parse(typed: &str) -> Result<Self, CodeFault> {
        let groups = split(typed)?;
        let wrong = WrongGroups(std::array::from_fn(|at| !fits(place(at), &groups.expose()[at])));
        if wrong.0.contains(&true) {
            return Err(wrong.swapped(groups.expose()).unwrap_or(CodeFault::Wrong(wrong)));
        }
        let mut bits = Secret::new([[0_u8; DATA]; GROUPS]);
        for (data, group) in bits.expose_mut().iter_mut().zip(groups.expose()) {
            data.copy_from_slice(&group[..DATA]);
        }
        Ok(Self(bits))
    }

    /// As it is printed: five groups of five letters.
    #[must_use]
    pub(crate) fn groups(&self) -> Secret<[String; GROUPS]> {
        let group = |at: usize| {
            let data = self.0.expose()[at];
            // With the capacity it needs: a string that grows leaves a copy behind.
            let mut group = String::with_capacity(LETTERS);
            group.extend(data.into_iter().chain([check(place(at), data)]).map(letters::letter));
            group
        };
        Secret::new(std::array::from_fn(group))
    }

    /// What is kept of it. One plain hash is enough: who holds it would have to try 2^100 codes, and no slow hash adds to that
    /// what it would cost a broker that must check a code while everything else is down.
    #[must_use]
    pub(crate) fn verifier(&self) -> Verifier {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"sallyport envelope code v1\0");
        context.update(self.0.expose().as_flattened());
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Verifier(hash)
    }
}

impl Verifier {
    /// As it is stored.
    #[must_use]
    pub(crate) fn to_hex(self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads what was stored; nothing if it is none.
    #[must_use]
    pub(crate) fn from_hex(stored: &str) -> Option<Self> {
        HEXLOWER.decode(stored.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

/// In constant time.
impl PartialEq for Verifier {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Verifier {}

impl WrongGroups {
    /// Which, from 1.
    fn numbers(self) -> impl Iterator<Item = u8> {
        (0..GROUPS).filter(move |at| self.0[*at]).map(place)
    }

    /// Two wrong groups that would fit in each other's place.
    fn swapped(self, groups: &Letters) -> Option<CodeFault> {
        let mut numbers = self.numbers();
        let (Some(first), Some(second), None) = (numbers.next(), numbers.next(), numbers.next()) else { return None };
        let at = |number: u8| &groups[usize::from(number) - 1];
        (fits(first, at(second)) && fits(second, at(first))).then_some(CodeFault::Swapped(first, second))
    }
}

impl std::fmt::Display for WrongGroups {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers: Vec<_> = self.numbers().map(|number| number.to_string()).collect();
        match numbers.as_slice() {
            [] => out.write_str("no group is wrong"),
            [one] => write!(out, "group {one} is not as it is printed; compare it with the sheet letter by letter"),
            [some @ .., last] => {
                let some = some.join(", ");
                write!(out, "groups {some} and {last} are not as they are printed; compare them letter by letter")
            }
        }
    }
}

/// What was typed, in its five groups.
fn split(typed: &str) -> Result<Secret<Letters>, CodeFault> {
    if typed.len() > LONGEST {
        return Err(CodeFault::TooLong);
    }
    let written: Vec<&str> =
        typed.split(|sign: char| !sign.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let count = written.iter().map(|part| part.chars().count()).sum();
    if count == 0 {
        return Err(CodeFault::Empty);
    }
    if written.len() == GROUPS
        && let Some(at) = written.iter().position(|part| part.chars().count() != LETTERS)
    {
        return Err(CodeFault::Length { group: place(at), letters: written[at].chars().count() });
    }
    let mut groups = Secret::new([[0_u8; LETTERS]; GROUPS]);
    let all = written.iter().flat_map(|part| part.chars());
    for (at, (sign, slot)) in all.zip(groups.expose_mut().as_flattened_mut()).enumerate() {
        *slot = letters::value(sign).ok_or(CodeFault::Sign(place(at / LETTERS)))?;
    }
    if count == LETTERS * GROUPS {
        return Ok(groups);
    }
    // From the letter that is missing, or was typed twice, nothing fits.
    let first = (0..GROUPS).find(|at| !fits(place(*at), &groups.expose()[*at])).unwrap_or(GROUPS - 1);
    Err(CodeFault::Count { letters: count, group: place(first) })
}

/// Whether a group is as it was made for this place.
fn fits(place: u8, group: &[u8; LETTERS]) -> bool {
    sum(place, group) == 0
}

/// The letter that makes a group fit its place.
fn check(place: u8, data: [u8; DATA]) -> u8 {
    doubled(sum(place, &data))
}

/// Place and letters as the digits of a number to the base 2 in the field of 32 elements. Each digit has a weight of its own,
/// and none is nothing: so a changed digit always shows, and so do two that are swapped. The place is one of the digits.
fn sum(place: u8, letters: &[u8]) -> u8 {
    letters.iter().fold(place, |sum, letter| doubled(sum) ^ letter)
}

/// Times 2, modulo x^5 + x^2 + 1.
fn doubled(value: u8) -> u8 {
    let twice = value << 1;
    if twice & 32 == 0 { twice } else { twice ^ 0b10_0101 }
}

/// Groups are numbered from 1, as on the sheet.
fn place(at: usize) -> u8 {
    u8::try_from(at + 1).unwrap_or(u8::MAX)
}

type Bits = [[u8; DATA]; GROUPS];
type Letters = [[u8; LETTERS]; GROUPS];

const GROUPS: usize = 5;
/// Letters of a group that carry bits, and all of them.
const DATA: usize = 4;
const LETTERS: usize = DATA + 1;
/// In bytes: room for every letter to stand alone between wide separators.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests;
