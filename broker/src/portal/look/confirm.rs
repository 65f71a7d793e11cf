//! The confirmation of an ssh login: the page on which nobody may say yes blindly.

use askama::Template;

use super::frame::{Frame, Place};
use super::text::{Shown, When};

/// An ssh login that waits, or what became of it.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    /// What is around it.
    pub frame: Frame,
    /// How it stands.
    pub state: State,
}

/// How an ssh login stands.
#[derive(Clone, Debug)]
pub enum State {
    /// It waits.
    Waiting(Box<Login>),
    /// It was confirmed: ssh goes on.
    Done,
    /// It was refused.
    Refused,
    /// Nobody answered in time, or ssh has gone.
    Expired,
    /// Too many wrong numbers.
    Locked,
}

/// What is known of an ssh login that waits.
#[derive(Clone, Debug)]
pub struct Login {
    /// The path of its confirmation; refusal and assertion lie below it.
    pub path: String,
    /// Who logs in.
    pub name: Shown,
    /// From which address.
    pub source: Shown,
    /// With which client, in its own words: nobody proved them.
    pub client: Shown,
    /// To what: an asset and an account, or the broker alone.
    pub target: Shown,
    /// Since when it waits.
    pub since: When,
    /// Until when it does.
    pub until: When,
    /// How long the number is that the terminal shows.
    pub digits: u8,
    /// How many wrong numbers it still stands.
    pub tries_left: u32,
    /// Why the last attempt did not do.
    pub problem: Option<String>,
    /// How many other logins were turned away while this one waits.
    pub turned_away: u32,
}
