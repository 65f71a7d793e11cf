//! What can be wrong with a recording.
use serde::Serialize;

/// Where a recording is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("block {block} at offset {offset}: {kind}")]
pub struct Fault {
    /// Number of the block.
    pub block: u64,
    /// Where the block begins in the file.
    pub offset: u64,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The block's type or length is impossible.
    #[error("not a block")]
    Frame,
    /// The recording does not begin with a checkpoint.
    #[error("the header is not signed")]
    UnsignedHeader,
    /// The signature does not match: something before it was changed, removed, added or moved.
    #[error("the checkpoint's signature does not match what comes before it")]
    Checkpoint,
    /// The same, at the seal.
    #[error("the seal's signature does not match what comes before it")]
    Seal,
    /// The seal is signed, but says something else than the file.
    #[error("the seal's counts do not match the file")]
    SealCounts,
    /// The seal is signed by a key that is not trusted.
    #[error("the seal is signed by an unknown key")]
    SealSigner,
    /// Something follows the seal.
    #[error("there are bytes after the seal")]
    AfterSeal,
    /// The block does not decrypt: it was changed, moved, or comes from another recording.
    #[error("the block does not decrypt")]
    Cipher,
    /// The block decrypts to something that is not an entry.
    #[error("the block is not an entry")]
    Entry,
}

/// Why nothing at all can be said about a recording.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The input failed.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The first bytes are others.
    #[error("not a recording")]
    NotARecording,
    /// Made by a later version.
    #[error("recording format {0} is not known here")]
    Version(u16),
    /// The header is damaged.
    #[error("the header is damaged: {0}")]
    Header(String),
    /// The recording is signed by a key that is not trusted.
    #[error("the recording is signed by an unknown key: {0}")]
    UnknownSigner(String),
}
