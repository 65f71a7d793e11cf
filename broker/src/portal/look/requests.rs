//! What somebody asks others to approve, and what others ask of them.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::{Choice, Shown, When};

/// Somebody's own requests, and those that they may decide.
#[derive(Template)]
#[template(path = "requests.html")]
pub struct Requests {
    /// What is around it.
    pub frame: Frame,
    /// What others ask of them.
    pub others: Vec<OthersRequest>,
    /// Whether they have a passkey to approve with.
    pub can_approve: bool,
    /// What they ask for.
    pub own: Vec<OwnRequest>,
    /// What they could ask for; none for whoever needs nobody's approval.
    pub new: Option<NewRequest>,
}

/// How a request stands.
#[derive(Clone, Debug)]
pub enum Approved {
    /// So many of so many have approved it, and it waits until then.
    Waits(u32, u32, When),
    /// It is approved until then.
    Until(When),
}

/// A request of somebody else.
#[derive(Clone, Debug)]
pub struct OthersRequest {
    /// Its name; what decides it lies below that.
    pub id: String,
    /// Who asks.
    pub name: Shown,
    /// From which address.
    pub source: Shown,
    /// For what.
    pub target: Shown,
    /// For how long.
    pub lasting: Shown,
    /// Why.
    pub reason: Shown,
    /// The permit to work; nothing where none is named.
    pub permit: Shown,
    /// Since when.
    pub since: When,
    /// Who has approved it.
    pub by: Vec<Shown>,
    /// How it stands.
    pub stands: Approved,
    /// How many had approved it when this page was drawn.
    pub seen: usize,
    /// They have approved it themselves.
    pub mine: bool,
}

/// A request of their own.
#[derive(Clone, Debug)]
pub struct OwnRequest {
    /// Its name.
    pub id: String,
    /// For what.
    pub target: Shown,
    /// For how long.
    pub lasting: Shown,
    /// Why.
    pub reason: Shown,
    /// The permit to work; nothing where none is named.
    pub permit: Shown,
    /// How it stands.
    pub stands: Approved,
}

/// What can be asked for, with what was typed before, where that did not do.
#[derive(Clone, Debug)]
pub struct NewRequest {
    /// The assets.
    pub assets: Vec<Choice>,
    /// For how long it can be.
    pub lasting: Vec<Choice>,
    /// The reason, as it was typed.
    pub reason: Shown,
    /// The permit, as it was typed.
    pub permit: Shown,
    /// Why it did not do.
    pub problem: Option<String>,
}
