//! Sealing: AES-256-GCM under a key derived from the master key, bound to the place where the result is kept.
//!
//! An envelope is `version (1) | key id (8) | nonce (12) | ciphertext | tag (16)`. The associated data is the
//! envelope's head and the place (table, row, column), so that a ciphertext copied to another row does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use data_encoding::HEXLOWER;

use super::secret::Secret;

/// Where a sealed value lives. INVARIANT: part of what is authenticated, so it must name one cell of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell<'a> {
    /// The table.
    pub table: &'static str,
    /// The primary key of the row, part by part.
    pub row: &'a [&'a str],
    /// The column.
    pub column: &'static str,
}

/// Names a master key without telling anything about it: eight bytes derived from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Too short to be an envelope, or of a version this broker does not know.
    #[error("the sealed value in {place} is not one this version of sallyport wrote")]
    Malformed {
        /// The cell, in words.
        place: String,
    },
    /// Sealed under another master key.
    #[error("the sealed value in {place} is under master key `{sealed_with}`, not under `{have}`")]
    OtherKey {
        /// The cell, in words.
        place: String,
        /// The key that sealed it.
        sealed_with: KeyId,
        /// The key at hand.
        have: KeyId,
    },
    /// The right key, but the bytes were changed, cut or moved here from another row.
    #[error("the sealed value in {place} was altered, or moved there from another row")]
    Altered {
        /// The cell, in words.
        place: String,
    },
    /// The cipher itself refused.
    #[error("the cipher failed to seal the value for {place}")]
    Cipher {
        /// The cell, in words.
        place: String,
    },
}

/// Seals and opens under one master key.
pub(crate) struct Sealer {
    key: RandomizedNonceKey,
    id: KeyId,
}

impl Sealer {
    /// Derives the sealing key and the key's name from the 32 bytes of a master key.
    pub(crate) fn new(master: &[u8; 32]) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = derive(master, b"seal")?;
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, key.expose())?, id: key_id(master)? })
    }

    /// The name of the key that this seals with.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// Seals `plain` for `place`.
    pub(crate) fn seal(&self, place: &Cell<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let head = head(self.id);
        // One allocation of the final size: growing would leave copies of the plain text behind.
        let mut body = Vec::with_capacity(plain.len() + TAG_LEN);
        body.extend_from_slice(plain);
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(associated(&head, place)), &mut body)
            .map_err(|_| SealError::Cipher { place: place.to_string() })?;
        let mut envelope = Vec::with_capacity(HEAD_LEN + NONCE_LEN + body.len());
        envelope.extend_from_slice(&head);
        envelope.extend_from_slice(nonce.as_ref());
        envelope.extend_from_slice(&body);
        Ok(envelope)
    }

    /// Opens what was sealed for `place`.
    pub(crate) fn open(&self, place: &Cell<'_>, envelope: &[u8]) -> Result<Secret<Vec<u8>>, SealError> {
        let sealed_with = sealed_with(envelope).ok_or_else(|| SealError::Malformed { place: place.to_string() })?;
        if sealed_with != self.id {
            return Err(SealError::OtherKey { place: place.to_string(), sealed_with, have: self.id });
        }
        let (head, rest) = envelope.split_at(HEAD_LEN);
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let altered = || SealError::Altered { place: place.to_string() };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| altered())?;
        let mut body = Secret::new(body.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(associated(head, place)), body.expose_mut())
            .map_err(|_| altered())?
            .len();
        body.expose_mut().truncate(length);
        Ok(body)
    }
}

/// A key of its own for one purpose.
pub(super) fn derive(master: &[u8; 32], purpose: &[u8]) -> Result<Secret<[u8; 32]>, aws_lc_rs::error::Unspecified> {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"sallyport master key v1").extract(master);
    let mut key = Secret::new([0_u8; 32]);
    extracted.expand(&[purpose], hkdf::HKDF_SHA256)?.fill(key.expose_mut())?;
    Ok(key)
}

/// The name of a master key.
pub(super) fn key_id(master: &[u8; 32]) -> Result<KeyId, aws_lc_rs::error::Unspecified> {
    let name = derive(master, b"id")?;
    KeyId::from_bytes(&name.expose()[..KEY_ID_LEN]).ok_or(aws_lc_rs::error::Unspecified)
}

/// The key that an envelope names, if it is an envelope.
pub(crate) fn sealed_with(envelope: &[u8]) -> Option<KeyId> {
    if envelope.len() < HEAD_LEN + NONCE_LEN + TAG_LEN || envelope[0] != VERSION {
        return None;
    }
    let mut id = [0_u8; KEY_ID_LEN];
    id.copy_from_slice(&envelope[1..HEAD_LEN]);
    Some(KeyId(id))
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{} of `{}`", self.table, self.column, self.row.join("/"))
    }
}

impl KeyId {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealer({})", self.id)
    }
}

fn head(id: KeyId) -> [u8; HEAD_LEN] {
    let mut head = [VERSION; HEAD_LEN];
    head[1..].copy_from_slice(&id.0);
    head
}

/// Every part goes in with its length before it: `ab` + `c` must not read like `a` + `bc`.
fn associated(head: &[u8], place: &Cell<'_>) -> Vec<u8> {
    let mut bytes = head.to_vec();
    let parts = [place.table].into_iter().chain(place.row.iter().copied()).chain([place.column]);
    for part in parts {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

const VERSION: u8 = 1;
pub(super) const KEY_ID_LEN: usize = 8;
const HEAD_LEN: usize = 1 + KEY_ID_LEN;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn place<'a>(row: &'a [&'a str]) -> Cell<'a> {
        Cell { table: "accounts", row, column: "sealed" }
    }

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place() {
        let sealed = sealer(1).seal(&place(&["ews-1", "operator"]), b"secret").unwrap();
        let opened = sealer(1).open(&place(&["ews-1", "operator"]), &sealed).unwrap();
        assert_eq!(opened.expose(), b"secret");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn a_ciphertext_moved_to_another_row_table_or_column_does_not_open() {
        let sealed = sealer(1).seal(&place(&["ews-1", "operator"]), b"secret").unwrap();
        for elsewhere in [
            place(&["ews-2", "operator"]),
            place(&["ews-1o", "perator"]),
            place(&["ews-1"]),
            Cell { table: "totp", row: &["ews-1", "operator"], column: "sealed" },
            Cell { table: "accounts", row: &["ews-1", "operator"], column: "other" },
        ] {
            assert!(matches!(sealer(1).open(&elsewhere, &sealed), Err(SealError::Altered { .. })), "{elsewhere}");
        }
    }

    #[test]
    fn another_key_is_named_as_such() {
        let sealed = sealer(1).seal(&place(&["a"]), b"secret").unwrap();
        let error = sealer(2).open(&place(&["a"]), &sealed).unwrap_err();
        assert!(matches!(error, SealError::OtherKey { sealed_with, have, .. }
            if sealed_with == sealer(1).id() && have == sealer(2).id()));
    }

    #[test]
    fn any_flipped_or_missing_byte_is_noticed() {
        let sealed = sealer(1).seal(&place(&["a"]), b"secret").unwrap();
        for position in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[position] ^= 1;
            assert!(sealer(1).open(&place(&["a"]), &flipped).is_err(), "byte {position}");
            assert!(sealer(1).open(&place(&["a"]), &sealed[..position]).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn the_same_value_never_seals_to_the_same_bytes() {
        let one = sealer(1).seal(&place(&["a"]), b"secret").unwrap();
        let two = sealer(1).seal(&place(&["a"]), b"secret").unwrap();
        assert_ne!(one, two);
    }
}
