//! What is around every page: the name of the broker, who is signed in, the way elsewhere, and what waits for them.

use super::text::Shown;

/// What every page needs of its surroundings.
#[derive(Clone)]
pub struct Frame {
    /// The broker's name, as people type it.
    pub broker: String,
    /// What proves that a form was ours. Bound to the session, or to the sign-in before there is one.
    pub csrf: String,
    /// Where stylesheet and scripts lie.
    pub assets: Assets,
    /// Who is signed in.
    pub person: Option<Person>,
    /// Which entry of the navigation this page is.
    pub place: Place,
    /// What happened just before: one sentence.
    pub said: Option<String>,
}

/// The paths of what every page loads, with the hash of what lies there in them.
#[derive(Clone, Debug)]
pub struct Assets {
    /// `style.css`
    pub style: String,
    /// `page.js`
    pub page: String,
    /// `webauthn.js`
    pub webauthn: String,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their identity.
    pub name: Shown,
    /// The ssh logins of theirs that wait now.
    pub waiting: Vec<Waiting>,
    /// The path of the stream of what begins to wait, where there is one.
    pub events: Option<String>,
}

/// An ssh login that waits for its person.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The path of its confirmation.
    pub path: String,
    /// From where, and since when: one line.
    pub text: Shown,
}

/// An entry of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What one may reach now.
    Reach,
    /// Sessions and leases.
    Sessions,
    /// What is asked for an approval.
    Requests,
    /// Second factors and keys.
    Factors,
    /// None of them.
    Elsewhere,
}
