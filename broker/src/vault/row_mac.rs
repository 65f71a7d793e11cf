//! MACs over rows: HMAC-SHA-256 under a key derived from the master key, so that a row which somebody else wrote into the
//! database lets nobody in.
//!
//! A MAC is `version (1) | key id (8) | HMAC-SHA-256 (32)`. It is made over the version, the table and every column that counts,
//! the primary key among them; each part with its kind and length before it. A MAC that is copied to another row does not fit.

use std::fmt;

use aws_lc_rs::hmac;

use super::seal::{self, KeyId};

/// Makes and checks the MACs of rows under one master key.
pub(crate) struct RowMac {
    key: hmac::Key,
    id: KeyId,
}

/// The columns of a row, in a form that means one thing only.
pub(crate) struct RowText(Vec<u8>);

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// It carries no MAC: it was not written by a broker, or before there were any and never adopted.
    NoMac,
    /// Its MAC does not fit: it was changed, or copied from another row.
    Altered,
    /// It is one that stood there before: the audit chain holds something later about it.
    Outdated,
    /// Its MAC was made under another master key.
    OtherKey(KeyId),
}

impl RowMac {
    pub(super) fn new(master: &[u8; 32]) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let key = seal::derive(master, b"row mac")?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()), id: seal::key_id(master)? })
    }

    /// The name of the master key.
    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The MAC of a row.
    pub(crate) fn make(&self, text: &RowText) -> Vec<u8> {
        let mut mac = vec![VERSION];
        mac.extend_from_slice(self.id.bytes());
        mac.extend_from_slice(hmac::sign(&self.key, &text.0).as_ref());
        mac
    }

    /// Whether a row is as it was when its MAC was made.
    pub(crate) fn check(&self, text: &RowText, mac: Option<&[u8]>) -> Result<(), RowFault> {
        let mac = mac.ok_or(RowFault::NoMac)?;
        let (head, tag) = mac.split_at_checked(1 + seal::KEY_ID_LEN).ok_or(RowFault::Altered)?;
        let (version, id) = head.split_first().ok_or(RowFault::Altered)?;
        if *version != VERSION || tag.len() != TAG_LEN {
            return Err(RowFault::Altered);
        }
        let id = KeyId::from_bytes(id).ok_or(RowFault::Altered)?;
        if id != self.id {
            return Err(RowFault::OtherKey(id));
        }
        hmac::verify(&self.key, &text.0, tag).map_err(|_| RowFault::Altered)
    }
}

impl RowText {
    /// The columns of a row of this table follow.
    pub(crate) fn of(table: &str) -> Self {
        Self(vec![VERSION]).text(table)
    }

    /// A text.
    pub(crate) fn text(self, text: &str) -> Self {
        self.part(b't', text.as_bytes())
    }

    /// A number.
    pub(crate) fn number(self, number: i64) -> Self {
        self.part(b'n', &number.to_be_bytes())
    }

    /// Bytes.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        self.part(b'b', bytes)
    }

    /// A text or NULL.
    pub(crate) fn maybe_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.part(b'-', &[]),
        }
    }

    /// A number or NULL.
    pub(crate) fn maybe_number(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(number),
            None => self.part(b'-', &[]),
        }
    }

    fn part(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMac => formatter.write_str("it carries no MAC: no broker wrote it, or it was never adopted"),
            Self::Altered => formatter.write_str("its MAC does not fit: it was changed, or copied from another row"),
            Self::Outdated => formatter.write_str("it is an earlier one: the audit chain holds something later"),
            Self::OtherKey(id) => write!(formatter, "its MAC is under master key `{id}`"),
        }
    }
}

impl fmt::Debug for RowMac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RowMac({})", self.id)
    }
}

const VERSION: u8 = 1;
const TAG_LEN: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn mac(byte: u8) -> RowMac {
        RowMac::new(&[byte; 32]).unwrap()
    }

    fn row() -> RowText {
        RowText::of("leases").text("a").number(1).maybe_text(None).bytes(b"x")
    }

    #[test]
    fn a_row_is_as_it_was_or_it_is_not() {
        let made = mac(1).make(&row());
        assert_eq!(mac(1).check(&row(), Some(&made)), Ok(()));
        assert_eq!(mac(1).check(&row(), None), Err(RowFault::NoMac));
        assert_eq!(mac(2).check(&row(), Some(&made)), Err(RowFault::OtherKey(mac(1).id())));
        for other in [
            RowText::of("totp").text("a").number(1).maybe_text(None).bytes(b"x"),
            RowText::of("leases").text("b").number(1).maybe_text(None).bytes(b"x"),
            RowText::of("leases").text("a").number(2).maybe_text(None).bytes(b"x"),
            RowText::of("leases").text("a").number(1).text("").bytes(b"x"),
            RowText::of("leases").text("a").number(1).maybe_number(None).text("x"),
            RowText::of("leases").text("a").number(1).maybe_text(None),
        ] {
            assert_eq!(mac(1).check(&other, Some(&made)), Err(RowFault::Altered));
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let made = mac(1).make(&RowText::of("t").text("ab").text("c"));
        assert_eq!(mac(1).check(&RowText::of("t").text("a").text("bc"), Some(&made)), Err(RowFault::Altered));
    }

    #[test]
    fn any_flipped_or_missing_byte_is_noticed() {
        let made = mac(1).make(&row());
        for position in 0..made.len() {
            let mut flipped = made.clone();
            flipped[position] ^= 1;
            assert!(mac(1).check(&row(), Some(&flipped)).is_err(), "byte {position}");
            assert!(mac(1).check(&row(), Some(&made[..position])).is_err(), "cut at {position}");
        }
    }
}
