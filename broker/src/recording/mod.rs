//! Recordings on disk: where they are, how full the disk is, how long they are kept.
//!
//! The format is the crate `sallyport-session-recorder`; this is the world around it. One file per recording,
//! `<folder>/<UTC day>/<session>.srec`, append only. A call of [`RecordingHandle::append`] returns when `write` has (or, with
//! `durability = "power"`, when `fdatasync` has), and only then is anything forwarded.

pub(crate) mod clock;
mod disk;
mod handle;
mod history;
pub(crate) mod ledger;
mod path;
mod permits;
mod recordings;
mod recovery;
mod reports;
mod reserve;
mod retention;
mod sink;
mod syncer;
#[cfg(test)]
mod tests;

pub(crate) use handle::RecordingHandle;
pub(crate) use path::RecordingPath;
pub(crate) use recordings::{Recordings, RecordingsError};
pub(crate) use recovery::Found;
pub(crate) use reserve::reserve_found;
pub(crate) use retention::due;
pub(crate) use sink::open_file;
