//! The evidence: recording format, hash chain, seal, encryption, verification, export. Sans-io.
//!
//! A [`Recorder`] turns what passes in a session into blocks and hands each to its [`Sink`] before it returns: *evidence
//! before effect*. [`verify`] proves a recording with nothing but a public key; a [`Reader`] also reads it, with a
//! recipient's key. The byte layout is described in `docs/recording-format.md`; an independent verifier is written
//! from that page alone.
mod budget;
mod entry;
pub mod export;
mod fault;
mod frame;
mod header;
mod keys;
mod read;
mod recorder;
mod recover;
pub mod replay;
pub mod search;
mod share;
mod verify;
mod walk;

pub use budget::Budget;
pub use entry::{Direction, Entry, FileRun, Kind, Moment, TrackId};
pub use fault::{Fault, FaultKind, VerifyError};
pub use frame::{MAX_BODY, MAX_CONTENT, MAX_HEADER};
pub use header::{Durability, Header};
pub use keys::{KeyError, Keys, identities, public_key};
pub use read::{OpenError, ReadError, Reader};
pub use recorder::{Part, RecordError, Recorder, Sealed, Sink};
pub use recover::{RecoverError, Recovery, recover};
pub use share::share;
pub use verify::{State, Verification, verify};
pub use walk::{Counts, Interruption, Seal};

/// What the public surface of other crates shows up in this one's signatures.
pub mod types {
    pub use age::x25519::{Identity, Recipient};
    pub use ed25519_dalek::VerifyingKey;
}
