//! Recovery codes: ten printed codes, each good once in place of TOTP.
//!
//! A code is 80 random bits, so a plain SHA-256 is as good as argon2 here: there is nothing to guess through. The
//! hash names the identity, so that equal codes of two people do not show.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sallyport_policy::IdentityId;

use crate::identity::{Identities, Refused};
use crate::vault::Secret;

/// How many are made at a time.
const CODES: usize = 10;

/// New codes, as they are printed: `xxxx-xxxx-xxxx-xxxx`.
#[must_use]
pub(crate) fn new_codes() -> Vec<Secret<String>> {
    (0..CODES).map(|_| new_code()).collect()
}

/// What is stored of a code, however it was typed; nothing if it cannot be one.
#[must_use]
pub(crate) fn hash(identity: &str, typed: &str) -> Option<String> {
    let code = normalize(typed)?;
    let mut context = digest::Context::new(&digest::SHA256);
    for part in ["sallyport recovery code v1", identity, code.expose()] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    Some(HEXLOWER.encode(context.finish().as_ref()))
}

impl Identities {
    pub(super) async fn spend_recovery(
        &self,
        identity: &IdentityId,
        code: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let hash = hash(identity.as_str(), code).ok_or(Refused::WrongCode)?;
        if self.inner.store.spend_recovery_code(identity.as_str(), &hash, now).await? {
            Ok(())
        } else {
            Err(Refused::WrongCode)
        }
    }
}

fn new_code() -> Secret<String> {
    let mut random = Secret::new([0_u8; LENGTH]);
    rand::fill(random.expose_mut().as_mut_slice());
    let mut code = Secret::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    for (position, byte) in random.expose().iter().enumerate() {
        if position > 0 && position % GROUP == 0 {
            code.expose_mut().push('-');
        }
        // Thirty-two letters: the low five bits of a byte are evenly spread.
        code.expose_mut().push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    code
}

/// Case, dashes and spaces do not matter, and letters that look alike are the same (Crockford's base 32).
fn normalize(typed: &str) -> Option<Secret<String>> {
    if typed.len() > LENGTH * 4 {
        return None;
    }
    let mut code = Secret::new(String::with_capacity(LENGTH));
    for letter in typed.chars().filter(|letter| !matches!(letter, ' ' | '-')) {
        let letter = match letter.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        u8::try_from(letter).ok().filter(|byte| ALPHABET.contains(byte))?;
        code.expose_mut().push(letter);
    }
    (code.expose().len() == LENGTH).then_some(code)
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 16;
const GROUP: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ten_different_codes_in_four_groups() {
        let codes = new_codes();
        let different: BTreeSet<_> = codes.iter().map(|code| code.expose().clone()).collect();
        assert_eq!(different.len(), CODES);
        for code in different {
            assert!(code.split('-').all(|group| group.len() == 4) && code.split('-').count() == 4, "{code}");
        }
    }

    #[test]
    fn however_a_code_is_typed_it_is_the_same() {
        let expected = hash("alice", "0123-4567-89ab-cdef");
        assert!(expected.is_some());
        for typed in ["0123456789ABCDEF", " o i23 4567-89ab-cdef ", "0L23-4567-89ab-cdef"] {
            assert_eq!(hash("alice", typed), expected, "{typed}");
        }
        assert_ne!(hash("bob", "0123-4567-89ab-cdef"), expected);
    }

    #[test]
    fn what_cannot_be_a_code_has_no_hash() {
        for typed in ["", "123456", "0123-4567-89ab-cdeu", "0123-4567-89ab-cdef-0", "0123-4567-89ab-cdé"] {
            assert_eq!(hash("alice", typed), None, "{typed}");
        }
    }
}
