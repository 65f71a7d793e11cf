//! One recording for somebody who must not read the others: its data key, wrapped anew. The recording stays as it was sealed.
use crate::keys::{data_key, parse_recipients, wrap_key};
use crate::read::OpenError;
use crate::walk::Walk;
use age::x25519::Identity;
use ed25519_dalek::VerifyingKey;
use std::io::Read;

/// Wraps the data key of one recording to age recipients (`age1…`), who can then read this recording and no other: give the
/// answer, an age file, to [`Reader::open_shared`](crate::Reader::open_shared). `identities` must be able to read it.
pub fn share<R: Read, S: AsRef<str>>(
    input: R,
    identities: &[Identity],
    trusted: &[VerifyingKey],
    recipients: &[S],
) -> Result<Vec<u8>, OpenError> {
    let recipients = parse_recipients(recipients)?;
    let walk = Walk::open(input, Some(trusted))?;
    let key = data_key(&walk.preamble.wrapped_key, identities)?;
    Ok(wrap_key(&key, &recipients)?)
}
