//! Approvals: somebody asks for what a grant of theirs gives only once others have agreed, and others approve or deny it.
//!
//! ```text
//! ask ─► waiting ─ approve, by one Approver after the other ─► given: what `decide` is told ─► over, to the second
//!          └──────────────── deny, withdraw ─────────────────────┴─► closed, for good
//! ```
//!
//! How a request stands is written nowhere: the policy says it anew each time, of the rows that are genuine and of people as they
//! stand now (`sallyport_policy::request_state`). Somebody who has approved and is locked, or has lost the role, has approved nothing.

mod approver;
mod asking;
mod deciding;
mod looking;

pub(crate) use approver::{Approver, NotApprover};
pub(crate) use asking::{NotAsked, Wish, ask};
pub(crate) use deciding::{NotDecided, approve, deny, withdraw};
pub(crate) use looking::{Desk, Seen, given};
