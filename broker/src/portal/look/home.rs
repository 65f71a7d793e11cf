//! What somebody may reach now.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::{Shown, When};

/// Everything that grants name for a person, with the line to type for each.
#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    /// What is around it.
    pub frame: Frame,
    /// One row for each.
    pub rows: Vec<Reachable>,
}

/// One service of one asset, as one account.
#[derive(Clone, Debug)]
pub struct Reachable {
    /// The asset.
    pub asset: Shown,
    /// Its service.
    pub service: Shown,
    /// The account there.
    pub account: Shown,
    /// Whether it can be reached now.
    pub now: Now,
    /// What to type on the own machine.
    pub line: Shown,
}

/// What stands between a person and an asset now.
#[derive(Clone, Debug)]
pub enum Now {
    /// Nothing, until then.
    Yes(Option<When>),
    /// Another factor is asked for on the way.
    AfterFactor,
    /// Somebody must approve it.
    AfterApproval,
    /// Its zone is isolated: nobody reaches it.
    Isolated,
    /// It is not the time, or a rule forbids it.
    No,
}
