//! What a started channel carries, and the decoder that goes with it.
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::ssh::transfer::scp::Scp;
use crate::ssh::transfer::sftp::Sftp;
use crate::ssh::transfer::{Malformed, Step};

/// What a started channel carries, which decides how it is recorded.
pub(crate) enum Stream {
    /// Everything in full.
    Terminal,
    /// In full within a budget.
    Bulk,
    /// Decoded: messages in full, file content as hashes.
    Sftp(Box<Mutex<Sftp>>),
    /// The same for `scp -O`.
    Scp(Box<Mutex<Scp>>),
}

impl Stream {
    pub(crate) fn client_sent(&self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self {
            Stream::Sftp(sftp) => locked(sftp).client_sent(bytes, steps),
            Stream::Scp(scp) => locked(scp).client_sent(bytes, steps),
            Stream::Terminal | Stream::Bulk => Ok(()),
        }
    }

    pub(crate) fn asset_sent(&self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self {
            Stream::Sftp(sftp) => locked(sftp).asset_sent(bytes, steps),
            Stream::Scp(scp) => locked(scp).asset_sent(bytes, steps),
            Stream::Terminal | Stream::Bulk => Ok(()),
        }
    }

    pub(crate) fn expects_more(&self) -> bool {
        match self {
            Stream::Sftp(sftp) => locked(sftp).expects_more(),
            Stream::Scp(scp) => locked(scp).expects_more(),
            Stream::Terminal | Stream::Bulk => false,
        }
    }

    pub(crate) fn answer_is_due(&self) -> bool {
        matches!(self, Stream::Sftp(sftp) if locked(sftp).answer_is_due())
    }

    pub(crate) fn due_answers(&self, steps: &mut Vec<Step>) {
        if let Stream::Sftp(sftp) = self {
            locked(sftp).due_answers(steps);
        }
    }

    pub(crate) fn finish(&self, steps: &mut Vec<Step>) {
        match self {
            Stream::Sftp(sftp) => locked(sftp).finish(steps),
            Stream::Scp(scp) => locked(scp).finish(steps),
            Stream::Terminal | Stream::Bulk => {}
        }
    }
}

fn locked<T>(decoder: &Mutex<T>) -> MutexGuard<'_, T> {
    // A decoder whose caller panicked is never asked again: the panic ends the channel.
    decoder.lock().unwrap_or_else(PoisonError::into_inner)
}
