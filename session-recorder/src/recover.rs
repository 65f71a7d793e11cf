//! What a broker does with a recording that it finds open: prove it, cut a torn end, seal it as interrupted.
use crate::entry::Moment;
use crate::fault::{Fault, FaultKind, VerifyError};
use crate::header::Header;
use crate::keys::Keys;
use crate::recorder::{RecordError, Sealed, write_seal};
use crate::verify::Verification;
use crate::walk::{INTERRUPTED, Interruption, Seal, Walk};
use ed25519_dalek::VerifyingKey;
use std::io::Read;

/// What to do to a file found at start.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// It is sealed: nothing.
    Whole(Box<Verification>),
    /// It was open: cut it to `keep` bytes, then append `seal`.
    Interrupted {
        /// Who, what, when.
        header: Box<Header>,
        /// Bytes of the file that stay.
        keep: u64,
        /// The bytes to append.
        seal: Vec<u8>,
        /// What the recording is afterwards.
        sealed: Sealed,
    },
}

/// Why a recording cannot be closed.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It is not a recording of ours.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It ends before its first signature: nothing was ever recorded in it.
    #[error("the recording ends before its first signature")]
    NeverBegan,
    /// It was changed; sealing it would cover that up.
    #[error("the recording is damaged and stays as it is: {0}")]
    Damaged(Fault),
    /// The seal could not be made.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Says how to close a recording of `length` bytes that may be open. Decrypts nothing: the data key died with the
/// process that made it.
pub fn recover<R: Read>(
    input: R,
    length: u64,
    trusted: &[VerifyingKey],
    keys: &Keys,
    at: Moment,
    detail: &str,
) -> Result<Recovery, RecoverError> {
    let mut walk = Walk::open(input, Some(trusted))?;
    while walk.step().map_err(VerifyError::Io)?.is_some() {}
    match walk.fault.clone() {
        // After a power failure the end may hold anything; in front of a signature nothing may be wrong.
        Some(fault) if fault.kind != FaultKind::Frame => return Err(RecoverError::Damaged(fault)),
        _ if walk.seal.is_some() => return Ok(Recovery::Whole(Box::new(walk.verification()))),
        _ if walk.checkpoints == 0 => return Err(RecoverError::NeverBegan),
        _ => {}
    }
    let chain = walk.chain;
    let mut seal = Seal::new(&chain, keys, at, INTERRUPTED, detail);
    seal.interruption =
        Some(Interruption { proven_bytes: walk.proven.offset, cut_bytes: length.saturating_sub(chain.offset) });
    let mut bytes = Vec::new();
    let after = write_seal(chain, keys, &seal, &mut bytes)?;
    Ok(Recovery::Interrupted {
        header: Box::new(walk.preamble.header),
        keep: chain.offset,
        seal: bytes,
        sealed: Sealed { head: after.head, bytes: after.offset, blocks: after.number },
    })
}
