//! What a started channel carries, and the decoder that goes with it.
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::ssh::transfer::scp::Scp;
use crate::ssh::transfer::sftp::Sftp;
use crate::ssh::transfer::{Malformed, Step};

/// What a started channel carries, which decides how it is recorded.
pub(crate) enum Traffic {
    /// Everything in full.
    Terminal,
    /// In full within a budget.
    Bulk,
    /// Decoded: messages in full, file content as hashes.
    Sftp(Box<Mutex<Sftp>>),
    /// The same for `scp -O`.
    Scp(Box<Mutex<Scp>>),
}

impl Traffic {
    pub(crate) fn client_sent(&self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self {
            Traffic::Sftp(sftp) => locked(sftp).client_sent(bytes, steps),
            Traffic::Scp(scp) => locked(scp).client_sent(bytes, steps),
            Traffic::Terminal | Traffic::Bulk => Ok(()),
        }
    }

    pub(crate) fn asset_sent(&self, bytes: Bytes, steps: &mut Vec<Step>) -> Result<(), Malformed> {
        match self {
            Traffic::Sftp(sftp) => locked(sftp).asset_sent(bytes, steps),
            Traffic::Scp(scp) => locked(scp).asset_sent(bytes, steps),
            Traffic::Terminal | Traffic::Bulk => Ok(()),
        }
    }

    pub(crate) fn expects_more(&self) -> bool {
        match self {
            Traffic::Sftp(sftp) => locked(sftp).expects_more(),
            Traffic::Scp(scp) => locked(scp).expects_more(),
            Traffic::Terminal | Traffic::Bulk => false,
        }
    }

    /// Is nothing more of the client to be read until more of what it asked is answered?
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Traffic::Sftp(sftp) if locked(sftp).is_full())
    }

    pub(crate) fn answer_is_due(&self) -> bool {
        matches!(self, Traffic::Sftp(sftp) if locked(sftp).answer_is_due())
    }

    pub(crate) fn due_answers(&self, steps: &mut Vec<Step>) {
        if let Traffic::Sftp(sftp) = self {
            locked(sftp).due_answers(steps);
        }
    }

    pub(crate) fn finish(&self, steps: &mut Vec<Step>) {
        match self {
            Traffic::Sftp(sftp) => locked(sftp).finish(steps),
            Traffic::Scp(scp) => locked(scp).finish(steps),
            Traffic::Terminal | Traffic::Bulk => {}
        }
    }
}

fn locked<T>(decoder: &Mutex<T>) -> MutexGuard<'_, T> {
    // A decoder whose caller panicked is never asked again: the panic ends the channel.
    decoder.lock().unwrap_or_else(PoisonError::into_inner)
}
