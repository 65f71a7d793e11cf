//! Who may reach what, for those who review it. What is reported is what the gate would answer: the policy is asked, never read a
//! second time.

mod members;
mod report;
mod row;
#[cfg(test)]
mod tests;
mod uses;

pub(crate) use report::{Scope, report};
pub(crate) use row::AccessRow;
pub(crate) use uses::Uses;
