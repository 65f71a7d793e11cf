//! Who is it: from a connection of a stranger to somebody who may go where they asked to.
//!
//! ```text
//! Entrance ─admit─► Attempt ─ first: Claim ─► second: Offer | lease ─► Admission (questions that are due) ─► Entry
//! ```
//!
//! It knows questions and answers, and no transport: a door translates what it hears into [`Attempt`]'s few calls, and its
//! [`Step`]s into what its clients understand. Whatever door somebody comes through, the same is counted, throttled, leased and
//! put on the record, because it is done here.

mod abandoned;
mod admission;
mod attempt;
pub(crate) mod breaking;
pub(crate) mod ceremony;
mod client;
pub(crate) mod confirmation;
mod entrance;
mod held_back;
pub(crate) mod lease;
mod local_forward;
mod name;
pub(crate) mod reach;
mod refusals;
pub(crate) mod requesting;
mod signing_in;
pub(crate) mod step_up;
pub(crate) mod target;
#[cfg(test)]
mod tests;

pub(crate) use admission::{Admission, Entry, Next, Question};
pub(crate) use attempt::{Attempt, Left, Step};
pub(crate) use client::ClientName;
pub(crate) use entrance::Entrance;
pub(crate) use local_forward::local_forward;
pub(crate) use signing_in::{SecondStep, SigningIn, signed_in_by_passkey};
