//! The second factor itself: what may be offered as one, and a file for each kind.
//!
//! Another kind is a variant of [`Offer`], an arm of `prove_second`, and a file that checks it.

mod code;
pub(super) mod recovery;
mod totp;
mod webauthn;

use std::fmt;

use jiff::Timestamp;
use sallyport_policy::Proof;

use super::webauthn::Asserted;
use super::{Identities, Refused, Verified};

/// What somebody offers as their second factor.
#[derive(Clone, Copy)]
pub enum Offer<'a> {
    /// A code as it was typed: of their authenticator, or a recovery code in its place.
    Code(&'a str),
    /// A passkey that was used just now.
    Assertion(&'a Asserted),
    /// A login that waited, by the id of its confirmation.
    Confirmation(&'a str),
}

impl Offer<'_> {
    /// For the audit of a refusal: which kind it would have been is not known then.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Offer::Code(_) => "code",
            Offer::Assertion(_) | Offer::Confirmation(_) => "webauthn",
        }
    }

    /// Nothing at all: what a terminal that is gone answers. It is no guess.
    #[must_use]
    pub fn is_empty(self) -> bool {
        match self {
            Offer::Code(typed) => typed.trim().is_empty(),
            Offer::Assertion(_) | Offer::Confirmation(_) => false,
        }
    }
}

/// A code is a secret until it is spent.
impl fmt::Debug for Offer<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl Identities {
    /// Checks what is offered after a first factor, and spends it.
    pub(super) async fn prove_second(
        &self,
        first: &Verified,
        offer: Offer<'_>,
        now: Timestamp,
    ) -> Result<Proof, Refused> {
        match offer {
            Offer::Code(typed) => Ok(Proof { kind: self.prove_by_code(first, typed, now).await?, at: now }),
            Offer::Assertion(asserted) => self.prove_by_assertion(first, asserted, now),
            Offer::Confirmation(id) => self.prove_by_confirmation(first, id, now).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_shows_in_no_log_and_nothing_is_no_guess() {
        assert_eq!(format!("{:?}", Offer::Code("123456")), "code");
        assert!(Offer::Code(" \t").is_empty());
        assert!(!Offer::Code(" 1").is_empty());
    }
}
