//! Emergencies: what opens the gate when approval, database, network or clock stand in the way, and what is left on record of it.
//!
//! ```text
//! code ─► recognised (kept: database, or the snapshot) ─► ledger on disk ─► database or spool: on record ─► Opened ─► MultiFactor
//! ```
//!
//! An envelope holds one code on one sheet of paper. The code is made here once, printed once, and kept nowhere. What was opened is an
//! [`Opened`]: it is made only in `breaking.rs`, after it is on record.

mod breaking;
mod code;
mod glass;
mod keeping;
mod kept;
mod ledger;
mod letters;
mod opening;
mod recognising;
mod refreshing;
mod refusal;
mod reviews;
mod sealing;
mod settling;
mod sheet;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use breaking::{Circumstances, Opened};
pub(crate) use code::EnvelopeCode;
pub(crate) use glass::{Emergencies, SNAPSHOT};
pub(crate) use kept::Kept;
pub(crate) use opening::Opening;
pub(crate) use recognising::Recognised;
pub(crate) use refusal::NotOpened;
pub(crate) use reviews::{Emergency, Review, may_seal};
pub(crate) use sealing::Sealing;
pub(crate) use sheet::{Doors, Scope, Sheet};
pub(crate) use snapshot::read;
