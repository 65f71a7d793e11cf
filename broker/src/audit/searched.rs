//! What somebody looked for in recordings, told without saying it.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;

/// A digest of the text, keyed by the evidence key: HMAC-SHA-256 with a key that is HMAC-SHA-256 of the words below under the
/// evidence key's seed. A text that was searched may be a password that got out, and the chain is for ever.
#[must_use]
pub fn searched_digest(evidence: &SigningKey, text: &str) -> String {
    let seed = hmac::Key::new(hmac::HMAC_SHA256, evidence.as_bytes());
    let derived = hmac::sign(&seed, b"sallyport searched text v1");
    let key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
    HEXLOWER.encode(hmac::sign(&key, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_same_for_one_text_and_key_and_says_neither() {
        let [key, other] = [[7; 32], [8; 32]].map(|seed| SigningKey::from_bytes(&seed));
        let digest = searched_digest(&key, "s3kr3t");
        assert_eq!((digest.len(), &digest), (64, &searched_digest(&key, "s3kr3t")));
        assert_ne!(digest, searched_digest(&key, "s3kr3T"));
        assert_ne!(digest, searched_digest(&other, "s3kr3t"));
    }
}
