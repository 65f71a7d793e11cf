//! Requests under way, and what waits for its turn among their answers.

use bytes::Bytes;

/// What waits for its turn to be answered.
#[derive(Debug)]
pub(super) enum Pending {
    /// Asked of the asset; `None` when its answer has gone already.
    Asset(u32, Option<Asked>),
    /// Our own answer, due when everything before it is answered.
    Ours(Bytes),
}

/// A request that was passed on, as far as its answer needs it.
#[derive(Debug)]
pub(super) enum Asked {
    Open { path: String, flags: u32 },
    OpenDir,
    Close { handle: Vec<u8> },
    Read { handle: Vec<u8>, offset: u64, length: usize },
    Write { handle: Vec<u8> },
    Change { what: &'static str, path: String, other: Option<String> },
    Look,
}

impl Asked {
    /// What its paths hold.
    pub(super) fn paths(&self) -> usize {
        match self {
            Asked::Open { path, .. } => path.len(),
            Asked::Change { path, other, .. } => path.len() + other.as_ref().map_or(0, String::len),
            Asked::OpenDir | Asked::Close { .. } | Asked::Read { .. } | Asked::Write { .. } | Asked::Look => 0,
        }
    }
}
