//! Proving a recording with nothing but public keys.
use crate::entry::Moment;
use crate::fault::{Fault, VerifyError};
use crate::header::Header;
use crate::walk::{Seal, Walk};
use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use serde::Serialize;
use std::io::Read;

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// By its seal.
    Sealed,
    /// By a seal that a broker added when it found the recording open.
    Interrupted,
    /// Without a seal: still being made, or cut.
    Open,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Sealed => "sealed",
            State::Interrupted => "interrupted",
            State::Open => "unsealed",
        })
    }
}

/// What is proven about a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Who, what, when.
    pub header: Header,
    /// The key named in the header, hex.
    pub signer: String,
    /// How it ends.
    pub state: State,
    /// What is wrong, if anything. Everything before the last checkpoint in front of it is proven all the same.
    pub fault: Option<Fault>,
    /// Signed checkpoints.
    pub checkpoints: u64,
    /// When the last checkpoint was signed.
    pub last_checkpoint: Option<Moment>,
    /// Blocks that a signature covers.
    pub proven_blocks: u64,
    /// Bytes that a signature covers.
    pub proven_bytes: u64,
    /// Bytes of whole blocks after the last signature.
    pub unproven_bytes: u64,
    /// Bytes of an unfinished block at the end.
    pub torn_bytes: u64,
    /// Chain value over what is proven, hex: what the audit chain holds for a sealed recording.
    pub head: String,
    /// The seal.
    pub seal: Option<Seal>,
}

impl Verification {
    /// True for a recording with its seal and without a fault.
    pub fn is_whole(&self) -> bool {
        self.fault.is_none() && self.seal.is_some()
    }
}

/// Walks through the whole recording and says what is proven.
pub fn verify<R: Read>(input: R, trusted: &[VerifyingKey]) -> Result<Verification, VerifyError> {
    let mut walk = Walk::open(input, Some(trusted))?;
    while walk.step()?.is_some() {}
    Ok(walk.verification())
}

impl<R: Read> Walk<R> {
    /// What is proven so far.
    pub(crate) fn verification(&self) -> Verification {
        let state = match &self.seal {
            None => State::Open,
            Some(seal) if seal.interruption.is_some() => State::Interrupted,
            Some(_) => State::Sealed,
        };
        Verification {
            header: self.preamble.header.clone(),
            signer: self.preamble.signer.clone(),
            state,
            fault: self.fault.clone(),
            checkpoints: self.checkpoints,
            last_checkpoint: self.last_checkpoint,
            proven_blocks: self.proven.number,
            proven_bytes: self.proven.offset,
            unproven_bytes: self.chain.offset - self.proven.offset,
            torn_bytes: self.torn_bytes,
            head: HEXLOWER.encode(&self.proven.head),
            seal: self.seal.clone(),
        }
    }
}
