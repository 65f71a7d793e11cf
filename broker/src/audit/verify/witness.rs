//! A log that somebody outside has kept: the heads of the chain in it, by which a later change of the chain shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

use ed25519_dalek::VerifyingKey;
use serde::Deserialize;

use super::is_signed;

/// The heads in a log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The heads that a trusted key has signed, by number.
    pub heads: BTreeMap<i64, BTreeSet<String>>,
    /// Lines with a head that no trusted key has signed: somebody else wrote them, or wrote them anew.
    pub unsigned: Vec<u64>,
}

/// As far as an object in a log is a head.
#[derive(Deserialize)]
struct Noted {
    head: Option<i64>,
    hash: Option<String>,
    signature: Option<String>,
}

impl Witness {
    /// Reads a log, whatever stands around the objects in it: the header of syslog, what a relay puts before it, several in a line.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(log: impl BufRead, keys: &[VerifyingKey]) -> io::Result<Self> {
        let mut witness = Self::default();
        for (number, line) in (1..).zip(log.split(b'\n')) {
            let line = line?;
            let mut rest = &*String::from_utf8_lossy(&line);
            while let Some(at) = rest.find("{\"") {
                rest = &rest[at..];
                let mut objects = serde_json::Deserializer::from_str(rest).into_iter::<Noted>();
                let noted = objects.next();
                rest = match &noted {
                    Some(Ok(_)) => &rest[objects.byte_offset()..],
                    _ => &rest[1..],
                };
                if let Some(Ok(Noted { head: Some(seq), hash: Some(hash), signature: Some(signature) })) = noted {
                    if is_signed(keys, &hash, &signature) {
                        witness.heads.entry(seq).or_default().insert(hash);
                    } else {
                        witness.unsigned.push(number);
                    }
                }
            }
        }
        Ok(witness)
    }
}
