//! Who may reach what, for those who review it. What is reported is what the gate would answer: the policy is asked, never read a
//! second time.

mod agreed;
mod change;
mod consequences;
mod doubts;
mod ending;
mod members;
mod report;
mod row;
#[cfg(test)]
mod tests;
mod uses;

pub(crate) use agreed::Agreed;
pub(crate) use change::AccessChange;
pub(crate) use consequences::{Consequences, consequences};
pub(crate) use doubts::doubts;
pub(crate) use ending::{EndingLease, EndingSession, EndingWindow};
pub(crate) use members::memberships;
pub(crate) use report::{Scope, report};
pub(crate) use row::AccessRow;
pub(crate) use uses::Uses;
